//! The wire form of events: CloudEvents 1.0 in the binary mode of the Kafka protocol binding.
//!
//! An event's attributes are `ce_*` headers, its data is the record's value, and its operation's ID
//! is the record's key. The options of a request are extension attributes, named like the option
//! without underscores (extension names have only lower-case letters and digits). Unknown
//! attributes are ignored, as CloudEvents requires of a consumer. An unknown type or version of the
//! specification is an error: such a record becomes a dead letter, which a newer version can
//! re-queue.

use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::operation::{Format, OperationId, PictureFacts, ResizeOptions, Tenant};

const SPEC_VERSION: &str = "1.0";
const SOURCE: &str = "/picresize";
const SOURCE_WIDTH: &str = "ce_sourcewidth";
const SOURCE_HEIGHT: &str = "ce_sourceheight";
const SOURCE_BYTES: &str = "ce_sourcebytes";
const SOURCE_DIGEST: &str = "ce_sourcedigest";
/// The location of the data if the record does not carry it (CloudEvents extension "Dataref").
const DATA_REF: &str = "ce_dataref";
/// Whom the operation belongs to. The events of the default tenant do not say it.
const TENANT: &str = "ce_tenant";
/// W3C Trace Context (CloudEvents extension "Distributed Tracing").
const TRACE_PARENT: &str = "ce_traceparent";

/// A record of the log: the key, headers and value that are the wire form of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub value: Bytes,
}

/// The header of a dead letter that gives the reason.
const SET_ASIDE_REASON: &str = "picresize-reason";

impl Record {
    /// Turns the record into a dead letter: unchanged, plus a header with the reason.
    #[must_use]
    pub fn set_aside(mut self, reason: &str) -> Self {
        let header = (SET_ASIDE_REASON.to_owned(), reason.as_bytes().to_vec());
        self.headers.push(header);
        self
    }

    /// The reason of a dead letter; the last one, if it has several.
    pub fn set_aside_reason(&self) -> Option<String> {
        let mut all = self.headers.iter().rev();
        let (_, reason) = all.find(|(name, _)| name == SET_ASIDE_REASON)?;
        Some(String::from_utf8_lossy(reason).into_owned())
    }

    /// Turns a dead letter back into the original record, without the reason.
    #[must_use]
    pub fn put_back(mut self) -> Self {
        self.headers.retain(|(name, _)| name != SET_ASIDE_REASON);
        self
    }
}

/// An event of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unique among all events.
    pub id: String,
    pub time: Timestamp,
    pub operation: OperationId,
    pub tenant: Tenant,
    /// The `traceparent` of the original request, unchanged (W3C Trace Context).
    pub trace_parent: Option<String>,
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody {
    /// A request was accepted.
    Requested {
        request: ResizeOptions,
        source: PictureFacts,
        picture: PicturePayload,
    },
    /// A worker started.
    Started(Started),
    /// The result is in the table.
    Completed(Completed),
    /// There will be no result.
    Failed(Failed),
    /// Its pictures were erased on request.
    Erased(Erased),
}

/// How a request's picture travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PicturePayload {
    /// In the event itself (event-carried state transfer).
    Carried(Bytes),
    /// In the table, in the row of the operation; the event refers to it (claim check).
    ClaimCheck,
}

/// The data of a `resize.started` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    pub worker: String,
    pub attempt: u32,
}

/// The data of a `resize.completed` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    pub source: PictureFacts,
    pub result: PictureFacts,
    pub worker: String,
    pub engine: String,
    /// The time of decoding, resampling and encoding together; `None` if a stored result was
    /// reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_milliseconds: Option<u64>,
}

/// The data of a `resize.failed` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub reason: String,
    /// Whether a retry could succeed.
    pub retryable: bool,
    pub worker: String,
    pub engine: String,
}

/// The data of a `resize.erased` event, which is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {}

/// Why a record cannot be read as an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("the record has no {0} header")]
    Missing(&'static str),
    #[error("the {header} header is {value:?}: {reason}")]
    Header {
        header: &'static str,
        value: String,
        reason: String,
    },
    #[error("the options cannot be read: {0}")]
    Options(String),
    #[error("the data cannot be read")]
    Data(#[from] serde_json::Error),
}

impl EventBody {
    fn kind(&self) -> &'static str {
        match self {
            Self::Requested { .. } => "resize.requested",
            Self::Started(_) => "resize.started",
            Self::Completed(_) => "resize.completed",
            Self::Failed(_) => "resize.failed",
            Self::Erased(_) => "resize.erased",
        }
    }
}

