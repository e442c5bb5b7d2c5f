//! Checkpoints: move pages from the write-ahead log into the file, so that the log can start anew.
//!
//! A thread with a connection of its own does this when the log has grown, while writes go on. A
//! log can only start anew when all of it is in the file and no reader uses it. Under steady load,
//! new pages come during each pass. Then the writer itself does a last pass between two commits,
//! which is short because most pages are in the file and synced by then.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// The write-ahead log keeps this size when it starts anew. It is then overwritten in place, which
/// syncs faster than a file that grows.
pub(super) const KEPT_BYTES: i64 = 32 << 20;
/// A log of this size is moved into the file.
const BEGIN_BYTES: i64 = 16 << 20;
/// From this size on, the writer helps.
const HELP_BYTES: i64 = 24 << 20;
/// From this size on, writes wait for a checkpoint: they come faster than the disk takes them.
const OVERDUE_BYTES: i64 = 64 << 20;
/// From this size on, somebody else keeps the log from starting anew.
const HELD_BYTES: i64 = 256 << 20;
/// So many passes follow each other. A later pass has less to do than an earlier one.
const PASSES: usize = 4;

/// The size of the write-ahead log after the last commit.
#[derive(Debug)]
pub(super) struct WalSize {
    page_bytes: i64,
    pages: AtomicI64,
    /// The writer is asked for the last pass.
    help: AtomicBool,
    /// The size at which the next write waits.
    overdue_at: AtomicI64,
    /// SQLite does not wait for a pass that is under way.
    turn: Mutex<()>,
    /// Whether the last checkpoint failed.
    is_failing: AtomicBool,
}

impl WalSize {
    /// Follows the commits of the writer's connection.
    pub(super) fn follow(connection: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let size = Arc::new(Self {
            page_bytes: connection.pragma_query_value(None, "page_size", |row| row.get(0))?,
            pages: AtomicI64::new(0),
            help: AtomicBool::new(false),
            overdue_at: AtomicI64::new(OVERDUE_BYTES),
            turn: Mutex::default(),
            is_failing: AtomicBool::new(false),
        });
        let followed = Arc::clone(&size);
        connection.wal_hook(Some(move |_: &mut _, pages: i32| {
            let earlier = followed.pages.swap(pages.into(), Ordering::Relaxed);
            if i64::from(pages) < earlier {
                // It has started anew.
                followed.overdue_at.store(OVERDUE_BYTES, Ordering::Relaxed);
            }
            Ok(())
        }))?;
        Ok(size)
    }

    fn bytes(&self) -> i64 {
        self.pages.load(Ordering::Relaxed) * self.page_bytes
    }

    pub(super) fn is_large(&self) -> bool {
        self.bytes() >= BEGIN_BYTES
    }

    /// Whether writes come faster than checkpoints.
    pub(super) fn is_overdue(&self) -> bool {
        self.bytes() >= self.overdue_at.load(Ordering::Relaxed)
    }

    /// Logs when checkpoints begin to fail. The next one does the work of one that failed.
    pub(super) fn note<T>(&self, outcome: rusqlite::Result<T>) -> Option<T> {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                if !was_failing {
                    tracing::warn!(%error, "a checkpoint failed; the next one does its work");
                }
                None
            }
        }
    }

    /// Whether the writer should do a pass now.
    pub(super) fn wants_help(&self) -> bool {
        self.help.swap(false, Ordering::Relaxed)
    }
}

/// Moves all of the log into the file, and waits for a pass that is under way. If a reader keeps the
/// log from starting anew, the next time is when it has grown by as much again.
pub(super) fn catch_up(connection: &Connection, size: &WalSize) -> rusqlite::Result<()> {
    let _turn = size.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let done = connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()));
    let next = if size.bytes() >= HELD_BYTES {
        size.bytes() + OVERDUE_BYTES
    } else {
        OVERDUE_BYTES.max(size.bytes() + HELP_BYTES)
    };
    size.overdue_at.store(next, Ordering::Relaxed);
    done
}

/// The thread that does checkpoints. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    signal: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, size: Arc<WalSize>) -> rusqlite::Result<Self> {
        // One signal may wait during a checkpoint; more would say the same.
        let (signal, signals) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoints".to_owned())
            .spawn(move || checkpoints(&connection, &size, &signals))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            signal: Some(signal),
            thread: Some(thread),
        })
    }

    /// What the writer uses to say that the log is large.
    pub(super) fn signal(&self) -> SyncSender<()> {
        self.signal.clone().expect("is taken on drop only")
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn checkpoints(connection: &Connection, size: &WalSize, signals: &Receiver<()>) {
    let mut is_held = false;
    while signals.recv().is_ok() {
        let mut is_complete = false;
        for _ in 0..PASSES {
            let turn = size.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let passed = pass(connection);
            drop(turn);
            match size.note(passed) {
                Some(complete) => is_complete = complete,
                None => break,
            }
            if is_complete {
                break;
            }
        }
        let bytes = size.bytes();
        if !is_complete && bytes >= HELP_BYTES {
            size.help.store(true, Ordering::Relaxed);
        }
        if (bytes >= HELD_BYTES) != is_held {
            is_held = !is_held;
            if is_held {
                let (mib, file) = (bytes >> 20, connection.path().unwrap_or_default());
                tracing::warn!(
                    mib,
                    file,
                    "the write-ahead log grows, because a long read of another program uses it"
                );
            }
        }
    }
}

/// Moves what can be moved without waiting for anybody. Returns whether that was all.
pub(super) fn pass(connection: &Connection) -> rusqlite::Result<bool> {
    let (is_busy, pages, moved) = run(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
    Ok(!is_busy && pages == moved)
}

/// Moves everything and empties the log. Waits for readers as long as the connection's timeout.
pub(super) fn truncate(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "PRAGMA wal_checkpoint(TRUNCATE)").map(drop)
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<(bool, i64, i64)> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}
