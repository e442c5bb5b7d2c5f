//! The HTTP server: accepts requests into the log, returns results from the table, serves the page.
//! Here are its routes and what their handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use self::problem::{Kind, Problem};
use crate::event_log::EventLog;
use crate::imaging;
use crate::operation::OperationId;
use crate::picture_store::PictureStore;
use crate::settings::{EventModel, Settings};
use crate::storage::Storage;

mod accept;
mod erasure;
mod health;
mod lookup;
mod negotiation;
mod operations;
mod page;
mod problem;
mod submission;
mod trace_context;

/// How long a request waits for memory for its body.
const MEMORY_WAIT: Duration = Duration::from_secs(5);
/// Requests with an idempotency key take turns on one of so many locks.
const KEY_LOCKS: usize = 64;

/// What the handlers share.
#[derive(Debug)]
struct ApiState {
    log: Arc<dyn EventLog>,
    store: Arc<dyn PictureStore>,
    limits: imaging::Limits,
    max_picture_bytes: u64,
    max_body_bytes: u64,
    body_timeout: Duration,
    /// Whether pictures wait in the table, and events refer to them.
    claim_check: bool,
    /// How long an operation's pictures are kept, unless for ever.
    keep: Option<Duration>,
    /// Whether a stored result answers who asks the same.
    reuse_results: bool,
    /// Room for bodies in KiB.
    upload_memory: Arc<Semaphore>,
    upload_memory_bytes: u64,
    /// One for each picture that is looked up at once.
    look_ups: Semaphore,
    key_locks: [Mutex<()>; KEY_LOCKS],
}

/// Serves HTTP until `stop`, then finishes the requests that are under way.
///
/// # Errors
///
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    storage: Storage,
    settings: &Settings,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = app(
        health::routes(storage.clone()),
        ApiState::new(storage, settings),
    );
    let service = axum::ServiceExt::<Request>::into_make_service(app);
    axum::serve(listener, service)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Serves health and readiness alone, for a process that has no other HTTP side, until `stop`.
///
/// # Errors
///
/// The listener failed.
pub async fn serve_health(
    listener: TcpListener,
    storage: Storage,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let app = health::routes(storage).fallback(no_such_path);
    axum::serve(listener, app)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

impl ApiState {
    fn new(storage: Storage, settings: &Settings) -> Self {
        let memory_kib = settings.server.upload_memory_mib.saturating_mul(1024);
        let permits = usize::try_from(memory_kib).unwrap_or(Semaphore::MAX_PERMITS);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            log: storage.log,
            store: storage.store,
            limits: settings.imaging_limits(),
            max_picture_bytes: settings.limits.max_picture_bytes,
            max_body_bytes: settings.max_body_bytes(),
            body_timeout: settings.body_timeout(),
            claim_check: settings.events.model == EventModel::ClaimCheck,
            keep: settings.keep(),
            reuse_results: settings.server.reuse_results,
            upload_memory: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            upload_memory_bytes: memory_kib.saturating_mul(1024),
            look_ups: Semaphore::new(cores),
            key_locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Waits for memory for a body of this length, or of the largest when it is not known.
    async fn reserve_body(&self, length: Option<u64>) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = length.unwrap_or(u64::MAX).min(self.max_body_bytes);
        self.reserve(bytes).await
    }

    /// Waits for so much memory.
    async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.upload_memory).acquire_many_owned(kib);
        match tokio::time::timeout(MEMORY_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(closed)) => Err(Problem::internal(&closed)),
            Err(_) => Err(Problem::new(
                Kind::Unavailable,
                "too many pictures are being received at once; please try again",
            )),
        }
    }

    /// The lock that requests with this ID take turns on.
    fn key_lock(&self, id: OperationId) -> &Mutex<()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let lock = hasher.finish() % KEY_LOCKS as u64;
        &self.key_locks[usize::try_from(lock).unwrap_or_default()]
    }
}

fn app(health: Router, state: ApiState) -> NormalizePath<Router> {
    let router = Router::new()
        .route("/", get(page::page))
        .route("/result", get(page::page))
        .route("/assets/{name}", get(page::asset))
        .route("/api", axum::routing::post(accept::accept))
        .route("/api/lookup", axum::routing::post(lookup::lookup))
        .route("/api/{id}", get(operations::fetch).delete(erasure::erase))
        .route("/api/{id}/status", get(operations::status))
        .with_state(Arc::new(state))
        .merge(health)
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ));
    // Around the router, since it changes which route is found.
    NormalizePathLayer::trim_trailing_slash().layer(router)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(
        Kind::NoSuchPath,
        format!("there is nothing at {}; post pictures to /api/", uri.path()),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!(
            "{method} is not allowed for {}; the Allow header lists what is",
            uri.path()
        ),
    )
}

// The signature is what the layer asks for.
#[expect(clippy::needless_pass_by_value)]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let message = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::internal(&format!("a handler panicked: {message}")).into_response()
}
