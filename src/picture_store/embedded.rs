//! The picture table in a SQLite file.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Begun, FinishedPicture, PictureStore, StoreError};
use crate::operation::{Format, Operation, OperationId, PictureFacts, ResizeRequest, Status};
use crate::sqlite::{Database, DatabaseError};

const MIGRATIONS: &[&str] = &["
    CREATE TABLE pictures (
        id            TEXT    NOT NULL PRIMARY KEY,
        status        TEXT    NOT NULL, -- queued, processing, done or failed
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
        failure       TEXT,
        attempts      INTEGER NOT NULL DEFAULT 0,
        worker        TEXT,
        engine        TEXT,
        queued_at     INTEGER NOT NULL, -- milliseconds since 1970
        started_at    INTEGER,
        finished_at   INTEGER,
        result        BLOB
    ) STRICT;
"];

/// The columns of a row's story, in the order in which [`operation`] reads them.
const STORY: &str = "id, status, request,
    source_format, source_width, source_height, source_bytes, source_digest,
    result_format, result_width, result_height, result_bytes, result_digest,
    failure, attempts, worker, engine, queued_at, started_at, finished_at";

/// A picture table in a SQLite file.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
}

impl EmbeddedStore {
    /// Opens or creates the table. The caller sees to it that no other process has it open.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            database: Database::open(path, MIGRATIONS)?,
        })
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

#[async_trait]
impl PictureStore for EmbeddedStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        let operation = operation.clone();
        self.database
            .write(move |connection| insert(connection, &operation))
            .await?;
        Ok(())
    }

    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let (asked, worker) = (operation.clone(), worker.to_owned());
        self.database
            .write(move |connection| {
                insert(connection, &asked)?;
                match find(connection, asked.id)? {
                    Some(Ok(row)) if !row.asks_the_same_as(&asked) => return Ok(Ok(Begun::Taken)),
                    Some(Ok(row)) if row.status.is_final() => return Ok(Ok(Begun::Finished)),
                    Some(Err(corrupt)) => return Ok(Err(corrupt)),
                    _ => {}
                }
                connection
                    .prepare_cached(
                        "UPDATE pictures
                         SET status = 'processing', attempts = attempts + 1, worker = ?2,
                             started_at = ?3
                         WHERE id = ?1 RETURNING attempts",
                    )?
                    .query_row(
                        params![asked.id.to_string(), worker, now.as_millisecond()],
                        |row| Ok(Ok(Begun::Attempt(row.get(0)?))),
                    )
            })
            .await?
    }

    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let facts = picture.facts;
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE pictures
                         SET status = 'done', result_format = ?2, result_width = ?3,
                             result_height = ?4, result_bytes = ?5, result_digest = ?6,
                             engine = ?7, finished_at = ?8, result = ?9
                         WHERE id = ?1 AND status NOT IN ('done', 'failed')",
                    )?
                    .execute(params![
                        id.to_string(),
                        facts.format.name(),
                        facts.width,
                        facts.height,
                        facts.bytes.cast_signed(),
                        facts.digest.to_string(),
                        picture.engine,
                        now.as_millisecond(),
                        &picture.bytes[..],
                    ])
            })
            .await?;
        Ok(())
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        self.database
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE pictures
                         SET status = 'failed', failure = ?2, engine = ?3, finished_at = ?4
                         WHERE id = ?1 AND status NOT IN ('done', 'failed')",
                    )?
                    .execute(params![
                        id.to_string(),
                        reason,
                        engine,
                        now.as_millisecond()
                    ])
            })
            .await?;
        Ok(())
    }

    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let found = self
            .database
            .read(move |connection| find(connection, id))
            .await?;
        found.transpose()
    }

    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        let bytes = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT result FROM pictures WHERE id = ?1")?
                    .query_row([id.to_string()], |row| row.get::<_, Option<Vec<u8>>>(0))
                    .optional()
            })
            .await?;
        Ok(bytes.flatten().map(Bytes::from))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}

/// Adds a queued row, unless one with this ID is there.
fn insert(connection: &Connection, operation: &Operation) -> rusqlite::Result<()> {
    let request = serde_json::to_string(&operation.request.pairs())
        .expect("pairs of text always have a JSON form");
    let source = &operation.source;
    connection
        .prepare_cached(
            "INSERT INTO pictures (id, status, request, source_format, source_width,
                 source_height, source_bytes, source_digest, queued_at)
             VALUES (?1, 'queued', ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            operation.id.to_string(),
            request,
            source.format.name(),
            source.width,
            source.height,
            source.bytes.cast_signed(),
            source.digest.to_string(),
            operation.queued_at.as_millisecond(),
        ])?;
    Ok(())
}

fn find(
    connection: &Connection,
    id: OperationId,
) -> rusqlite::Result<Option<Result<Operation, StoreError>>> {
    connection
        .prepare_cached(&format!("SELECT {STORY} FROM pictures WHERE id = ?1"))?
        .query_row([id.to_string()], |row| {
            Ok(operation(row).map_err(|reason| StoreError::Corrupt {
                id: id.to_string(),
                reason,
            }))
        })
        .optional()
}

/// Reads a row selected with [`STORY`]. The error says which column holds what can't be read.
fn operation(row: &Row<'_>) -> Result<Operation, String> {
    let request: String = column(row, "request")?;
    let pairs: Vec<(String, String)> =
        serde_json::from_str(&request).map_err(|error| format!("request: {error}"))?;
    let request = ResizeRequest::from_pairs(pairs).map_err(|errors| format!("{errors:?}"))?;
    let result_format: Option<String> = column(row, "result_format")?;
    Ok(Operation {
        id: parsed(row, "id", |text| text.parse().ok())?,
        status: parsed(row, "status", Status::from_name)?,
        request,
        source: facts(row, "source")?,
        result: result_format.map(|_| facts(row, "result")).transpose()?,
        failure: column(row, "failure")?,
        attempts: column(row, "attempts")?,
        worker: column(row, "worker")?,
        engine: column(row, "engine")?,
        queued_at: time(column(row, "queued_at")?)?,
        started_at: column::<Option<i64>>(row, "started_at")?
            .map(time)
            .transpose()?,
        finished_at: column::<Option<i64>>(row, "finished_at")?
            .map(time)
            .transpose()?,
    })
}

fn facts(row: &Row<'_>, of: &str) -> Result<PictureFacts, String> {
    Ok(PictureFacts {
        format: parsed(row, &format!("{of}_format"), Format::from_name)?,
        width: column(row, &format!("{of}_width"))?,
        height: column(row, &format!("{of}_height"))?,
        bytes: column::<i64>(row, &format!("{of}_bytes"))?.cast_unsigned(),
        digest: parsed(row, &format!("{of}_digest"), |text| text.parse().ok())?,
    })
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, name: &str) -> Result<T, String> {
    row.get(name).map_err(|error| format!("{name}: {error}"))
}

fn parsed<T>(row: &Row<'_>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let text: String = column(row, name)?;
    parse(&text).ok_or_else(|| format!("{name} is {text:?}"))
}

fn time(milliseconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| error.to_string())
}
