//! The sweep: removes what is past its retention, a little at a time.
//!
//! Every worker sweeps. Several at once do no harm: each removes what the others have not.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::event_log::LogError;
use crate::picture_store::StoreError;

/// Rows or events that are removed at once.
const BATCH: u32 = 100;

/// How long things are kept, and how often is looked.
#[derive(Debug)]
pub(super) struct Retention {
    /// How long pictures and events are kept, unless for ever.
    pub(super) keep: Option<Duration>,
    /// How long an operation that is gone is remembered.
    pub(super) remember: Duration,
    pub(super) interval: Duration,
    /// The consumer group whose unfinished requests stay in the log.
    pub(super) group: String,
}

/// What was removed in one sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Swept {
    expired: u64,
    forgotten: u64,
    trimmed: u64,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sweeps at an interval until `stop`. What fails is tried again the next time.
pub(super) async fn run(engine: Engine, retention: Retention, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sweeping = sweep(&engine, &retention);
        let Some(swept) = stop.run_until_cancelled(sweeping).await else {
            return;
        };
        match swept {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(
                expired = swept.expired,
                forgotten = swept.forgotten,
                trimmed = swept.trimmed,
                "swept"
            ),
            Err(error) => tracing::warn!(%error, "not everything was swept; trying again later"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(retention.interval) => {}
        }
    }
}

async fn sweep(engine: &Engine, retention: &Retention) -> Result<Swept, SweepError> {
    let Engine { log, store, .. } = engine;
    let now = Timestamp::now();
    let mut swept = Swept {
        expired: batches(|| store.expire(now, BATCH)).await?,
        ..Swept::default()
    };
    if let Ok(before) = now.checked_sub(retention.remember) {
        swept.forgotten = batches(|| store.forget(before, BATCH)).await?;
    }
    let before = retention.keep.and_then(|keep| now.checked_sub(keep).ok());
    if let Some(before) = before {
        swept.trimmed = batches(|| log.trim(before, &retention.group, BATCH)).await?;
    }
    Ok(swept)
}

/// Removes batches until there is nothing left to remove. Returns how many things were removed.
async fn batches<E, F>(mut remove: impl FnMut() -> F) -> Result<u64, E>
where
    F: Future<Output = Result<u64, E>>,
{
    let mut sum = 0;
    loop {
        let removed = remove().await?;
        sum += removed;
        if removed < u64::from(BATCH) {
            return Ok(sum);
        }
    }
}
