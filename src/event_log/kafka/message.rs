//! What a message of Kafka's holds.

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use crate::event::Record;
use crate::event_log::{Entry, EventPosition};

pub(super) fn position(message: &BorrowedMessage<'_>) -> EventPosition {
    EventPosition {
        partition: message.partition(),
        offset: message.offset(),
    }
}

/// The record of a message. What has no key or value is an empty one: it can't be understood, and
/// is set aside as what it is.
pub(super) fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    header.value.unwrap_or_default().to_vec(),
                )
            })
            .collect()
    });
    Record {
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
        headers,
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

pub(super) fn entry(message: &BorrowedMessage<'_>) -> Entry {
    let appended_at = message
        .timestamp()
        .to_millis()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or_default();
    Entry {
        position: position(message),
        appended_at,
        record: record(message),
    }
}
