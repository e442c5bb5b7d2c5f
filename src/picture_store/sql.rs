//! The SQL statements that are the same in every database.
//!
//! Parameters are `?`, and are passed in this order.

use crate::operation::Fingerprint;

/// The columns of an operation, without the pictures.
pub(super) const OPERATION_COLUMNS: &str = "id, status, request,
    source_format, source_width, source_height, source_bytes, source_digest,
    result_format, result_width, result_height, result_bytes, result_digest, fingerprint,
    failure, attempts, worker, engine, position, queued_at, started_at, finished_at, expires_at,
    tenant";

/// Counts the operations of a tenant that have not ended, up to a number. Parameters: tenant, number.
pub(super) const UNFINISHED: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM pictures
    WHERE status IN ('queued', 'processing') AND tenant = ? LIMIT ?) AS unfinished";

/// The rows of deposits from before a time that are not known to be in the log.
pub(super) const LOST_DEPOSIT: &str =
    "status = 'queued' AND position IS NULL AND source IS NOT NULL AND queued_at < ?";

/// Renews the times of a deposit that is not known to be in the log. The parameters are the times,
/// the ID, the request and the digest.
pub(super) const RENEW_DEPOSIT: &str = "UPDATE pictures SET queued_at = ?, expires_at = ?
    WHERE id = ? AND request = ? AND source_digest = ?
        AND status = 'queued' AND position IS NULL AND source IS NOT NULL";

pub(super) const FIND_RESULT: &str = "SELECT result FROM pictures WHERE id = ?";

pub(super) const FIND_DEPOSIT: &str =
    "SELECT source FROM pictures WHERE id = ? AND LENGTH(source) > 0";

/// Returns a row if there is or was a picture.
pub(super) const IS_DEPOSITED: &str = "SELECT id FROM pictures WHERE id = ? AND source IS NOT NULL";

/// Parameters: failure, engine, time, ID.
pub(super) const FAIL: &str = "UPDATE pictures
    SET status = 'failed', failure = ?, engine = ?, finished_at = ?
    WHERE id = ? AND status IN ('queued', 'processing')";

pub(super) const WITHDRAW: &str = "DELETE FROM pictures
    WHERE id = ? AND status IN ('queued', 'expired') AND position IS NULL";

pub(super) const REOPEN: &str = "UPDATE pictures
    SET status = 'queued', failure = NULL, attempts = 0, worker = NULL, engine = NULL,
        started_at = NULL, finished_at = NULL
    WHERE id = ? AND status = 'failed'";

/// Parameters: time, ID. The time is assigned before the status, because it depends on the old
/// status, and some databases see earlier assignments.
pub(super) const ERASE: &str = "UPDATE pictures
    SET expires_at = CASE status WHEN 'erased' THEN expires_at ELSE ? END, status = 'erased',
        fingerprint = NULL, result = NULL, source = CASE WHEN source IS NOT NULL THEN x'' END
    WHERE id = ?";

/// Adds a queued row. `on_conflict` says what to do if a row with this ID exists. Parameters: ID,
/// request, the source's format, width, height, bytes and digest, position, time queued, time of
/// expiry, tenant, picture.
pub(super) fn insert(on_conflict: &str) -> String {
    format!(
        "INSERT INTO pictures (id, status, request, source_format, source_width, source_height,
             source_bytes, source_digest, position, queued_at, expires_at, tenant, source)
         VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         {on_conflict}"
    )
}

/// Selects the operations for which `condition` holds.
pub(super) fn select(condition: &str) -> String {
    format!("SELECT {OPERATION_COLUMNS} FROM pictures WHERE {condition}")
}

/// Stores the result of an operation that is not final. Parameters as for [`replace`].
pub(super) fn complete() -> String {
    put_result("'queued', 'processing'")
}

/// Replaces the stored result. Parameters: request (or NULL to keep the stored one), the result's
/// format, width, height, bytes and digest, fingerprint, engine, time, picture, ID.
pub(super) fn replace() -> String {
    put_result("'done'")
}

fn put_result(statuses: &str) -> String {
    format!(
        "UPDATE pictures
         SET status = 'done', request = COALESCE(?, request), result_format = ?, result_width = ?,
             result_height = ?, result_bytes = ?, result_digest = ?, fingerprint = ?, engine = ?,
             finished_at = ?, result = ?
         WHERE id = ? AND status IN ({statuses})"
    )
}

/// Bits of a band; a fingerprint has four. The columns `band0` to `band3` hold them, the lowest
/// bits first.
const BAND_BITS: u32 = 16;
const BANDS: u32 = u64::BITS / BAND_BITS;

/// Selects the columns `id` (or the one that replaces it), `fingerprint` and `queued_at` of every
/// row with a band that differs from the given fingerprint's in at most one bit. The parameters are
/// the [`probes`]. Each band has an index that holds all of these columns.
pub(super) fn candidates(id: &str) -> String {
    let places = vec!["?"; BAND_BITS as usize + 1].join(", ");
    let selects: Vec<String> = (0..BANDS)
        .map(|band| {
            format!(
                "SELECT {id}, fingerprint, queued_at FROM pictures WHERE band{band} IN ({places})"
            )
        })
        .collect();
    selects.join(" UNION ")
}

/// For each band, its value and all values that differ from it in one bit.
pub(super) fn probes(fingerprint: Fingerprint) -> impl Iterator<Item = u16> {
    (0..BANDS).flat_map(move |band| {
        let value = (fingerprint.0 >> (band * BAND_BITS)) as u16;
        (0..BAND_BITS)
            .map(move |bit| value ^ (1 << bit))
            .chain([value])
    })
}

#[cfg(test)]
mod tests {
    use super::super::MOST_DISTANCE;
    use super::*;

    fn band(fingerprint: u64, band: u32) -> u16 {
        (fingerprint >> (band * BAND_BITS)) as u16
    }

    #[test]
    fn what_is_near_enough_is_among_the_candidates() {
        let sought = Fingerprint(0x0123_4567_89ab_cdef);
        let probes: Vec<u16> = probes(sought).collect();
        let per_band = probes.len() / BANDS as usize;
        assert_eq!(candidates("id").matches('?').count(), probes.len());
        // Seven differing bits, spread as evenly as possible: two, two, two and one.
        let spread = 0x0003_0003_0003_0001_u64;
        assert_eq!(spread.count_ones(), MOST_DISTANCE);
        for turn in 0..BANDS {
            let other = sought.0 ^ spread.rotate_left(turn * BAND_BITS);
            let found = (0..BANDS).any(|b| {
                let start = b as usize * per_band;
                probes[start..start + per_band].contains(&band(other, b))
            });
            assert!(found, "{other:016x}");
        }
    }
}
