//! A member of a consumer group of the embedded log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::params;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinHandle;

use super::events::{committed, read_batch};
use crate::event_log::{Consumer, Delivery, Entry, EventPosition, LogError, Topic};
use crate::sqlite::{Database, DatabaseError};

/// How long a consumer waits for an append of this process before it looks for appends of other
/// processes.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A member of a group. The first member gets all events; the others wait until it is gone.
#[derive(Debug)]
pub(super) struct EmbeddedConsumer {
    database: Arc<Database>,
    appended: watch::Receiver<()>,
    erasures: Arc<AtomicU64>,
    topic: Topic,
    group: String,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Events that were read ahead, and the count of erasures before.
    ahead: VecDeque<Entry>,
    ahead_at: u64,
    /// A read ahead that is under way. It goes on if the caller stops waiting.
    reading: Option<JoinHandle<Result<Vec<Entry>, DatabaseError>>>,
    owned: Option<Ownership>,
}

/// The partition is this consumer's, and this is the offset it reads next.
#[derive(Debug)]
struct Ownership {
    next: i64,
    _turn: OwnedMutexGuard<()>,
}

impl EmbeddedConsumer {
    pub(super) fn new(
        database: Arc<Database>,
        appended: watch::Receiver<()>,
        erasures: Arc<AtomicU64>,
        topic: Topic,
        group: &str,
        turn: Arc<tokio::sync::Mutex<()>>,
    ) -> Self {
        Self {
            database,
            appended,
            erasures,
            topic,
            group: group.to_owned(),
            turn,
            ahead: VecDeque::new(),
            ahead_at: 0,
            reading: None,
            owned: None,
        }
    }

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
    async fn receive(&mut self) -> Result<Delivery, LogError> {
        loop {
            let next = self.own().await?.next;
            // What was erased meanwhile must not be delivered.
            if self.erasures.load(Ordering::Acquire) != self.ahead_at {
                self.ahead.clear();
                self.reading = None;
            }
            if self.ahead.is_empty() {
                let reading = match &mut self.reading {
                    Some(reading) => reading,
                    None => {
                        self.ahead_at = self.erasures.load(Ordering::Acquire);
                        // Before the query, so that an append during it is not missed.
                        self.appended.mark_unchanged();
                        let (database, topic) = (Arc::clone(&self.database), self.topic);
                        self.reading.insert(tokio::spawn(async move {
                            let read = database
                                .read(move |connection| read_batch(connection, topic, next));
                            read.await
                        }))
                    }
                };
                let batch = reading.await;
                self.reading = None;
                self.ahead = batch.map_err(|_| DatabaseError::Closed)??.into();
                // An erasure during the read is seen in the next turn.
                if self.erasures.load(Ordering::Acquire) != self.ahead_at {
                    continue;
                }
            }
            if let Some(entry) = self.ahead.pop_front() {
                self.own().await?.next = entry.position.offset + 1;
                return Ok(Delivery::Event(entry.position, entry.record));
            }
            // Another process may append as well: `replay` re-queues dead letters.
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
