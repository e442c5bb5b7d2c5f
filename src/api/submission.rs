//! Reads and checks a posted picture with its options. A body is JSON, the picture's own bytes, or
//! a multipart form.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::activity::Activity;
use super::body::{self, ReceivedBody};
use super::budget::Reservation;
use super::fields::{Fields, IMAGE, MOST_FIELDS, clip};
use super::problem::{Kind, Problem};
use super::state::ApiState;
use super::{base64_text, json, multipart};
use crate::operation::{Digest, FieldError, PictureFacts, ResizeOptions};

/// Reading a body of fewer bytes takes less time than handing it to another thread.
const PARSED_AT_ONCE: usize = 32 << 10;
/// What some programs write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const FORMS: &str = "application/json with a base64 image, image/* or application/octet-stream \
                     with the picture itself, or multipart/form-data";

/// A request whose body was received, but not read yet.
pub(super) struct Submission {
    form: Form,
    query: Vec<(String, String)>,
    body: ReceivedBody,
}

/// What a request's header says about its body.
pub(super) struct Head {
    /// `None` if there is no content type.
    form: Option<Form>,
    query: Vec<(String, String)>,
}

impl Head {
    pub(super) fn read(parts: &Parts) -> Result<Self, Problem> {
        check_encoding(&parts.headers)?;
        Ok(Self {
            form: Form::of(&parts.headers)?,
            query: query_pairs(parts)?,
        })
    }

    /// The request with this body.
    pub(super) fn with(self, body: ReceivedBody) -> Result<Submission, Problem> {
        if body.bytes.is_empty() {
            return Err(Problem::new(Kind::MissingBody, format!("send {FORMS}")));
        }
        let guess = || Form::guess(&body.bytes);
        Ok(Submission {
            form: self.form.unwrap_or_else(guess),
            query: self.query,
            body,
        })
    }
}

/// A submitted picture with its parsed options.
pub(super) struct ParsedSubmission<Options> {
    pub(super) options: Options,
    /// Holds the memory that is reserved for it.
    pub(super) picture: Bytes,
    /// That memory.
    pub(super) memory: Arc<Reservation>,
}

/// A request that can be accepted.
pub(super) struct Checked {
    pub(super) request: ResizeOptions,
    pub(super) facts: PictureFacts,
    /// Holds the memory that is reserved for it.
    pub(super) picture: Bytes,
}

impl Submission {
    /// Receives a request's body, within the limits of size, time and memory.
    pub(super) async fn read(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let head = Head::read(&parts).map_err(Problem::and_close)?;
        let announced = content_length(&parts.headers);
        let activity = parts.extensions.get::<Arc<Activity>>();
        let body = body::receive(body, announced, activity.map(Arc::as_ref), state).await?;
        head.with(body)
    }

    /// Checks everything that can be checked without decoding the picture.
    pub(super) async fn check(self, state: &ApiState) -> Result<Checked, Problem> {
        let max_picture_bytes = state.max_picture_bytes;
        let is_small = self.body.bytes.len() <= PARSED_AT_ONCE;
        let parse = move || {
            let parsed = self.parse(ResizeOptions::from_pairs, max_picture_bytes)?;
            let digest = Digest::of(&parsed.picture);
            Ok::<_, Problem>((parsed, digest))
        };
        let (parsed, digest) = if is_small {
            parse()?
        } else {
            let parsed = tokio::task::spawn_blocking(parse).await;
            parsed.map_err(|error| Problem::internal(&error))??
        };
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
    /// all faults of both. This is slow for a large picture, so don't call it on an async thread.
    pub(super) fn parse<Options>(
        self,
        parse_options: impl FnOnce(Vec<(String, String)>) -> Result<Options, Vec<FieldError>>,
        max_picture_bytes: u64,
    ) -> Result<ParsedSubmission<Options>, Problem> {
        let mut fields = Fields::default();
        // An empty field of a form was not filled in.
        for (key, value) in self
            .query
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
        {
            fields.add(key, value);
        }
        let picture = picture(&self.form, self.body, &mut fields)?;
        let Fields { pairs, mut errors } = fields;
        let options = parse_options(pairs)
            .map_err(|found| errors.extend(found))
            .ok();
        let picture = picture.map_err(|error| errors.push(error)).ok();
        let (Some(options), Some(picture), true) = (options, picture, errors.is_empty()) else {
            return Err(Problem::fields(first_of_each_field(errors)));
        };
        let (picture, memory) = picture;
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
            memory,
        })
    }
}

