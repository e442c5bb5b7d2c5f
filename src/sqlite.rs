//! Access to one SQLite file: a single writer that groups commits, concurrent readers, and
//! checkpoints that no write waits for.
//!
//! **Writes.** One thread runs all writes. It runs all that are queued in one transaction and
//! answers them together, so that under load many writes share one commit. There are three kinds:
//!
//! - [`write`](Database::write) returns once the write has been synced to the disk.
//! - [`write_later`](Database::write_later) does too, but waits a moment for company first.
//! - [`commit`](Database::commit) returns once the write was committed: every reader sees it, and
//!   it survives a kill of the process. A power cut may undo it until
//!   [`sync`](Database::sync) has returned. It is for writes that are done again in that case.
//!
//! The file uses WAL: a commit appends pages to the write-ahead log, and a prefix of that log
//! survives a power cut. So a sync of the log makes durable all that was committed before it.
//! With [`Sync::EveryCommit`], SQLite syncs each commit before readers can see it
//! (`synchronous = FULL`). With [`Sync::OnRequest`], it syncs only at checkpoints (`NORMAL`), and
//! the writer syncs the log itself after a group with a write that asks for it.
//!
//! **Failures.** If a write of a group fails, the group is rolled back and each of its writes is
//! run alone. So a group needs no savepoints, and a write must be able to run twice.
//!
//! **Checkpoints.** A thread of its own moves pages from the write-ahead log into the file. See
//! [`checkpoint`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

use self::checkpoint::{Checkpointer, WalSize};
use self::writer::{Queue, Urgency, Writer};

mod checkpoint;
mod writer;

/// How long a write waits for a write of another process.
const BUSY: Duration = Duration::from_secs(10);
/// How long the last checkpoint waits for readers of other processes.
const LAST_CHECKPOINT: Duration = Duration::from_secs(1);
/// More than the different statements of a file, so that each is prepared once per connection.
const STATEMENTS: usize = 64;
/// The size of a page of a new file.
const PAGE_BYTES: u32 = 4096;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Shared by all writes of a group that could not be committed.
    #[error(transparent)]
    Commit(Arc<rusqlite::Error>),
    /// The write is in effect, but a power cut may undo it.
    #[error("the write-ahead log could not be synced: {0}")]
    Sync(Arc<std::io::Error>),
    #[error(
        "{path} was written by a newer version of picresize (schema {found}; this version knows \
         {known})"
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// The writer has stopped.
    #[error("the database does not accept writes")]
    Closed,
}

/// When commits are synced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before readers see them.
    EveryCommit,
    /// When a write asks for it.
    OnRequest,
}

/// Runs a write that overwrites the data it removes. Without this, removed data stays in the file
/// until other data replaces it.
pub(crate) fn overwriting<T>(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.pragma_update(None, "secure_delete", true)?;
    let written = write(connection);
    connection.pragma_update(None, "secure_delete", false)?;
    written
}

/// An open database file.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<Option<Connection>>>,
    checkpointer: Option<Checkpointer>,
    readers: Arc<Readers>,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date: `migrations` are run in order,
    /// each once, and their number is kept in `user_version`.
    pub(crate) fn open(
        path: &Path,
        migrations: &[&str],
        sync: Sync,
    ) -> Result<Self, DatabaseError> {
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        migrate(path, &mut connection, migrations)?;
        if sync == Sync::OnRequest {
            connection.pragma_update(None, "synchronous", "normal")?;
        }

        let size = WalSize::follow(&mut connection)?;
        let background = Connection::open(path)?;
        configure(&background)?;
        let checkpointer = Checkpointer::start(background, Arc::clone(&size))?;
        let queue = Arc::new(Queue::new());
        let writer = Writer {
            connection,
            queue: Arc::clone(&queue),
            sync,
            wal: wal_path(path),
            size,
            checkpoints: checkpointer.signal(),
        };
        Ok(Self {
            path: path.to_owned(),
            queue,
            writer: Some(writer.start()?),
            checkpointer: Some(checkpointer),
            readers: Arc::new(Readers {
                path: path.to_owned(),
                idle: Mutex::default(),
            }),
        })
    }

    /// Runs `write` on the writer thread; returns once it was committed and synced.
    ///
    /// If `write` fails, only this write is rolled back. It may be run twice.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(write, Urgency::Synced).await
    }

    /// Like [`write`](Self::write), but may wait some milliseconds for other writes to share their
    /// commit.
    pub(crate) async fn write_later<T, F>(&self, write: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(write, Urgency::Deferred).await
    }

    /// Like [`write`](Self::write), but returns once the write was committed. A power cut may undo
    /// it until a later [`sync`](Self::sync) or [`write`](Self::write) has returned.
    pub(crate) async fn commit<T, F>(&self, write: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.run(write, Urgency::Committed).await
    }

    /// Returns once all writes that have returned are synced.
    pub(crate) async fn sync(&self) -> Result<(), DatabaseError> {
        if self.queue.is_synced() {
            return Ok(());
        }
        self.run(|_| Ok(()), Urgency::Synced).await
    }

    async fn run<T, F>(&self, write: F, urgency: Urgency) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.push(write, urgency, reply).await?;
        answer.await.map_err(|_| DatabaseError::Closed)?
    }

    /// Runs `read` on a connection that sees every committed write.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || readers.run(read));
        Ok(task.await.map_err(|_| DatabaseError::Closed)??)
    }

    /// Like [`read`](Self::read), but on the calling thread: for a read of a few pages, which takes
    /// less time than handing it to another thread.
    pub(crate) fn read_here<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        Ok(self.readers.run(read)?)
    }
}