impl Event {
    /// A new event with an ID of its own, of the default tenant.
    pub fn new(operation: OperationId, time: Timestamp, body: EventBody) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            time,
            operation,
            tenant: Tenant::default(),
            trace_parent: None,
            body,
        }
    }

    /// The same event of another tenant.
    pub fn of(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }

    /// The same event as part of a trace.
    pub fn traced(mut self, trace_parent: Option<String>) -> Self {
        self.trace_parent = trace_parent;
        self
    }

    /// The same event with the tenant and the trace of an earlier event of the operation.
    pub fn following(mut self, earlier: &Record) -> Self {
        self.tenant = parsed(earlier, TENANT).unwrap_or_default();
        self.trace_parent = header(earlier, TRACE_PARENT).map(str::to_owned);
        self
    }

    /// The event in the form that a log stores.
    pub fn to_record(&self) -> Record {
        let mut headers = vec![
            ("ce_specversion".to_owned(), SPEC_VERSION.into()),
            ("ce_id".to_owned(), self.id.clone().into()),
            ("ce_source".to_owned(), SOURCE.into()),
            ("ce_type".to_owned(), self.body.kind().into()),
            ("ce_time".to_owned(), self.time.to_string().into()),
            ("ce_subject".to_owned(), self.operation.to_string().into()),
        ];
        let (content_type, value) = match &self.body {
            EventBody::Requested {
                request,
                source,
                picture,
            } => {
                for (key, value) in request.pairs() {
                    headers.push((option_header(key), value.into()));
                }
                for (name, value) in [
                    (SOURCE_WIDTH, source.width.to_string()),
                    (SOURCE_HEIGHT, source.height.to_string()),
                    (SOURCE_BYTES, source.bytes.to_string()),
                    (SOURCE_DIGEST, source.digest.to_string()),
                ] {
                    headers.push((name.to_owned(), value.into()));
                }
                let value = match picture {
                    PicturePayload::Carried(bytes) => bytes.clone(),
                    PicturePayload::ClaimCheck => {
                        let reference = format!("urn:uuid:{}", self.operation);
                        headers.push((DATA_REF.to_owned(), reference.into()));
                        Bytes::new()
                    }
                };
                (source.format.content_type(), value)
            }
            EventBody::Started(data) => json(data),
            EventBody::Completed(data) => json(data),
            EventBody::Failed(data) => json(data),
            EventBody::Erased(data) => json(data),
        };
        if !self.tenant.is_default() {
            headers.push((TENANT.to_owned(), self.tenant.name().into()));
        }
        if let Some(trace_parent) = &self.trace_parent {
            headers.push((TRACE_PARENT.to_owned(), trace_parent.clone().into()));
        }
        headers.push(("content-type".to_owned(), content_type.into()));
        Record {
            key: self.operation.to_string(),
            headers,
            value,
        }
    }

    /// Reads an event back from a log's record.
    ///
    /// # Errors
    ///
    /// What is missing or invalid. Such a record becomes a dead letter.
    pub fn from_record(record: &Record) -> Result<Self, EventError> {
        let version = required(record, "ce_specversion")?;
        if version != SPEC_VERSION {
            return Err(malformed(
                "ce_specversion",
                version,
                &"only version 1.0 is supported",
            ));
        }
        let body = match required(record, "ce_type")? {
            "resize.requested" => requested(record)?,
            "resize.started" => EventBody::Started(serde_json::from_slice(&record.value)?),
            "resize.completed" => EventBody::Completed(serde_json::from_slice(&record.value)?),
            "resize.failed" => EventBody::Failed(serde_json::from_slice(&record.value)?),
            "resize.erased" => EventBody::Erased(serde_json::from_slice(&record.value)?),
            other => return Err(malformed("ce_type", other, &"the type is unknown")),
        };
        Ok(Self {
            id: required(record, "ce_id")?.to_owned(),
            time: parsed(record, "ce_time")?,
            operation: parsed(record, "ce_subject")?,
            tenant: match header(record, TENANT) {
                Some(_) => parsed(record, TENANT)?,
                None => Tenant::default(),
            },
            trace_parent: header(record, TRACE_PARENT).map(str::to_owned),
            body,
        })
    }
}

