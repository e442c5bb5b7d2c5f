//! The picture table in a SQLite file.

use std::cmp::Reverse;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::row::{self, Columns, LOST_DEPOSIT, OPERATION_COLUMNS, RENEW_DEPOSIT};
use super::{Begun, FinishedPicture, Page, PictureStore, StoreError};
use crate::operation::{Digest, Fingerprint, Operation, OperationId, ResizeRequest};
use crate::sqlite::{self, Database, DatabaseError};

const MIGRATIONS: &[&str] = &["
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
"];

/// A picture table in a SQLite file.
#[derive(Debug)]
pub struct EmbeddedStore {
    database: Database,
}

impl EmbeddedStore {
    /// Opens or creates the table.
    ///
    /// # Errors
    ///
    /// The file can't be opened, or a newer version wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            database: Database::open(path, MIGRATIONS)?,
        })
    }

    /// Runs one statement; returns how many rows it changed.
    async fn execute<P>(&self, sql: &'static str, parameters: P) -> Result<usize, StoreError>
    where
        P: rusqlite::Params + Send + 'static,
    {
        let changed = self
            .database
            .write(move |connection| connection.prepare_cached(sql)?.execute(parameters))
            .await?;
        Ok(changed)
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
        Self::Unavailable(Box::new(error))
    }
}

