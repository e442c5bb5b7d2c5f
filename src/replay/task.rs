//! The input of a replay, and how it ends: the range of events, the task, and the errors.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinError;

use super::report::Summary;
use crate::event_log::{EventPosition, LogError, Start};
use crate::operation::OperationId;
use crate::picture_store::StoreError;
use crate::processing::PixelProcesses;
use crate::settings::Settings;
use crate::storage::Storage;

/// What a replay works with.
#[derive(Debug)]
pub struct Resources<'a> {
    pub storage: &'a Storage,
    pub processes: PixelProcesses,
    pub settings: &'a Settings,
    /// The worker's name in the table for results that no worker had made before.
    pub name: String,
}

/// Which events are played, and how fast.
#[derive(Clone, Debug)]
pub struct Range {
    pub from: Start,
    /// Events that were appended at this time or later are skipped.
    pub to: Option<Timestamp>,
    /// Only this operation.
    pub id: Option<OperationId>,
    /// Only about this many events, spread evenly over the range.
    pub sample: Option<u64>,
    pub speed: Speed,
}

impl Default for Range {
    /// All events, without pauses.
    fn default() -> Self {
        Self {
            from: Start::Beginning,
            to: None,
            id: None,
            sample: None,
            speed: Speed::Unbounded,
        }
    }
}

impl Range {
    pub(super) fn includes(&self, key: &str, appended_at: Timestamp) -> bool {
        self.to.is_none_or(|to| appended_at < to) && self.id.is_none_or(|id| key == id.to_string())
    }
}

/// The pace of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Without pauses between events.
    Unbounded,
    /// With the original pauses, divided by this.
    Times(u32),
}

/// What a replay does with each request.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fills a lost or new table.
    Rebuild,
    /// Resizes again and compares with the table.
    Verify,
    /// Resizes with other options and compares with the stored results.
    Shadow {
        /// The options, in their text form, that replace those of the requests.
        overrides: Vec<(&'static str, String)>,
        /// Whether to store the new result.
        promote: bool,
    },
}

/// How a replay ended.
#[derive(Debug)]
pub struct Ended {
    pub summary: Summary,
    /// Where to continue if it stopped before the end of the log.
    pub continue_from: Option<Vec<EventPosition>>,
    /// Why it stopped early, unless it was asked to stop.
    pub error: Option<ReplayError>,
}

/// Why a replay can't begin or continue.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no process can be started for a picture: {0}")]
    PixelProcess(io::Error),
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
