//! Reads a topic of the embedded log without a consumer group.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::events::{PARTITION, read_batch, read_event};
use crate::event_log::{Entry, EventPosition, LogError, Reader, Start, Topic};
use crate::sqlite::Database;

/// Reads up to the end that the log had when the reader was created.
#[derive(Debug)]
pub(super) struct EmbeddedReader {
    database: Arc<Database>,
    topic: Topic,
    /// Events that were read ahead.
    ahead: VecDeque<Entry>,
    start: i64,
    next: i64,
    end: i64,
    total: u64,
}

impl EmbeddedReader {
    pub(super) async fn open(
        database: Arc<Database>,
        topic: Topic,
        start: Start,
    ) -> Result<Self, LogError> {
        let (next, end) = database
            .read(move |connection| {
                let end = connection
                    .prepare_cached("SELECT max(position) + 1 FROM events WHERE topic = ?1")?
                    .query_row([topic.name()], |row| row.get::<_, Option<i64>>(0))?
                    .unwrap_or(0);
                Ok((first_offset(connection, topic, &start)?.unwrap_or(end), end))
            })
            .await?;
        Ok(Self {
            database,
            topic,
            ahead: VecDeque::new(),
            start: next,
            next,
            end,
            total: u64::try_from(end - next).unwrap_or(0),
        })
    }
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self) -> Result<Option<Entry>, LogError> {
        if self.next >= self.end {
            return Ok(None);
        }
        if self.ahead.is_empty() {
            let (topic, next) = (self.topic, self.next);
            let read = self.database.read(move |connection| match topic {
                Topic::Events => read_batch(connection, topic, next),
                // These may be erased meanwhile, so none is read ahead.
                Topic::Requests | Topic::DeadLetters => {
                    Ok(read_event(connection, topic, next)?.into_iter().collect())
                }
            });
            self.ahead = read.await?.into();
        }
        let found = self.ahead.pop_front();
        let entry = found.filter(|entry| entry.position.offset < self.end);
        self.next = entry
            .as_ref()
            .map_or(self.end, |entry| entry.position.offset + 1);
        Ok(entry)
    }

    fn starts(&self) -> Vec<EventPosition> {
        vec![EventPosition {
            partition: PARTITION,
            offset: self.start,
        }]
    }

    fn total(&self) -> u64 {
        self.total
    }
}

/// The offset at which a reader begins; `None` if there is nothing to read.
fn first_offset(
    connection: &Connection,
    topic: Topic,
    start: &Start,
) -> rusqlite::Result<Option<i64>> {
    match start {
        Start::Beginning => connection
            .prepare_cached("SELECT min(position) FROM events WHERE topic = ?1")?
            .query_row([topic.name()], |row| row.get(0)),
        Start::Time(time) => connection
            .prepare_cached(
                "SELECT min(position) FROM events WHERE topic = ?1 AND appended_at >= ?2",
            )?
            .query_row(params![topic.name(), time.as_millisecond()], |row| {
                row.get(0)
            }),
        Start::Positions(positions) => Ok(positions
            .iter()
            .find(|position| position.partition == PARTITION)
            .map(|position| position.offset)),
    }
}
