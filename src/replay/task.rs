//! What a replay is asked to do, and how it ends.

use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinError;

use super::report::Summary;
use crate::event_log::{EventPosition, LogError, Start};
use crate::operation::OperationId;
use crate::picture_store::StoreError;

/// Which events are played, and how fast.
#[derive(Clone, Debug)]
pub struct Range {
    pub from: Start,
    /// Events that were appended at this time or later are left out.
    pub to: Option<Timestamp>,
    /// Only this operation.
    pub id: Option<OperationId>,
    pub speed: Speed,
}

impl Default for Range {
    /// Everything, at once.
    fn default() -> Self {
        Self {
            from: Start::Beginning,
            to: None,
            id: None,
            speed: Speed::Unbounded,
        }
    }
}

impl Range {
    pub(super) fn includes(&self, key: &str, appended_at: Timestamp) -> bool {
        self.to.is_none_or(|to| appended_at < to) && self.id.is_none_or(|id| key == id.to_string())
    }
}

/// How the time between two events is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Not at all.
    Unbounded,
    /// Divided by this.
    Times(u32),
}

/// What is made of each request.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fills a lost or new table again.
    Rebuild,
    /// Resizes again and compares with the table.
    Verify,
    /// Resizes with other options and compares with the results there are.
    Shadow {
        /// Options in their text form that take the place of the requests' own.
        overrides: Vec<(&'static str, String)>,
        /// Whether what is made becomes the result.
        promote: bool,
    },
}

/// How a replay ended.
#[derive(Debug)]
pub struct Ended {
    pub summary: Summary,
    /// Where to go on, when it ended before the end of the log.
    pub go_on: Option<Vec<EventPosition>>,
    /// Why it ended early, unless it was asked to.
    pub error: Option<ReplayError>,
}

/// Why a replay can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a job ended unexpectedly")]
    Job(#[from] JoinError),
}

/// How long to wait before an event that was appended `since` after the first one.
pub(super) fn delay(speed: Speed, since: Duration) -> Duration {
    match speed {
        Speed::Unbounded => Duration::ZERO,
        Speed::Times(times) => since / times.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_kept_or_compressed() {
        let gap = Duration::from_secs(20);
        assert_eq!(delay(Speed::Unbounded, gap), Duration::ZERO);
        assert_eq!(delay(Speed::Times(1), gap), gap);
        assert_eq!(delay(Speed::Times(10), gap), Duration::from_secs(2));
    }

    #[test]
    fn a_range_ends_before_its_time() {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let range = Range {
            to: Some(time),
            ..Range::default()
        };
        assert!(range.includes("any", time - Duration::from_millis(1)));
        assert!(!range.includes("any", time));
    }
}
