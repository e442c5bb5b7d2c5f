//! `DELETE /api/{id}`: removes an operation's pictures, from the table at once and from the log as far
//! as it can.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::operations::identifier;
use super::problem::{Kind, Problem};
use super::state::ApiState;
use crate::event::{Erased, Event, EventBody};
use crate::event_log::{ErasureOutcome, LogError, Topic};
use crate::operation::{Operation, OperationId};

/// `DELETE /api/{id}`: erases an operation, whatever its status is. Once more is no harm.
pub(super) async fn erase(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let id = identifier(path)?;
    let now = Timestamp::now();
    // The row first: from here on no worker makes anything of it.
    if !state.store.erase(id, now).await? {
        return Err(Problem::unknown(id));
    }
    let Some(operation) = state.store.find(id).await? else {
        return Err(Problem::unknown(id));
    };
    let is_deposited = state.store.is_deposited(id).await?;
    let log = match erase_from_log(&state, &operation, is_deposited, now).await {
        Ok(ErasureOutcome::DataRemoved) => "erased",
        Ok(ErasureOutcome::AwaitsRetention) => "until retention",
        Err(error) => return Err(half_erased(id, &error)),
    };
    tracing::info!(%id, log, "erased");
    Ok(Json(
        json!({"identifier": id, "status": operation.status, "log": log}),
    ))
}

/// Empties the request's event, and tells in the log that it was erased, so that no playback brings
/// it back.
async fn erase_from_log(
    state: &ApiState,
    operation: &Operation,
    is_deposited: bool,
    now: Timestamp,
) -> Result<ErasureOutcome, LogError> {
    let event = Event::new(operation.id, now, EventBody::Erased(Erased {}));
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
    tracing::warn!(%id, %error, "an operation was erased from the table alone");
    Problem::new(
        Kind::Unavailable,
        "the pictures were removed from the table, but the event log does not answer: please \
         erase it again",
    )
}
