//! Expiry and erasure in MySQL: removes pictures and rows.

use async_trait::async_trait;
use jiff::Timestamp;

use super::limits::LARGE;
use super::store::MysqlStore;
use super::values::{id_value, time_value};
use crate::operation::OperationId;
use crate::picture_store::sql::LOST_DEPOSIT;
use crate::picture_store::{RetentionStore, StoreError, UnreadEvents, sql};

pub(super) const FORGET: &str = "DELETE FROM pictures
    WHERE status IN ('expired', 'erased') AND expires_at < ? LIMIT ?";

#[async_trait]
impl RetentionStore for MysqlStore {
    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        let answer = self
            .run_within(
                LARGE,
                "UPDATE pictures
                 SET status = 'expired', fingerprint = NULL, result = NULL,
                     source = IF(source IS NULL, NULL, '')
                 WHERE status IN ('queued', 'processing', 'done', 'failed') AND expires_at <= ?
                 LIMIT ?",
                &|| vec![time_value(now), most.into()],
            )
            .await?;
        Ok(answer.matched)
    }

    async fn forget(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let answer = self
            .run_within(LARGE, FORGET, &|| vec![time_value(before), most.into()])
            .await?;
        Ok(answer.matched)
    }

    async fn fail_unread(
        &self,
        unread: &UnreadEvents,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        let answer = self
            .run_within(
                LARGE,
                "UPDATE pictures
                 SET status = 'failed', failure = ?, engine = ?, finished_at = ?
                 WHERE status IN ('queued', 'processing') AND position LIKE ?
                     AND CAST(SUBSTRING_INDEX(position, ':', -1) AS SIGNED) >= ?
                     AND CAST(SUBSTRING_INDEX(position, ':', -1) AS SIGNED) < ?
                 LIMIT ?",
                &|| {
                    vec![
                        reason.into(),
                        engine.into(),
                        time_value(now),
                        format!("{}:%", unread.partition).into(),
                        unread.offsets.start.into(),
                        unread.offsets.end.into(),
                        most.into(),
                    ]
                },
            )
            .await?;
        Ok(answer.matched)
    }

    async fn has_lost_deposits(&self, before: Timestamp) -> Result<bool, StoreError> {
        let sql = format!("SELECT id FROM pictures WHERE {LOST_DEPOSIT} LIMIT 1");
        let answer = self
            .run_within(LARGE, &sql, &|| vec![time_value(before)])
            .await?;
        Ok(!answer.rows.is_empty())
    }

    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let sql = format!("DELETE FROM pictures WHERE {LOST_DEPOSIT} LIMIT ?");
        let answer = self
            .run_within(LARGE, &sql, &|| vec![time_value(before), most.into()])
            .await?;
        Ok(answer.matched)
    }

    async fn erase(&self, id: OperationId, now: Timestamp) -> Result<bool, StoreError> {
        let answer = self
            .run(sql::ERASE, &|| vec![time_value(now), id_value(id)])
            .await?;
        Ok(answer.matched > 0)
    }
}
