//! Deposited pictures in MySQL.

use async_trait::async_trait;
use bytes::Bytes;

use super::store::MysqlStore;
use super::values::{id_value, time_value};
use crate::operation::{Operation, OperationId};
use crate::picture_store::{DepositStore, StoreError, row, sql};

#[async_trait]
impl DepositStore for MysqlStore {
    async fn deposit(&self, operation: &Operation, picture: Bytes) -> Result<(), StoreError> {
        // The order matters: a row that the sweep discards in between is added again.
        let renewed = self
            .run(sql::RENEW_DEPOSIT, &|| {
                vec![
                    time_value(operation.queued_at),
                    operation.expires_at.map(time_value).into(),
                    id_value(operation.id),
                    row::request_text(&operation.request).into(),
                    operation.source.digest.to_string().into(),
                ]
            })
            .await?;
        if renewed.matched > 0 {
            return Ok(());
        }
        self.insert(&[operation], Some(&picture)).await
    }

    async fn withdraw(&self, id: OperationId) -> Result<(), StoreError> {
        self.run(sql::WITHDRAW, &|| vec![id_value(id)]).await?;
        Ok(())
    }

    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture(sql::FIND_DEPOSIT, id).await
    }

    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError> {
        let answer = self.run(sql::IS_DEPOSITED, &|| vec![id_value(id)]).await?;
        Ok(!answer.rows.is_empty())
    }
}
