//! The event log in a SQLite file of one process: one partition a topic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, params};
use tokio::sync::{OwnedMutexGuard, watch};

use super::{
    Consumer, Delivery, Entry, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start,
    Topic,
};
use crate::event::Record;
use crate::sqlite::{self, Database, DatabaseError};

/// The only partition there is.
const PARTITION: i32 = 0;
/// How long a consumer waits for an append of this process before it looks for one of another.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE events (
        id          INTEGER PRIMARY KEY,
        topic       TEXT    NOT NULL,
        position    INTEGER NOT NULL,
        appended_at INTEGER NOT NULL, -- milliseconds since 1970
        key         TEXT    NOT NULL,
        headers     TEXT    NOT NULL, -- JSON: [[name, bytes], …]
        value       BLOB    NOT NULL,
        UNIQUE (topic, position)
    ) STRICT;
    CREATE INDEX events_by_time ON events (topic, appended_at);
    CREATE TABLE positions (
        consumer_group TEXT    NOT NULL,
        topic          TEXT    NOT NULL,
        next           INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, topic)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE INDEX events_by_key ON events (key);
",
];

type Groups = HashMap<(Topic, String), Arc<tokio::sync::Mutex<()>>>;

/// A log in a SQLite file.
#[derive(Debug)]
pub struct EmbeddedLog {
    database: Arc<Database>,
    /// Changes with every append, so that waiting consumers look again.
    appended: watch::Sender<()>,
    /// Who holds a group's lock owns its only partition.
    groups: Mutex<Groups>,
}

impl EmbeddedLog {
    /// Opens or creates the log. The caller sees to it that no other process consumes from it:
    /// groups are known to this process alone.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self {
            database: Arc::new(Database::open(path, MIGRATIONS)?),
            appended: watch::channel(()).0,
            groups: Mutex::default(),
        })
    }
}

impl From<DatabaseError> for LogError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        let headers =
            serde_json::to_string(&record.headers).expect("headers always have a JSON form");
        let now = Timestamp::now().as_millisecond();
        let offset = self
            .database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO events (topic, position, appended_at, key, headers, value)
                         SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, ?5
                         FROM events WHERE topic = ?1
                         RETURNING position",
                    )?
                    .query_row(
                        params![topic.name(), now, record.key, headers, &record.value[..]],
                        |row| row.get(0),
                    )
            })
            .await?;
        self.appended.send_replace(());
        Ok(EventPosition {
            partition: PARTITION,
            offset,
        })
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        let turn = self
            .groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((topic, group.to_owned()))
            .or_default()
            .clone();
        Ok(Box::new(EmbeddedConsumer {
            database: Arc::clone(&self.database),
            appended: self.appended.subscribe(),
            topic,
            group: group.to_owned(),
            turn,
            owned: None,
        }))
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        let start = start.clone();
        let (next, end) = self
            .database
            .read(move |connection| {
                let end = connection
                    .prepare_cached("SELECT max(position) + 1 FROM events WHERE topic = ?1")?
                    .query_row([topic.name()], |row| row.get::<_, Option<i64>>(0))?
                    .unwrap_or(0);
                Ok((first_offset(connection, topic, &start)?.unwrap_or(end), end))
            })
            .await?;
        Ok(Box::new(EmbeddedReader {
            database: Arc::clone(&self.database),
            topic,
            start: next,
            next,
            end,
            total: u64::try_from(end - next).unwrap_or(0),
        }))
    }

    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError> {
        self.database
            .write(move |connection| {
                sqlite::overwriting(connection, |connection| {
                    connection
                        .prepare_cached(
                            "UPDATE events SET value = x''
                             WHERE topic IN (?1, 'picresize.dead-letters') AND key =
                                 (SELECT key FROM events WHERE topic = ?1 AND position = ?2)",
                        )?
                        .execute(params![topic.name(), position.offset])
                })
            })
            .await?;
        Ok(ErasureOutcome::DataRemoved)
    }

    async fn trim(&self, before: Timestamp, most: u32) -> Result<u64, LogError> {
        let removed = self
            .database
            .write(move |connection| {
                // The last event of each topic stays: it holds the place of the next. A request
                // that no worker has finished stays as well.
                connection
                    .prepare_cached(
                        "DELETE FROM events WHERE id IN (
                             SELECT id FROM events AS old WHERE appended_at < ?1
                             AND position < (SELECT max(position) FROM events WHERE topic = old.topic)
                             AND (topic <> 'picresize.requests' OR position <
                                  (SELECT min(next) FROM positions WHERE topic = old.topic))
                             LIMIT ?2
                         )",
                    )?
                    .execute(params![before.as_millisecond(), most])
            })
            .await?;
        Ok(removed as u64)
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}

