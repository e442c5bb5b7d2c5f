//! `DELETE /api/{id}`: removes an operation's pictures, from the table at once, and from the log if
//! it supports that.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::Caller;
use super::operations::identifier;
use super::problem::{Kind, Problem};
use super::state::ApiState;
use super::waiting::not_there;
use crate::access::Permission;
use crate::event::{Erased, Event, EventBody};
use crate::event_log::{ErasureOutcome, LogError, Topic};
use crate::operation::{Operation, OperationId};

/// `DELETE /api/{id}`: erases an operation in any status. Erasing it twice is harmless.
pub(super) async fn erase(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    caller.must(Permission::Erase)?;
    let id = identifier(path)?;
    let now = Timestamp::now();
    // An accepted operation has a row before it is erased, so that the erasure holds.
    if !state.rows.settled(id, state.storage_timeout).await {
        return Err(Problem::new(
            Kind::Unavailable,
            "the picture table does not answer: please send the request again",
        ));
    }
    let found = state.store.find(id).await?;
    if found.is_none_or(|operation| operation.tenant != caller.tenant) {
        return Err(not_there(&state, id));
    }
    // The row first: after that no worker stores a result for it.
    if !state.store.erase(id, now).await? {
        return Err(not_there(&state, id));
    }
    let Some(operation) = state.store.find(id).await? else {
        return Err(not_there(&state, id));
    };
    let is_deposited = state.store.is_deposited(id).await?;
    let log = match erase_from_log(&state, &operation, is_deposited, now).await {
        Ok(ErasureOutcome::DataRemoved) => "erased",
        Ok(ErasureOutcome::AwaitsRetention) => "until retention",
        Err(error) => return Err(half_erased(id, &error)),
    };
    tracing::info!(target: "audit", %id, key = %caller, tenant = %caller.tenant, log, "erased");
    Ok(Json(
        json!({"identifier": id, "status": operation.status, "log": log}),
    ))
}

/// Removes the data of the request's event, and appends an `Erased` event, so that no replay
/// restores the operation.
async fn erase_from_log(
    state: &ApiState,
    operation: &Operation,
    is_deposited: bool,
    now: Timestamp,
) -> Result<ErasureOutcome, LogError> {
    let event =
        Event::new(operation.id, now, EventBody::Erased(Erased {})).of(operation.tenant.clone());
    state.log.append(Topic::Events, event.to_record()).await?;
    if is_deposited {
        // The event only refers to the picture.
        return Ok(ErasureOutcome::DataRemoved);
    }
    match operation.position {
        Some(position) => state.log.erase(Topic::Requests, position).await,
        None => Ok(ErasureOutcome::AwaitsRetention),
    }
}

fn half_erased(id: OperationId, error: &LogError) -> Problem {
    tracing::warn!(%id, %error, "an operation was erased from the table only");
    Problem::new(
        Kind::Unavailable,
        "the pictures were removed from the table, but the event log does not answer: please send \
         the request again",
    )
}
