//! The picture table in a SQLite file.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::StoreError;
use super::endings::Endings;
use super::row::Columns;
use crate::operation::OperationId;
use crate::sqlite::{Database, DatabaseError, SyncMode};

mod deposits;
mod lookup;
mod operations;
mod playback;
mod retention;

const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE pictures (
        id            TEXT    NOT NULL PRIMARY KEY,
        status        TEXT    NOT NULL, -- queued, processing, done, failed, expired or erased
        request       TEXT    NOT NULL, -- JSON: [[option, value], …]
        source_format TEXT    NOT NULL,
        source_width  INTEGER NOT NULL,
        source_height INTEGER NOT NULL,
        source_bytes  INTEGER NOT NULL,
        source_digest TEXT    NOT NULL, -- SHA-256 in hexadecimal
        result_format TEXT,
        result_width  INTEGER,
        result_height INTEGER,
        result_bytes  INTEGER,
        result_digest TEXT,
        fingerprint   INTEGER,          -- the result's perceptual hash: 64 bits, and four times 16
        band0         INTEGER GENERATED ALWAYS AS (fingerprint       & 65535) VIRTUAL,
        band1         INTEGER GENERATED ALWAYS AS (fingerprint >> 16 & 65535) VIRTUAL,
        band2         INTEGER GENERATED ALWAYS AS (fingerprint >> 32 & 65535) VIRTUAL,
        band3         INTEGER GENERATED ALWAYS AS (fingerprint >> 48 & 65535) VIRTUAL,
        failure       TEXT,
        attempts      INTEGER NOT NULL DEFAULT 0,
        worker        TEXT,
        engine        TEXT,
        position      TEXT,             -- of the request in the log: partition:offset
        queued_at     INTEGER NOT NULL, -- milliseconds since 1970
        started_at    INTEGER,
        finished_at   INTEGER,
        expires_at    INTEGER,
        source        BLOB,             -- the picture, when the event only refers to it; empty once removed
        result        BLOB
    ) STRICT;
    CREATE INDEX pictures_source ON pictures (source_digest, queued_at);
    CREATE INDEX pictures_result ON pictures (result_digest, queued_at);
    CREATE INDEX pictures_expiry ON pictures (status, expires_at);
    CREATE INDEX pictures_band0 ON pictures (band0, fingerprint, queued_at);
    CREATE INDEX pictures_band1 ON pictures (band1, fingerprint, queued_at);
    CREATE INDEX pictures_band2 ON pictures (band2, fingerprint, queued_at);
    CREATE INDEX pictures_band3 ON pictures (band3, fingerprint, queued_at);
",
    // Each index has only rows that its look-ups can find, so that adding a row and finishing it
    // change few of them. A new row is in no index of results.
    "
    DROP INDEX pictures_result;
    DROP INDEX pictures_expiry;
    DROP INDEX pictures_band0;
    DROP INDEX pictures_band1;
    DROP INDEX pictures_band2;
    DROP INDEX pictures_band3;
    CREATE INDEX pictures_result ON pictures (result_digest, queued_at) WHERE result_digest IS NOT NULL;
    CREATE INDEX pictures_expiry ON pictures (expires_at)
        WHERE status IN ('queued', 'processing', 'done', 'failed');
    CREATE INDEX pictures_gone ON pictures (expires_at) WHERE status IN ('expired', 'erased');
    CREATE INDEX pictures_deposits ON pictures (queued_at)
        WHERE status = 'queued' AND position IS NULL AND source IS NOT NULL;
    CREATE INDEX pictures_band0 ON pictures (band0, fingerprint, queued_at) WHERE band0 IS NOT NULL;
    CREATE INDEX pictures_band1 ON pictures (band1, fingerprint, queued_at) WHERE band1 IS NOT NULL;
    CREATE INDEX pictures_band2 ON pictures (band2, fingerprint, queued_at) WHERE band2 IS NOT NULL;
    CREATE INDEX pictures_band3 ON pictures (band3, fingerprint, queued_at) WHERE band3 IS NOT NULL;
",
    // Operations from before this belong to the default tenant.
    "
    ALTER TABLE pictures ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
    CREATE INDEX pictures_unfinished ON pictures (tenant) WHERE status IN ('queued', 'processing');
",
];

/// A picture table in a SQLite file.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Arc<Database>,
    endings: Endings,
}

impl EmbeddedStore {
    /// Opens or creates the table.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            database: Arc::new(Database::open(
                path,
                "pictures",
                MIGRATIONS,
                SyncMode::OnRequest,
            )?),
            endings: Endings::default(),
        })
    }

    /// Whether the table has no rows.
    ///
    /// # Errors
    ///
    /// The table can't be read.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let found = self.database.read(|connection| {
            connection.query_row("SELECT EXISTS (SELECT 1 FROM pictures)", [], |row| {
                row.get(0)
            })
        });
        Ok(!found.await?)
    }

    /// Runs one statement; returns how many rows it changed. A power cut may undo it until
    /// [`sync`](super::OperationStore::sync): it is for changes that are then made again.
    async fn execute<P>(&self, sql: &'static str, parameters: P) -> Result<usize, StoreError>
    where
        P: rusqlite::Params + Clone + Send + 'static,
    {
        let changed = self
            .database
            .commit(move |connection| connection.prepare_cached(sql)?.execute(parameters.clone()));
        Ok(changed.await?)
    }

    /// Runs one statement durably; returns how many rows it changed.
    async fn execute_durably<P>(
        &self,
        sql: &'static str,
        parameters: P,
    ) -> Result<usize, StoreError>
    where
        P: rusqlite::Params + Clone + Send + 'static,
    {
        let changed = self
            .database
            .write(move |connection| connection.prepare_cached(sql)?.execute(parameters.clone()));
        Ok(changed.await?)
    }

    /// The picture in one column of an operation's row.
    async fn picture(
        &self,
        sql: &'static str,
        id: OperationId,
    ) -> Result<Option<Bytes>, StoreError> {
        let bytes = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached(sql)?
                    .query_row([id.to_string()], |row| row.get::<_, Option<Vec<u8>>>(0))
                    .optional()
            })
            .await?;
        Ok(bytes.flatten().map(Bytes::from))
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Newer { .. } => Self::Misconfigured(error.to_string()),
            DatabaseError::Damaged { .. } => Self::Misconfigured(format!(
                "{error}: move the file away, and make it again from the log with `picresize \
                 replay rebuild`, or restore it from a backup"
            )),
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

impl Columns for Row<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.get(name).map_err(|error| error.to_string())
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        self.get(name).map_err(|error| error.to_string())
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let time = self.number(name)?.map(Timestamp::from_millisecond);
        time.transpose().map_err(|error| error.to_string())
    }
}
