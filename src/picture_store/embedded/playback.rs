//! Changes by replays to final operations, in SQLite.

use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;

use super::EmbeddedStore;
use super::operations::put_result;
use crate::operation::{OperationId, ResizeOptions};
use crate::picture_store::{FinishedPicture, PlaybackStore, StoreError, row, sql};

static REPLACE: LazyLock<String> = LazyLock::new(sql::replace);

#[async_trait]
impl PlaybackStore for EmbeddedStore {
    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeOptions,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let request = row::request_text(request);
        let changed = self
            .database
            .write(move |connection| {
                put_result(connection, &REPLACE, id, Some(&request), &picture, now)
            })
            .await?;
        Ok(changed > 0)
    }

    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError> {
        Ok(self.execute_durably(sql::REOPEN, (id.to_string(),)).await? > 0)
    }
}
