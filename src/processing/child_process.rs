//! A child process that ends with its owner: dropping it ends the process, and nothing is left of it.

use std::any::Any;
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::{io, thread};

/// What is given back once a process has ended and its memory is free.
pub(super) type Permits = Vec<Box<dyn Any + Send + Sync>>;

/// A child process. It is ended when this value is dropped.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Option<Child>,
    permits: Permits,
}

impl ChildProcess {
    pub(super) fn new(child: Child) -> Self {
        Self {
            child: Some(child),
            permits: Vec::new(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Its status if it has ended.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Ends the process. The permits are given back after that.
    pub(super) fn end(mut self, permits: Permits) {
        self.permits = permits;
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        // An error means that it has ended already.
        let _ = child.kill();
        if let Err(mut left) = reaper_send((child, std::mem::take(&mut self.permits))) {
            let _ = left.0.wait();
        }
    }
}

type Dying = (Child, Permits);

/// Hands a killed process to the thread that waits for its end; returns it if there is no such
/// thread. Freeing much memory takes a process a while.
fn reaper_send(dying: Dying) -> Result<(), Dying> {
    static REAPER: OnceLock<Option<Mutex<mpsc::Sender<Dying>>>> = OnceLock::new();
    let reaper = REAPER.get_or_init(|| {
        let (sender, inbox) = mpsc::channel::<Dying>();
        let reap = move || {
            for (mut child, permits) in inbox {
                let _ = child.wait();
                drop(permits);
            }
        };
        let thread = thread::Builder::new().name("pixel-reaper".to_owned());
        thread.spawn(reap).ok().map(|_| Mutex::new(sender))
    });
    match reaper {
        Some(sender) => {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            sender.send(dying).map_err(|error| error.0)
        }
        None => Err(dying),
    }
}