fn requested(record: &Record) -> Result<EventBody, EventError> {
    let content_type = required(record, "content-type")?;
    let format = Format::ALL
        .into_iter()
        .find(|format| format.content_type() == content_type)
        .ok_or_else(|| malformed("content-type", content_type, &"not a picture format"))?;
    let mut pairs = Vec::new();
    for key in ResizeOptions::KEYS {
        if let Some(value) = header(record, &option_header(key)) {
            pairs.push((*key, value));
        }
    }
    let request = ResizeOptions::from_pairs(pairs).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        EventError::Options(lines.join("; "))
    })?;
    let source = PictureFacts {
        format,
        width: parsed(record, SOURCE_WIDTH)?,
        height: parsed(record, SOURCE_HEIGHT)?,
        bytes: parsed(record, SOURCE_BYTES)?,
        digest: parsed(record, SOURCE_DIGEST)?,
    };
    let picture = match header(record, DATA_REF) {
        Some(_) => PicturePayload::ClaimCheck,
        None => PicturePayload::Carried(record.value.clone()),
    };
    Ok(EventBody::Requested {
        request,
        source,
        picture,
    })
}

fn option_header(key: &str) -> String {
    format!("ce_{}", key.replace('_', ""))
}

fn json(data: &impl Serialize) -> (&'static str, Bytes) {
    let text = serde_json::to_vec(data).expect("plain data always has a JSON form");
    ("application/json", text.into())
}

fn header<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().find(|(key, _)| key == name)?;
    std::str::from_utf8(value).ok()
}

fn required<'a>(record: &'a Record, name: &'static str) -> Result<&'a str, EventError> {
    header(record, name).ok_or(EventError::Missing(name))
}

fn parsed<T>(record: &Record, name: &'static str) -> Result<T, EventError>
where
    T: FromStr<Err: ToString>,
{
    let value = required(record, name)?;
    value
        .parse()
        .map_err(|error: T::Err| malformed(name, value, &error))
}

fn malformed(header: &'static str, value: &str, reason: &impl ToString) -> EventError {
    EventError::Header {
        header,
        value: value.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Digest;

    fn facts() -> PictureFacts {
        PictureFacts {
            format: Format::Png,
            width: 3,
            height: 2,
            bytes: 7,
            digest: Digest::of(b"picture"),
        }
    }

    fn event(body: EventBody) -> Event {
        Event::new(
            OperationId::generate(),
            "2026-01-02T03:04:05.678Z".parse().unwrap(),
            body,
        )
    }

    fn requested_event() -> Event {
        let request = ResizeOptions::from_pairs([("width", "320"), ("max_bytes", "9000")]).unwrap();
        event(EventBody::Requested {
            request,
            source: facts(),
            picture: PicturePayload::Carried(Bytes::from_static(b"picture")),
        })
    }

    #[test]
    fn every_event_survives_its_wire_form() {
        let mut deposited = requested_event().body;
        if let EventBody::Requested { picture, .. } = &mut deposited {
            *picture = PicturePayload::ClaimCheck;
        }
        let bodies = [
            requested_event().body,
            deposited,
            EventBody::Started(Started {
                worker: "w".into(),
                attempt: 2,
            }),
            EventBody::Completed(Completed {
                source: facts(),
                result: facts(),
                worker: "w".into(),
                engine: "1".into(),
                elapsed_milliseconds: Some(12),
            }),
            EventBody::Failed(Failed {
                reason: "broken".into(),
                retryable: false,
                worker: "w".into(),
                engine: "1".into(),
            }),
            EventBody::Erased(Erased {}),
        ];
        for body in bodies {
            let tenant: Tenant = "team-7".parse().unwrap();
            let event = event(body)
                .traced(Some("00-0af7-b7ad-01".into()))
                .of(tenant);
            assert_eq!(Event::from_record(&event.to_record()).unwrap(), event);
        }
    }

    #[test]
    fn a_request_is_a_cloud_event_in_binary_mode() {
        let event = requested_event();
        let record = event.to_record();
        assert_eq!(record.key, event.operation.to_string());
        assert_eq!(&record.value[..], b"picture");
        for (name, expected) in [
            ("ce_specversion", "1.0"),
            ("ce_type", "resize.requested"),
            ("ce_time", "2026-01-02T03:04:05.678Z"),
            ("ce_width", "320"),
            ("ce_maxbytes", "9000"),
            ("ce_sourcewidth", "3"),
            ("content-type", "image/png"),
        ] {
            assert_eq!(header(&record, name), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let mut record = requested_event().to_record();
        record.headers.retain(|(name, _)| name != "ce_width");
        assert!(
            Event::from_record(&record)
                .unwrap_err()
                .to_string()
                .contains("width")
        );
        record.headers.retain(|(name, _)| name != "ce_type");
        assert!(
            Event::from_record(&record)
                .unwrap_err()
                .to_string()
                .contains("ce_type")
        );
        record
            .headers
            .push(("ce_type".into(), b"resize.imagined".into()));
        assert!(
            Event::from_record(&record)
                .unwrap_err()
                .to_string()
                .contains("imagined")
        );
    }
}
