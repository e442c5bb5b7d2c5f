//! Reads and checks a posted picture with its options. A body is JSON, the picture's own bytes, or
//! a multipart form.

use std::collections::HashSet;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::problem::{Kind, Problem};
use super::state::ApiState;
use crate::operation::{Digest, FieldError, PictureFacts, ResizeOptions};

/// The field that carries the picture.
const IMAGE: &str = "image";

const FORMS: &str = "application/json with a base64 image, image/* or application/octet-stream \
                     with the picture itself, or multipart/form-data";

/// A submitted request before it is checked.
pub(super) struct Submission {
    picture: Option<PictureBody>,
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
    /// The memory of the body, released when the request has been answered.
    memory: OwnedSemaphorePermit,
}

enum PictureBody {
    Base64(String),
    Raw(Bytes),
}

/// A submitted picture with its parsed options.
pub(super) struct ParsedSubmission<Options> {
    pub(super) options: Options,
    pub(super) picture: Bytes,
    /// Held as long as the picture.
    pub(super) memory: OwnedSemaphorePermit,
}

/// A request that can be accepted.
pub(super) struct Checked {
    pub(super) request: ResizeOptions,
    pub(super) facts: PictureFacts,
    pub(super) picture: Bytes,
}

impl Submission {
    /// Reads a request's body, within the limits of size, time and memory.
    pub(super) async fn read(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let form = Form::of(&parts.headers)?;
        let memory = state.reserve_body(content_length(&parts.headers)).await?;
        let bytes = tokio::time::timeout(state.body_timeout, collect(body, state.max_body_bytes))
            .await
            .map_err(|_| {
                let seconds = state.body_timeout.as_secs();
                Problem::new(
                    Kind::BodyTimeout,
                    format!("the whole body must arrive within {seconds} s"),
                )
            })??;
        if bytes.is_empty() {
            return Err(Problem::new(Kind::MissingBody, format!("send {FORMS}")));
        }
        let mut submission = Self {
            picture: None,
            pairs: query_pairs(&parts)?,
            errors: Vec::new(),
            memory,
        };
        match form.unwrap_or_else(|| Form::guess(&bytes)) {
            Form::Json => submission.take_json(&bytes)?,
            Form::Multipart => submission.take_multipart(parts, bytes).await?,
            Form::Raw => submission.picture = Some(PictureBody::Raw(bytes)),
        }
        Ok(submission)
    }

    fn take_json(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            Problem::new(
                Kind::UnreadableBody,
                format!("the JSON is invalid: {error}"),
            )
        })?;
        let Value::Object(object) = value else {
            return Err(Problem::new(
                Kind::UnreadableBody,
                "the JSON must be an object such as {\"image\": \"<base64>\", \"width\": 320}",
            ));
        };
        for (key, value) in object {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                (IMAGE, Value::String(text)) => self.picture = Some(PictureBody::Base64(text)),
                (IMAGE, _) => self
                    .errors
                    .push(FieldError::new(key, "must be base64 text")),
                (_, Value::String(text)) => self.pairs.push((key, text)),
                (_, Value::Number(number)) => self.pairs.push((key, number.to_string())),
                (_, Value::Bool(truth)) => self.pairs.push((key, truth.to_string())),
                (_, Value::Array(_) | Value::Object(_)) => {
                    let message = "must be a single value, not a list or an object";
                    self.errors.push(FieldError::new(key, message));
                }
            }
        }
        Ok(())
    }

    async fn take_multipart(&mut self, parts: Parts, bytes: Bytes) -> Result<(), Problem> {
        let broken = |reason: String| {
            Problem::new(
                Kind::UnreadableBody,
                format!("the form is invalid: {reason}"),
            )
        };
        // The size was checked when the bytes were collected.
        let mut request = Request::from_parts(parts, Body::from(bytes));
        axum::extract::DefaultBodyLimit::disable().apply(&mut request);
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|error| broken(error.body_text()))?;
        while let Some(field) = form.next_field().await.map_err(|e| broken(e.body_text()))? {
            let Some(name) = field.name().map(str::to_owned) else {
                return Err(broken("a part has no name".to_owned()));
            };
            if name == IMAGE {
                let bytes = field.bytes().await.map_err(|e| broken(e.body_text()))?;
                self.picture = Some(PictureBody::Raw(bytes));
            } else {
                let text = field.text().await.map_err(|e| broken(e.body_text()))?;
                self.pairs.push((name, text));
            }
        }
        Ok(())
    }

    /// Checks everything that can be checked without decoding the picture.
    pub(super) async fn check(self, state: &ApiState) -> Result<Checked, Problem> {
        let max_picture_bytes = state.max_picture_bytes;
        let parsed = tokio::task::spawn_blocking(move || {
            let parsed = self.parse(ResizeOptions::from_pairs, max_picture_bytes)?;
            let digest = Digest::of(&parsed.picture);
            Ok::<_, Problem>((parsed, digest))
        });
        let (parsed, digest) = parsed.await.map_err(|error| Problem::internal(&error))??;
        let (request, picture) = (parsed.options, parsed.picture);
        let header = state.processor.check(&picture, &request).await?;
        let facts = PictureFacts {
            format: header.format,
            width: header.width,
            height: header.height,
            bytes: picture.len() as u64,
            digest,
        };
        Ok(Checked {
            request,
            facts,
            picture,
        })
    }

    /// Returns the picture's bytes, and the options as parsed by `parse_options`. The error lists
    /// all faults of both. Don't call it on an async thread, as with [`check`](Self::check).
    pub(super) fn parse<Options>(
        self,
        parse_options: impl FnOnce(Vec<(String, String)>) -> Result<Options, Vec<FieldError>>,
        max_picture_bytes: u64,
    ) -> Result<ParsedSubmission<Options>, Problem> {
        let mut errors = self.errors;
        let options = parse_options(self.pairs)
            .map_err(|found| errors.extend(found))
            .ok();
        let picture = picture_bytes(self.picture)
            .map_err(|error| errors.push(error))
            .ok();
        let (Some(options), Some(picture), true) = (options, picture, errors.is_empty()) else {
            return Err(Problem::fields(first_of_each_field(errors)));
        };
        let bytes = picture.len() as u64;
        if bytes > max_picture_bytes {
            return Err(Problem::new(
                Kind::BodyTooLarge,
                format!("the picture has {bytes} bytes; the limit is {max_picture_bytes}"),
            ));
        }
        Ok(ParsedSubmission {
            options,
            picture,
            memory: self.memory,
        })
    }
}

