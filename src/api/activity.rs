//! What a connection is doing, and how long its client may take for that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::Budget;

/// How long a client may pause while others wait: in reading an answer, if they wait for memory; in
/// sending a body, if they wait for memory or for a connection.
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// The bytes of an answer that a client has to read in a second, on average, while others wait for
/// memory or for a connection.
const LEAST_READ_PER_SECOND: u64 = 256 << 10;

/// How long a client may take for each thing that it does on a connection.
#[derive(Clone, Debug)]
pub(super) struct TimeLimits {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write: Duration,
    /// The memory of answers. While others wait for it, clients have to read faster.
    pub(super) answers: Option<Arc<Budget>>,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is open, without a request, and the last answer was sent.
    Idle,
    /// A header is arriving, or the connection is new.
    Header,
    /// The next bytes of a request's body are waited for.
    Body,
    /// A request is being answered.
    Request,
}

/// What a connection is doing, and since when.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Whether anything of the current request's header has arrived.
    has_begun: bool,
    /// Whether hyper has the whole answer. Much of it may still wait to be sent.
    is_answered: bool,
    /// Since when bytes wait to be sent.
    blocked_since: Option<Instant>,
    /// The answer that is being sent.
    sending: Option<Sending>,
}

/// An answer that is being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    since: Instant,
    bytes: u64,
}

impl Sending {
    /// Whether its client reads too slowly while others wait.
    fn is_slow(self, now: Instant) -> bool {
        let time_for_these = Duration::from_millis(self.bytes * 1000 / LEAST_READ_PER_SECOND);
        now.saturating_duration_since(self.since) >= SHORT_PAUSE + time_for_these
    }
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase: Phase::Header,
                since: Instant::now(),
                has_begun: false,
                is_answered: false,
                blocked_since: None,
                sending: None,
            }),
        })
    }

    /// Since when its slot may be given to another connection, if it may: while it has no request,
    /// while its client pauses in the middle of a body, or reads an answer too slowly.
    pub(super) fn dispensable_since(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Idle | Phase::Header => Some(state.since),
            Phase::Body => (state.since.elapsed() >= SHORT_PAUSE).then_some(state.since),
            Phase::Request => {
                let is_slow = |sending: Sending| sending.is_slow(Instant::now());
                let blocked = state.blocked_since?;
                state.sending.is_some_and(is_slow).then_some(blocked)
            }
        }
    }

    /// Notes whether a request waits for its client to send more.
    pub(super) fn waits_for_body(&self, waits: bool) {
        self.enter(if waits { Phase::Body } else { Phase::Request });
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.state().enter(phase);
    }

    /// Notes that an answer begins: what is written from now on belongs to it.
    pub(super) fn begins_answer(&self) {
        self.state().sending = None;
    }

    /// Notes that hyper has the whole answer.
    pub(super) fn has_answered(&self) {
        self.state().is_answered = true;
    }

    /// Ends the request if its whole answer was sent. Call it after hyper has written what it can:
    /// then bytes are only left if they are blocked.
    pub(super) fn ends_request(&self) {
        let mut state = self.state();
        if state.is_answered && state.blocked_since.is_none() {
            state.enter(Phase::Idle);
        }
    }

    pub(super) fn has_read(&self) {
        let mut state = self.state();
        match state.phase {
            Phase::Idle => state.enter(Phase::Header),
            Phase::Header => state.has_begun = true,
            Phase::Body | Phase::Request => {}
        }
    }

    /// Notes that this many bytes were written; `None` means that the client must read first.
    pub(super) fn has_written(&self, bytes: Option<usize>) {
        let now = Instant::now();
        let mut state = self.state();
        let sending = state.sending.get_or_insert(Sending {
            since: now,
            bytes: 0,
        });
        if let Some(bytes) = bytes {
            sending.bytes += bytes as u64;
            state.blocked_since = None;
        } else {
            state.blocked_since.get_or_insert(now);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.since = Instant::now();
        }
        self.has_begun = phase == Phase::Header;
        self.is_answered = false;
    }
}

