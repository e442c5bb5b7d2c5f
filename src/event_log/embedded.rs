//! The event log in a SQLite file of one process, with one partition per topic.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use tokio::sync::watch;

use self::consumer::EmbeddedConsumer;
use self::events::{PARTITION, append, committed};
use self::reader::EmbeddedReader;
use self::trim::Trim;
use super::{Consumer, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic};
use crate::event::Record;
use crate::sqlite::{self, Database, DatabaseError, SyncMode};

mod consumer;
mod events;
mod headers;
mod reader;
mod trim;

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
    // Announcements are never erased, so none is looked for by its key.
    "
    DROP INDEX events_by_key;
    CREATE INDEX events_by_key ON events (key) WHERE topic <> 'picresize.events';
",
];

type Groups = HashMap<(Topic, String), Arc<tokio::sync::Mutex<()>>>;

/// A log in a SQLite file.
#[derive(Debug)]
pub struct EmbeddedLog {
    database: Arc<Database>,
    /// For each topic, notified with every append, so that waiting consumers look again.
    appended: [watch::Sender<()>; Topic::ALL.len()],
    /// Counts erasures, so that consumers read again what they have read ahead.
    erasures: Arc<AtomicU64>,
    /// The holder of a group's lock owns its only partition.
    groups: Mutex<Groups>,
}

impl EmbeddedLog {
    /// Opens or creates the log. The caller must make sure that no other process consumes from it,
    /// because groups exist only in this process.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self {
            database: Arc::new(Database::open(
                path,
                "events",
                MIGRATIONS,
                SyncMode::EveryCommit,
            )?),
            appended: Topic::ALL.map(|_| watch::channel(()).0),
            erasures: Arc::default(),
            groups: Mutex::default(),
        })
    }
}

impl EmbeddedLog {
    /// Whether nothing was ever appended.
    ///
    /// # Errors
    ///
    /// The log can't be read.
    pub async fn is_empty(&self) -> Result<bool, LogError> {
        let found = self.database.read(|connection| {
            connection.query_row("SELECT EXISTS (SELECT 1 FROM events)", [], |row| row.get(0))
        });
        Ok(!found.await?)
    }
}

impl From<DatabaseError> for LogError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Newer { .. } => Self::Misconfigured(error.to_string()),
            DatabaseError::Damaged { .. } => Self::Misconfigured(format!(
                "{error}: restore it from a backup; to begin anew without the old events, move it \
                 and the picture table away"
            )),
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        let write = append(topic, record);
        let offset = self.database.write(write).await?;
        self.appended[topic as usize].send_replace(());
        Ok(EventPosition {
            partition: PARTITION,
            offset,
        })
    }

    async fn announce(&self, record: Record) -> Result<(), LogError> {
        let write = append(Topic::Events, record);
        self.database.write_later(write).await?;
        self.appended[Topic::Events as usize].send_replace(());
        Ok(())
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        let turn = self
            .groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((topic, group.to_owned()))
            .or_default()
            .clone();
        Ok(Box::new(EmbeddedConsumer::new(
            Arc::clone(&self.database),
            self.appended[topic as usize].subscribe(),
            Arc::clone(&self.erasures),
            topic,
            group,
            turn,
        )))
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        let reader = EmbeddedReader::open(Arc::clone(&self.database), topic, start.clone());
        Ok(Box::new(reader.await?))
    }

    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError> {
        let erase = match topic {
            // With the index by key.
            Topic::Requests | Topic::DeadLetters => {
                "UPDATE events SET value = x''
                 WHERE topic IN (?1, 'picresize.dead-letters') AND topic <> 'picresize.events'
                     AND key = (SELECT key FROM events WHERE topic = ?1 AND position = ?2)"
            }
            Topic::Events => {
                "UPDATE events SET value = x''
                 WHERE topic IN (?1, 'picresize.dead-letters')
                     AND key = (SELECT key FROM events WHERE topic = ?1 AND position = ?2)"
            }
        };
        self.database
            .write(move |connection| {
                sqlite::overwriting(connection, |connection| {
                    connection
                        .prepare_cached(erase)?
                        .execute(params![topic.name(), position.offset])
                })
            })
            .await?;
        self.erasures.fetch_add(1, Ordering::Release);
        Ok(ErasureOutcome::DataRemoved)
    }

    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError> {
        let (before, group) = (before.as_millisecond(), group.to_owned());
        // Search on a reader connection, because mostly there is nothing to remove. What it finds
        // stays removable, because both ends of the log and a group's position only grow.
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
            self.database.give_back_space().await?;
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

    async fn close(&self) {
        self.database.close().await;
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}
