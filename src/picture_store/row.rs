//! Reads a row of the table, independent of the database.

use std::str::FromStr;

use jiff::Timestamp;

use super::StoreError;
use crate::operation::{
    Fingerprint, Format, Operation, OperationId, PictureFacts, ResizeOptions, Status,
};

/// One row, read by the names of its columns. An error says why a column can't be read.
pub(super) trait Columns {
    fn text(&self, name: &str) -> Result<Option<String>, String>;
    fn number(&self, name: &str) -> Result<Option<i64>, String>;
    fn time(&self, name: &str) -> Result<Option<Timestamp>, String>;
}

/// Reads a row that was selected with [`OPERATION_COLUMNS`](super::sql::OPERATION_COLUMNS).
pub(super) fn operation(row: &impl Columns) -> Result<Operation, StoreError> {
    read(row).map_err(|reason| StoreError::Corrupt {
        id: row.text("id").ok().flatten().unwrap_or_default(),
        reason,
    })
}

/// Reads the ID of a row that was selected with its ID.
pub(super) fn id(row: &impl Columns) -> Result<OperationId, StoreError> {
    present(parsed(row, "id")).map_err(|reason| StoreError::Corrupt {
        id: row.text("id").ok().flatten().unwrap_or_default(),
        reason,
    })
}

fn read(row: &impl Columns) -> Result<Operation, String> {
    Ok(Operation {
        id: present(parsed(row, "id"))?,
        tenant: present(parsed(row, "tenant"))?,
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
pub(super) fn request_text(request: &ResizeOptions) -> String {
    serde_json::to_string(&request.pairs()).expect("pairs of text always have a JSON form")
}

fn request(text: &str) -> Result<ResizeOptions, String> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(text).map_err(|error| format!("request: {error}"))?;
    ResizeOptions::from_pairs(pairs).map_err(|errors| format!("request: {errors:?}"))
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
