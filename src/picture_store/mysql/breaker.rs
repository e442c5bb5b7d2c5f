//! Remembers whether the server answers, so that a server that is away costs one probe at a time and
//! not a wait per call.
//!
//! It decides only: time and chance are arguments, and [`Pool`](super::pool::Pool) runs the probes.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause after the first failed probe. Each further one is twice as long, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The server's return is noticed after this at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is known about the server.
#[derive(Debug, Default)]
pub(super) enum Breaker {
    /// It answers, as far as is known.
    #[default]
    Closed,
    /// A call failed or takes long. A probe finds out why; new calls wait for its outcome.
    Doubted,
    /// It is away: calls fail at once, until a probe succeeds.
    Open {
        since: Instant,
        failed_probes: u32,
        /// The reason of the first failure, for every call.
        reason: Arc<str>,
    },
}

/// What to do after a failed probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Whether the outage begins with it.
    pub(super) is_first: bool,
    /// How long to wait before the next probe.
    pub(super) pause: Duration,
}

impl Breaker {
    /// Notes that a call failed or takes long. Returns whether to start probes: there is never more
    /// than one at a time.
    pub(super) fn doubt(&mut self) -> bool {
        let starts = matches!(self, Self::Closed);
        if starts {
            *self = Self::Doubted;
        }
        starts
    }

    /// `chance` is a random number from 0 to 1. It spreads the probes of many processes.
    pub(super) fn probe_failed(&mut self, reason: &str, now: Instant, chance: f64) -> Failed {
        let is_first = !matches!(self, Self::Open { .. });
        if is_first {
            *self = Self::Open {
                since: now,
                failed_probes: 0,
                reason: reason.into(),
            };
        }
        let Self::Open { failed_probes, .. } = self else {
            unreachable!("it was opened above");
        };
        let doublings = (*failed_probes).min(16);
        *failed_probes = failed_probes.saturating_add(1);
        let longest = (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE);
        Failed {
            is_first,
            pause: longest.mul_f64(0.5 + chance / 2.0),
        }
    }

    /// Returns how long the server was away, if it was.
    pub(super) fn probe_succeeded(&mut self, now: Instant) -> Option<Duration> {
        match std::mem::take(self) {
            Self::Open { since, .. } => Some(now.saturating_duration_since(since)),
            Self::Closed | Self::Doubted => None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    pub(super) fn is_doubted(&self) -> bool {
        matches!(self, Self::Doubted)
    }

    /// Why the server is away, if it is.
    pub(super) fn outage(&self) -> Option<Arc<str>> {
        match self {
            Self::Open { reason, .. } => Some(Arc::clone(reason)),
            Self::Closed | Self::Doubted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_doubt_starts_one_probe() {
        let mut breaker = Breaker::default();
        assert!(breaker.is_closed());
        assert!(breaker.doubt());
        assert!(breaker.is_doubted());
        for _ in 0..100 {
            assert!(!breaker.doubt());
        }
        assert_eq!(breaker.outage(), None);
    }

    #[test]
    fn a_doubt_that_is_cleared_is_no_outage() {
        let mut breaker = Breaker::default();
        breaker.doubt();
        assert_eq!(breaker.probe_succeeded(Instant::now()), None);
        assert!(breaker.is_closed());
        assert!(breaker.doubt(), "the next doubt starts a probe again");
    }

    #[test]
    fn an_outage_has_one_reason_and_a_length() {
        let (mut breaker, began) = (Breaker::default(), Instant::now());
        breaker.doubt();
        assert!(breaker.probe_failed("refused", began, 0.0).is_first);
        assert!(!breaker.doubt());
        let later = began + 3 * SECOND;
        assert!(!breaker.probe_failed("timed out", later, 0.0).is_first);
        assert_eq!(breaker.outage().as_deref(), Some("refused"));
        assert_eq!(
            breaker.probe_succeeded(began + 5 * SECOND),
            Some(5 * SECOND)
        );
        assert_eq!(breaker.outage(), None);
        assert!(breaker.is_closed());
    }

    #[test]
    fn pauses_grow_to_one_second_and_start_anew() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..2 {
            let pauses: Vec<u128> = (0..8)
                .map(|_| breaker.probe_failed("away", now, 1.0).pause.as_millis())
                .collect();
            assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
            breaker.probe_succeeded(now);
        }
        for _ in 0..100_000 {
            assert!(breaker.probe_failed("away", now, 1.0).pause <= LONGEST_PAUSE);
        }
    }

    #[test]
    fn chance_takes_up_to_half_of_a_pause_away() {
        let now = Instant::now();
        for (chance, milliseconds) in [(0.0, 25), (0.5, 37), (1.0, 50)] {
            let pause = Breaker::default().probe_failed("away", now, chance).pause;
            assert_eq!(pause.as_millis(), milliseconds, "{chance}");
        }
    }
}