/// Keeps the first error of each field.
fn first_of_each_field(mut errors: Vec<FieldError>) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    errors.retain(|error| seen.insert(error.field.clone()));
    errors
}

/// The form of a body.
enum Form {
    Json,
    Multipart,
    Raw,
}

impl Form {
    /// The form that the content type names; `None` if there is no content type.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/json" => Ok(Some(Self::Json)),
            "multipart/form-data" => Ok(Some(Self::Multipart)),
            // The second is the default of `curl --data-binary`.
            "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Some(Self::Raw)),
            _ if essence.starts_with("image/") => Ok(Some(Self::Raw)),
            _ => Err(Problem::new(
                Kind::UnsupportedContentType,
                format!("{essence:?} is not supported; send {FORMS}"),
            )),
        }
    }

    /// The form of a body without a content type: no picture begins with a brace.
    fn guess(bytes: &[u8]) -> Self {
        if bytes.trim_ascii_start().first() == Some(&b'{') {
            Self::Json
        } else {
            Self::Raw
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn query_pairs(parts: &Parts) -> Result<Vec<(String, String)>, Problem> {
    let axum::extract::Query(pairs) = axum::extract::Query::try_from_uri(&parts.uri)
        .map_err(|error| Problem::new(Kind::UnreadableBody, error.body_text()))?;
    Ok(pairs)
}

/// Collects a body of at most `limit` bytes. Part of a larger body is read and discarded, because a
/// client that is still sending does not read the answer.
async fn collect(mut body: Body, limit: u64) -> Result<Bytes, Problem> {
    const DRAIN_FACTOR: u64 = 4;
    let mut collected = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(
                Kind::UnreadableBody,
                format!("the body was cut off: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len() as u64;
        if length <= limit {
            collected.extend_from_slice(&data);
        } else if length <= limit.saturating_mul(DRAIN_FACTOR) {
            collected = Vec::new();
        } else {
            break;
        }
    }
    if length > limit {
        return Err(Problem::new(
            Kind::BodyTooLarge,
            format!("the body has more bytes than the limit of {limit}"),
        ));
    }
    Ok(collected.into())
}

fn picture_bytes(picture: Option<PictureBody>) -> Result<Bytes, FieldError> {
    let bytes = match picture {
        None => return Err(FieldError::new(IMAGE, "is missing: give the picture")),
        Some(PictureBody::Raw(bytes)) => bytes,
        Some(PictureBody::Base64(text)) => decode_base64(text)
            .map_err(|message| FieldError::new(IMAGE, message))?
            .into(),
    };
    if bytes.is_empty() {
        return Err(FieldError::new(IMAGE, "is empty: give the picture"));
    }
    Ok(bytes)
}

/// Standard or URL-safe base64 (RFC 4648), padded or not, with or without line breaks; or a
/// `data:` URL of it (RFC 2397).
fn decode_base64(mut text: String) -> Result<Vec<u8>, String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

    if text.starts_with("data:") {
        let Some((head, data)) = text.split_once(',') else {
            return Err("is a data: URL without a comma".to_owned());
        };
        if !head.ends_with(";base64") {
            return Err("is a data: URL that is not in base64".to_owned());
        }
        text = data.to_owned();
    }
    if text.contains(|letter: char| letter.is_ascii_whitespace()) {
        text.retain(|letter| !letter.is_ascii_whitespace());
    }
    let engine = if text.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    engine.decode(&text).map_err(|error| match error {
        base64::DecodeError::InvalidByte(offset, _) => {
            let letter = text
                .get(offset..)
                .and_then(|rest| rest.chars().next())
                .unwrap_or(char::REPLACEMENT_CHARACTER);
            format!("is not base64: {letter:?} at position {offset}")
        }
        _ => format!("is not base64: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_usual_form() {
        for text in ["+/8A", "-_8A", "data:image/png;base64,+/8A", "+/\r\n8A"] {
            assert_eq!(
                decode_base64(text.to_owned()).unwrap(),
                [0xfb, 0xff, 0],
                "{text}"
            );
        }
        assert_eq!(decode_base64("+/8=".to_owned()).unwrap(), [0xfb, 0xff]);
        assert_eq!(decode_base64("+/8".to_owned()).unwrap(), [0xfb, 0xff]);
    }

    #[test]
    fn a_foreign_letter_is_named() {
        let message = decode_base64("AAA§AAAA".to_owned()).unwrap_err();
        assert_eq!(message, "is not base64: '§' at position 3");
        assert!(decode_base64("data:image/png,xx".to_owned()).is_err());
        assert!(decode_base64("A".to_owned()).is_err());
    }
}
