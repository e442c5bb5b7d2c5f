//! Decides how long a worker keeps retrying, and with which pauses.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The pauses between attempts while the log or the table does not answer.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(100))
    .with_max_delay(Duration::from_secs(3))
    .without_max_times();
/// If a service refuses for this long, the refusal is taken as permanent. A service that is
/// restarting may refuse calls for a moment.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Retries {
    pauses: ExponentialBackoff,
    refused_since: Option<Instant>,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            pauses: PAUSES.build(),
            refused_since: None,
        }
    }
}

impl Retries {
    /// The pause after an attempt that failed at `now`; `None` if another attempt is useless.
    pub(super) fn pause(&mut self, is_transient: bool, now: Instant) -> Option<Duration> {
        if is_transient {
            self.refused_since = None;
        } else {
            let since = *self.refused_since.get_or_insert(now);
            if now.duration_since(since) >= REFUSAL_LIMIT {
                return None;
            }
        }
        self.pauses.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_does_not_answer_is_tried_for_ever() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        for hour in 0..100 {
            let pause = retries.pause(true, now + Duration::from_secs(3600 * hour));
            assert!(pause.unwrap() <= Duration::from_secs(6));
        }
    }

    #[test]
    fn a_service_that_refuses_is_tried_for_a_minute() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        assert!(retries.pause(false, now).is_some());
        assert!(retries.pause(false, now + REFUSAL_LIMIT / 2).is_some());
        assert!(retries.pause(false, now + REFUSAL_LIMIT).is_none());
    }

    #[test]
    fn a_service_that_answers_again_has_a_new_minute() {
        let (mut retries, now) = (Retries::default(), Instant::now());
        assert!(retries.pause(false, now).is_some());
        assert!(retries.pause(true, now + REFUSAL_LIMIT).is_some());
        assert!(retries.pause(false, now + REFUSAL_LIMIT * 2).is_some());
    }
}
