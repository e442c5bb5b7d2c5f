//! The HTTP server: accepts requests into the log, returns results from the table, serves the page.
//! This file has the routes and starts the server.

#![allow(unexpected_cfgs, reason = "scripts/fuzz sets `fuzzing`")]

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

pub use self::access::{Access, AccessError};
use self::problem::{Kind, Problem, no_such_path};
use self::server::Rules;
use self::state::ApiState;
use crate::processing::PixelProcesses;
use crate::settings::Settings;
use crate::storage::Storage;

mod accept;
mod access;
mod activity;
mod answer;
mod base64_text;
mod body;
mod budget;
mod caller;
mod connection;
mod erasure;
mod fields;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod health;
mod json;
mod keys;
mod links;
mod lookup;
mod multipart;
mod negotiation;
mod operations;
mod page;
mod problem;
mod quota;
mod rows;
mod server;
mod state;
mod submission;
mod trace_context;
mod waiting;

/// Serves HTTP until `stop`, then finishes the requests in progress.
///
/// # Errors
///
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    storage: Storage,
    processes: PixelProcesses,
    settings: &Settings,
    access: Access,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let state = Arc::new(ApiState::new(
        storage.clone(),
        processes,
        settings,
        access,
        stop.clone(),
    ));
    let mut rules = rules(settings);
    rules.answers = Some(Arc::clone(&state.answers));
    let app = app(health::routes(storage), &state);
    let served = tokio::select! {
        served = server::serve(listener, app, rules, stop) => served,
        () = state.rows.run(&*state.store) => unreachable!("it runs for ever"),
        () = state.access.watch() => unreachable!("it runs for ever"),
    };
    // What the table does not take in time, the workers add.
    let flushed = state.rows.flush(&*state.store);
    let _ = tokio::time::timeout(state.storage_timeout, flushed).await;
    served
}

/// Serves only health and readiness until `stop`, for a process without the API.
///
/// # Errors
///
/// The listener failed.
pub async fn serve_health(
    listener: TcpListener,
    storage: Storage,
    settings: &Settings,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = health::routes(storage).fallback(no_such_path);
    server::serve(listener, app, rules(settings), stop).await
}

fn rules(settings: &Settings) -> Rules {
    Rules {
        max_connections: settings.server.max_connections,
        header_timeout: settings.header_timeout(),
        idle_timeout: settings.idle_timeout(),
        write_timeout: settings.write_timeout(),
        answers: None,
    }
}

fn app(health: Router, state: &Arc<ApiState>) -> NormalizePath<Router> {
    let router = Router::new()
        .route("/", get(page::page))
        .route("/result", get(page::page))
        .route("/assets/{name}", get(page::asset))
        .route("/api", post(accept::accept))
        .route("/api/lookup", post(lookup::lookup))
        .route("/api/{id}", get(operations::fetch).delete(erasure::erase))
        .route("/api/{id}/status", get(operations::status))
        .route("/api/{id}/link", post(links::link))
        .route("/api/{id}/picture", get(links::picture))
        .route("/api/tickets", post(links::ticket))
        .with_state(Arc::clone(state))
        .merge(health)
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(
            Arc::clone(&state.access.guard),
            guard::check,
        ));
    // Wraps the router, because it must change the path before a route is chosen.
    NormalizePathLayer::trim_trailing_slash().layer(router)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{method} is not allowed for {}; the Allow header lists the allowed methods",
            uri.path()
        ),
    )
}

// The layer requires this signature.
#[expect(clippy::needless_pass_by_value)]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::internal(&format!("a handler panicked: {message}")).into_response()
}
