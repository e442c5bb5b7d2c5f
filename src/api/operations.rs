//! Telling what became of an operation.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::ApiState;
use super::problem::{Kind, Problem};
use crate::operation::{Operation, OperationId, PictureFacts, Status};

/// Seconds until it makes sense to ask again for a result that is not there yet.
const POLL_SECONDS: u32 = 1;

/// `GET /api/{id}`: the result, as JSON or as the picture's own bytes.
pub(super) async fn fetch(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let operation = find(&state, path).await?;
    let result = match (operation.status, &operation.result) {
        (Status::Done, Some(result)) => result,
        (Status::Failed, _) => {
            let reason = operation.failure.unwrap_or_default();
            return Err(Problem::new(Kind::OperationFailed, reason));
        }
        _ => return Ok(pending(&operation)),
    };
    let as_picture = wants_picture(&headers, result.format.content_type())?;
    let etag = if as_picture {
        format!("\"{}\"", result.digest)
    } else {
        format!("\"{}-json\"", result.digest)
    };
    if is_known(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let Some(bytes) = state.store.result(operation.id).await? else {
        return Err(Problem::unknown(operation.id));
    };
    let mut response = if as_picture {
        (
            [(header::CONTENT_TYPE, result.format.content_type())],
            bytes,
        )
            .into_response()
    } else {
        Json(result_json(operation.id, result, &bytes)).into_response()
    };
    let answer = response.headers_mut();
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer.insert(header::ETAG, etag);
    }
    answer.insert(header::VARY, HeaderValue::from_static("Accept"));
    answer.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    Ok(response)
}

/// `GET /api/{id}/status`: everything that is known of the operation.
pub(super) async fn status(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let operation = find(&state, path).await?;
    Ok(Json(operation_json(&operation)))
}

/// The operation that a path names, unless its pictures were removed.
async fn find(
    state: &ApiState,
    path: Result<Path<String>, PathRejection>,
) -> Result<Operation, Problem> {
    let id = identifier(path)?;
    match state.store.find(id).await? {
        None => Err(Problem::unknown(id)),
        Some(operation) if operation.status.is_gone() => Err(Problem::gone(&operation)),
        Some(operation) => Ok(operation),
    }
}

/// The identifier in a path.
pub(super) fn identifier(
    path: Result<Path<String>, PathRejection>,
) -> Result<OperationId, Problem> {
    let Path(text) =
        path.map_err(|error| Problem::new(Kind::MalformedIdentifier, error.body_text()))?;
    Ok(text.parse()?)
}

fn pending(operation: &Operation) -> Response {
    (
        StatusCode::ACCEPTED,
        [
            (header::RETRY_AFTER, HeaderValue::from(POLL_SECONDS)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ],
        Json(json!({"identifier": operation.id, "status": operation.status})),
    )
        .into_response()
}

/// The result without a `status` key: clients of the system before this one poll until it is gone.
fn result_json(id: OperationId, result: &PictureFacts, bytes: &Bytes) -> Value {
    json!({
        "identifier": id,
        "image": base64::engine::general_purpose::STANDARD.encode(bytes),
        "width": result.width,
        "height": result.height,
        "format": result.format,
        "content_type": result.format.content_type(),
        "bytes": result.bytes,
        "digest": result.digest,
    })
}

/// Everything that is known of an operation, without the bytes of its result.
pub(super) fn operation_json(operation: &Operation) -> Value {
    let mut steps = vec![json!({"step": "queued", "at": operation.queued_at})];
    if let Some(at) = operation.started_at {
        steps.push(json!({"step": "processing", "at": at}));
    }
    if let Some(at) = operation.finished_at {
        steps.push(json!({"step": operation.status, "at": at}));
    }
    json!({
        "identifier": operation.id,
        "status": operation.status,
        "requested": requested(operation),
        "source": operation.source,
        "result": operation.result,
        "failure": operation.failure,
        "steps": steps,
        "attempts": operation.attempts,
        "worker": operation.worker,
        "engine": operation.engine,
        "fingerprint": operation.fingerprint.map(|hash| hash.to_string()),
        "position": operation.position,
        "expires_at": operation.expires_at,
    })
}

/// What was asked, with numbers and truths as such.
fn requested(operation: &Operation) -> Map<String, Value> {
    let typed = |text: String| match text.parse::<u64>() {
        Ok(number) => Value::from(number),
        Err(_) => match text.parse::<bool>() {
            Ok(truth) => Value::from(truth),
            Err(_) => Value::from(text),
        },
    };
    let pairs = operation.request.pairs();
    pairs
        .into_iter()
        .map(|(key, text)| (key.to_owned(), typed(text)))
        .collect()
}

/// Whether the client asks for the picture's bytes rather than JSON (RFC 9110, section 12.5.1):
/// it names pictures, and JSON not before them.
fn wants_picture(headers: &HeaderMap, content_type: &str) -> Result<bool, Problem> {
    // Weights in thousandths: they have three decimals at the most.
    let mut picture: Option<u16> = None;
    let mut json: Option<u16> = None;
    let mut anything = false;
    let mut named_picture = false;
    for value in headers.get_all(header::ACCEPT) {
        for range in value.to_str().unwrap_or("*/*").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok())
                .map_or(1000, |weight| (weight.clamp(0.0, 1.0) * 1000.0) as u16);
            named_picture |= media.starts_with("image/");
            anything |= !media.starts_with("image/") && weight > 0;
            if media == "image/*" || media == content_type {
                picture = picture.max(Some(weight).filter(|weight| *weight > 0));
            } else if media == "application/json" {
                json = Some(weight);
            }
        }
    }
    match (picture, json) {
        (Some(picture), Some(json)) => Ok(picture >= json),
        (Some(_), None) => Ok(true),
        (None, _) if named_picture && !anything => Err(Problem::new(
            Kind::NotAcceptable,
            format!(
                "the result is {content_type}; ask for that, for image/* or for application/json"
            ),
        )),
        (None, _) => Ok(false),
    }
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == etag || known == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> Option<bool> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        wants_picture(&headers, "image/jpeg").ok()
    }

    #[test]
    fn the_accept_header_chooses_between_picture_and_json() {
        assert_eq!(
            wants_picture(&HeaderMap::new(), "image/jpeg").ok(),
            Some(false)
        );
        for (accept, expected) in [
            ("*/*", Some(false)),
            ("application/json", Some(false)),
            ("image/*", Some(true)),
            ("image/jpeg", Some(true)),
            ("image/avif,image/webp,image/*,*/*;q=0.8", Some(true)),
            ("application/json, image/*;q=0.5", Some(false)),
            ("image/*, application/json;q=0.5", Some(true)),
            ("text/html,image/webp,*/*;q=0.8", Some(false)),
            ("image/png", None),
            ("image/*;q=0, */*", Some(false)),
        ] {
            assert_eq!(wants(accept), expected, "{accept}");
        }
    }
}
