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
    Consumer, Entry, Erased, EventLog, LogError, Position, Reader, Received, Start, Topic,
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
    async fn append(&self, topic: Topic, record: Record) -> Result<Position, LogError> {
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
        Ok(Position {
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

    async fn erase(&self, topic: Topic, position: Position) -> Result<Erased, LogError> {
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
        Ok(Erased::Now)
    }

    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError> {
        let (before, group) = (before.as_millisecond(), group.to_owned());
        // What may go is looked for beside the writer: mostly there is nothing. It stays true until
        // the writer removes it, since both ends of the log and a group's position only grow.
        let trims = self
            .database
            .read(move |connection| {
                let mut trims = Vec::new();
                for topic in Topic::ALL {
                    trims.extend(Trim::of(connection, topic, before, &group)?);
                }
                Ok(trims)
            })
            .await?;
        if trims.is_empty() {
            return Ok(0);
        }
        let removed = self
            .database
            .write(move |connection| {
                let mut removed = 0;
                for trim in &trims {
                    removed += trim.run(connection, most - removed)?;
                }
                Ok(removed)
            })
            .await?;
        Ok(removed.into())
    }

    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError> {
        let group = group.to_owned();
        let first_unfinished: Option<i64> = self
            .database
            .read(move |connection| {
                let next = committed(connection, topic, &group)?.unwrap_or(0);
                connection
                    .prepare_cached(
                        "SELECT appended_at FROM events WHERE topic = ?1 AND position >= ?2
                         ORDER BY position LIMIT 1",
                    )?
                    .query_row(params![topic.name(), next], |row| row.get(0))
                    .optional()
            })
            .await?;
        Ok(first_unfinished.is_none_or(|appended_at| appended_at >= time.as_millisecond()))
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}

/// Events of one topic that may be removed.
#[derive(Debug)]
struct Trim {
    topic: Topic,
    /// Milliseconds since 1970; events that were appended before this time may go.
    before: i64,
    /// The first position that has to stay.
    end: i64,
}

impl Trim {
    /// Both take the old events of a topic from the index by time.
    const EXISTS: &str = "SELECT EXISTS (
        SELECT 1 FROM events INDEXED BY events_by_time
        WHERE topic = ?1 AND appended_at < ?2 AND position < ?3)";
    const DELETE: &str = "DELETE FROM events WHERE id IN (
        SELECT id FROM events INDEXED BY events_by_time
        WHERE topic = ?1 AND appended_at < ?2 AND position < ?3
        ORDER BY appended_at LIMIT ?4)";
    const FIRST: &str = "SELECT min(position) FROM events WHERE topic = ?1";
    const LAST: &str = "SELECT max(position) FROM events WHERE topic = ?1";

    /// What there is to remove from a topic, if anything.
    fn of(
        connection: &rusqlite::Connection,
        topic: Topic,
        before: i64,
        group: &str,
    ) -> rusqlite::Result<Option<Self>> {
        let position = |sql| {
            connection
                .prepare_cached(sql)?
                .query_row([topic.name()], |row| row.get::<_, Option<i64>>(0))
        };
        // The last event of each topic stays: the position of the next one follows from it.
        let (Some(first), Some(last)) = (position(Self::FIRST)?, position(Self::LAST)?) else {
            return Ok(None);
        };
        let end = match topic {
            // Only the group that works now counts: one that was renamed never moves again.
            Topic::Requests => last.min(committed(connection, topic, group)?.unwrap_or(first)),
            Topic::Events | Topic::DeadLetters => last,
        };
        if first >= end {
            return Ok(None);
        }
        let is_there = connection
            .prepare_cached(Self::EXISTS)?
            .query_row(params![topic.name(), before, end], |row| row.get(0))?;
        Ok(bool::then_some(is_there, Self { topic, before, end }))
    }

    /// Removes at most `most` of them; returns how many were removed.
    fn run(&self, connection: &rusqlite::Connection, most: u32) -> rusqlite::Result<u32> {
        let removed = connection.prepare_cached(Self::DELETE)?.execute(params![
            self.topic.name(),
            self.before,
            self.end,
            most
        ])?;
        Ok(u32::try_from(removed).unwrap_or(most))
    }
}

/// The position before which a group has finished everything; none before its first commit.
fn committed(
    connection: &rusqlite::Connection,
    topic: Topic,
    group: &str,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT next FROM positions WHERE consumer_group = ?1 AND topic = ?2")?
        .query_row(params![group, topic.name()], |row| row.get(0))
        .optional()
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
            let (topic, group) = (self.topic, self.group.clone());
            let committed = self
                .database
                .read(move |connection| committed(connection, topic, &group))
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
    async fn receive(&mut self) -> Result<Received, LogError> {
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
                return Ok(Received::Delivered(entry.position, entry.record));
            }
            // Another process may append as well: `replay` gives dead letters back.
            let changed = tokio::time::timeout(LOOK_AGAIN, self.appended.changed()).await;
            if let Ok(Err(_)) = changed {
                return Err(DatabaseError::Closed.into());
            }
        }
    }

    async fn commit(&mut self, next: Position) -> Result<(), LogError> {
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

    fn starts(&self) -> Vec<Position> {
        vec![Position {
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
                position: Position {
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

#[cfg(test)]
mod tests {
    use super::*;

    const OLD_GROUP: &str = "renamed since";
    const GROUP: &str = "workers";

    fn open() -> (tempfile::TempDir, EmbeddedLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log.sqlite")).unwrap();
        (folder, log)
    }

    async fn append(log: &EmbeddedLog, topic: Topic, count: usize) {
        for n in 0..count {
            let record = Record {
                key: n.to_string(),
                headers: Vec::new(),
                value: vec![7; 20_000].into(),
            };
            log.append(topic, record).await.unwrap();
        }
    }

    async fn commit(log: &EmbeddedLog, group: &str, offset: i64) {
        let mut consumer = log.subscribe(Topic::Requests, group).await.unwrap();
        let partition = PARTITION;
        consumer
            .commit(Position { partition, offset })
            .await
            .unwrap();
    }

    /// The positions that a topic still has.
    async fn left(log: &EmbeddedLog, topic: Topic) -> Vec<i64> {
        let mut reader = log.read(topic, &Start::Beginning).await.unwrap();
        let mut left = Vec::new();
        while let Some(entry) = reader.next().await.unwrap() {
            left.push(entry.position.offset);
        }
        left
    }

    fn in_an_hour() -> Timestamp {
        Timestamp::now() + Duration::from_secs(3600)
    }

    #[tokio::test]
    async fn requests_stay_until_the_group_that_works_has_finished_them() {
        let (_folder, log) = open();
        append(&log, Topic::Requests, 6).await;
        let trim = async |most| log.trim(in_an_hour(), GROUP, most).await.unwrap();
        assert_eq!(trim(100).await, 0, "no group has finished anything");
        commit(&log, OLD_GROUP, 2).await;
        assert_eq!(trim(100).await, 0, "another group counts for nothing");
        commit(&log, GROUP, 4).await;
        assert_eq!(trim(3).await, 3, "no more than it is told to");
        assert_eq!(left(&log, Topic::Requests).await, [3, 4, 5]);
        assert_eq!(trim(100).await, 1, "the old group holds nothing back");
        assert_eq!(trim(100).await, 0);
        assert_eq!(left(&log, Topic::Requests).await, [4, 5]);
        commit(&log, GROUP, 6).await;
        assert_eq!(trim(100).await, 1);
        assert_eq!(left(&log, Topic::Requests).await, [5], "the last one stays");
    }

    #[tokio::test]
    async fn only_what_is_old_enough_is_trimmed_from_every_topic() {
        let (_folder, log) = open();
        append(&log, Topic::Events, 3).await;
        append(&log, Topic::DeadLetters, 2).await;
        let an_hour_ago = Timestamp::now() - Duration::from_secs(3600);
        assert_eq!(log.trim(an_hour_ago, GROUP, 100).await.unwrap(), 0);
        assert_eq!(log.trim(in_an_hour(), GROUP, 100).await.unwrap(), 3);
        assert_eq!(left(&log, Topic::Events).await, [2]);
        assert_eq!(left(&log, Topic::DeadLetters).await, [1]);
    }

    /// A log of a year has millions of events, and the writer serves every request.
    #[tokio::test]
    async fn trimming_reads_no_more_of_the_log_than_it_removes() {
        let (_folder, log) = open();
        let plans = log.database.read(|connection| {
            let mut plans = Vec::new();
            for sql in [Trim::FIRST, Trim::LAST, Trim::EXISTS, Trim::DELETE] {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let parameters = vec![1; explain.parameter_count()];
                let steps = explain.query_map(rusqlite::params_from_iter(parameters), |row| {
                    row.get::<_, String>("detail")
                })?;
                plans.push((sql, steps.collect::<rusqlite::Result<Vec<_>>>()?));
            }
            Ok(plans)
        });
        for (sql, steps) in plans.await.unwrap() {
            let searches = |step: &String| step.contains("topic=?");
            assert!(steps.iter().any(searches), "{sql}: {steps:?}");
            for step in &steps {
                let is_full_scan = step.starts_with("SCAN") && step.contains("events");
                assert!(!is_full_scan, "{sql}: {steps:?}");
                assert!(!step.contains("TEMP B-TREE"), "{sql}: {steps:?}");
            }
        }
    }
}
