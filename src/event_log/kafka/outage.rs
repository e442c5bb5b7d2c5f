//! Knows whether the cluster is away, tells callers at once, and logs when that begins and ends.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::breaker::{Admission, Breaker};
use crate::event_log::LogError;

/// The pause between two appends that try whether the cluster is back, and between two looks at it.
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than a look and the pause before it take.
const UNTIL_THE_NEXT_LOOK: Duration = Duration::from_secs(5);
/// How long no append must have failed before an outage is over without a successful one. A frozen
/// broker looks well for some seconds, although it keeps others from storing anything.
const CALM: Duration = Duration::from_secs(5);
/// A call that was given up counts as failed if it had waited for so long.
const GIVEN_UP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Outages {
    breaker: Mutex<Breaker>,
    /// Notified when somebody should look at the cluster.
    pub(super) alarm: Arc<Notify>,
}

impl Outages {
    /// Lets a call try.
    ///
    /// # Errors
    ///
    /// The cluster is known to be away.
    pub(super) fn admit(&self) -> Result<Attempt<'_>, LogError> {
        let began = Instant::now();
        match self.breaker().admit(began) {
            Admission::Refused(reason) => Err(LogError::Unavailable(reason.into())),
            admission => Ok(Attempt {
                outages: self,
                began,
                probes: admission == Admission::Probe,
                settled: false,
            }),
        }
    }

    /// An append that began at `began` failed.
    fn append_failed(&self, began: Instant, reason: &str) {
        self.failed(began, PAUSE, reason);
    }

    /// A look at the cluster, which began at `began`, showed that it is away. No append needs to
    /// try until another look shows something else.
    pub(super) fn seen_away(&self, began: Instant, reason: &str) {
        self.failed(began, UNTIL_THE_NEXT_LOOK, reason);
    }

    fn failed(&self, began: Instant, pause: Duration, reason: &str) {
        let begins = self
            .breaker()
            .failed(began, Instant::now(), jittered(pause), reason);
        if begins {
            tracing::warn!(
                reason,
                "Kafka does not store events; it is tried again until it does"
            );
            self.alarm.notify_one();
        }
    }

    /// The metadata shows nothing that keeps an append from succeeding.
    pub(super) fn looks_well(&self) {
        let over = self.breaker().looks_well(Instant::now(), CALM);
        log_end(over);
    }

    /// Why a call would be refused now.
    pub(super) fn refusal(&self) -> Option<LogError> {
        let breaker = self.breaker();
        let reason = breaker.refusal(Instant::now())?;
        Some(LogError::Unavailable(reason.into()))
    }

    /// Whether the cluster has stored something within the last `age`.
    pub(super) fn has_stored(&self, age: Duration) -> bool {
        self.breaker().has_succeeded(Instant::now(), age)
    }

    pub(super) fn is_known(&self) -> bool {
        self.breaker().is_open()
    }

    /// Why the cluster is known to be away.
    pub(super) fn reason(&self) -> Option<String> {
        self.breaker().reason().map(str::to_owned)
    }

    fn succeeded(&self) {
        let over = self.breaker().succeeded(Instant::now());
        log_end(over);
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_end(length: Option<Duration>) {
    if let Some(length) = length {
        let seconds = length.as_secs_f64();
        tracing::info!("Kafka stores events again, after {seconds:.1} s");
    }
}

/// A call that tries to reach the cluster.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    outages: &'a Outages,
    began: Instant,
    probes: bool,
    settled: bool,
}

impl Attempt<'_> {
    pub(super) fn succeeded(mut self) {
        self.settled = true;
        self.outages.succeeded();
    }

    pub(super) fn failed(mut self, reason: &str) {
        self.settled = true;
        self.outages.append_failed(self.began, reason);
    }

    /// It failed for a reason that says nothing about the cluster.
    pub(super) fn ended(mut self) {
        self.settled = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.settled && self.began.elapsed() >= GIVEN_UP {
            self.outages
                .append_failed(self.began, "no broker has stored an event in time");
        }
        if self.probes {
            self.outages.breaker().probe_ended();
        }
    }
}

/// From half of a duration to one and a half of it, so that processes do not act in step.
pub(super) fn jittered(duration: Duration) -> Duration {
    let share = RandomState::new().hash_one(0_u8) % 1000;
    duration / 2 + duration * u32::try_from(share).unwrap_or(0) / 1000
}

/// The pause between two looks at a cluster that is away.
pub(super) fn pause() -> Duration {
    jittered(2 * PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_pause_stays_near_the_pause() {
        for _ in 0..1000 {
            let pause = jittered(PAUSE);
            assert!((PAUSE / 2..PAUSE * 3 / 2).contains(&pause), "{pause:?}");
        }
    }

    #[test]
    fn while_the_cluster_is_away_one_call_at_a_time_tries() {
        let outages = Outages::default();
        outages.append_failed(Instant::now(), "nobody answers");
        // The first may try after a pause; until then all are refused with the reason.
        let refused = outages.admit().map(drop).unwrap_err();
        assert!(refused.to_string().contains("nobody answers"), "{refused}");
        outages.looks_well();
        let probe = outages.admit().unwrap();
        assert!(outages.admit().is_err());
        probe.succeeded();
        assert!(!outages.is_known());
        outages.admit().unwrap().ended();
    }
}
