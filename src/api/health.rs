//! `/healthz` and `/readyz`: whether the process is alive, and whether its log and table answer and
//! have room.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::problem::{Kind, Problem};
use crate::storage::Storage;

/// How long the log and the table have to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The routes of both paths.
pub(super) fn routes(storage: Storage) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(storage)
}

/// `GET /healthz`
async fn alive() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

/// `GET /readyz`
async fn ready(State(storage): State<Storage>) -> Result<Json<Value>, Problem> {
    let (log, store, shortage) = tokio::join!(
        tokio::time::timeout(PATIENCE, storage.log.ping()),
        tokio::time::timeout(PATIENCE, storage.store.ping()),
        tokio::time::timeout(PATIENCE, storage.shortage()),
    );
    if let Ok(Some(shortage)) = shortage {
        return Err(Problem::new(Kind::Unavailable, shortage));
    }
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
