//! Finds operations in MySQL by their requests and by their pictures.

use async_trait::async_trait;
use jiff::Timestamp;
use mysql_async::Value;

use super::limits::{LARGE, limit_for};
use super::store::MysqlStore;
use super::values::{column, id_value, time_value};
use crate::operation::{Digest, Fingerprint, Operation, OperationId, Tenant};
use crate::picture_store::sql::OPERATION_COLUMNS;
use crate::picture_store::{LookupStore, Page, StoreError, row, sql};

/// Like [`sql::same_request`], but only among the thousand newest operations on the picture: it may
/// have any number of them. The result of a row that is done is there, and is not read here.
/// Parameters: the source's digest twice, request, engine, the ID to exclude, tenant.
const SAME_REQUEST: &str = "SELECT id FROM pictures
    WHERE source_digest = ?
        AND queued_at >= COALESCE((SELECT queued_at FROM pictures WHERE source_digest = ?
            ORDER BY queued_at DESC LIMIT 1 OFFSET 1000), '1000-01-01')
        AND request = ? AND engine = ? AND id <> ? AND tenant = ? AND status = 'done'
    ORDER BY queued_at DESC LIMIT 1";

#[async_trait]
impl LookupStore for MysqlStore {
    async fn find_same_request(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError> {
        let answer = self
            .run(SAME_REQUEST, &|| {
                let digest = operation.source.digest.to_string();
                vec![
                    digest.clone().into(),
                    digest.into(),
                    row::request_text(&operation.request).into(),
                    engine.into(),
                    id_value(operation.id),
                    operation.tenant.name().into(),
                ]
            })
            .await?;
        answer.rows.first().map(row::id).transpose()
    }

    async fn copy_result(
        &self,
        id: OperationId,
        done: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let answer = self
            .run_within(
                limit_for(self.pool.options.max_picture_bytes),
                "UPDATE pictures AS mine JOIN pictures AS done ON done.id = ?
                 SET mine.status = 'done', mine.result_format = done.result_format,
                     mine.result_width = done.result_width,
                     mine.result_height = done.result_height,
                     mine.result_bytes = done.result_bytes,
                     mine.result_digest = done.result_digest,
                     mine.fingerprint = done.fingerprint, mine.engine = done.engine,
                     mine.result = done.result, mine.finished_at = ?
                 WHERE mine.id = ? AND mine.status IN ('queued', 'processing')
                     AND done.status = 'done' AND done.result IS NOT NULL",
                &|| vec![id_value(done), time_value(now), id_value(id)],
            )
            .await?;
        Ok(answer.matched > 0)
    }

    async fn with_digest(
        &self,
        tenant: &Tenant,
        digest: Digest,
        page: Page,
    ) -> Result<Vec<Operation>, StoreError> {
        // Each index is read only as far as the page reaches. It has the newest rows last.
        let newest = |digest| {
            format!(
                "(SELECT id AS found FROM pictures
                  WHERE {digest} = ? AND tenant = ? AND status NOT IN ('expired', 'erased')
                  ORDER BY queued_at DESC, id DESC LIMIT ?)"
            )
        };
        let sql = format!(
            "SELECT {OPERATION_COLUMNS} FROM ({} UNION {}) AS newest
                 JOIN pictures ON pictures.id = newest.found
             ORDER BY queued_at DESC, id DESC LIMIT ? OFFSET ?",
            newest("source_digest"),
            newest("result_digest")
        );
        let answer = self
            .run_within(LARGE, &sql, &|| {
                let digest = digest.to_string();
                let reach = u64::from(page.skip) + u64::from(page.take);
                vec![
                    digest.clone().into(),
                    tenant.name().into(),
                    reach.into(),
                    digest.into(),
                    tenant.name().into(),
                    reach.into(),
                    page.take.into(),
                    page.skip.into(),
                ]
            })
            .await?;
        answer.rows.iter().map(row::operation).collect()
    }

    async fn similar(
        &self,
        tenant: &Tenant,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError> {
        // The other columns are only read for the rows of the answer.
        let candidates = sql::candidates("id");
        let query = format!(
            "SELECT distance, {OPERATION_COLUMNS}
             FROM (SELECT candidates.id AS found, candidates.queued_at AS at,
                       BIT_COUNT(candidates.fingerprint ^ CAST(? AS SIGNED)) AS distance
                   FROM ({candidates}) AS candidates
                       STRAIGHT_JOIN pictures AS other ON other.id = candidates.id
                   WHERE BIT_COUNT(candidates.fingerprint ^ CAST(? AS SIGNED)) <= ?
                       AND other.source_digest <> ? AND NOT other.result_digest <=> ?
                       AND other.tenant = ?
                   ORDER BY distance, at DESC, found DESC LIMIT ? OFFSET ?) AS near
                 JOIN pictures ON pictures.id = near.found
             ORDER BY distance, queued_at DESC, id DESC"
        );
        let bits = fingerprint.0.cast_signed();
        let answer = self
            .run_within(LARGE, &query, &|| {
                let mut values: Vec<Value> = vec![bits.into()];
                values.extend(sql::probes(fingerprint).map(Value::from));
                values.extend([
                    bits.into(),
                    distance.into(),
                    except.to_string().into(),
                    except.to_string().into(),
                    tenant.name().into(),
                    page.take.into(),
                    page.skip.into(),
                ]);
                values
            })
            .await?;
        let near = answer.rows.iter().map(|row| {
            let operation = row::operation(row)?;
            let distance = column(row, "distance").map_err(|reason| StoreError::Corrupt {
                id: operation.id.to_string(),
                reason,
            })?;
            Ok((distance, operation))
        });
        near.collect()
    }
}
