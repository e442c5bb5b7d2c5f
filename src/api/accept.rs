//! `POST /api/`: accepts an operation. It is stored in the log first, then in the table.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::json;

use super::access::Caller;
use super::links::Ticketed;
use super::operations;
use super::problem::{Kind, Problem};
use super::quota::Allowance;
use super::state::ApiState;
use super::submission::{Checked, Submission};
use super::trace_context::trace_parent;
use super::waiting::{applied, preferred_wait, without_wait};
use crate::access::{Permission, Purpose};
use crate::event::{Event, EventBody, PicturePayload};
use crate::event_log::Topic;
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Operation, OperationId, Status, Tenant};
use crate::picture_store::StoreError;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MOST_KEY_BYTES: usize = 255;
/// How long an answer waits for the table, which is not needed for it.
const TABLE_PATIENCE: Duration = Duration::from_millis(50);
/// The log and the table may take a second more for each so many bytes that are being accepted.
const BYTES_PER_SECOND: u64 = 4 << 20;

/// A request that was read and checked, but is not in the log yet.
struct Accepting {
    /// The first one is that of a new operation. With an idempotency key, an earlier request may have
    /// another one of these.
    ids: Vec<OperationId>,
    tenant: Tenant,
    /// Whether the ID comes from an idempotency key. Another server may then be accepting the same
    /// operation.
    has_key: bool,
    checked: Checked,
    trace_parent: Option<String>,
}

/// `POST /api/`: stores the request in the log, then answers with its ID.
pub(super) async fn accept(
    State(state): State<Arc<ApiState>>,
    caller: Result<Caller, Problem>,
    mut request: Request,
) -> Result<Response, Problem> {
    // The header is only needed again for the answer of a wait.
    let wait = preferred_wait(request.headers(), request.uri())
        .map(|wait| (wait, request.headers().clone()));
    if let Some(uri) = without_wait(request.uri()) {
        *request.uri_mut() = uri;
    }
    let ticket = Ticketed::of(&state, request.uri()).map_err(Problem::and_close)?;
    let tenant = match &ticket {
        Some(ticket) => ticket.tenant.clone(),
        None => {
            let caller = caller?;
            caller.must(Permission::Post).map_err(Problem::and_close)?;
            caller.tenant
        }
    };
    let allowance = state.quotas.of(&tenant);
    let accepted = accept_within(&state, &allowance, ticket, tenant, request).await;
    let mut response = match (accepted, wait) {
        (Ok(operation), Some((wait, headers))) => {
            created_and_ended(&state, &operation, &headers, wait).await
        }
        (Ok(operation), None) => created(&operation),
        (Err(problem), _) => problem.into_response(),
    };
    allowance.describe(&mut response);
    Ok(response)
}

