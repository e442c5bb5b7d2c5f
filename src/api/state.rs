//! The state that the handlers share: log, table, limits, and the memory for request bodies.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::budget::Budget;
use crate::event_log::EventLog;
use crate::operation::OperationId;
use crate::picture_store::PictureStore;
use crate::processing::{PixelProcesses, Processor, ProcessorOptions};
use crate::settings::{EventModel, Settings};
use crate::storage::Storage;

const MIB: u64 = 1 << 20;
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
    pub(super) body_pause: Duration,
    /// Whether pictures are stored in the table, and events only refer to them.
    pub(super) claim_check: bool,
    /// How long an operation's pictures are kept. `None` means for ever.
    pub(super) keep: Option<Duration>,
    /// Whether an equal request is answered from a stored result.
    pub(super) reuse_results: bool,
    /// The memory for bodies until they are stored, and for decoding pictures in look-ups.
    pub(super) uploads: Arc<Budget>,
    /// The memory for results that are being sent.
    pub(super) answers: Arc<Budget>,
    pub(super) key_locks: [Mutex<()>; KEY_LOCKS],
}

impl ApiState {
    pub(super) fn new(storage: Storage, processes: PixelProcesses, settings: &Settings) -> Self {
        let server = &settings.server;
        let budget = |mib: u64, exhausted| {
            Budget::new(mib.saturating_mul(MIB), settings.memory_wait(), exhausted)
        };
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
            body_pause: settings.body_pause(),
            claim_check: settings.events.model == EventModel::ClaimCheck,
            keep: settings.keep(),
            reuse_results: server.reuse_results,
            uploads: budget(
                server.upload_memory_mib,
                "too many pictures are being received at once; please try again",
            ),
            answers: budget(
                server.answer_memory_mib,
                "too many results are being sent at once; please try again",
            ),
            key_locks: std::array::from_fn(|_| Mutex::default()),
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
