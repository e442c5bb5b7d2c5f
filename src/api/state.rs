//! The state that the handlers share: log, table, limits, and the memory for request bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::budget::Budget;
use super::keys::Keys;
use super::quota::Quotas;
use super::rows::Rows;
use crate::event_log::EventLog;
use crate::picture_store::PictureStore;
use crate::processing::{PixelProcesses, Processor, ProcessorOptions};
use crate::settings::{EventModel, Settings, TableKind};
use crate::storage::Storage;

const MIB: u64 = 1 << 20;

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
    /// How long the log and the table may take to accept a request.
    pub(super) storage_timeout: Duration,
    /// The bytes of the pictures that are being accepted.
    pub(super) under_way: UnderWay,
    /// Whether other processes read the table.
    pub(super) is_shared: bool,
    /// The rows of accepted operations that the table does not have yet.
    pub(super) rows: Rows,
    pub(super) keys: Arc<Keys>,
    /// Who may use the service.
    pub(super) access: Access,
    pub(super) quotas: Quotas,
    pub(super) stop: CancellationToken,
}

/// Counts the bytes that are on their way to the log.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Arc<AtomicU64>);

/// Some of these bytes, counted until this is dropped.
#[derive(Debug)]
pub(super) struct Load {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl UnderWay {
    pub(super) fn add(&self, bytes: u64) -> Load {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Load {
            all: Arc::clone(&self.0),
            bytes,
        }
    }
}

impl Load {
    /// All bytes that are on their way.
    pub(super) fn sum(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl ApiState {
    pub(super) fn new(
        storage: Storage,
        processes: PixelProcesses,
        settings: &Settings,
        access: Access,
        stop: CancellationToken,
    ) -> Self {
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
            storage_timeout: settings.storage_timeout(),
            under_way: UnderWay::default(),
            is_shared: settings.storage.table == TableKind::Mysql,
            rows: Rows::default(),
            stop,
            keys: Arc::default(),
            access,
            quotas: Quotas::new(settings),
        }
    }
}
