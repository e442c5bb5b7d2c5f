//! The life cycle of an operation in MySQL.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use mysql_async::Value;

use super::limits::limit_for;
use super::pool::PING;
use super::statements::{BEGIN_DEPOSITED, BeginAnswer, MOST_ROWS, PLACE, Statements};
use super::store::MysqlStore;
use super::values::{id_value, time_value};
use crate::operation::{Operation, OperationId, ResizeOptions, Tenant};
use crate::picture_store::{Begun, FinishedPicture, OperationStore, StoreError, row, sql};

/// Whether an update that matches no row was already made: a call is repeated if its answer got
/// lost. Parameters: ID, time, digest.
const IS_COMPLETED: &str = "SELECT id FROM pictures
    WHERE id = ? AND status = 'done' AND finished_at = ? AND result_digest = ?";
/// The same for a failure. Parameters: ID, time, failure.
const IS_FAILED: &str = "SELECT id FROM pictures
    WHERE id = ? AND status = 'failed' AND finished_at = ? AND failure = ?";

#[async_trait]
impl OperationStore for MysqlStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        self.insert(&[operation], None).await
    }

    async fn enqueue_all(&self, operations: &[Operation]) -> Result<(), StoreError> {
        // Statements that lock rows in the same order do not wait for each other in a circle.
        let mut operations: Vec<&Operation> = operations.iter().collect();
        operations.sort_unstable_by_key(|operation| operation.id);
        for rows in operations.chunks(MOST_ROWS) {
            self.insert(rows, None).await?;
        }
        Ok(())
    }

    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        loop {
            let answer = self
                .run(self.statements.begin(), &|| {
                    let mut values = row_values(operation);
                    values.extend([worker.into(), time_value(now)]);
                    values
                })
                .await?;
            if let BeginAnswer::Begun(begun) = Statements::begun(answer.last_insert_id) {
                return Ok(begun);
            }
            let answer = self
                .run(BEGIN_DEPOSITED, &|| {
                    let mut values = vec![
                        worker.into(),
                        time_value(now),
                        position_value(operation),
                        operation.expires_at.map(time_value).into(),
                    ];
                    values.extend(request_values(operation));
                    values
                })
                .await?;
            // If none matched, the operation has ended or its row is gone since.
            if answer.matched > 0
                && let BeginAnswer::Begun(begun) = Statements::begun(answer.last_insert_id)
            {
                return Ok(begun);
            }
        }
    }

    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let is_stored = self
            .put_result(&sql::complete(), id, None, &picture, now)
            .await?;
        let digest = picture.facts.digest.to_string();
        Ok(is_stored || self.was_made(IS_COMPLETED, id, now, &digest).await?)
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
        Ok(answer.matched > 0 || self.was_made(IS_FAILED, id, now, reason).await?)
    }

    async fn unfinished(&self, tenant: &Tenant, most: u32) -> Result<u32, StoreError> {
        let answer = self
            .run(sql::UNFINISHED, &|| vec![tenant.name().into(), most.into()])
            .await?;
        let counted = answer.rows.into_iter().next();
        Ok(counted.and_then(|mut row| row.take(0)).unwrap_or_default())
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
        self.run(PING, &Vec::new).await?;
        Ok(())
    }
}

impl MysqlStore {
    /// Adds queued rows, at most [`MOST_ROWS`]. An existing row only gets its position if it has
    /// none. Only a single row can have a picture.
    pub(super) async fn insert(
        &self,
        operations: &[&Operation],
        picture: Option<&Bytes>,
    ) -> Result<(), StoreError> {
        let Some(last) = operations.last() else {
            return Ok(());
        };
        let (rows, sql) = self.statements.insert(operations.len());
        let limit = limit_for(picture.map_or(0, |picture| picture.len() as u64));
        let answer = self
            .run_within(limit, sql, &|| {
                // Adding the last row again changes nothing, and so few statements are enough for any
                // number of rows.
                let repeated = std::iter::repeat_n(last, rows - operations.len());
                operations
                    .iter()
                    .chain(repeated)
                    .flat_map(|operation| {
                        let mut values = row_values(operation);
                        values.push(picture.map(|bytes| bytes.to_vec()).into());
                        values
                    })
                    .collect()
            })
            .await?;
        if Statements::lacks_a_position(answer.last_insert_id) {
            self.place(operations).await?;
        }
        Ok(())
    }

    /// Sets the positions of rows that have none.
    async fn place(&self, operations: &[&Operation]) -> Result<(), StoreError> {
        for operation in operations {
            if operation.position.is_some() {
                self.run(PLACE, &|| {
                    let mut values = vec![position_value(operation)];
                    values.extend(request_values(operation));
                    values
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Writes a result with [`sql::complete`] or [`sql::replace`], and the request if one is given.
    /// Returns whether there was such an operation.
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
            .run_within(limit_for(picture.bytes.len() as u64), sql, &|| {
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

    /// Runs [`IS_COMPLETED`] or [`IS_FAILED`].
    async fn was_made(
        &self,
        sql: &str,
        id: OperationId,
        at: Timestamp,
        outcome: &str,
    ) -> Result<bool, StoreError> {
        let answer = self
            .run(sql, &|| vec![id_value(id), time_value(at), outcome.into()])
            .await?;
        Ok(!answer.rows.is_empty())
    }
}

/// The columns of a new row, as [`Statements`](super::statements::Statements) lists them.
fn row_values(operation: &Operation) -> Vec<Value> {
    let source = &operation.source;
    vec![
        id_value(operation.id),
        row::request_text(&operation.request).into(),
        source.format.name().into(),
        source.width.into(),
        source.height.into(),
        source.bytes.into(),
        source.digest.to_string().into(),
        position_value(operation),
        time_value(operation.queued_at),
        operation.expires_at.map(time_value).into(),
        operation.tenant.name().into(),
    ]
}

/// What tells the row of this request from that of another one with the same ID.
fn request_values(operation: &Operation) -> [Value; 3] {
    [
        id_value(operation.id),
        row::request_text(&operation.request).into(),
        operation.source.digest.to_string().into(),
    ]
}

fn position_value(operation: &Operation) -> Value {
    operation.position.map(|at| at.to_string()).into()
}
