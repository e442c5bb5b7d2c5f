//! Decides whether a consumer that receives nothing has stopped silently.

use std::time::{Duration, Instant};

/// How long nothing arrives before somebody asks whether events wait, and between two questions.
const QUIET: Duration = Duration::from_secs(4);
/// How long events may wait, as far as is known, before the consumer joins anew.
const PATIENCE: Duration = Duration::from_secs(6);
/// The same for a member without partitions: those of a killed member are free only after its
/// session.
const PATIENCE_UNASSIGNED: Duration = Duration::from_secs(25);
/// Each time that joining anew did not help, the patience doubles up to this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(300);
/// A consumer that nobody asked for events for so long was busy, not stuck.
const UNATTENDED: Duration = Duration::from_secs(3);

/// The events that wait for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// In its partitions.
    Assigned { events: u64 },
    /// In all partitions, of which it has none. `committed` grows as others work on them.
    Unassigned { events: u64, committed: i64 },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well,
    /// It may be stuck, for this reason.
    Suspicious(String),
    /// It is stuck and must join anew, for this reason.
    Stuck(String),
}

/// Watches one member. It knows nothing of Kafka.
#[derive(Debug)]
pub(super) struct Watchdog {
    quiet_since: Instant,
    attended_at: Instant,
    asked_at: Instant,
    suspicious_since: Option<Instant>,
    committed: Option<i64>,
    /// How often joining anew did not help.
    failures: u32,
}

impl Watchdog {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            quiet_since: now,
            attended_at: now,
            asked_at: now,
            suspicious_since: None,
            committed: None,
            failures: 0,
        }
    }

    /// Somebody waits for events now.
    pub(super) fn attended(&mut self, now: Instant) {
        if now.saturating_duration_since(self.attended_at) > UNATTENDED {
            self.quiet_since = now;
            self.suspicious_since = None;
        }
        self.attended_at = now;
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.quiet_since = now;
        self.suspicious_since = None;
        self.failures = 0;
    }

    /// Whether it is time to ask how many events wait.
    pub(super) fn asks(&mut self, now: Instant) -> bool {
        let asks = now.saturating_duration_since(self.quiet_since) >= QUIET
            && now.saturating_duration_since(self.asked_at) >= QUIET;
        if asks {
            self.asked_at = now;
        }
        asks
    }

    /// Judges an answer. `None`: the cluster did not say, so nothing is known.
    pub(super) fn judge(&mut self, waiting: Option<Waiting>, now: Instant) -> Verdict {
        let quiet = now.saturating_duration_since(self.quiet_since);
        let (events, patience, partitions) = match waiting {
            // An event may have arrived while somebody asked.
            _ if quiet < QUIET => return Verdict::Well,
            None => (0, PATIENCE, ""),
            Some(Waiting::Assigned { events }) => (events, PATIENCE, "its partitions"),
            Some(Waiting::Unassigned { events, committed }) => {
                let moves = self.committed.replace(committed) != Some(committed);
                let events = if moves { 0 } else { events };
                (events, PATIENCE_UNASSIGNED, "all partitions")
            }
        };
        if events == 0 {
            self.suspicious_since = None;
            return Verdict::Well;
        }
        let since = *self.suspicious_since.get_or_insert(now);
        let reason = format!(
            "no event has arrived for {} s, although {events} wait in {partitions}",
            quiet.as_secs()
        );
        let patience = (patience * 2_u32.saturating_pow(self.failures)).min(LONGEST_PATIENCE);
        if now.saturating_duration_since(since) < patience {
            return Verdict::Suspicious(reason);
        }
        self.failures = (self.failures + 1).min(10);
        self.quiet_since = now;
        self.suspicious_since = None;
        Verdict::Stuck(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: Option<Waiting> = Some(Waiting::Assigned { events: 37 });

    /// Asks as often as a consumer does, until it is stuck or `most` has passed.
    fn stuck_after(
        dog: &mut Watchdog,
        start: Instant,
        most: Duration,
        waiting: impl Fn(u32) -> Option<Waiting>,
    ) -> Option<Duration> {
        let mut asked = 0;
        for second in 0..=u32::try_from(most.as_secs()).unwrap() {
            let after = Duration::from_secs(second.into());
            dog.attended(start + after);
            if dog.asks(start + after) {
                asked += 1;
                if let Verdict::Stuck(reason) = dog.judge(waiting(asked), start + after) {
                    assert!(reason.contains("37 wait"), "{reason}");
                    return Some(after);
                }
            }
        }
        None
    }

    #[test]
    fn a_member_that_receives_nothing_of_what_waits_joins_anew_in_seconds() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        let minute = Duration::from_secs(60);
        let after = stuck_after(&mut dog, start, minute, |_| EVENTS).unwrap();
        assert!(after <= Duration::from_secs(15), "{after:?}");
        // If that does not help, the next time comes later.
        let again = stuck_after(&mut dog, start + after, minute, |_| EVENTS).unwrap();
        assert!(again > after, "{again:?}");
        dog.received(start + minute);
        let later = stuck_after(&mut dog, start + minute, minute, |_| EVENTS).unwrap();
        assert_eq!(later, after);
    }

    #[test]
    fn a_member_for_which_nothing_waits_is_well() {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let none = |_| Some(Waiting::Assigned { events: 0 });
        assert_eq!(
            stuck_after(&mut Watchdog::new(start), start, hour, none),
            None
        );
        let silent = |_| None;
        assert_eq!(
            stuck_after(&mut Watchdog::new(start), start, hour, silent),
            None
        );
    }

    #[test]
    fn a_member_without_partitions_is_well_while_others_work() {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let works = |asked: u32| {
            Some(Waiting::Unassigned {
                events: 37,
                committed: asked.into(),
            })
        };
        assert_eq!(
            stuck_after(&mut Watchdog::new(start), start, hour, works),
            None
        );
        let rests = |_| {
            Some(Waiting::Unassigned {
                events: 37,
                committed: 1,
            })
        };
        let after = stuck_after(&mut Watchdog::new(start), start, hour, rests).unwrap();
        assert!(after > Duration::from_secs(25), "{after:?}");
        assert!(after < Duration::from_secs(60), "{after:?}");
    }

    #[test]
    fn a_member_that_nobody_asks_is_busy() {
        let start = Instant::now();
        let mut dog = Watchdog::new(start);
        let later = start + Duration::from_secs(100);
        dog.attended(later);
        assert!(!dog.asks(later));
        assert_eq!(dog.judge(EVENTS, later), Verdict::Well);
    }
}
