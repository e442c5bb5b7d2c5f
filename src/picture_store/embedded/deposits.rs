//! Deposited pictures in SQLite.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::EmbeddedStore;
use super::operations::insert;
use crate::operation::{Operation, OperationId};
use crate::picture_store::{DepositStore, StoreError, row, sql};

#[async_trait]
impl DepositStore for EmbeddedStore {
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
        self.execute_durably(sql::WITHDRAW, (id.to_string(),))
            .await?;
        Ok(())
    }

    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture(sql::FIND_DEPOSIT, id).await
    }

    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError> {
        let found = self.database.read(move |connection| {
            connection
                .prepare_cached(sql::IS_DEPOSITED)?
                .exists([id.to_string()])
        });
        Ok(found.await?)
    }
}

/// Renews the times of a deposit that is not known to be in the log; returns how many rows matched.
fn renew(connection: &Connection, operation: &Operation) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(sql::RENEW_DEPOSIT)?
        .execute(params![
            operation.queued_at.as_millisecond(),
            operation.expires_at.map(Timestamp::as_millisecond),
            operation.id.to_string(),
            row::request_text(&operation.request),
            operation.source.digest.to_string(),
        ])
}