/// The answer about an operation that the client waits for: its result, or as without a wait.
async fn created_and_ended(
    state: &Arc<ApiState>,
    operation: &Operation,
    headers: &HeaderMap,
    wait: Duration,
) -> Response {
    let ended = operations::ended(state, &operation.tenant, operation.id, headers, Some(wait));
    let mut response = match ended.await {
        Ok(response) if response.status() == StatusCode::OK => response,
        Ok(_) => created(operation),
        Err(problem) => problem.into_response(),
    };
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    let id = operation.id.to_string();
    for (name, text) in [("location", format!("/api/{id}")), ("identifier", id)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
    applied(&mut response, wait);
    response
}

/// Accepts a request within what its tenant may still do.
async fn accept_within(
    state: &Arc<ApiState>,
    allowance: &Allowance,
    ticket: Option<Ticketed>,
    tenant: Tenant,
    mut request: Request,
) -> Result<Operation, Problem> {
    allowance.take_request().map_err(Problem::and_close)?;
    let key = match &ticket {
        // A ticket stands for an idempotency key.
        Some(ticket) => {
            *request.uri_mut() = ticket.uri();
            Some(format!("ticket {}", ticket.id))
        }
        None => idempotency_key(request.headers()).map_err(Problem::and_close)?,
    };
    let trace_parent = trace_parent(request.headers());
    if let Some(error) = state.log.outage() {
        return Err(Problem::from(error).and_close());
    }
    if state.rows.is_full() {
        let detail = "the picture table is too far behind; please try again later";
        return Err(Problem::new(Kind::Unavailable, detail).and_close());
    }
    let in_progress = allowance.take_operation(&tenant, &*state.store).await;
    in_progress.map_err(Problem::and_close)?;
    let submission = Submission::read(request, state).await?;
    let checked = submission.check(state).await?;
    let facts = &checked.facts;
    allowance.take_bytes(facts.bytes)?;
    allowance.take_pixels(u64::from(facts.width) * u64::from(facts.height))?;
    if let Some(ticket) = &ticket {
        ticket.check(&checked.request)?;
    }

    let accepting = Accepting {
        ids: match (&ticket, &key) {
            (Some(ticket), _) => vec![ticket.id],
            (None, Some(key)) => keyed_ids(state, &tenant, key),
            (None, None) => vec![OperationId::generate()],
        },
        tenant,
        has_key: key.is_some(),
        checked,
        trace_parent,
    };
    let under_way = state.under_way.add(accepting.checked.facts.bytes);
    let limit = state.storage_timeout + transfer_time(under_way.sum());
    let shared = Arc::clone(state);
    // A task of its own, because what was begun is finished when the client leaves or the time is
    // over: the log may have the event already.
    let accepting = tokio::spawn(async move {
        // Half of the time, so that what comes after a wait has some, too.
        let accepted = accepting.accept(shared, key, limit / 2).await;
        drop(under_way);
        accepted
    });
    let Ok(operation) = tokio::time::timeout(limit, accepting).await else {
        return Err(Problem::new(
            Kind::Unavailable,
            format!(
                "the log or the table did not answer within {:.1} s; the request may still be \
                 accepted later",
                limit.as_secs_f64()
            ),
        ));
    };
    operation.map_err(|error| Problem::internal(&error))?
}

/// The operation that was accepted with this key before, if there is one.
async fn known(
    state: &ApiState,
    accepting: &Accepting,
    key: &str,
) -> Result<Option<Operation>, Problem> {
    let mut found = None;
    for id in &accepting.ids {
        found = match state.rows.find(*id) {
            Some(waiting) => Some(waiting),
            None => state.store.find(*id).await?,
        };
        if found.is_some() {
            break;
        }
    }
    let Some(known) = found.filter(|known| known.tenant == accepting.tenant) else {
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
    async fn accept(
        self,
        state: Arc<ApiState>,
        key: Option<String>,
        patience: Duration,
    ) -> Result<Operation, Problem> {
        let Some(key) = key else {
            return self.append(&state, patience).await;
        };
        let Some(_turn) = state.keys.turn(self.ids[0], patience).await else {
            return Err(Problem::new(
                Kind::KeyInUse,
                format!("an earlier request with the key {key:?} is still being accepted"),
            ));
        };
        match known(&state, &self, &key).await? {
            Some(known) => Ok(known),
            None => self.append(&state, patience).await,
        }
    }

    /// Stores the request durably. Once this returns, the request can't be lost. `patience` is for
    /// its row.
    async fn append(self, state: &Arc<ApiState>, patience: Duration) -> Result<Operation, Problem> {
        let Self { ids, checked, .. } = self;
        let (id, now) = (ids[0], Timestamp::now());
        let mut operation = Operation::queued(id, checked.request, checked.facts, now);
        operation.tenant = self.tenant;
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
        let record = Event::new(id, now, body)
            .traced(self.trace_parent)
            .of(operation.tenant.clone())
            .to_record();
        // The picture's memory is free once the log has it.
        let (appended, done) = {
            let appending = state.log.append(Topic::Requests, record);
            // A task of its own: a statement that is given up costs the table more than its end.
            let looking = tokio::spawn(same_request(Arc::clone(state), operation.clone()));
            tokio::pin!(appending, looking);
            tokio::select! {
                appended = &mut appending => {
                    let done = tokio::time::timeout(TABLE_PATIENCE, looking).await;
                    (appended, done.ok().and_then(Result::ok).flatten())
                }
                done = &mut looking => (appending.await, done.ok().flatten()),
            }
        };
        let position = match appended {
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
        // The log has the event, so the request is accepted, whatever the table does.
        if let Some(done) = done {
            let reusing = tokio::spawn(reuse(Arc::clone(state), operation.clone(), done));
            let reused = tokio::time::timeout(patience, reusing).await;
            if matches!(reused, Ok(Ok(Ok(true)))) {
                operation.status = Status::Done;
                return Ok(operation);
            }
        }
        state.rows.add(operation.clone());
        // Another server may be asked for it next, or this one after a restart. Another server knows by
        // a fresh ID that the row may still come, so the answer need not wait long for it.
        let is_fresh = !self.has_key;
        let patience = match state.is_shared && is_fresh {
            true => TABLE_PATIENCE,
            false => patience,
        };
        let is_settled = state.rows.settled(id, patience).await;
        // An ID that comes from a key has no age, so another server would not know it.
        if state.is_shared && !is_fresh && !is_settled {
            return Err(Problem::new(
                Kind::Unavailable,
                "the request was accepted, but the picture table does not have it yet; send it again \
                 with the same key to get its identifier",
            ));
        }
        Ok(operation)
    }
}

/// The time that pictures of so many bytes may take together to the log or the table.
fn transfer_time(bytes: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64)
}

/// Removes the deposited picture of an operation that was not accepted.
async fn withdraw(state: &ApiState, id: OperationId) {
    if let Err(error) = state.store.withdraw(id).await {
        tracing::warn!(%id, %error, "a deposited picture stays until the sweep removes it");
    }
}

/// A done operation with the same request for the same picture, if there is one. Without an answer
/// of the table, a worker resizes the picture.
async fn same_request(state: Arc<ApiState>, operation: Operation) -> Option<OperationId> {
    if !state.reuse_results {
        return None;
    }
    let found = state.store.find_same_request(&operation, ENGINE_VERSION);
    found.await.unwrap_or_default()
}

/// Completes an operation with the stored result of `done`. Returns whether the operation is done. A
/// worker may have started it too; the table accepts one of the two results, and both have the same
/// bytes. The worker announces the outcome.
async fn reuse(
    state: Arc<ApiState>,
    operation: Operation,
    done: OperationId,
) -> Result<bool, StoreError> {
    state.store.enqueue(&operation).await?;
    let copied = state
        .store
        .copy_result(operation.id, done, Timestamp::now());
    copied.await
}

/// The IDs that a tenant's idempotency key may stand for. Nobody can compute them without the secrets.
fn keyed_ids(state: &ApiState, tenant: &Tenant, key: &str) -> Vec<OperationId> {
    let parts = [tenant.name().as_bytes(), key.as_bytes()];
    let signatures = state
        .access
        .secrets
        .signatures(Purpose::IdempotencyKey, &parts);
    let mut ids: Vec<_> = signatures.iter().map(OperationId::from_signature).collect();
    // Before there were secrets and tenants, an ID was made of the key alone.
    if tenant.is_default() || ids.is_empty() {
        let key = match tenant.is_default() {
            true => key,
            false => &format!("{tenant} {key}"),
        };
        ids.push(OperationId::from_idempotency_key(key));
    }
    ids
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

fn created(operation: &Operation) -> Response {
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
