//! What a row says and how look-alikes are looked for, whichever database the table is in.

use std::str::FromStr;

use jiff::Timestamp;

use super::StoreError;
use crate::operation::{Fingerprint, Format, Operation, PictureFacts, ResizeRequest, Status};

/// The columns that [`operation`] reads: all but the pictures.
pub(super) const OPERATION_COLUMNS: &str = "id, status, request,
    source_format, source_width, source_height, source_bytes, source_digest,
    result_format, result_width, result_height, result_bytes, result_digest, fingerprint,
    failure, attempts, worker, engine, position, queued_at, started_at, finished_at, expires_at";

/// The rows of deposits from before a time that are not known to be in the log.
pub(super) const LOST_DEPOSIT: &str =
    "status = 'queued' AND position IS NULL AND source IS NOT NULL AND queued_at < ?";

/// Renews the times of a deposit that is not known to be in the log. The parameters are the times,
/// the ID, the request and the digest.
pub(super) const RENEW_DEPOSIT: &str = "UPDATE pictures SET queued_at = ?, expires_at = ?
    WHERE id = ? AND request = ? AND source_digest = ?
        AND status = 'queued' AND position IS NULL AND source IS NOT NULL";

/// One row, by the names of its columns. An error says why a column can't be read.
pub(super) trait Columns {
    fn text(&self, name: &str) -> Result<Option<String>, String>;
    fn number(&self, name: &str) -> Result<Option<i64>, String>;
    fn time(&self, name: &str) -> Result<Option<Timestamp>, String>;
}

/// Reads a row selected with [`OPERATION_COLUMNS`].
pub(super) fn operation(row: &impl Columns) -> Result<Operation, StoreError> {
    read(row).map_err(|reason| StoreError::Corrupt {
        id: row.text("id").ok().flatten().unwrap_or_default(),
        reason,
    })
}

fn read(row: &impl Columns) -> Result<Operation, String> {
    Ok(Operation {
        id: present(parsed(row, "id"))?,
        status: present(named(row, "status", Status::from_name))?,
        request: request(&present(text(row, "request"))?)?,
        source: present(facts(row, "source"))?,
        result: facts(row, "result")?,
        fingerprint: number(row, "fingerprint")?.map(|bits: i64| Fingerprint(bits.cast_unsigned())),
        failure: text(row, "failure")?,
        attempts: present(number(row, "attempts"))?,
        worker: text(row, "worker")?,
        engine: text(row, "engine")?,
        position: parsed(row, "position")?,
        queued_at: present(time(row, "queued_at"))?,
        started_at: time(row, "started_at")?,
        finished_at: time(row, "finished_at")?,
        expires_at: time(row, "expires_at")?,
    })
}

/// The column `request`: JSON, `[[option, value], …]`. Equal requests have equal texts.
pub(super) fn request_text(request: &ResizeRequest) -> String {
    serde_json::to_string(&request.pairs()).expect("pairs of text always have a JSON form")
}

fn request(text: &str) -> Result<ResizeRequest, String> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(text).map_err(|error| format!("request: {error}"))?;
    ResizeRequest::from_pairs(pairs).map_err(|errors| format!("request: {errors:?}"))
}

/// The five columns of a picture; `None` when there is no picture.
fn facts(row: &impl Columns, of: &str) -> Result<Option<PictureFacts>, String> {
    let column = |what: &str| format!("{of}_{what}");
    let Some(format) = named(row, &column("format"), Format::from_name)? else {
        return Ok(None);
    };
    Ok(Some(PictureFacts {
        format,
        width: present(number(row, &column("width")))?,
        height: present(number(row, &column("height")))?,
        bytes: present(number(row, &column("bytes")))?,
        digest: present(parsed(row, &column("digest")))?,
    }))
}

fn text(row: &impl Columns, name: &str) -> Result<Option<String>, String> {
    row.text(name).map_err(|error| format!("{name}: {error}"))
}

fn time(row: &impl Columns, name: &str) -> Result<Option<Timestamp>, String> {
    row.time(name).map_err(|error| format!("{name}: {error}"))
}

fn number<T: TryFrom<i64>>(row: &impl Columns, name: &str) -> Result<Option<T>, String> {
    let Some(number) = row
        .number(name)
        .map_err(|error| format!("{name}: {error}"))?
    else {
        return Ok(None);
    };
    let fitting = T::try_from(number).map_err(|_| format!("{name} is {number}"))?;
    Ok(Some(fitting))
}

fn parsed<T: FromStr>(row: &impl Columns, name: &str) -> Result<Option<T>, String> {
    named(row, name, |text| text.parse().ok())
}

fn named<T>(
    row: &impl Columns,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(text) = text(row, name)? else {
        return Ok(None);
    };
    let value = parse(&text).ok_or_else(|| format!("{name} is {text:?}"))?;
    Ok(Some(value))
}

fn present<T>(value: Result<Option<T>, String>) -> Result<T, String> {
    value?.ok_or_else(|| "a column that every row has is NULL".to_owned())
}

/// Bits of a band; a fingerprint has four. The columns `band0` to `band3` hold them, the lowest
/// bits first.
const BAND_BITS: u32 = 16;
const BANDS: u32 = u64::BITS / BAND_BITS;

/// Selects the columns `id` (or what stands for it), `fingerprint` and `queued_at` of every row
/// of which a band differs from that of the fingerprint sought in one bit at most. The
/// parameters, `?`, are the [`probes`]. Each band has an index that holds all of these columns.
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

/// For each band, its value and each value that differs from it in one bit.
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
        // As even as seven differing bits can be spread: two, two, two and one.
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
