//! When operations begin. In a closed loop each client begins the next one when the last has ended.
//! In an open loop they begin at a rate, whether the service keeps up or not; times count from the
//! intended start, so that a wait of the client itself is not left out (coordinated omission).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::http::Connection;
use crate::operation::Operator;
use crate::tally::End;

/// A client of a closed loop that was refused waits this long.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    Closed { clients: u32 },
    Open { rate: f64, most: usize },
}

/// Tells the loops when to stop, and gives each operation its number.
pub(crate) struct Course {
    pub(crate) stopped: Cell<bool>,
    /// Operations that may still begin.
    pub(crate) left: Cell<u64>,
    pub(crate) next: Cell<u64>,
}

impl Course {
    fn next(&self) -> Option<u64> {
        let left = self.left.get().checked_sub(1)?;
        if self.stopped.get() {
            return None;
        }
        self.left.set(left);
        self.next.set(self.next.get().wrapping_add(1));
        Some(self.next.get())
    }
}

impl Pace {
    /// Returns when every operation that began has ended.
    pub(crate) async fn run(self, operator: &Rc<Operator>, course: &Rc<Course>) {
        match self {
            Self::Closed { clients } => closed(clients, operator, course).await,
            Self::Open { rate, most } => open(rate, most, operator, course).await,
        }
    }
}

async fn closed(clients: u32, operator: &Rc<Operator>, course: &Rc<Course>) {
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (operator, course) = (Rc::clone(operator), Rc::clone(course));
        tasks.spawn_local(async move {
            let mut connection = None;
            while let Some(number) = course.next() {
                let (end, kept) = operator.run(number, Instant::now(), connection).await;
                connection = kept;
                if !matches!(end, End::Done) {
                    sleep(AFTER_REFUSAL).await;
                }
            }
        });
    }
    tasks.join_all().await;
}

async fn open(rate: f64, most: usize, operator: &Rc<Operator>, course: &Rc<Course>) {
    let mut tasks = JoinSet::new();
    let idle = Rc::new(RefCell::new(Vec::<Connection>::new()));
    let begin = Instant::now();
    for count in 0_u64.. {
        let start = begin + Duration::from_secs_f64(count as f64 / rate);
        sleep_until(start.into()).await;
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= most {
            tasks.join_next().await;
        }
        let Some(number) = course.next() else { break };
        let (operator, idle) = (Rc::clone(operator), Rc::clone(&idle));
        tasks.spawn_local(async move {
            let connection = idle.borrow_mut().pop();
            let (_, kept) = operator.run(number, start, connection).await;
            idle.borrow_mut().extend(kept);
        });
    }
    tasks.join_all().await;
}
