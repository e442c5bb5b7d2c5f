//! The port to the log of events: append durably, consume in order, commit what is finished.
//!
//! Any number of consumers may share a group; each event reaches one of them at a time and is
//! delivered again until a position behind it was committed. An event can therefore arrive more
//! than once, and its handler must not mind.

use std::fmt;

use async_trait::async_trait;

use crate::event::Record;

pub mod embedded;

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
    /// The topic's name in the log.
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

/// Where an event stands in a topic. Offsets of one partition grow, not always by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    pub partition: i32,
    pub offset: i64,
}

/// What a consumer is told next.
#[derive(Debug)]
pub enum Received {
    /// An event to handle.
    Delivered(Position, Record),
    /// These partitions belong to another consumer now: work on their events is not to be
    /// committed any more.
    Revoked(Vec<i32>),
}

/// Why the log did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It can't be reached or written now; later it may.
    #[error("the event log is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The record is larger than the log takes.
    #[error("the event has {bytes} bytes, the log takes {limit} at most")]
    TooLarge { bytes: u64, limit: u64 },
}

/// A durable, append-only log of events.
#[async_trait]
pub trait EventLog: Send + Sync + fmt::Debug {
    /// Appends a record; returns where it stands once it is stored durably.
    async fn append(&self, topic: Topic, record: Record) -> Result<Position, LogError>;

    /// Joins a consumer group, which begins where it last committed, at first at the beginning.
    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError>;

    /// Whether the log answers.
    async fn ping(&self) -> Result<(), LogError>;
}

/// One member of a consumer group.
#[async_trait]
pub trait Consumer: Send + fmt::Debug {
    /// Waits for what comes next. Safe to drop while waiting: nothing is lost.
    async fn receive(&mut self) -> Result<Received, LogError>;

    /// Commits that every event before `next` in its partition is finished.
    async fn commit(&mut self, next: Position) -> Result<(), LogError>;
}
