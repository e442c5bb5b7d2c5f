//! The life cycle of an operation in SQLite.

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::EmbeddedStore;
use crate::operation::{Operation, OperationId, Tenant};
use crate::picture_store::{Begun, Ending, FinishedPicture, OperationStore, StoreError, row, sql};

static INSERT: LazyLock<String> = LazyLock::new(|| {
    sql::insert(
        "ON CONFLICT (id) DO UPDATE SET position = excluded.position
         WHERE position IS NULL AND request = excluded.request
             AND source_digest = excluded.source_digest",
    )
});
static COMPLETE: LazyLock<String> = LazyLock::new(sql::complete);
/// A result that is read faster than handed to another thread.
static FIND_SMALL_RESULT: LazyLock<String> =
    LazyLock::new(|| format!("{} AND result_bytes <= 65536", sql::FIND_RESULT));
static FIND: LazyLock<String> = LazyLock::new(|| sql::select("id = ?"));

/// These rows are committed without a sync. After a power cut, the log delivers their requests
/// again: a worker commits an offset only after [`OperationStore::sync`].
#[async_trait]
impl OperationStore for EmbeddedStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        let operation = operation.clone();
        self.database
            .commit(move |connection| insert(connection, &operation, None))
            .await?;
        Ok(())
    }

    async fn enqueue_all(&self, operations: &[Operation]) -> Result<(), StoreError> {
        let operations = operations.to_vec();
        let inserted = self.database.commit(move |connection| {
            for operation in &operations {
                insert(connection, operation, None)?;
            }
            Ok(())
        });
        Ok(inserted.await?)
    }

    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let (asked, worker) = (operation.clone(), worker.to_owned());
        let begun = self.database.commit(move |connection| {
            // Mostly there is a row for the same request that is not final.
            if let Some(attempt) = count_attempt(connection, &asked, &worker, now, true)? {
                return Ok(Ok(Begun::Attempt(attempt)));
            }
            insert(connection, &asked, None)?;
            match find(connection, asked.id)? {
                Some(Err(corrupt)) => return Ok(Err(corrupt)),
                Some(Ok(row)) if !row.asks_the_same_as(&asked) => return Ok(Ok(Begun::Taken)),
                Some(Ok(_)) | None => {}
            }
            let attempt = count_attempt(connection, &asked, &worker, now, false)?;
            Ok(Ok(attempt.map_or(Begun::Finished, Begun::Attempt)))
        });
        begun.await?
    }

    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .database
            .commit(move |connection| put_result(connection, &COMPLETE, id, None, &picture, now))
            .await?;
        self.endings.ended(id);
        Ok(changed > 0)
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let parameters = (
            reason.to_owned(),
            engine,
            now.as_millisecond(),
            id.to_string(),
        );
        let changed = self.execute(sql::FAIL, parameters).await?;
        self.endings.ended(id);
        Ok(changed > 0)
    }

    async fn unfinished(&self, tenant: &Tenant, most: u32) -> Result<u32, StoreError> {
        Ok(self.database.read_here(|connection| {
            connection
                .prepare_cached(sql::UNFINISHED)?
                .query_row(params![tenant.name(), most], |row| row.get(0))
        })?)
    }

    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        self.database
            .read_here(|connection| find(connection, id))?
            .transpose()
    }

    fn ending(&self, id: OperationId) -> Ending {
        Box::pin(self.endings.watch(id))
    }

    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        let small = self.database.read_here(|connection| {
            connection
                .prepare_cached(&FIND_SMALL_RESULT)?
                .query_row([id.to_string()], |row| row.get::<_, Option<Vec<u8>>>(0))
                .optional()
        });
        match small?.flatten() {
            Some(bytes) => Ok(Some(bytes.into())),
            None => self.picture(sql::FIND_RESULT, id).await,
        }
    }

    async fn sync(&self) -> Result<(), StoreError> {
        Ok(self.database.sync().await?)
    }

    async fn close(&self) {
        self.database.close().await;
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .read(|connection| connection.query_row("SELECT 1", [], |_| Ok(())))
            .await?;
        Ok(())
    }
}

/// Adds a queued row. An existing row with this ID only gets its position if it has none.
pub(super) fn insert(
    connection: &Connection,
    operation: &Operation,
    picture: Option<&[u8]>,
) -> rusqlite::Result<usize> {
    let source = &operation.source;
    connection.prepare_cached(&INSERT)?.execute(params![
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
        operation.tenant.name(),
        picture,
    ])
}

/// Marks an operation that is not final as processing; returns the number of the attempt. With
/// `compare`, only if its row has the same text of the request and the same source.
fn count_attempt(
    connection: &Connection,
    asked: &Operation,
    worker: &str,
    now: Timestamp,
    compare: bool,
) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached(
            "UPDATE pictures
             SET status = 'processing', attempts = attempts + 1, worker = ?2,
                 started_at = ?3, position = COALESCE(position, ?4),
                 expires_at = COALESCE(expires_at, ?5)
             WHERE id = ?1 AND (?6 IS NULL OR request = ?6 AND source_digest = ?7)
                 AND status IN ('queued', 'processing')
             RETURNING attempts",
        )?
        .query_row(
            params![
                asked.id.to_string(),
                worker,
                now.as_millisecond(),
                asked.position.map(|position| position.to_string()),
                asked.expires_at.map(Timestamp::as_millisecond),
                compare.then(|| row::request_text(&asked.request)),
                asked.source.digest.to_string(),
            ],
            |row| row.get(0),
        )
        .optional()
}

/// Writes a result with [`sql::complete`] or [`sql::replace`], and the request if one is given.
pub(super) fn put_result(
    connection: &Connection,
    sql: &str,
    id: OperationId,
    request: Option<&str>,
    picture: &FinishedPicture,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let facts = &picture.facts;
    connection.prepare_cached(sql)?.execute(params![
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
        id.to_string(),
    ])
}

fn find(
    connection: &Connection,
    id: OperationId,
) -> rusqlite::Result<Option<Result<Operation, StoreError>>> {
    connection
        .prepare_cached(&FIND)?
        .query_row([id.to_string()], |row| Ok(row::operation(row)))
        .optional()
}
