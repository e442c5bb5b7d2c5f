//! Whether the process lives, and whether it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::ApiState;
use super::problem::{Kind, Problem};

/// How long the log and the table have to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /healthz`
pub(super) async fn alive() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

/// `GET /readyz`
pub(super) async fn ready(State(state): State<Arc<ApiState>>) -> Result<Json<Value>, Problem> {
    let (log, store) = tokio::join!(
        tokio::time::timeout(PATIENCE, state.log.ping()),
        tokio::time::timeout(PATIENCE, state.store.ping()),
    );
    let mut silent = Vec::new();
    if !matches!(log, Ok(Ok(()))) {
        silent.push("the event log");
    }
    if !matches!(store, Ok(Ok(()))) {
        silent.push("the picture table");
    }
    if silent.is_empty() {
        return Ok(Json(json!({"status": "ready"})));
    }
    let silent = silent.join(" and ");
    Err(Problem::new(
        Kind::Unavailable,
        format!("{silent} did not answer"),
    ))
}