/// The connections that read.
#[derive(Debug)]
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    fn run<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.path)?,
        };
        let value = read(&connection)?;
        self.idle().push(connection);
        Ok(value)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Database {
    /// Writes what is queued, and merges the write-ahead log into the file, so that a copy of the
    /// file alone has everything.
    fn drop(&mut self) {
        self.queue.close();
        let connection = self.writer.take().and_then(|writer| writer.join().ok());
        self.checkpointer = None;
        self.readers.idle().clear();
        if let Some(connection) = connection.flatten() {
            let _ = connection.busy_timeout(LAST_CHECKPOINT);
            if let Err(error) = checkpoint::truncate(&connection) {
                let file = self.path.display();
                tracing::warn!(%error, %file, "the write-ahead log stays beside the file");
            }
        }
    }
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Sets what every connection needs.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A statement keeps its plan, whatever its parameters are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Nothing is written outside of the data folder, which may be the only one that can be written.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // A write-ahead log that grew beyond this is shortened when it starts anew.
    connection.pragma_update(None, "journal_size_limit", checkpoint::KEPT_BYTES)
}

fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

fn migrate(
    path: &Path,
    connection: &mut Connection,
    migrations: &[&str],
) -> Result<(), DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).expect("a handful of migrations");
    if found > known {
        return Err(DatabaseError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for migration in &migrations[found as usize..] {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[&str] = &["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"];

    fn open(folder: &tempfile::TempDir, sync: Sync) -> Database {
        Database::open(&folder.path().join("test.sqlite"), SCHEMA, sync).unwrap()
    }

    fn insert(n: i64) -> impl Fn(&Connection) -> rusqlite::Result<usize> + Send + 'static {
        move |connection| connection.execute("INSERT INTO numbers VALUES (?1)", [n])
    }

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))
    }

    #[tokio::test]
    async fn an_error_rolls_back_its_own_write_only() {
        for sync in [Sync::EveryCommit, Sync::OnRequest] {
            let folder = tempfile::tempdir().unwrap();
            let database = open(&folder, sync);
            let (first, twice, other, later) = tokio::join!(
                database.write(insert(1)),
                database.write(|connection| {
                    insert(2)(connection)?;
                    insert(2)(connection)
                }),
                database.commit(insert(3)),
                database.write_later(insert(4)),
            );
            assert!(first.is_ok() && other.is_ok() && later.is_ok());
            assert!(matches!(twice, Err(DatabaseError::Sqlite(_))));
            assert_eq!(database.read(count).await.unwrap(), 3);
        }
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let newer = [SCHEMA[0], "CREATE TABLE letters (l TEXT)"];
        drop(Database::open(&path, &newer, Sync::EveryCommit).unwrap());
        let error = Database::open(&path, SCHEMA, Sync::EveryCommit).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        drop(Database::open(&path, &newer, Sync::EveryCommit).unwrap());
    }

    #[tokio::test]
    async fn what_is_committed_is_synced_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder, Sync::OnRequest);
        database.sync().await.unwrap();
        database.commit(insert(1)).await.unwrap();
        assert!(!database.queue.is_synced());
        database.sync().await.unwrap();
        assert!(database.queue.is_synced());
        database.write(insert(2)).await.unwrap();
        assert!(database.queue.is_synced());

        let database = open(&tempfile::tempdir().unwrap(), Sync::EveryCommit);
        database.commit(insert(1)).await.unwrap();
        assert!(database.queue.is_synced(), "each commit is");
    }

    /// Who copies `*.sqlite` after a stop has everything.
    #[tokio::test]
    async fn a_closed_file_needs_no_other_file() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let database = open(&folder, Sync::OnRequest);
        for n in 0..100 {
            database.commit(insert(n)).await.unwrap();
            database.read(count).await.unwrap();
        }
        drop(database);
        let copy = other.path().join("test.sqlite");
        std::fs::copy(folder.path().join("test.sqlite"), &copy).unwrap();
        let database = open(&other, Sync::OnRequest);
        assert_eq!(database.read(count).await.unwrap(), 100);
    }

    /// Writes go on, and the write-ahead log stays small.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_write_ahead_log_does_not_grow() {
        const SCHEMA: &[&str] = &["CREATE TABLE blobs (n INTEGER PRIMARY KEY, b BLOB)"];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let database = Arc::new(Database::open(&path, SCHEMA, Sync::OnRequest).unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let database = Arc::clone(&database);
            writers.spawn(async move {
                for n in 0..150 {
                    let row = (writer * 1000 + n, vec![7_u8; 200_000]);
                    let written = database.commit(move |connection| {
                        connection.execute("INSERT INTO blobs VALUES (?1, ?2)", (row.0, &row.1))
                    });
                    written.await.unwrap();
                }
            });
        }
        writers.join_all().await;
        let largest = checkpoint::KEPT_BYTES + (64 << 20);
        let wal = std::fs::metadata(wal_path(&path)).unwrap().len();
        assert!(wal < largest.unsigned_abs(), "{wal} of 120 MB");
    }
}