#[async_trait]
impl PictureStore for EmbeddedStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        let operation = operation.clone();
        self.database
            .write(move |connection| insert(connection, &operation, None))
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
                insert(connection, &asked, None)?;
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
                             started_at = ?3, position = COALESCE(position, ?4),
                             expires_at = COALESCE(expires_at, ?5)
                         WHERE id = ?1 RETURNING attempts",
                    )?
                    .query_row(
                        params![
                            asked.id.to_string(),
                            worker,
                            now.as_millisecond(),
                            asked.position.map(|position| position.to_string()),
                            asked.expires_at.map(Timestamp::as_millisecond),
                        ],
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
    ) -> Result<bool, StoreError> {
        let changed = self
            .database
            .write(move |connection| {
                put_result(
                    connection,
                    id,
                    "'queued', 'processing'",
                    None,
                    &picture,
                    now,
                )
            })
            .await?;
        Ok(changed > 0)
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
             SET status = 'failed', failure = ?2, engine = ?3, finished_at = ?4
             WHERE id = ?1 AND status IN ('queued', 'processing')",
                (
                    id.to_string(),
                    reason.to_owned(),
                    engine,
                    now.as_millisecond(),
                ),
            )
            .await?;
        Ok(changed > 0)
    }

    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let found = self
            .database
            .read(move |connection| find(connection, id))
            .await?;
        found.transpose()
    }

    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture("SELECT result FROM pictures WHERE id = ?1", id)
            .await
    }

    async fn deposit(&self, operation: &Operation, picture: Bytes) -> Result<(), StoreError> {
        let operation = operation.clone();
        self.database
            .write(move |connection| {
                if renew(connection, &operation)? == 0 {
                    insert(connection, &operation, Some(&picture))?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    async fn withdraw(&self, id: OperationId) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM pictures
             WHERE id = ?1 AND status IN ('queued', 'expired') AND position IS NULL",
            (id.to_string(),),
        )
        .await?;
        Ok(())
    }

    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture("SELECT nullif(source, x'') FROM pictures WHERE id = ?1", id)
            .await
    }

    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError> {
        let found = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT source IS NOT NULL FROM pictures WHERE id = ?1")?
                    .query_row([id.to_string()], |row| row.get(0))
                    .optional()
            })
            .await?;
        Ok(found.unwrap_or(false))
    }

    async fn twin(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError> {
        let sought = (
            operation.source.digest.to_string(),
            row::request_text(&operation.request),
            engine.to_owned(),
            operation.id.to_string(),
        );
        let found = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT {OPERATION_COLUMNS} FROM pictures
                         WHERE source_digest = ?1 AND request = ?2 AND engine = ?3 AND id <> ?4
                             AND status = 'done' AND result IS NOT NULL
                         ORDER BY queued_at DESC LIMIT 1"
                    ))?
                    .query_row(sought, |row| Ok(row::operation(row)))
                    .optional()
            })
            .await?;
        Ok(found.transpose()?.map(|twin| twin.id))
    }

    async fn copy_result(
        &self,
        id: OperationId,
        twin: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'done', result_format = twin.result_format,
                     result_width = twin.result_width, result_height = twin.result_height,
                     result_bytes = twin.result_bytes, result_digest = twin.result_digest,
                     fingerprint = twin.fingerprint, engine = twin.engine, result = twin.result,
                     finished_at = ?3
                 FROM pictures AS twin
                 WHERE pictures.id = ?1 AND pictures.status IN ('queued', 'processing')
                     AND twin.id = ?2 AND twin.status = 'done' AND twin.result IS NOT NULL",
                (id.to_string(), twin.to_string(), now.as_millisecond()),
            )
            .await?;
        Ok(changed > 0)
    }

    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeRequest,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let request = row::request_text(request);
        let changed = self
            .database
            .write(move |connection| {
                put_result(connection, id, "'done'", Some(&request), &picture, now)
            })
            .await?;
        Ok(changed > 0)
    }

    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'queued', failure = NULL, attempts = 0, worker = NULL, engine = NULL,
                     started_at = NULL, finished_at = NULL
                 WHERE id = ?1 AND status = 'failed'",
                (id.to_string(),),
            )
            .await?;
        Ok(changed > 0)
    }

    async fn with_digest(&self, digest: Digest, page: Page) -> Result<Vec<Operation>, StoreError> {
        let found: Vec<_> = self
            .database
            .read(move |connection| {
                // As far as the page reaches, from each index, which has the newest last.
                let newest = |digest| {
                    format!(
                        "SELECT * FROM (
                             SELECT rowid FROM pictures
                             WHERE {digest} = ?1 AND status NOT IN ('expired', 'erased')
                             ORDER BY queued_at DESC, id DESC LIMIT ?2 + ?3)"
                    )
                };
                connection
                    .prepare_cached(&format!(
                        "SELECT {OPERATION_COLUMNS} FROM pictures WHERE rowid IN ({} UNION {})
                         ORDER BY queued_at DESC, id DESC LIMIT ?2 OFFSET ?3",
                        newest("source_digest"),
                        newest("result_digest")
                    ))?
                    .query_map(params![digest.to_string(), page.take, page.skip], |row| {
                        Ok(row::operation(row))
                    })?
                    .collect::<rusqlite::Result<_>>()
            })
            .await?;
        found.into_iter().collect()
    }

    async fn similar(
        &self,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError> {
        let except = except.to_string();
        let found = self
            .database
            .read(move |connection| {
                let snapshot = connection.unchecked_transaction()?;
                let mut select = snapshot.prepare_cached(&format!(
                    "SELECT {OPERATION_COLUMNS} FROM pictures
                     WHERE rowid = ?1 AND source_digest <> ?2 AND result_digest IS NOT ?2"
                ))?;
                nearest(&snapshot, fingerprint, distance)?
                    .into_iter()
                    .filter_map(|near| {
                        let story = |row: &Row<'_>| {
                            Ok(row::operation(row).map(|operation| (near.distance, operation)))
                        };
                        let found = select.query_row(params![near.rowid, except], story);
                        found.optional().transpose()
                    })
                    .skip(page.skip as usize)
                    .take(page.take as usize)
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        found.into_iter().collect()
    }

    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'expired', fingerprint = NULL, result = NULL,
                     source = CASE WHEN source IS NOT NULL THEN x'' END
                 WHERE rowid IN (
                     SELECT rowid FROM pictures
                     WHERE status IN ('queued', 'processing', 'done', 'failed')
                         AND expires_at <= ?1
                     LIMIT ?2)",
                (now.as_millisecond(), most),
            )
            .await?;
        Ok(changed as u64)
    }

    async fn forget(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let changed = self
            .execute(
                "DELETE FROM pictures
                 WHERE rowid IN (
                     SELECT rowid FROM pictures
                     WHERE status IN ('expired', 'erased') AND expires_at < ?1
                     LIMIT ?2)",
                (before.as_millisecond(), most),
            )
            .await?;
        Ok(changed as u64)
    }

    async fn has_lost_deposits(&self, before: Timestamp) -> Result<bool, StoreError> {
        let found = self
            .database
            .read(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "SELECT EXISTS (SELECT 1 FROM pictures WHERE {LOST_DEPOSIT})"
                    ))?
                    .query_row([before.as_millisecond()], |row| row.get(0))
            })
            .await?;
        Ok(found)
    }

    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let removed = self
            .database
            .write(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "DELETE FROM pictures WHERE rowid IN (
                             SELECT rowid FROM pictures WHERE {LOST_DEPOSIT} LIMIT ?)"
                    ))?
                    .execute((before.as_millisecond(), most))
            })
            .await?;
        Ok(removed as u64)
    }

    async fn erase(&self, id: OperationId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self
            .database
            .write(move |connection| {
                sqlite::overwriting(connection, |connection| {
                    connection
                        .prepare_cached(
                            "UPDATE pictures
                             SET expires_at = CASE status WHEN 'erased' THEN expires_at ELSE ?2 END,
                                 status = 'erased', fingerprint = NULL, result = NULL,
                                 source = CASE WHEN source IS NOT NULL THEN x'' END
                             WHERE id = ?1",
                        )?
                        .execute(params![id.to_string(), now.as_millisecond()])
                })
            })
            .await?;
        Ok(changed > 0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}

/// Adds a queued row, unless one with this ID is there; that one may learn its position.
fn insert(
    connection: &Connection,
    operation: &Operation,
    picture: Option<&[u8]>,
) -> rusqlite::Result<usize> {
    let source = &operation.source;
    connection
        .prepare_cached(
            "INSERT INTO pictures (id, status, request, source_format, source_width,
                 source_height, source_bytes, source_digest, position, queued_at, expires_at,
                 source)
             VALUES (?1, 'queued', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET position = excluded.position
             WHERE position IS NULL AND request = excluded.request
                 AND source_digest = excluded.source_digest",
        )?
        .execute(params![
            operation.id.to_string(),
            row::request_text(&operation.request),
            source.format.name(),
            source.width,
            source.height,
            source.bytes.cast_signed(),
            source.digest.to_string(),
            operation.position.map(|position| position.to_string()),
            operation.queued_at.as_millisecond(),
            operation.expires_at.map(Timestamp::as_millisecond),
            picture,
        ])
}

/// Renews the times of a deposit that is not known to be in the log; returns how many there are.
fn renew(connection: &Connection, operation: &Operation) -> rusqlite::Result<usize> {
    connection.prepare_cached(RENEW_DEPOSIT)?.execute(params![
        operation.queued_at.as_millisecond(),
        operation.expires_at.map(Timestamp::as_millisecond),
        operation.id.to_string(),
        row::request_text(&operation.request),
        operation.source.digest.to_string(),
    ])
}

/// Writes the result of an operation whose status is one of `statuses`, and, when there is one,
/// the request it answers.
fn put_result(
    connection: &Connection,
    id: OperationId,
    statuses: &str,
    request: Option<&str>,
    picture: &FinishedPicture,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let facts = &picture.facts;
    connection
        .prepare_cached(&format!(
            "UPDATE pictures
             SET status = 'done', request = COALESCE(?2, request), result_format = ?3,
                 result_width = ?4, result_height = ?5, result_bytes = ?6, result_digest = ?7,
                 fingerprint = ?8, engine = ?9, finished_at = ?10, result = ?11
             WHERE id = ?1 AND status IN ({statuses})"
        ))?
        .execute(params![
            id.to_string(),
            request,
            facts.format.name(),
            facts.width,
            facts.height,
            facts.bytes.cast_signed(),
            facts.digest.to_string(),
            picture.fingerprint.map(|print| print.0.cast_signed()),
            picture.engine,
            now.as_millisecond(),
            &picture.bytes[..],
        ])
}

fn find(
    connection: &Connection,
    id: OperationId,
) -> rusqlite::Result<Option<Result<Operation, StoreError>>> {
    connection
        .prepare_cached(&format!(
            "SELECT {OPERATION_COLUMNS} FROM pictures WHERE id = ?1"
        ))?
        .query_row([id.to_string()], |row| Ok(row::operation(row)))
        .optional()
}

/// A row that looks alike.
struct Near {
    distance: u32,
    queued_at: i64,
    rowid: i64,
}

/// The rows whose fingerprint differs in `distance` bits at most, in the order of the answer.
fn nearest(
    connection: &Connection,
    fingerprint: Fingerprint,
    distance: u32,
) -> rusqlite::Result<Vec<Near>> {
    let mut found: Vec<Near> = connection
        .prepare_cached(&row::candidates("rowid"))?
        .query_map(params_from_iter(row::probes(fingerprint)), |row| {
            let other = Fingerprint(row.get::<_, i64>(1)?.cast_unsigned());
            Ok(Near {
                distance: fingerprint.distance(other),
                queued_at: row.get(2)?,
                rowid: row.get(0)?,
            })
        })?
        .filter(|near| near.as_ref().map_or(true, |near| near.distance <= distance))
        .collect::<rusqlite::Result<_>>()?;
    found
        .sort_unstable_by_key(|near| (near.distance, Reverse(near.queued_at), Reverse(near.rowid)));
    Ok(found)
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
