//! A circuit breaker: while the cluster is known to be away, appends fail at once, and one of them
//! at a time tries again.

use std::time::{Duration, Instant};

/// Counts nothing: one failure opens it, unless others succeeded meanwhile; one success closes it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    outage: Option<Outage>,
    last_success: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    last_failure: Instant,
    reason: String,
    /// When the next call may try.
    retry_at: Instant,
    probing: bool,
}

/// What a call may do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The cluster is there, as far as is known.
    Pass,
    /// The cluster is away, and this call tries whether it is back.
    Probe,
    /// The cluster is away, for this reason.
    Refused(String),
}

impl Breaker {
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.outage {
            None => Admission::Pass,
            Some(outage) if !outage.probing && now >= outage.retry_at => {
                outage.probing = true;
                Admission::Probe
            }
            Some(outage) => Admission::Refused(outage.reason.clone()),
        }
    }

    /// A call succeeded. Returns how long the outage took if this ended one.
    pub(super) fn succeeded(&mut self, now: Instant) -> Option<Duration> {
        self.last_success = Some(now);
        let outage = self.outage.take()?;
        Some(now.saturating_duration_since(outage.since))
    }

    /// A call that began at `began` failed; the next one may try after `pause`. Returns whether an
    /// outage begins. It does not if another call succeeded meanwhile: then a part of the cluster
    /// is at fault, and the others must not wait for it.
    pub(super) fn failed(
        &mut self,
        began: Instant,
        now: Instant,
        pause: Duration,
        reason: &str,
    ) -> bool {
        if self.last_success.is_some_and(|success| success >= began) {
            return false;
        }
        let retry_at = now + pause;
        match &mut self.outage {
            Some(outage) => {
                outage.last_failure = now;
                outage.retry_at = retry_at;
                reason.clone_into(&mut outage.reason);
                false
            }
            None => {
                self.outage = Some(Outage {
                    since: began,
                    last_failure: now,
                    reason: reason.to_owned(),
                    retry_at,
                    probing: false,
                });
                true
            }
        }
    }

    /// A probe ended, in whatever way, so another call may be the next.
    pub(super) fn probe_ended(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.probing = false;
        }
    }

    /// The cluster looks well: the next call may try at once. Returns how long the outage took if
    /// no call has failed for `calm`; then it is over, although no call has succeeded.
    pub(super) fn looks_well(&mut self, now: Instant, calm: Duration) -> Option<Duration> {
        let outage = self.outage.as_mut()?;
        outage.retry_at = now;
        if now.saturating_duration_since(outage.last_failure) < calm {
            return None;
        }
        let length = now.saturating_duration_since(outage.since);
        self.outage = None;
        Some(length)
    }

    /// Whether a call has succeeded within the last `age`.
    pub(super) fn has_succeeded(&self, now: Instant, age: Duration) -> bool {
        let success = self.last_success;
        success.is_some_and(|success| now.saturating_duration_since(success) < age)
    }

    pub(super) fn is_open(&self) -> bool {
        self.outage.is_some()
    }

    /// Why a call would be refused.
    pub(super) fn refusal(&self, now: Instant) -> Option<&str> {
        let outage = self.outage.as_ref()?;
        let may_probe = !outage.probing && now >= outage.retry_at;
        (!may_probe).then_some(outage.reason.as_str())
    }

    /// Why the cluster is known to be away.
    pub(super) fn reason(&self) -> Option<&str> {
        self.outage.as_ref().map(|outage| outage.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        assert!(breaker.failed(now, now, PAUSE, "away"));
        breaker
    }

    #[test]
    fn one_call_at_a_time_tries_while_the_cluster_is_away() {
        let start = Instant::now();
        let mut breaker = open(start);
        let refused = Admission::Refused("away".to_owned());
        assert_eq!(breaker.admit(start), refused);
        assert_eq!(breaker.admit(start + PAUSE), Admission::Probe);
        assert_eq!(breaker.admit(start + PAUSE), refused);
        let later = start + 10 * PAUSE;
        assert!(!breaker.failed(start + PAUSE, later, PAUSE, "still away"));
        breaker.probe_ended();
        assert_eq!(
            breaker.admit(later),
            Admission::Refused("still away".to_owned())
        );
        assert_eq!(breaker.admit(later + PAUSE), Admission::Probe);
        assert_eq!(breaker.succeeded(later + PAUSE), Some(11 * PAUSE));
        assert_eq!(breaker.admit(later + PAUSE), Admission::Pass);
    }

    #[test]
    fn a_probe_that_was_given_up_makes_room_for_the_next() {
        let start = Instant::now();
        let mut breaker = open(start);
        assert_eq!(breaker.admit(start + PAUSE), Admission::Probe);
        breaker.probe_ended();
        assert_eq!(breaker.admit(start + PAUSE), Admission::Probe);
    }

    #[test]
    fn a_failure_among_successes_opens_nothing() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.succeeded(start + PAUSE);
        assert!(!breaker.failed(start, start + 2 * PAUSE, PAUSE, "one partition"));
        assert_eq!(breaker.admit(start + 2 * PAUSE), Admission::Pass);
        assert!(breaker.failed(start + 2 * PAUSE, start + 3 * PAUSE, PAUSE, "all"));
    }

    #[test]
    fn a_cluster_that_looks_well_is_tried_at_once_and_believed_after_a_while() {
        let start = Instant::now();
        let calm = 10 * PAUSE;
        let mut breaker = open(start);
        assert_eq!(breaker.looks_well(start, calm), None);
        assert_eq!(breaker.admit(start), Admission::Probe);
        breaker.probe_ended();
        assert_eq!(breaker.looks_well(start + calm, calm), Some(calm));
        assert_eq!(breaker.admit(start + calm), Admission::Pass);
    }
}
