//! Finds operations in SQLite by their requests and by their pictures.

use std::cmp::Reverse;
use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::EmbeddedStore;
use crate::operation::{Digest, Fingerprint, Operation, OperationId, Tenant};
use crate::picture_store::sql::OPERATION_COLUMNS;
use crate::picture_store::{LookupStore, Page, StoreError, row, sql};

/// Looks at the newest operations of the same picture only, so that it is always fast.
static SAME_REQUEST: LazyLock<String> = LazyLock::new(|| {
    sql::select(
        "rowid IN (
             SELECT rowid FROM pictures WHERE source_digest = ? ORDER BY queued_at DESC LIMIT 100)
         AND request = ? AND engine = ? AND +id <> ? AND tenant = ? AND +status = 'done'
         AND result IS NOT NULL
         ORDER BY queued_at DESC LIMIT 1",
    )
});
static CANDIDATES: LazyLock<String> = LazyLock::new(|| sql::candidates("rowid"));

#[async_trait]
impl LookupStore for EmbeddedStore {
    async fn find_same_request(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError> {
        let sought = (
            operation.source.digest.to_string(),
            row::request_text(&operation.request),
            engine.to_owned(),
            operation.id.to_string(),
            operation.tenant.to_string(),
        );
        let found = self.database.read_here(|connection| {
            connection
                .prepare_cached(&SAME_REQUEST)?
                .query_row(sought, |row| Ok(row::operation(row)))
                .optional()
        })?;
        Ok(found.transpose()?.map(|found| found.id))
    }

    async fn copy_result(
        &self,
        id: OperationId,
        done: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self
            .execute(
                "UPDATE pictures
                 SET status = 'done', result_format = done.result_format,
                     result_width = done.result_width, result_height = done.result_height,
                     result_bytes = done.result_bytes, result_digest = done.result_digest,
                     fingerprint = done.fingerprint, engine = done.engine, result = done.result,
                     finished_at = ?3
                 FROM pictures AS done
                 WHERE pictures.id = ?1 AND pictures.status IN ('queued', 'processing')
                     AND done.id = ?2 AND done.status = 'done' AND done.result IS NOT NULL",
                (id.to_string(), done.to_string(), now.as_millisecond()),
            )
            .await?;
        self.endings.ended(id);
        Ok(changed > 0)
    }

    async fn with_digest(
        &self,
        tenant: &Tenant,
        digest: Digest,
        page: Page,
    ) -> Result<Vec<Operation>, StoreError> {
        let tenant = tenant.to_string();
        let found: Vec<_> = self
            .database
            .read(move |connection| {
                // Each index is read only as far as the page reaches. It has the newest rows last.
                let newest = |digest| {
                    format!(
                        "SELECT * FROM (
                             SELECT rowid FROM pictures
                             WHERE {digest} = ?1 AND tenant = ?4
                                 AND status NOT IN ('expired', 'erased')
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
                    .query_map(
                        params![digest.to_string(), page.take, page.skip, tenant],
                        |row| Ok(row::operation(row)),
                    )?
                    .collect::<rusqlite::Result<_>>()
            })
            .await?;
        found.into_iter().collect()
    }

    async fn similar(
        &self,
        tenant: &Tenant,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError> {
        let (except, tenant) = (except.to_string(), tenant.to_string());
        let found = self
            .database
            .read(move |connection| {
                let snapshot = connection.unchecked_transaction()?;
                let mut select = snapshot.prepare_cached(&format!(
                    "SELECT {OPERATION_COLUMNS} FROM pictures
                     WHERE rowid = ?1 AND source_digest <> ?2 AND result_digest IS NOT ?2
                         AND tenant = ?3"
                ))?;
                nearest(&snapshot, fingerprint, distance)?
                    .into_iter()
                    .filter_map(|near| {
                        let operation = |row: &Row<'_>| {
                            Ok(row::operation(row).map(|found| (near.distance, found)))
                        };
                        let found =
                            select.query_row(params![near.rowid, except, tenant], operation);
                        found.optional().transpose()
                    })
                    .skip(page.skip as usize)
                    .take(page.take as usize)
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        found.into_iter().collect()
    }
}

/// A row whose result looks similar.
struct Near {
    distance: u32,
    queued_at: i64,
    rowid: i64,
}

/// The rows whose fingerprint differs in at most `distance` bits, in the order of the answer.
fn nearest(
    connection: &Connection,
    fingerprint: Fingerprint,
    distance: u32,
) -> rusqlite::Result<Vec<Near>> {
    let mut found: Vec<Near> = connection
        .prepare_cached(&CANDIDATES)?
        .query_map(params_from_iter(sql::probes(fingerprint)), |row| {
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
