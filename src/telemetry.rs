//! Sets up logging to standard error, and keeps an outage from filling the log.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` selects the messages.
///
/// # Errors
///
/// The filter can't be parsed.
pub fn start(filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// Lets one of many equal messages pass in an interval.
#[derive(Debug)]
pub struct Throttle {
    interval: Duration,
    passed_at: Mutex<Option<Instant>>,
}

impl Throttle {
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            passed_at: Mutex::new(None),
        }
    }

    /// Whether a message passes at `now`.
    pub fn passes(&self, now: Instant) -> bool {
        let passed_at = self.passed_at.lock();
        let mut passed_at = passed_at.unwrap_or_else(PoisonError::into_inner);
        let passes = passed_at.is_none_or(|at| now.duration_since(at) >= self.interval);
        if passes {
            *passed_at = Some(now);
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_passes_in_an_interval() {
        let (minute, now) = (Duration::from_secs(60), Instant::now());
        let throttle = Throttle::new(minute);
        assert!(throttle.passes(now));
        assert!(!throttle.passes(now));
        assert!(!throttle.passes(now + minute / 2));
        assert!(throttle.passes(now + minute));
        assert!(!throttle.passes(now + minute));
    }
}