/// The picture of a body in this form, and the memory that it holds. The body's other fields are
/// added to `fields`.
fn picture(
    form: &Form,
    body: ReceivedBody,
    fields: &mut Fields,
) -> Result<Result<(Bytes, Arc<Reservation>), FieldError>, Problem> {
    let ReceivedBody {
        mut bytes,
        mut memory,
    } = body;
    let missing = || FieldError::new(IMAGE, "is missing: give the picture");
    let range = match form {
        Form::Raw => 0..bytes.len(),
        Form::Multipart(boundary) => {
            let boundary = boundary.as_deref().ok_or_else(|| {
                let detail = "the form is invalid: its content type has no boundary";
                Problem::new(Kind::UnreadableBody, detail)
            })?;
            match multipart::read(&bytes, boundary, fields)? {
                Some(range) => range,
                None => return Ok(Err(missing())),
            }
        }
        Form::Json => {
            if bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
            let Some(text) = json::read(&bytes, fields)? else {
                return Ok(Err(missing()));
            };
            // The bytes take the place of their text, so there is never a copy of both.
            if let Err(message) = base64_text::decode(&mut bytes, text) {
                return Ok(Err(FieldError::new(IMAGE, message)));
            }
            memory.shrink(bytes.len() as u64);
            0..bytes.len()
        }
    };
    if range.is_empty() {
        return Ok(Err(FieldError::new(IMAGE, "is empty: give the picture")));
    }
    let memory = Arc::new(memory);
    let picture = Arc::clone(&memory).hold_shared(bytes).slice(range);
    Ok(Ok((picture, memory)))
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
    /// With the boundary of its parts.
    Multipart(Option<String>),
    Raw,
}

impl Form {
    /// The form that the content type names; `None` if there is no content type.
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(None);
        };
        let given = String::from_utf8_lossy(value.as_bytes());
        let text = given.to_ascii_lowercase();
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/json" => Ok(Some(Self::Json)),
            "multipart/form-data" => Ok(Some(Self::Multipart(multipart::boundary(&given)))),
            // The second is the default of `curl --data-binary`.
            "application/octet-stream"
            | "binary/octet-stream"
            | "application/x-www-form-urlencoded" => Ok(Some(Self::Raw)),
            _ if essence.starts_with("image/") => Ok(Some(Self::Raw)),
            _ => Err(Problem::new(
                Kind::UnsupportedContentType,
                format!("{:?} is not supported; send {FORMS}", clip(essence)),
            )),
        }
    }

    /// The form of a body without a content type: no picture begins with a brace.
    fn guess(bytes: &[u8]) -> Self {
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        if text.trim_ascii_start().first() == Some(&b'{') {
            Self::Json
        } else {
            Self::Raw
        }
    }
}

/// Refuses a compressed body: pictures are compressed already, and a small body could become a large one.
fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let encodings = encodings.map(|value| String::from_utf8_lossy(value.as_bytes()));
    for encoding in encodings {
        let encoding = encoding.trim();
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity") {
            return Err(Problem::new(
                Kind::UnsupportedEncoding,
                format!(
                    "the body is encoded with {:?}; send it as it is",
                    clip(encoding)
                ),
            ));
        }
    }
    Ok(())
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
    let query = parts.uri.query().unwrap_or_default();
    if query.split('&').count() > MOST_FIELDS {
        let detail = format!("the query has more than {MOST_FIELDS} fields");
        return Err(Problem::new(Kind::UnreadableBody, detail));
    }
    let Query(pairs) = Query::try_from_uri(&parts.uri)
        .map_err(|error| Problem::new(Kind::UnreadableBody, error.body_text()))?;
    Ok(pairs)
}
