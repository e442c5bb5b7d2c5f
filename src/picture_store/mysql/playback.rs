//! What a person's playback changes.

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::MysqlStore;
use super::values::id_value;
use crate::operation::{OperationId, ResizeOptions};
use crate::picture_store::{FinishedPicture, PlaybackStore, StoreError, sql};

#[async_trait]
impl PlaybackStore for MysqlStore {
    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeOptions,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.put_result(&sql::replace(), id, Some(request), &picture, now)
            .await
    }

    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError> {
        let answer = self.run(sql::REOPEN, &|| vec![id_value(id)]).await?;
        Ok(answer.matched > 0)
    }
}
