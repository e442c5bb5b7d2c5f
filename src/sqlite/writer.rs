//! The thread that runs all writes of a file, and the queue before it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::checkpoint::{self, WalSize};
use super::error::DatabaseError;

/// The most writes that may queue for the writer. Further callers wait.
const QUEUE: usize = 1024;
/// The most writes that share one commit.
const GROUP: usize = 256;
/// Groups begin at least this far apart, so that under load each has several writes.
const PACE: Duration = Duration::from_millis(2);
/// How long a deferred write waits for company.
const DEFERRED: Duration = Duration::from_millis(25);

/// When commits are synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// Before readers see them.
    EveryCommit,
    /// When a write asks for it.
    OnRequest,
}

/// How soon a write is run, and when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// At once; when it is synced.
    Synced,
    /// With the next others, or after a while; when it is synced.
    Deferred,
    /// At once; when it is committed.
    Committed,
}

/// A write and its caller.
trait Job: Send {
    /// Runs the write; returns whether it succeeded. A later run replaces the outcome.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells the caller the outcome, or the failure of what followed the write.
    fn answer(self: Box<Self>, failure: Option<DatabaseError>);
}

struct Write<T, F> {
    write: F,
    outcome: Option<rusqlite::Result<T>>,
    reply: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        self.outcome.insert((self.write)(connection)).is_ok()
    }

    fn answer(self: Box<Self>, failure: Option<DatabaseError>) {
        let outcome = match (self.outcome, failure) {
            (Some(Err(error)), None) => Err(DatabaseError::Sqlite(error)),
            (_, Some(failure)) => Err(failure),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(DatabaseError::Closed),
        };
        // If the caller is gone, the write remains in effect.
        let _ = self.reply.send(outcome);
    }
}

struct Queued {
    job: Box<dyn Job>,
    urgency: Urgency,
    /// Why it failed, apart from the write itself.
    failure: Option<DatabaseError>,
    _room: OwnedSemaphorePermit,
}

