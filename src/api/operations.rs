//! `GET /api/{id}` and `GET /api/{id}/status`: an operation's result, and its full history.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::access::Caller;
use super::answer::Base64Body;
use super::negotiation::{Form, preferred_form};
use super::problem::{Kind, Problem};
use super::state::ApiState;
use super::waiting::{applied, find, find_ended, preferred_wait};
use crate::access::Permission;
use crate::operation::{Operation, OperationId, PictureFacts, Status, Tenant};
use crate::picture_store::StoreError;

/// Seconds until a client should ask again for a result that is not finished yet.
const POLL_SECONDS: u32 = 1;

/// `GET /api/{id}`: the result, as JSON or as the picture's own bytes.
pub(super) async fn fetch(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.must(Permission::Read)?;
    let wait = preferred_wait(&headers, &uri);
    let id = identifier(path)?;
    let mut response = ended(&state, &caller.tenant, id, &headers, wait).await?;
    if let Some(wait) = wait {
        applied(&mut response, wait);
    }
    Ok(response)
}

/// The result of an operation, or its state if it has not ended after `wait`.
pub(super) async fn ended(
    state: &Arc<ApiState>,
    tenant: &Tenant,
    id: OperationId,
    headers: &HeaderMap,
    wait: Option<Duration>,
) -> Result<Response, Problem> {
    match find_ended(state, tenant, id, wait).await? {
        Some(operation) => respond(state, operation, headers, None).await,
        None => Ok(pending(id, Status::Queued)),
    }
}

/// The picture itself, or the state of its operation.
pub(super) async fn send_picture(
    state: &Arc<ApiState>,
    tenant: &Tenant,
    id: OperationId,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let operation = find(state, tenant, id).await?;
    respond(state, operation, headers, Some(Form::Picture)).await
}

/// The result of an operation in a form, or in the one that the client prefers.
async fn respond(
    state: &Arc<ApiState>,
    operation: Operation,
    headers: &HeaderMap,
    form: Option<Form>,
) -> Result<Response, Problem> {
    let result = match (operation.status, &operation.result) {
        (Status::Done, Some(result)) => result,
        (Status::Failed, _) => {
            let reason = operation.failure.unwrap_or_default();
            return Err(Problem::new(Kind::OperationFailed, reason));
        }
        (status, _) => return Ok(pending(operation.id, status)),
    };
    let form = match form {
        Some(form) => form,
        None => preferred_form(headers, result.format.content_type())?,
    };
    let as_picture = form == Form::Picture;
    let etag = if as_picture {
        format!("\"{}\"", result.digest)
    } else {
        format!("\"{}-json\"", result.digest)
    };
    if is_known(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let Some(bytes) = load(state, operation.id, result.bytes).await? else {
        return Err(Problem::unknown(operation.id));
    };
    let (content_type, body) = if as_picture {
        (result.format.content_type(), Body::from(bytes))
    } else {
        ("application/json", result_json(operation.id, result, bytes))
    };
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
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

/// Loads a result within the memory of answers, which it holds until it was sent.
async fn load(
    state: &Arc<ApiState>,
    id: OperationId,
    length: u64,
) -> Result<Option<Bytes>, Problem> {
    // While it is loaded, the table's driver has a copy of it.
    let mut memory = state.answers.reserve(length.saturating_mul(2)).await?;
    let store = Arc::clone(&state.store);
    // A task of its own, because loading goes on when the client leaves, and needs its memory.
    let loading = tokio::spawn(async move {
        let bytes = store.result(id).await?;
        memory.shrink(length);
        Ok::<_, StoreError>(bytes.map(|bytes| memory.hold(bytes)))
    });
    let loaded = loading.await.map_err(|error| Problem::internal(&error))?;
    Ok(loaded?)
}

/// `GET /api/{id}/status`: the operation's full history.
pub(super) async fn status(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    caller.must(Permission::Read)?;
    let operation = find(&state, &caller.tenant, identifier(path)?).await?;
    Ok(Json(operation_json(&operation)))
}

/// The identifier in a path.
pub(super) fn identifier(
    path: Result<Path<String>, PathRejection>,
) -> Result<OperationId, Problem> {
    let Path(text) =
        path.map_err(|error| Problem::new(Kind::MalformedIdentifier, error.body_text()))?;
    Ok(text.parse()?)
}

fn pending(id: OperationId, status: Status) -> Response {
    (
        StatusCode::ACCEPTED,
        [
            (header::RETRY_AFTER, HeaderValue::from(POLL_SECONDS)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ],
        Json(json!({"identifier": id, "status": status})),
    )
        .into_response()
}

/// The result without a `status` key: clients of the previous system poll until that key is gone.
fn result_json(id: OperationId, result: &PictureFacts, bytes: Bytes) -> Body {
    const EMPTY_IMAGE: &str = "\"image\":\"\"";
    let text = json!({
        "identifier": id,
        "image": "",
        "width": result.width,
        "height": result.height,
        "format": result.format.name(),
        "content_type": result.format.content_type(),
        "bytes": result.bytes,
        "digest": result.digest,
    })
    .to_string();
    let image = text.find(EMPTY_IMAGE).expect("the image was just written");
    let (before, after) = text.split_at(image + EMPTY_IMAGE.len() - 1);
    Body::new(Base64Body::new(before.to_owned(), bytes, after.to_owned()))
}

/// The full history of an operation, without the bytes of its result.
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

/// The requested options, with numbers and booleans as JSON types.
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

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == etag || known == "*")
}
