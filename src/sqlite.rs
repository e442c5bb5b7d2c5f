//! Access to one SQLite file: a single writer that groups commits, and concurrent readers.
//!
//! One thread runs all writes. It runs all that are queued in one transaction, each in a savepoint
//! of its own, commits once, and only then answers them. An answer means that the write has been
//! synced to the disk (`journal_mode = WAL`, `synchronous = FULL`). Under load many writes share
//! one sync.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Savepoint, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

/// The most writes that may queue for the writer. Further callers wait.
const QUEUE: usize = 256;
/// The most writes that share one commit.
const GROUP: usize = 64;
/// How long a write waits for a write of another process.
const BUSY: Duration = Duration::from_secs(60);

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Shared by all writes of a group that could not be committed.
    #[error(transparent)]
    Commit(Arc<rusqlite::Error>),
    #[error(
        "{path} was written by a newer version of picresize (schema {found}; this version knows \
         {known})"
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// The writer has stopped, or could not begin a transaction.
    #[error("the database does not accept writes")]
    Closed,
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

/// Sends the outcome of a write to its caller once the transaction was committed or failed.
type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;
type Write = Box<dyn FnOnce(&mut Savepoint<'_>) -> Answer + Send>;

/// An open database file.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Mutex<Vec<Connection>>>,
}

impl Database {
    /// Opens or creates the file and brings its schema up to date: `migrations` are run in order,
    /// each once, and their number is kept in `user_version`.
    pub(crate) fn open(path: &Path, migrations: &[&str]) -> Result<Self, DatabaseError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "page_size", 16384)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        // Pictures fill the journal fast: 64 MiB between checkpoints.
        connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        migrate(path, &mut connection, migrations)?;

        let (writes, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || write_loop(connection, queue))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            path: path.to_owned(),
            writes: Some(writes),
            writer: Some(writer),
            readers: Arc::default(),
        })
    }

    /// Runs `write` on the writer thread; returns once it was committed and synced.
    ///
    /// If `write` fails, only this write is rolled back.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Write = Box::new(move |savepoint| {
            let result = write(savepoint);
            if result.is_err() {
                // The caller gets the error of the write itself.
                let _ = savepoint.rollback();
            }
            Box::new(move |committed| {
                let outcome = match (result, committed) {
                    (Err(error), _) => Err(DatabaseError::Sqlite(error)),
                    (Ok(_), Err(error)) => Err(DatabaseError::Commit(error)),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // If the caller is gone, the write remains in effect.
                let _ = reply.send(outcome);
            })
        });
        let writes = self.writes.as_ref().ok_or(DatabaseError::Closed)?;
        writes.send(job).await.map_err(|_| DatabaseError::Closed)?;
        answer.await.map_err(|_| DatabaseError::Closed)?
    }

    /// Runs `read` on a connection that sees every committed write.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let path = self.path.clone();
        let readers = Arc::clone(&self.readers);
        let task = tokio::task::spawn_blocking(move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => {
                    let connection = Connection::open_with_flags(
                        path,
                        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                    )?;
                    connection.busy_timeout(BUSY)?;
                    connection
                }
            };
            let value = read(&connection)?;
            readers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            Ok(value)
        });
        task.await.map_err(|_| DatabaseError::Closed)?
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Queued writes are still written; the thread ends when the queue is empty.
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
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
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

fn write_loop(mut connection: Connection, mut queue: mpsc::Receiver<Write>) {
    let mut group = Vec::with_capacity(GROUP);
    while queue.blocking_recv_many(&mut group, GROUP) > 0 {
        let mut answers = Vec::with_capacity(group.len());
        let committed = commit_group(&mut connection, &mut group, &mut answers).map_err(Arc::new);
        for answer in answers {
            answer(committed.clone());
        }
        if let Err(error) = &committed {
            tracing::error!(%error, "a group of writes could not be committed");
        }
        // Dropping the unstarted writes answers their callers.
        group.clear();
    }
}

fn commit_group(
    connection: &mut Connection,
    group: &mut Vec<Write>,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for write in group.drain(..) {
        let mut savepoint = transaction.savepoint()?;
        answers.push(write(&mut savepoint));
        savepoint.commit()?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[&str] = &["CREATE TABLE numbers (n INTEGER PRIMARY KEY)"];

    fn insert(n: i64) -> impl FnOnce(&Connection) -> rusqlite::Result<usize> + Send + 'static {
        move |connection| connection.execute("INSERT INTO numbers VALUES (?1)", [n])
    }

    fn count(connection: &Connection) -> rusqlite::Result<i64> {
        connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))
    }

    #[tokio::test]
    async fn an_error_rolls_back_its_own_write_only() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("test.sqlite"), SCHEMA).unwrap();
        let (first, twice, other) = tokio::join!(
            database.write(insert(1)),
            database.write(|connection| {
                insert(2)(connection)?;
                insert(2)(connection)
            }),
            database.write(insert(3)),
        );
        assert!(first.is_ok() && other.is_ok());
        assert!(matches!(twice, Err(DatabaseError::Sqlite(_))));
        assert_eq!(database.read(count).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.sqlite");
        let newer = [SCHEMA[0], "CREATE TABLE letters (l TEXT)"];
        drop(Database::open(&path, &newer).unwrap());
        let error = Database::open(&path, SCHEMA).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        drop(Database::open(&path, &newer).unwrap());
    }
}
