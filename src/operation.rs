//! The domain types: identifiers, requests, picture facts, and the state of an operation.
//!
//! Everything here is plain data. A request has one text form, a list of `key = value` pairs
//! ([`ResizeOptions::from_pairs`] and [`ResizeOptions::pairs`]); JSON bodies, query strings,
//! multipart forms, command-line flags, event attributes and the table all go through it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use picresize_imaging::Resized;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::tenant::{MalformedTenant, Tenant};
pub use picresize_imaging::{
    Background, ColorPolicy, FieldError, Filter, Fingerprint, Fit, Format, Gravity, MetadataPolicy,
    Profile, ResizeOptions,
};

mod tenant;

/// Identifies one accepted request for ever. Written as a UUID in hyphenated lower-case text form.
///
/// New IDs are UUID version 7 (RFC 9562), so they sort by the time they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(Uuid);

impl OperationId {
    /// A fresh ID.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The ID of an idempotency key: the same key always gives the same ID (UUID version 8 over the
    /// first 128 bits of the key's SHA-256).
    pub fn from_idempotency_key(key: &str) -> Self {
        Self::from_signature(Digest::of(key.as_bytes()).bytes())
    }

    /// The ID of a signature (UUID version 8 over its first 128 bits).
    pub fn from_signature(signature: &[u8; 32]) -> Self {
        let mut head = [0; 16];
        head.copy_from_slice(&signature[..16]);
        Self(Uuid::new_v8(head))
    }

    /// How long ago it was made; `None` if it does not say when. One of the near future, by the clock
    /// of another server, is new.
    pub fn age(self, now: Timestamp) -> Option<Duration> {
        const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
        if self.0.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let made = Duration::new(seconds, nanoseconds);
        let now = Duration::try_from(now.as_duration()).unwrap_or_default();
        match now.checked_sub(made) {
            Some(age) => Some(age),
            None => (made - now <= CLOCK_DIFFERENCE).then_some(Duration::ZERO),
        }
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The text is not an operation ID.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an identifier: expected a UUID such as 01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11")]
pub struct MalformedId(String);

impl FromStr for OperationId {
    type Err = MalformedId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| MalformedId(text.chars().take(80).collect()))
    }
}

/// SHA-256 of a picture's bytes; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The text is not a SHA-256 digest in hexadecimal.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct MalformedDigest(String);

impl FromStr for Digest {
    type Err = MalformedDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || MalformedDigest(text.chars().take(80).collect());
        if text.len() != 64 || !text.is_ascii() {
            return Err(malformed());
        }
        let mut digest = [0; 32];
        for (index, byte) in digest.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| malformed())?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The position of an event in its topic, written as `partition:offset`. Offsets grow within a
/// partition, but not always by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventPosition {
    pub partition: i32,
    pub offset: i64,
}

impl fmt::Display for EventPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// The text is not a position.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a position: expected partition:offset, such as 3:1207")]
pub struct MalformedPosition(String);

impl FromStr for EventPosition {
    type Err = MalformedPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once(':').and_then(|(partition, offset)| {
            Some(Self {
                partition: partition.parse().ok().filter(|p| *p >= 0)?,
                offset: offset.parse().ok().filter(|o| *o >= 0)?,
            })
        });
        parsed.ok_or_else(|| MalformedPosition(text.chars().take(80).collect()))
    }
}

impl Serialize for EventPosition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Facts about a picture. `width` and `height` are those a viewer sees, with the EXIF orientation
/// applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureFacts {
    #[serde(with = "format_name")]
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
    pub digest: Digest,
}

impl PictureFacts {
    /// The facts of a result.
    pub fn of(result: &Resized) -> Self {
        Self {
            format: result.format,
            width: result.width,
            height: result.height,
            bytes: result.bytes.len() as u64,
            digest: Digest::of(&result.bytes),
        }
    }
}

/// Serializes a format by its name, for serde.
pub(crate) mod format_name {
    use picresize_imaging::Format;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        format: &Format,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(format.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Format, D::Error> {
        let name = String::deserialize(deserializer)?;
        Format::from_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("{name:?} is not a picture format")))
    }
}

/// The status of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Queued,
    Processing,
    Done,
    Failed,
    /// Past its retention: the pictures are removed, the row stays for a while.
    Expired,
    /// Erased on request; otherwise like [`Status::Expired`].
    Erased,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Queued,
        Self::Processing,
        Self::Done,
        Self::Failed,
        Self::Expired,
        Self::Erased,
    ];

    /// The name used in answers and the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Erased => "erased",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether the status can no longer change to done or failed.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }

    /// Whether the pictures were removed.
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Expired | Self::Erased)
    }
}

/// The full history of one operation: a row of the table, without the result's bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub id: OperationId,
    /// Whom it belongs to.
    pub tenant: Tenant,
    pub status: Status,
    pub request: ResizeOptions,
    pub source: PictureFacts,
    /// Present once the status is [`Status::Done`].
    pub result: Option<PictureFacts>,
    /// The result's perceptual hash, if it has one.
    pub fingerprint: Option<Fingerprint>,
    /// Why it failed, as a message for users; present once the status is [`Status::Failed`].
    pub failure: Option<String>,
    /// The number of attempts.
    pub attempts: u32,
    /// The worker that started it last.
    pub worker: Option<String>,
    /// The engine version that made the result or the failure.
    pub engine: Option<String>,
    /// The position of its request in the log.
    pub position: Option<EventPosition>,
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When its pictures are removed. `None` means never.
    pub expires_at: Option<Timestamp>,
}

impl Operation {
    /// An operation of the default tenant that was just accepted.
    pub fn queued(
        id: OperationId,
        request: ResizeOptions,
        source: PictureFacts,
        queued_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant: Tenant::default(),
            status: Status::Queued,
            request,
            source,
            result: None,
            fingerprint: None,
            failure: None,
            attempts: 0,
            worker: None,
            engine: None,
            position: None,
            queued_at,
            started_at: None,
            finished_at: None,
            expires_at: None,
        }
    }

    /// Whether `other` has the same request for the same picture.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        self.request == other.request && self.source.digest == other.source.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_form() {
        let id = OperationId::generate();
        assert_eq!(id.to_string().parse::<OperationId>().unwrap(), id);
        assert!("no-id".parse::<OperationId>().is_err());
    }

    #[test]
    fn an_idempotency_key_always_means_the_same_id() {
        let id = OperationId::from_idempotency_key("order-17");
        assert_eq!(id, OperationId::from_idempotency_key("order-17"));
        assert_ne!(id, OperationId::from_idempotency_key("order-18"));
    }

    #[test]
    fn a_digest_survives_its_text_form() {
        let digest = Digest::of(b"picture");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("12".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }

    #[test]
    fn a_position_survives_its_text_form() {
        let position = EventPosition {
            partition: 3,
            offset: 1207,
        };
        assert_eq!(position.to_string(), "3:1207");
        assert_eq!("3:1207".parse::<EventPosition>().unwrap(), position);
        for text in ["", "3", "3:", ":7", "-1:7", "3:-7", "3:x"] {
            assert!(text.parse::<EventPosition>().is_err(), "{text}");
        }
    }
}