/// The limit that a client has broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Idle,
    Header { has_begun: bool },
    Write,
}

impl TimeLimits {
    /// The limit that is broken by now, or when to look again.
    pub(super) fn judge(
        &self,
        activity: &Activity,
        now: Instant,
    ) -> Result<Option<Instant>, Overdue> {
        let state = activity.state();
        let mut next = None;
        if let Some(blocked) = state.blocked_since {
            let pause = now.saturating_duration_since(blocked);
            let is_slow = pause >= SHORT_PAUSE || state.sending.is_some_and(|it| it.is_slow(now));
            let others_wait = || self.answers.as_ref().is_some_and(|it| it.is_exhausted());
            if pause >= self.write || (is_slow && others_wait()) {
                return Err(Overdue::Write);
            }
            next = Some((blocked + self.write).min(now + SHORT_PAUSE));
        }
        let (limit, overdue) = match state.phase {
            Phase::Body | Phase::Request => return Ok(next),
            Phase::Idle => (self.idle, Overdue::Idle),
            Phase::Header => {
                let has_begun = state.has_begun;
                (self.header, Overdue::Header { has_begun })
            }
        };
        let deadline = state.since + limit;
        if now >= deadline {
            return Err(overdue);
        }
        Ok(Some(next.map_or(deadline, |next| next.min(deadline))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits(answers: Option<Arc<Budget>>) -> TimeLimits {
        TimeLimits {
            header: 10 * SECOND,
            idle: 60 * SECOND,
            write: 30 * SECOND,
            answers,
        }
    }

    /// A connection whose answer is with hyper, and partly sent.
    fn sending(bytes: usize) -> Arc<Activity> {
        let activity = Activity::new();
        activity.enter(Phase::Request);
        activity.begins_answer();
        activity.has_written(Some(bytes));
        activity.has_written(None);
        activity.has_answered();
        activity
    }

    #[test]
    fn a_connection_is_idle_only_after_its_answer_was_sent() {
        let activity = sending(1000);
        activity.ends_request();
        assert_eq!(activity.state().phase, Phase::Request);
        assert!(activity.dispensable_since().is_none());
        activity.has_written(Some(1000));
        assert_eq!(activity.state().phase, Phase::Request);
        activity.ends_request();
        assert_eq!(activity.state().phase, Phase::Idle);
        assert!(activity.dispensable_since().is_some());
    }

    #[tokio::test]
    async fn while_others_wait_for_memory_an_answer_is_read_at_a_least_rate() {
        let answers = Budget::new(10, 60 * SECOND, "full");
        let limits = limits(Some(Arc::clone(&answers)));
        let held = answers.reserve(10).await.unwrap();
        // Enough bytes for eight seconds; the client always reads again after a moment.
        let activity = sending(8 * LEAST_READ_PER_SECOND as usize);
        let begin = Instant::now();
        let after = |seconds: u32| {
            let now = begin + seconds * SECOND;
            activity.state().blocked_since = Some(now);
            limits.judge(&activity, now)
        };
        assert!(after(11).is_ok(), "nobody waits");
        let waiting = tokio::spawn(async move { answers.reserve(10).await.map(drop) });
        while limits.answers.as_ref().is_some_and(|it| !it.is_exhausted()) {
            tokio::task::yield_now().await;
        }
        assert!(after(9).is_ok());
        assert_eq!(after(11), Err(Overdue::Write));
        drop(held);
        waiting.await.unwrap().unwrap();
    }

    #[test]
    fn the_settings_file_names_these_limits() {
        let text = include_str!("../../picresize.example.toml");
        let seconds = SHORT_PAUSE.as_secs();
        assert!(text.contains(&format!("may pause for {seconds} seconds only")));
        let kib = LEAST_READ_PER_SECOND >> 10;
        assert!(text.contains(&format!("{kib} KiB a second")));
    }
}