/// The writes that wait.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    room: Arc<Semaphore>,
    /// Whether nothing is committed that is not synced.
    is_synced: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Queued>,
    /// When the next group has to begin; none while nothing waits.
    due: Option<Instant>,
    is_closed: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            room: Arc::new(Semaphore::new(QUEUE)),
            is_synced: AtomicBool::new(true),
        }
    }

    /// Queues a write. Waits while the queue is full.
    pub(super) async fn push<T, F>(
        &self,
        write: F,
        urgency: Urgency,
        reply: oneshot::Sender<Result<T, DatabaseError>>,
    ) -> Result<(), DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let queued = Queued {
            job: Box::new(Write {
                write,
                outcome: None,
                reply,
            }),
            urgency,
            failure: None,
            _room: room.map_err(|_| DatabaseError::Closed)?,
        };
        let due = match urgency {
            Urgency::Synced | Urgency::Committed => Instant::now(),
            Urgency::Deferred => Instant::now() + DEFERRED,
        };
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(DatabaseError::Closed);
        }
        waiting.jobs.push(queued);
        if waiting.due.is_none_or(|earlier| due < earlier) {
            waiting.due = Some(due);
            self.changed.notify_one();
        }
        Ok(())
    }

    pub(super) fn is_synced(&self) -> bool {
        self.is_synced.load(Ordering::Acquire)
    }

    /// Refuses further writes. Those that wait are still written.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.room.close();
        self.changed.notify_one();
    }

    /// Waits for the next group, which begins no earlier than `earliest`. `None` once the queue is
    /// closed and empty.
    fn next_group(&self, earliest: Option<Instant>) -> Option<Vec<Queued>> {
        let mut waiting = self.lock();
        loop {
            let now = Instant::now();
            let due = waiting
                .due
                .map(|due| earliest.map_or(due, |at| due.max(at)));
            match due {
                None if waiting.is_closed => return None,
                None => {
                    waiting = self
                        .changed
                        .wait(waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                Some(due) if due > now && !waiting.is_closed => {
                    let waited = self.changed.wait_timeout(waiting, due - now);
                    waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) => {
                    let count = waiting.jobs.len().min(GROUP);
                    let group = waiting.jobs.drain(..count).collect();
                    // What is left has waited long enough.
                    waiting.due = (!waiting.jobs.is_empty()).then_some(now);
                    return Some(group);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything the thread owns.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) queue: Arc<Queue>,
    pub(super) sync: SyncMode,
    /// The path of the write-ahead log.
    pub(super) wal: PathBuf,
    pub(super) size: Arc<WalSize>,
    pub(super) checkpoints: SyncSender<()>,
}

/// Closes the queue when the thread ends, even by a panic, and answers what still waits.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.lock().jobs);
        // Dropping a write answers its caller.
        drop(left);
    }
}

impl Writer {
    /// Starts the thread. It gives the connection back when the queue is closed and empty.
    pub(super) fn start(self) -> rusqlite::Result<JoinHandle<Option<Connection>>> {
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || self.run())
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }

    fn run(self) -> Option<Connection> {
        let closing = Closing(Arc::clone(&self.queue));
        let mut log = WalFile::new(self.wal.clone());
        let mut earliest = None;
        let mut is_failing = false;
        while let Some(mut group) = self.queue.next_group(earliest) {
            earliest = Some(Instant::now() + PACE);
            if self.size.wants_help() {
                self.size.note(checkpoint::pass(&self.connection));
            }
            if self.size.is_overdue() {
                let done = checkpoint::catch_up(&self.connection, &self.size);
                self.size.note(done);
            }
            // Each write has its failure.
            let _ = self.commit(&mut group);
            if self.sync == SyncMode::OnRequest {
                self.sync(&mut log, &mut group);
            }
            let failure = group.iter().find_map(|queued| queued.failure.as_ref());
            if failure.is_some() != is_failing {
                is_failing = !is_failing;
                let file = self.wal.with_extension("");
                match failure {
                    Some(error) => tracing::error!(%error, ?file, "writes fail"),
                    None => tracing::info!(?file, "writes succeed again"),
                }
            }
            for queued in group {
                queued.job.answer(queued.failure);
            }
            if self.size.is_large() {
                // If a signal waits already, this one is not needed.
                let _ = self.checkpoints.try_send(());
            }
        }
        drop(closing);
        Some(self.connection)
    }

    /// Commits all writes together, or each alone if that fails.
    ///
    /// # Errors
    ///
    /// No transaction can begin. Then no write of the group has succeeded that was not committed.
    fn commit(&self, group: &mut [Queued]) -> Result<(), Arc<rusqlite::Error>> {
        match self.transaction(group) {
            Ok(()) => Ok(()),
            Err(Failed::Begin(error)) => {
                let error = Arc::new(error);
                fail(group, &error);
                Err(error)
            }
            Err(Failed::Commit(error)) if group.len() == 1 => {
                fail(group, &Arc::new(error));
                Ok(())
            }
            Err(Failed::Write) if group.len() == 1 => Ok(()),
            Err(Failed::Commit(_) | Failed::Write) => {
                let mut rest = group;
                while let Some((first, others)) = rest.split_first_mut() {
                    if let Err(error) = self.commit(std::slice::from_mut(first)) {
                        // Their first run was rolled back.
                        fail(others, &error);
                        return Err(error);
                    }
                    rest = others;
                }
                Ok(())
            }
        }
    }

    fn transaction(&self, group: &mut [Queued]) -> Result<(), Failed> {
        let run = |sql| {
            self.connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map(drop)
        };
        run("BEGIN IMMEDIATE").map_err(Failed::Begin)?;
        let is_written = group
            .iter_mut()
            .all(|queued| queued.job.run(&self.connection));
        let committed = if is_written {
            run("COMMIT").map_err(Failed::Commit)
        } else {
            Err(Failed::Write)
        };
        // Some errors end the transaction by themselves.
        if committed.is_err() && !self.connection.is_autocommit() {
            run("ROLLBACK").map_err(Failed::Commit)?;
        }
        if committed.is_ok() && self.sync == SyncMode::OnRequest {
            self.queue.is_synced.store(false, Ordering::Release);
        }
        committed
    }

    /// Syncs the group if one of its writes asks for it.
    fn sync(&self, log: &mut WalFile, group: &mut [Queued]) {
        let asks =
            |queued: &Queued| queued.failure.is_none() && queued.urgency != Urgency::Committed;
        if self.queue.is_synced() || !group.iter().any(asks) {
            return;
        }
        match log.sync(&self.connection) {
            Ok(()) => self.queue.is_synced.store(true, Ordering::Release),
            Err(error) => {
                let error = Arc::new(error);
                for queued in group.iter_mut().filter(|queued| asks(queued)) {
                    queued.failure = Some(DatabaseError::Sync(Arc::clone(&error)));
                }
            }
        }
    }
}

fn fail(group: &mut [Queued], error: &Arc<rusqlite::Error>) {
    for queued in group {
        queued.failure = Some(DatabaseError::Commit(Arc::clone(error)));
    }
}

/// Which step of a transaction failed.
enum Failed {
    Begin(rusqlite::Error),
    /// The write keeps its error.
    Write,
    Commit(rusqlite::Error),
}

/// The write-ahead log as a file. SQLite keeps the same file for as long as it is in use, and has no
/// locks on it, so it can be opened and closed beside SQLite.
struct WalFile {
    path: PathBuf,
    file: Option<File>,
    has_failed: bool,
}

impl WalFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            has_failed: false,
        }
    }

    fn sync(&mut self, connection: &Connection) -> io::Result<()> {
        if self.has_failed {
            // After a failed sync, the system may forget which pages are not on the disk, and the
            // next sync would succeed without them. So they are written again, into the database.
            if !checkpoint::pass(connection).map_err(io::Error::other)? {
                return Err(io::Error::other("an earlier sync failed"));
            }
            self.has_failed = false;
            return Ok(());
        }
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = OpenOptions::new().write(true).open(&self.path)?;
                self.file.insert(file)
            }
        };
        let synced = file.sync_data();
        self.has_failed = synced.is_err();
        synced
    }
}
