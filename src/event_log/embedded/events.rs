//! How events and positions are read.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, params};

use crate::event::Record;
use crate::event_log::{Entry, EventPosition, Topic};

/// The only partition there is.
pub(super) const PARTITION: i32 = 0;

/// The position before which a group has finished everything; none before its first commit.
pub(super) fn committed(
    connection: &rusqlite::Connection,
    topic: Topic,
    group: &str,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT next FROM positions WHERE consumer_group = ?1 AND topic = ?2")?
        .query_row(params![group, topic.name()], |row| row.get(0))
        .optional()
}

pub(super) fn read_event(
    connection: &rusqlite::Connection,
    topic: &str,
    from: i64,
) -> rusqlite::Result<Option<Entry>> {
    connection
        .prepare_cached(
            "SELECT position, appended_at, key, headers, value FROM events
             WHERE topic = ?1 AND position >= ?2 ORDER BY position LIMIT 1",
        )?
        .query_row(params![topic, from], |row| {
            let unreadable = |column, kind, error| {
                rusqlite::Error::FromSqlConversionFailure(column, kind, error)
            };
            let appended_at = Timestamp::from_millisecond(row.get(1)?)
                .map_err(|error| unreadable(1, Type::Integer, Box::new(error)))?;
            let headers: String = row.get(3)?;
            let headers = serde_json::from_str(&headers)
                .map_err(|error| unreadable(3, Type::Text, Box::new(error)))?;
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
        })
        .optional()
}
