//! The port to the log of events: append durably, consume in order, commit what is finished.
//!
//! Any number of consumers may share a group; each event reaches one of them at a time and is
//! delivered again until a position behind it was committed. An event can therefore arrive more
//! than once, and its handler must not mind.

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
    /// Requests to resize; what workers consume.
    Requests,
    /// What became of them.
    Events,
    /// What could not be read, or killed its worker again and again.
    DeadLetters,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Events, Self::DeadLetters];

    /// The topic's usual name.
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
    /// These partitions belong to another consumer now: work on their events is not to be
    /// committed any more.
    Revoked(Vec<i32>),
}

/// Where a reader begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first event that is still there.
    Beginning,
    /// With the first event that was appended at this time or later.
    Time(Timestamp),
    /// With these events, one a partition. Partitions that are not named are left out.
    Positions(Vec<EventPosition>),
}

/// An event as a reader finds it.
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

/// Why the log did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It can't be reached or written now; later it may.
    #[error("the event log is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// It is not set up as this program needs it, which waiting does not heal.
    #[error("{0}")]
    Misconfigured(String),
    /// The record is larger than the log takes.
    #[error("the event has {bytes} bytes; the log takes at most {limit}")]
    TooLarge { bytes: u64, limit: u64 },
}

impl LogError {
    /// Whether the same call can succeed later, with nothing changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A durable, append-only log of events.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug {
    /// Appends a record; returns where it stands once it is stored durably.
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError>;

    /// Joins a consumer group, which begins where it last committed, at first at the beginning.
    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Reads a topic from `start` to its end as it is now, in no consumer group: nobody's position
    /// moves. Each partition is read in order.
    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError>;

    /// Empties the data of an event, as far as the log can, and of what repeats it: the events of
    /// its topic and the dead letters that have its key. Their headers stay.
    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError>;

    /// Removes events that were appended before `before`, at most `most` of them at once, where the
    /// log does not do so by itself. Requests that the consumer group `group` has not finished stay.
    /// Returns how many events were removed.
    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError>;

    /// Whether the consumer group has finished every event of the topic that was appended before
    /// `time`.
    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError>;

    /// Whether the log answers.
    async fn ping(&self) -> Result<(), LogError>;
}

/// One member of a consumer group.
#[async_trait]
pub trait Consumer: Send + fmt::Debug {
    /// Waits for what comes next. Safe to drop while waiting: nothing is lost.
    async fn receive(&mut self) -> Result<Delivery, LogError>;

    /// Commits that every event before `next` in its partition is finished.
    async fn commit(&mut self, next: EventPosition) -> Result<(), LogError>;
}

/// Reads a topic once.
#[async_trait]
pub trait Reader: Send + fmt::Debug {
    /// The next event; none at the end.
    async fn next(&mut self) -> Result<Option<Entry>, LogError>;

    /// Where it began, in every partition that it reads: whoever is to go on where this one stopped
    /// begins there in partitions of which nothing came yet.
    fn starts(&self) -> Vec<EventPosition>;

    /// How many events there were to read at most, for showing progress.
    fn total(&self) -> u64;
}
