//! The port to the log of events: append durably, consume in order, commit what is finished.
//!
//! Any number of consumers may share a group. Each event is delivered to one of them at a time, and
//! again until a position after it was committed. An event can therefore arrive more than once, so
//! handlers must be idempotent.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::Record;
pub use crate::operation::EventPosition;

pub mod embedded;
pub mod kafka;
pub mod watermark;

/// A named stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Requests to resize. Workers consume them.
    Requests,
    /// What happened to them.
    Events,
    /// Events that could not be read, or that crashed their worker repeatedly.
    DeadLetters,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Events, Self::DeadLetters];

    /// The topic's default name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "picresize.requests",
            Self::Events => "picresize.events",
            Self::DeadLetters => "picresize.dead-letters",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a consumer receives next.
#[derive(Debug)]
pub enum Delivery {
    /// An event to handle.
    Event(EventPosition, Record),
    /// These partitions now belong to another consumer: their events must no longer be committed.
    Revoked(Vec<i32>),
    /// These events of a partition expired in the log before the group read them: from the offset
    /// `from` to the one before `to`. Nobody can deliver them any more, so their operations must
    /// fail. Reported again to the next owner of the partition until `to` is committed.
    Expired { partition: i32, from: i64, to: i64 },
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first event that still exists.
    Beginning,
    /// At the first event that was appended at this time or later.
    Time(Timestamp),
    /// At these positions, one per partition. Other partitions are skipped.
    Positions(Vec<EventPosition>),
}

/// An event with its position and time, as returned by a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub position: EventPosition,
    pub appended_at: Timestamp,
    pub record: Record,
}

/// What a log did to erase an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureOutcome {
    /// The data is gone.
    DataRemoved,
    /// The log cannot remove it; the data goes when the log's retention removes the event.
    AwaitsRetention,
}

/// Why a call to the log failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It can't be reached or written now, but may be later.
    #[error("the event log is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// It is not configured as this program needs. Waiting does not help.
    #[error("{0}")]
    Misconfigured(String),
    /// The record is larger than the log accepts.
    #[error("the event has {bytes} bytes; the log accepts at most {limit}")]
    TooLarge { bytes: u64, limit: u64 },
}

impl LogError {
    /// Whether the same call can succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A durable, append-only log of events.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug {
    /// Appends a record; returns its position once it is stored durably.
    ///
    /// An append that fails as [`Unavailable`](LogError::Unavailable) may still be stored later:
    /// the log only knows that it was not stored in time. Such an event is delivered like any
    /// other. It has the ID of its operation, so a second attempt with the same record is the same
    /// operation, delivered twice.
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError>;

    /// Appends an event about what happened to [`Topic::Events`]; returns once it is stored durably.
    /// Nobody waits for it, so the log may take its time and store many together.
    async fn announce(&self, record: Record) -> Result<(), LogError> {
        self.append(Topic::Events, record).await.map(drop)
    }

    /// Joins a consumer group. It continues from its last commit, or from the beginning if there is
    /// none.
    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Reads a topic from `start` to its current end, without a consumer group, so no group's
    /// offsets move. Each partition is read in order.
    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError>;

    /// Removes the data of an event if the log supports it, and of its copies: the events of its
    /// topic and the dead letters that have its key. Their headers stay.
    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError>;

    /// Removes events that were appended before `before`, at most `most` of them at once, if the
    /// log does not do so by itself. Requests that the consumer group `group` has not finished
    /// stay. Returns how many events were removed.
    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError>;

    /// Whether the consumer group has finished every event of the topic that was appended before
    /// `time`.
    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError>;

    /// Why appends would fail now, if that is known without asking.
    fn outage(&self) -> Option<LogError> {
        None
    }

    /// Ends the use of the log. An embedded file is complete after that, without files beside it,
    /// and accepts no more writes.
    async fn close(&self) {}

    /// Whether the log answers.
    async fn ping(&self) -> Result<(), LogError>;
}

/// One member of a consumer group.
#[async_trait]
pub trait Consumer: Send + fmt::Debug {
    /// Waits for the next delivery. Safe to drop while waiting: nothing is lost.
    async fn receive(&mut self) -> Result<Delivery, LogError>;

    /// Commits that every event before `next` in its partition is finished.
    async fn commit(&mut self, next: EventPosition) -> Result<(), LogError>;

    /// Like [`commit`](Self::commit), but the log may store it later, together with others, so
    /// that the caller does not wait. If the consumer ends before, the events are delivered again.
    async fn commit_soon(&mut self, next: EventPosition) -> Result<(), LogError> {
        self.commit(next).await
    }

    /// Stores what [`commit_soon`](Self::commit_soon) left for later. To be called before the
    /// consumer is dropped.
    async fn finish_commits(&mut self) -> Result<(), LogError> {
        Ok(())
    }
}

/// Reads a topic once.
#[async_trait]
pub trait Reader: Send + fmt::Debug {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Result<Option<Entry>, LogError>;

    /// Where it began in each of its partitions. To continue a reader that stopped, begin here in
    /// partitions of which it returned no event.
    fn starts(&self) -> Vec<EventPosition>;

    /// An upper bound of the number of events, for a progress bar.
    fn total(&self) -> u64;
}
