//! Converts values for the parameters of statements and from the columns of rows.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mysql_async::{Row, Value};

use crate::operation::OperationId;
use crate::picture_store::row::Columns;

pub(super) fn id_value(id: OperationId) -> Value {
    id.to_string().into()
}

/// A `DATETIME(3)` in UTC. Cut off at milliseconds, because the server would round.
pub(super) fn time_value(time: Timestamp) -> Value {
    let time = TimeZone::UTC.to_datetime(time);
    Value::Date(
        time.year().max(0).cast_unsigned(),
        time.month().cast_unsigned(),
        time.day().cast_unsigned(),
        time.hour().cast_unsigned(),
        time.minute().cast_unsigned(),
        time.second().cast_unsigned(),
        u32::from(time.millisecond().cast_unsigned()) * 1000,
    )
}

impl Columns for Row {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        column(self, name)
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        column(self, name)
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let time = match column(self, name)? {
            Value::NULL => return Ok(None),
            Value::Date(year, month, day, hour, minute, second, micros) => DateTime::new(
                year.cast_signed(),
                month.cast_signed(),
                day.cast_signed(),
                hour.cast_signed(),
                minute.cast_signed(),
                second.cast_signed(),
                micros.cast_signed() * 1000,
            ),
            other => return Err(format!("{other:?} is not a time")),
        };
        time.and_then(|time| TimeZone::UTC.to_timestamp(time))
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

pub(super) fn column<T: mysql_async::prelude::FromValue>(
    row: &Row,
    name: &str,
) -> Result<T, String> {
    row.get_opt(name)
        .ok_or("there is no such column")?
        .map_err(|error| error.to_string())
}
