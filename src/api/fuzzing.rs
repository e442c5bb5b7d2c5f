//! Entries for the fuzz targets in `fuzz/`. Only `scripts/fuzz` compiles them.

use std::ops::Range;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, Uri};
use bytes::Bytes;

use super::body::ReceivedBody;
use super::budget::Budget;
use super::problem::Problem;
use super::submission::{Head, ParsedSubmission};
use super::{base64_text, lookup};
use crate::operation::FieldError;

/// The fields of a request beside its picture.
pub type Pairs = Vec<(String, String)>;

/// The fields and the picture of a request, or the whole answer that refuses it. `None` if the content
/// type cannot be a header's value, or the query cannot be in a URL.
pub fn read_request(
    content_type: &str,
    query: &str,
    body: Vec<u8>,
) -> Option<Result<(Pairs, Bytes), Vec<u8>>> {
    let parts = parts(content_type, query)?;
    let parsed = parse(&parts, body, Ok);
    Some(parsed.map_err(|problem| problem.to_bytes()))
}

/// The same for a look-up, whose options are different.
pub fn read_look_up(
    content_type: &str,
    query: &str,
    body: Vec<u8>,
) -> Option<Result<Bytes, Vec<u8>>> {
    let parts = parts(content_type, query)?;
    let parsed = parse(&parts, body, lookup::Options::from_pairs);
    Some(match parsed {
        Ok((_, picture)) => Ok(picture),
        Err(problem) => Err(problem.to_bytes()),
    })
}

/// The bytes whose base64 the JSON string at `text` has.
///
/// # Errors
///
/// What is wrong with the text.
pub fn decode_base64(mut body: Vec<u8>, text: Range<usize>) -> Result<Vec<u8>, String> {
    base64_text::decode(&mut body, text)?;
    Ok(body)
}

fn parts(content_type: &str, query: &str) -> Option<Parts> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = Uri::try_from(format!("/api/?{query}")).ok()?;
    let content_type = HeaderValue::from_str(content_type).ok()?;
    parts.headers.insert(CONTENT_TYPE, content_type);
    Some(parts)
}

fn parse<Options>(
    parts: &Parts,
    bytes: Vec<u8>,
    parse_options: impl FnOnce(Pairs) -> Result<Options, Vec<FieldError>>,
) -> Result<(Options, Bytes), Problem> {
    let budget = Budget::new(u64::MAX, Duration::ZERO, "");
    let memory = budget.open(bytes.len() as u64);
    let submission = Head::read(parts)?.with(ReceivedBody { bytes, memory })?;
    let ParsedSubmission {
        options, picture, ..
    } = submission.parse(parse_options, u64::MAX)?;
    Ok((options, picture))
}
