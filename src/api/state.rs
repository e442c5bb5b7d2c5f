//! The state that the handlers share: log, table, limits, and the memory for request bodies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::problem::{Kind, Problem};
use crate::event_log::EventLog;
use crate::operation::OperationId;
use crate::picture_store::PictureStore;
use crate::processing::{PixelProcesses, Processor, ProcessorOptions};
use crate::settings::{EventModel, Settings};
use crate::storage::Storage;

/// How long a request waits for memory for its body.
const MEMORY_WAIT: Duration = Duration::from_secs(5);
/// The number of locks on which requests with an idempotency key take turns.
const KEY_LOCKS: usize = 64;

/// The state that the handlers share.
#[derive(Debug)]
pub(super) struct ApiState {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn PictureStore>,
    /// Reads headers and hashes pictures that are looked up.
    pub(super) processor: Processor,
    pub(super) max_picture_bytes: u64,
    pub(super) max_body_bytes: u64,
    pub(super) body_timeout: Duration,
    /// Whether pictures are stored in the table, and events only refer to them.
    pub(super) claim_check: bool,
    /// How long an operation's pictures are kept. `None` means for ever.
    pub(super) keep: Option<Duration>,
    /// Whether an equal request is answered from a stored result.
    pub(super) reuse_results: bool,
    /// The memory for bodies, in KiB.
    pub(super) upload_memory: Arc<Semaphore>,
    pub(super) upload_memory_bytes: u64,
    pub(super) key_locks: [Mutex<()>; KEY_LOCKS],
}

impl ApiState {
    pub(super) fn new(storage: Storage, processes: PixelProcesses, settings: &Settings) -> Self {
        let memory_kib = settings.server.upload_memory_mib.saturating_mul(1024);
        let permits = usize::try_from(memory_kib).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            log: storage.log,
            store: storage.store,
            processor: Processor::new(
                processes,
                ProcessorOptions {
                    concurrency: 0,
                    ..ProcessorOptions::of(settings)
                },
            ),
            max_picture_bytes: settings.limits.max_picture_bytes,
            max_body_bytes: settings.max_body_bytes(),
            body_timeout: settings.body_timeout(),
            claim_check: settings.events.model == EventModel::ClaimCheck,
            keep: settings.keep(),
            reuse_results: settings.server.reuse_results,
            upload_memory: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            upload_memory_bytes: memory_kib.saturating_mul(1024),
            key_locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Waits for memory for a body of this length, or for the largest body if the length is not
    /// known.
    pub(super) async fn reserve_body(
        &self,
        length: Option<u64>,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = length.unwrap_or(u64::MAX).min(self.max_body_bytes);
        self.reserve(bytes).await
    }

    /// Waits for this much memory.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Problem> {
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
    pub(super) fn key_lock(&self, id: OperationId) -> &Mutex<()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let lock = hasher.finish() % KEY_LOCKS as u64;
        &self.key_locks[usize::try_from(lock).unwrap_or_default()]
    }
}
