//! The life of an operation.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use super::store::MysqlStore;
use super::values::{id_value, time_value};
use crate::operation::{Operation, OperationId, ResizeOptions};
use crate::picture_store::{Begun, FinishedPicture, OperationStore, StoreError, row, sql};

/// The answer holds the number of the attempt as the ID that was inserted last.
pub(super) const BEGIN: &str = "UPDATE pictures
    SET status = 'processing', attempts = LAST_INSERT_ID(attempts + 1), worker = ?,
        started_at = ?, position = COALESCE(position, ?), expires_at = COALESCE(expires_at, ?)
    WHERE id = ? AND status IN ('queued', 'processing')";

/// After the parameters of [`sql::insert`] come request, the source's digest and position once
/// more.
pub(super) fn insert() -> String {
    sql::insert(
        "ON DUPLICATE KEY UPDATE
             position = COALESCE(position, IF(request = ? AND source_digest = ?, ?, NULL))",
    )
}

#[async_trait]
impl OperationStore for MysqlStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        self.insert(operation, None).await
    }

    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let mut row = self.find(operation.id).await?;
        if row.is_none() {
            self.insert(operation, None).await?;
            row = self.find(operation.id).await?;
        }
        match row {
            Some(row) if !row.asks_the_same_as(operation) => return Ok(Begun::Taken),
            Some(row) if row.status.is_final() => return Ok(Begun::Finished),
            _ => {}
        }
        let answer = self
            .run(BEGIN, &|| {
                vec![
                    worker.into(),
                    time_value(now),
                    operation.position.map(|at| at.to_string()).into(),
                    operation.expires_at.map(time_value).into(),
                    id_value(operation.id),
                ]
            })
            .await?;
        let attempt = answer.last_insert_id.filter(|_| answer.matched > 0);
        Ok(match attempt {
            Some(attempt) => Begun::Attempt(u32::try_from(attempt).unwrap_or(u32::MAX)),
            // Finished by someone else since it was looked at.
            None => Begun::Finished,
        })
    }

    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.put_result(&sql::complete(), id, None, &picture, now)
            .await
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let answer = self
            .run(sql::FAIL, &|| {
                vec![reason.into(), engine.into(), time_value(now), id_value(id)]
            })
            .await?;
        Ok(answer.matched > 0)
    }

    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let answer = self
            .run(&sql::select("id = ?"), &|| vec![id_value(id)])
            .await?;
        answer.rows.first().map(row::operation).transpose()
    }

    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture(sql::FIND_RESULT, id).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run("SELECT id FROM pictures LIMIT 1", &Vec::new)
            .await?;
        Ok(())
    }
}

impl MysqlStore {
    /// Adds a queued row, unless one with this ID is there; that one may learn its position.
    pub(super) async fn insert(
        &self,
        operation: &Operation,
        picture: Option<&Bytes>,
    ) -> Result<(), StoreError> {
        let source = &operation.source;
        let position = operation.position.map(|at| at.to_string());
        self.run(&insert(), &|| {
            vec![
                id_value(operation.id),
                row::request_text(&operation.request).into(),
                source.format.name().into(),
                source.width.into(),
                source.height.into(),
                source.bytes.into(),
                source.digest.to_string().into(),
                position.clone().into(),
                time_value(operation.queued_at),
                operation.expires_at.map(time_value).into(),
                picture.map(|bytes| bytes.to_vec()).into(),
                row::request_text(&operation.request).into(),
                source.digest.to_string().into(),
                position.clone().into(),
            ]
        })
        .await?;
        Ok(())
    }

    /// Writes a result with [`sql::complete`] or [`sql::replace`], and, when there is one, the
    /// request it answers. Says whether there was such an operation.
    pub(super) async fn put_result(
        &self,
        sql: &str,
        id: OperationId,
        request: Option<&ResizeOptions>,
        picture: &FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let facts = &picture.facts;
        let answer = self
            .run(sql, &|| {
                vec![
                    request.map(row::request_text).into(),
                    facts.format.name().into(),
                    facts.width.into(),
                    facts.height.into(),
                    facts.bytes.into(),
                    facts.digest.to_string().into(),
                    picture
                        .fingerprint
                        .map(|print| print.0.cast_signed())
                        .into(),
                    picture.engine.into(),
                    time_value(now),
                    picture.bytes.to_vec().into(),
                    id_value(id),
                ]
            })
            .await?;
        Ok(answer.matched > 0)
    }
}
