//! Writes and reads events and positions in the SQLite file.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::headers;
use crate::event::Record;
use crate::event_log::{Entry, EventPosition, Topic};

/// The only partition.
pub(super) const PARTITION: i32 = 0;

/// How much is read ahead at once.
const BATCH_EVENTS: u32 = 64;
const BATCH_BYTES: i64 = 4 << 20;

/// A write that appends a record and returns its position.
pub(super) fn append(
    topic: Topic,
    record: Record,
) -> impl Fn(&Connection) -> rusqlite::Result<i64> + Send + 'static {
    let headers = headers::to_text(&record.headers);
    move |connection| {
        // Another process may append as well, so the last position is read each time.
        connection
            .prepare_cached(
                "INSERT INTO events (topic, position, appended_at, key, headers, value)
                 SELECT ?1, coalesce(max(position) + 1, 0), ?2, ?3, ?4, ?5
                 FROM events WHERE topic = ?1
                 RETURNING position",
            )?
            .query_row(
                params![
                    topic.name(),
                    Timestamp::now().as_millisecond(),
                    record.key,
                    headers,
                    &record.value[..]
                ],
                |row| row.get(0),
            )
    }
}

/// The position before which a group has finished everything; `None` before its first commit.
pub(super) fn committed(
    connection: &Connection,
    topic: Topic,
    group: &str,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT next FROM positions WHERE consumer_group = ?1 AND topic = ?2")?
        .query_row(params![group, topic.name()], |row| row.get(0))
        .optional()
}

/// The first event from a position on.
pub(super) fn read_event(
    connection: &Connection,
    topic: Topic,
    from: i64,
) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached(
            "SELECT position, appended_at, key, headers, value FROM events
             WHERE topic = ?1 AND position >= ?2 ORDER BY position LIMIT 1",
        )?
        .query_row(params![topic.name(), from], entry)
        .optional()
}

/// The first events from a position on: one, and as many more as a batch may have.
pub(super) fn read_batch(
    connection: &Connection,
    topic: Topic,
    from: i64,
) -> rusqlite::Result<Vec<Entry>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(end) = end_of_batch(&snapshot, topic, from)? else {
        return Ok(Vec::new());
    };
    snapshot
        .prepare_cached(
            "SELECT position, appended_at, key, headers, value FROM events
             WHERE topic = ?1 AND position BETWEEN ?2 AND ?3 ORDER BY position",
        )?
        .query_map(params![topic.name(), from, end], entry)?
        .collect()
}

/// The last position of a batch. Sizes are read without the values.
fn end_of_batch(connection: &Connection, topic: Topic, from: i64) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT position, length(value) FROM events
         WHERE topic = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
    )?;
    let mut rows = select.query(params![topic.name(), from, BATCH_EVENTS])?;
    let (mut end, mut bytes) = (None, 0_i64);
    while let Some(row) = rows.next()? {
        bytes = bytes.saturating_add(row.get(1)?);
        if end.is_some() && bytes > BATCH_BYTES {
            break;
        }
        end = Some(row.get(0)?);
    }
    Ok(end)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let appended_at = Timestamp::from_millisecond(row.get(1)?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(1, Type::Integer, Box::new(error))
    })?;
    let headers = headers::from_text(row.get_ref(3)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(error))
    })?;
    let value: Vec<u8> = row.get(4)?;
    Ok(Entry {
        position: EventPosition {
            partition: PARTITION,
            offset: row.get(0)?,
        },
        appended_at,
        record: Record {
            key: row.get(2)?,
            headers,
            value: value.into(),
        },
    })
}
