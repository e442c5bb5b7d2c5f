//! `POST /api/`: accepts an operation. It is stored in the log first, then in the table.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::problem::{Kind, Problem};
use super::state::ApiState;
use super::submission::{Checked, Submission};
use super::trace_context::trace_parent;
use crate::event::{Completed, Event, EventBody, PicturePayload};
use crate::event_log::Topic;
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Operation, OperationId, Status};
use crate::picture_store::StoreError;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MOST_KEY_BYTES: usize = 255;
/// Used in events instead of a worker's name.
const NAME: &str = "api";

/// A request that was read and checked, but is not in the log yet.
struct Accepting {
    id: OperationId,
    /// Whether the ID comes from an idempotency key. Another server may then be accepting the same
    /// operation.
    has_key: bool,
    checked: Checked,
    trace_parent: Option<String>,
}

/// `POST /api/`: stores the request in the log, then answers with its ID.
pub(super) async fn accept(
    State(state): State<Arc<ApiState>>,
    request: Request,
) -> Result<Response, Problem> {
    let key = idempotency_key(request.headers()).map_err(Problem::and_close)?;
    let trace_parent = trace_parent(request.headers());
    let submission = Submission::read(request, &state).await?;
    let checked = submission.check(&state).await?;

    let accepting = Accepting {
        id: match &key {
            Some(key) => OperationId::from_idempotency_key(key),
            None => OperationId::generate(),
        },
        has_key: key.is_some(),
        checked,
        trace_parent,
    };
    // A task of its own, because what was begun is finished when the client leaves: the log may
    // have the event already.
    let operation = tokio::spawn(accepting.accept(state, key)).await;
    let operation = operation.map_err(|error| Problem::internal(&error))??;
    Ok(accepted(&operation))
}

/// The operation that was accepted with this key before, if there is one.
async fn known(
    state: &ApiState,
    accepting: &Accepting,
    key: &str,
) -> Result<Option<Operation>, Problem> {
    let Some(known) = state.store.find(accepting.id).await? else {
        return Ok(None);
    };
    let checked = &accepting.checked;
    if known.request != checked.request || known.source.digest != checked.facts.digest {
        return Err(Problem::new(
            Kind::KeyReused,
            format!("the key {key:?} was used for another picture or other options; use a new key"),
        ));
    }
    match (known.status, known.position) {
        // The picture was deposited, but the log did not answer.
        (Status::Queued, None) => Ok(None),
        (Status::Expired, None) => {
            state.store.withdraw(known.id).await?;
            Ok(None)
        }
        (Status::Expired | Status::Erased, _) => Err(Problem::gone(&known)),
        _ => Ok(Some(known)),
    }
}

impl Accepting {
    /// Accepts the operation, unless it was accepted with the same key before.
    async fn accept(self, state: Arc<ApiState>, key: Option<String>) -> Result<Operation, Problem> {
        let Some(key) = key else {
            return self.append(&state).await;
        };
        let _turn = state.key_lock(self.id).lock().await;
        match known(&state, &self, &key).await? {
            Some(known) => Ok(known),
            None => self.append(&state).await,
        }
    }

    /// Stores the request durably. Once this returns, the request can't be lost.
    async fn append(self, state: &ApiState) -> Result<Operation, Problem> {
        let Self { id, checked, .. } = self;
        let now = Timestamp::now();
        let mut operation = Operation::queued(id, checked.request, checked.facts, now);
        operation.expires_at = state.keep.and_then(|keep| now.checked_add(keep).ok());
        let picture = if state.claim_check {
            state.store.deposit(&operation, checked.picture).await?;
            PicturePayload::ClaimCheck
        } else {
            PicturePayload::Carried(checked.picture)
        };
        let body = EventBody::Requested {
            request: operation.request.clone(),
            source: operation.source.clone(),
            picture,
        };
        let event = Event::new(id, now, body).traced(self.trace_parent.clone());
        let position = match state.log.append(Topic::Requests, event.to_record()).await {
            Ok(position) => position,
            Err(error) => {
                // With a key, the next request with it finds the deposit and uses it. Another
                // server may be doing so now.
                if state.claim_check && !self.has_key {
                    withdraw(state, id).await;
                }
                return Err(error.into());
            }
        };
        operation.position = Some(position);
        // The log has the event, so the request is accepted. If the row is missing, a worker adds
        // it.
        if let Err(error) = state.store.enqueue(&operation).await {
            tracing::warn!(%id, %error, "the row of an accepted operation could not be added yet");
            return Ok(operation);
        }
        if state.reuse_results {
            match reuse(state, &operation, self.trace_parent).await {
                Ok(true) => operation.status = Status::Done,
                Ok(false) => {}
                // A worker resizes the picture instead.
                Err(error) => tracing::warn!(%id, %error, "could not look for a stored result"),
            }
        }
        Ok(operation)
    }
}

/// Removes the deposited picture of an operation that was not accepted.
async fn withdraw(state: &ApiState, id: OperationId) {
    if let Err(error) = state.store.withdraw(id).await {
        tracing::warn!(%id, %error, "a deposited picture stays until the sweep removes it");
    }
}

/// Completes an operation with the stored result of an equal request for the same picture. Returns
/// whether the operation is done. A worker may have started it too; the table accepts one of the
/// two results, and both have the same bytes.
async fn reuse(
    state: &ApiState,
    operation: &Operation,
    trace_parent: Option<String>,
) -> Result<bool, StoreError> {
    let id = operation.id;
    let found = state.store.find_same_request(operation, ENGINE_VERSION);
    let Some(done) = found.await? else {
        return Ok(false);
    };
    let now = Timestamp::now();
    let is_copied = state.store.copy_result(id, done, now).await?;
    let row = state.store.find(id).await?;
    let Some(result) = row.and_then(|row| row.result) else {
        return Ok(false);
    };
    if !is_copied {
        return Ok(true);
    }
    let body = EventBody::Completed(Completed {
        source: operation.source.clone(),
        result,
        worker: NAME.to_owned(),
        engine: ENGINE_VERSION.to_owned(),
        elapsed_milliseconds: None,
    });
    let event = Event::new(id, now, body).traced(trace_parent);
    if let Err(error) = state.log.append(Topic::Events, event.to_record()).await {
        tracing::warn!(%id, %error, "could not append an event");
    }
    Ok(true)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if !key.is_empty() && key.len() <= MOST_KEY_BYTES => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            Kind::UnreadableBody,
            format!(
                "the Idempotency-Key header must be 1 to {MOST_KEY_BYTES} visible ASCII characters"
            ),
        )),
    }
}

fn accepted(operation: &Operation) -> Response {
    let id = operation.id.to_string();
    let location = format!("/api/{id}");
    let body = json!({"identifier": id, "status": operation.status, "location": location});
    (
        StatusCode::CREATED,
        [("location", location), ("identifier", id)],
        Json(body),
    )
        .into_response()
}