/// A member of a group. The first of them gets every event; the others stand by until it is gone.
#[derive(Debug)]
struct EmbeddedConsumer {
    database: Arc<Database>,
    appended: watch::Receiver<()>,
    topic: Topic,
    group: String,
    turn: Arc<tokio::sync::Mutex<()>>,
    owned: Option<Ownership>,
}

/// The partition is this consumer's, and this is the offset it reads next.
#[derive(Debug)]
struct Ownership {
    next: i64,
    _turn: OwnedMutexGuard<()>,
}

impl EmbeddedConsumer {
    /// Waits for the partition; returns the offset to read next.
    async fn own(&mut self) -> Result<&mut Ownership, LogError> {
        if self.owned.is_none() {
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let (topic, group) = (self.topic.name(), self.group.clone());
            let committed = self
                .database
                .read(move |connection| {
                    connection
                        .prepare_cached(
                            "SELECT next FROM positions WHERE consumer_group = ?1 AND topic = ?2",
                        )?
                        .query_row(params![group, topic], |row| row.get(0))
                        .optional()
                })
                .await?;
            self.owned = Some(Ownership {
                next: committed.unwrap_or(0),
                _turn: turn,
            });
        }
        Ok(self.owned.as_mut().expect("was owned or has just been"))
    }
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn receive(&mut self) -> Result<Delivery, LogError> {
        loop {
            let next = self.own().await?.next;
            // Before the look, so that an append during it is not missed.
            self.appended.mark_unchanged();
            let topic = self.topic.name();
            let found = self
                .database
                .read(move |connection| read_event(connection, topic, next))
                .await?;
            if let Some(entry) = found {
                self.own().await?.next = entry.position.offset + 1;
                return Ok(Delivery::Event(entry.position, entry.record));
            }
            // Another process may append as well: `replay` gives dead letters back.
            let changed = tokio::time::timeout(LOOK_AGAIN, self.appended.changed()).await;
            if let Ok(Err(_)) = changed {
                return Err(DatabaseError::Closed.into());
            }
        }
    }

    async fn commit(&mut self, next: EventPosition) -> Result<(), LogError> {
        let (topic, group) = (self.topic.name(), self.group.clone());
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO positions (consumer_group, topic, next) VALUES (?1, ?2, ?3)
                         ON CONFLICT DO UPDATE SET next = max(next, excluded.next)",
                    )?
                    .execute(params![group, topic, next.offset])
            })
            .await?;
        Ok(())
    }
}

/// Reads up to where the log ended when the reading began.
#[derive(Debug)]
struct EmbeddedReader {
    database: Arc<Database>,
    topic: Topic,
    start: i64,
    next: i64,
    end: i64,
    total: u64,
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self) -> Result<Option<Entry>, LogError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let (topic, next) = (self.topic.name(), self.next);
        let found = self
            .database
            .read(move |connection| read_event(connection, topic, next))
            .await?;
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

/// The offset that a reader begins with; none when there is nothing to read.
fn first_offset(
    connection: &rusqlite::Connection,
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

fn read_event(
    connection: &rusqlite::Connection,
    topic: &str,
    from: i64,
) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached(
            "SELECT position, appended_at, key, headers, value FROM events
             WHERE topic = ?1 AND position >= ?2 ORDER BY position LIMIT 1",
        )?
        .query_row(params![topic, from], |row| {
            let unreadable = |column, kind, error| {
                rusqlite::Error::FromSqlConversionFailure(column, kind, error)
            };
            let appended_at = Timestamp::from_millisecond(row.get(1)?)
                .map_err(|error| unreadable(1, Type::Integer, Box::new(error)))?;
            let headers: String = row.get(3)?;
            let headers = serde_json::from_str(&headers)
                .map_err(|error| unreadable(3, Type::Text, Box::new(error)))?;
            let value: Vec<u8> = row.get(4)?;
            Ok(Entry {
                position: EventPosition {
                    partition: PARTITION,
                    offset: row.get(0)?,
                },
                appended_at,
                record: Record {
                    key: row.get(2)?,
                    headers,
                    value: value.into(),
                },
            })
        })
        .optional()
}
