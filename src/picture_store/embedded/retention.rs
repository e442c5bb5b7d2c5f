//! Expiry and erasure in SQLite: removes pictures and rows.

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::params;

use super::EmbeddedStore;
use crate::operation::OperationId;
use crate::picture_store::sql::LOST_DEPOSIT;
use crate::picture_store::{RetentionStore, StoreError, UnreadEvents, sql};
use crate::sqlite;

#[async_trait]
impl RetentionStore for EmbeddedStore {
    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'expired', fingerprint = NULL, result = NULL,
                     source = CASE WHEN source IS NOT NULL THEN x'' END
                 WHERE rowid IN (
                     SELECT rowid FROM pictures INDEXED BY pictures_expiry
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
                     SELECT rowid FROM pictures INDEXED BY pictures_gone
                     WHERE status IN ('expired', 'erased') AND expires_at < ?1
                     LIMIT ?2)",
                (before.as_millisecond(), most),
            )
            .await?;
        self.database.give_back_space().await?;
        Ok(changed as u64)
    }

    async fn fail_unread(
        &self,
        unread: &UnreadEvents,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'failed', failure = ?1, engine = ?2, finished_at = ?3
                 WHERE rowid IN (
                     SELECT rowid FROM pictures
                     WHERE status IN ('queued', 'processing') AND position LIKE ?4
                         AND CAST(substr(position, instr(position, ':') + 1) AS INTEGER) >= ?5
                         AND CAST(substr(position, instr(position, ':') + 1) AS INTEGER) < ?6
                     LIMIT ?7)",
                (
                    reason.to_owned(),
                    engine,
                    now.as_millisecond(),
                    format!("{}:%", unread.partition),
                    unread.offsets.start,
                    unread.offsets.end,
                    most,
                ),
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
                        "SELECT EXISTS (SELECT 1 FROM pictures INDEXED BY pictures_deposits
                         WHERE {LOST_DEPOSIT})"
                    ))?
                    .query_row([before.as_millisecond()], |row| row.get(0))
            })
            .await?;
        Ok(found)
    }

    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let removed = self
            .database
            .commit(move |connection| {
                connection
                    .prepare_cached(&format!(
                        "DELETE FROM pictures WHERE rowid IN (
                             SELECT rowid FROM pictures INDEXED BY pictures_deposits
                             WHERE {LOST_DEPOSIT} LIMIT ?)"
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
                        .prepare_cached(sql::ERASE)?
                        .execute(params![now.as_millisecond(), id.to_string()])
                })
            })
            .await?;
        self.endings.ended(id);
        Ok(changed > 0)
    }
}
