//! Access to one SQLite file: a single writer that groups commits, concurrent readers, and
//! checkpoints that writes rarely wait for.
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
//! With [`SyncMode::EveryCommit`], SQLite syncs each commit before readers can see it
//! (`synchronous = FULL`). With [`SyncMode::OnRequest`], it syncs only at checkpoints (`NORMAL`), and
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
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use self::checkpoint::{Checkpointer, WalSize};
pub(crate) use self::error::DatabaseError;
use self::file::wal_path;
pub(crate) use self::writer::SyncMode;
use self::writer::{Queue, Urgency, Writer};

mod checkpoint;
mod error;
mod file;
mod writer;

/// How long a write waits for a write of another process.
const BUSY: Duration = Duration::from_secs(10);
/// How long the last checkpoint waits for readers of other processes.
const LAST_CHECKPOINT: Duration = Duration::from_secs(1);
/// More than the different statements of a file, so that each is prepared once per connection.
const STATEMENTS: usize = 64;

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
    /// None once it is closed.
    threads: Mutex<Option<Threads>>,
    readers: Arc<Readers>,
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<Option<Connection>>,
    checkpointer: Checkpointer,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date: `migrations` are run in order,
    /// each once, and their number is kept in `user_version`. `table` is one that the first of them
    /// creates.
    pub(crate) fn open(
        path: &Path,
        table: &str,
        migrations: &[&str],
        sync: SyncMode,
    ) -> Result<Self, DatabaseError> {
        Self::open_file(path, table, migrations, sync).map_err(|error| error.of_file(path))
    }

    fn open_file(
        path: &Path,
        table: &str,
        migrations: &[&str],
        sync: SyncMode,
    ) -> Result<Self, DatabaseError> {
        file::create_private(path)?;
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        file::prepare(path, table, migrations, &mut connection)?;
        if sync == SyncMode::OnRequest {
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
            threads: Mutex::new(Some(Threads {
                writer: writer.start()?,
                checkpointer,
            })),
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
        let answer = answer.await.map_err(|_| DatabaseError::Closed)?;
        answer.map_err(|error| error.of_file(&self.path))
    }

    /// Runs `read` on a connection that sees every committed write.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || readers.run(read));
        let answer = task.await.map_err(|_| DatabaseError::Closed)?;
        answer.map_err(|error| DatabaseError::from(error).of_file(&self.path))
    }

    /// Like [`read`](Self::read), but on the calling thread: for a read of a few pages, which takes
    /// less time than handing it to another thread.
    pub(crate) fn read_here<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let answer = self.readers.run(read);
        answer.map_err(|error| DatabaseError::from(error).of_file(&self.path))
    }

    /// Gives free pages of the file back to the disk, if there are many: the file keeps some, so
    /// that it does not shrink and grow all the time. Other writes come between the steps.
    pub(crate) async fn give_back_space(&self) -> Result<(), DatabaseError> {
        let excess = self.read(file::excess_pages).await?;
        for pages in file::steps(excess) {
            self.commit(move |connection| file::vacuum(connection, pages))
                .await?;
        }
        Ok(())
    }

    /// Writes what is queued, and merges the write-ahead log into the file, so that a copy of the
    /// file alone has everything. Further writes are refused.
    pub(crate) async fn close(self: &Arc<Self>) {
        let database = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || database.end()).await;
    }

    fn end(&self) {
        self.queue.close();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(threads) = threads.take() else {
            return;
        };
        let connection = threads.writer.join().ok().flatten();
        drop(threads.checkpointer);
        self.readers.idle().clear();
        if let Some(connection) = connection {
            let _ = connection.busy_timeout(LAST_CHECKPOINT);
            if let Err(error) = checkpoint::truncate(&connection) {
                let file = self.path.display();
                tracing::warn!(%error, %file, "the write-ahead log stays beside the file");
            }
        }
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
    fn drop(&mut self) {
        self.end();
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

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[&str] = &["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"];

    fn open(folder: &tempfile::TempDir, sync: SyncMode) -> Database {
        Database::open(&folder.path().join("test.sqlite"), "numbers", SCHEMA, sync).unwrap()
    }

    fn insert(n: i64) -> impl Fn(&Connection) -> rusqlite::Result<usize> + Send + 'static {
        move |connection| connection.execute("INSERT INTO numbers VALUES (?1)", [n])
    }

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))
    }

    #[tokio::test]
    async fn an_error_rolls_back_its_own_write_only() {
        for sync in [SyncMode::EveryCommit, SyncMode::OnRequest] {
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
        drop(Database::open(&path, "numbers", &newer, SyncMode::EveryCommit).unwrap());
        let error = Database::open(&path, "numbers", SCHEMA, SyncMode::EveryCommit).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        drop(Database::open(&path, "numbers", &newer, SyncMode::EveryCommit).unwrap());
    }

    /// A full disk refuses what does not fit, and nothing else; it heals.
    #[tokio::test]
    async fn a_full_disk_loses_nothing() {
        const SCHEMA: &[&str] = &["CREATE TABLE blobs (n INTEGER PRIMARY KEY, b BLOB)"];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let database = Database::open(&path, "blobs", SCHEMA, SyncMode::EveryCommit).unwrap();
        let put = |n: i64, bytes: i64| {
            database.write(move |connection| {
                connection.execute("INSERT INTO blobs VALUES (?1, zeroblob(?2))", (n, bytes))
            })
        };
        let limit = |pages: i64| {
            database
                .write(move |connection| connection.pragma_update(None, "max_page_count", pages))
        };
        limit(20).await.unwrap();
        let (small, large, other) = tokio::join!(put(1, 10), put(2, 500_000), put(3, 10));
        assert!(small.is_ok() && other.is_ok());
        let message = large.unwrap_err().to_string();
        assert!(message.contains("full"), "{message}");
        limit(10_000).await.unwrap();
        put(2, 500_000).await.unwrap();
        let count = database.read(|connection| {
            connection.query_row("SELECT count(*) FROM blobs", [], |row| row.get::<_, i64>(0))
        });
        assert_eq!(count.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn what_is_committed_is_synced_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder, SyncMode::OnRequest);
        database.sync().await.unwrap();
        database.commit(insert(1)).await.unwrap();
        assert!(!database.queue.is_synced());
        database.sync().await.unwrap();
        assert!(database.queue.is_synced());
        database.write(insert(2)).await.unwrap();
        assert!(database.queue.is_synced());

        let database = open(&tempfile::tempdir().unwrap(), SyncMode::EveryCommit);
        database.commit(insert(1)).await.unwrap();
        assert!(database.queue.is_synced(), "each commit is");
    }

    /// Who copies `*.sqlite` after a stop has everything.
    #[tokio::test]
    async fn a_closed_file_needs_no_other_file() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let database = open(&folder, SyncMode::OnRequest);
        for n in 0..100 {
            database.commit(insert(n)).await.unwrap();
            database.read(count).await.unwrap();
        }
        drop(database);
        let copy = other.path().join("test.sqlite");
        std::fs::copy(folder.path().join("test.sqlite"), &copy).unwrap();
        let database = open(&other, SyncMode::OnRequest);
        assert_eq!(database.read(count).await.unwrap(), 100);
    }

    /// Writes go on, and the write-ahead log stays small.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_write_ahead_log_does_not_grow() {
        const SCHEMA: &[&str] = &["CREATE TABLE blobs (n INTEGER PRIMARY KEY, b BLOB)"];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let database =
            Arc::new(Database::open(&path, "blobs", SCHEMA, SyncMode::OnRequest).unwrap());
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
