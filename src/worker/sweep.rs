//! The sweep: removes what is past its retention, a little at a time.
//!
//! Every worker sweeps. Several at once do no harm: each removes what the others have not.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::event_log::{LogError, Topic};
use crate::picture_store::StoreError;
use crate::storage::Storage;

/// Rows or events that are removed at once.
const BATCH: u32 = 100;
/// A deposit whose event is not in the log after this time is discarded. A request takes seconds
/// from its deposit to its event.
const DEPOSIT_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// The workers must have finished every event that is older than this before a deposit is
/// discarded. It is half of [`DEPOSIT_LIMIT`], so that the event of such a deposit is among them.
const LAG_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// The time between two looks for such deposits: to find them, every queued row is read.
const DEPOSIT_INTERVAL: Duration = Duration::from_secs(3600);

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
    discarded: u64,
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sweeps at an interval until `stop`. What fails is tried again the next time.
pub(super) async fn run(storage: Storage, retention: Retention, stop: CancellationToken) {
    let mut deposits_due = Instant::now();
    while !stop.is_cancelled() {
        let sweeping = async {
            let mut swept = sweep(&storage, &retention).await?;
            if deposits_due <= Instant::now() {
                swept.discarded =
                    sweep_deposits(&storage, &retention.group, Timestamp::now()).await?;
                deposits_due = Instant::now() + DEPOSIT_INTERVAL;
            }
            Ok::<_, SweepError>(swept)
        };
        let Some(swept) = stop.run_until_cancelled(sweeping).await else {
            return;
        };
        match swept {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(
                expired = swept.expired,
                forgotten = swept.forgotten,
                trimmed = swept.trimmed,
                discarded = swept.discarded,
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

async fn sweep(storage: &Storage, retention: &Retention) -> Result<Swept, SweepError> {
    let Storage { log, store, .. } = storage;
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

/// Removes deposits whose event never reached the log: the log refused it, or the API was killed.
///
/// No operation whose event is in the log loses its picture, however far behind the workers are. Its
/// row has a position from `enqueue` on, or at the latest from `begin` on. So a row without a
/// position has no event once the workers have finished all events that were appended until long
/// after the deposit. When a request with the same idempotency key comes, it renews the deposit's
/// time before it appends its event, and the deposit is not old any more.
async fn sweep_deposits(storage: &Storage, group: &str, now: Timestamp) -> Result<u64, SweepError> {
    let Storage { log, store, .. } = storage;
    let (before, finished) = (now - DEPOSIT_LIMIT, now - LAG_LIMIT);
    if !store.has_lost_deposits(before).await?
        || !log.has_finished(Topic::Requests, group, finished).await?
    {
        return Ok(0);
    }
    Ok(batches(|| store.discard_deposits(before, BATCH)).await?)
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::event::Record;
    use crate::operation::{
        Digest, Format, Operation, OperationId, PictureFacts, ResizeOptions, Status,
    };
    use crate::settings::Settings;

    const GROUP: &str = "workers";
    const A_DAY: Duration = Duration::from_secs(25 * 3600);

    async fn storage(folder: &std::path::Path) -> Storage {
        let mut settings = Settings::default();
        settings.data.folder = folder.join("data");
        Storage::open(&settings).await.unwrap()
    }

    /// A deposit without a time at which it expires.
    async fn deposit(storage: &Storage, time: Timestamp) -> Operation {
        let request = ResizeOptions::from_pairs([("width", "20")]).unwrap();
        let source = PictureFacts {
            format: Format::Png,
            width: 40,
            height: 30,
            bytes: 7,
            digest: Digest::of(b"picture"),
        };
        let operation = Operation::queued(OperationId::generate(), request, source, time);
        let picture = Bytes::from("picture");
        storage.store.deposit(&operation, picture).await.unwrap();
        operation
    }

    async fn is_there(storage: &Storage, operation: &Operation) -> bool {
        let found = storage.store.deposited(operation.id).await.unwrap();
        found.is_some()
    }

    async fn sweep_at(storage: &Storage, now: Timestamp) -> u64 {
        sweep_deposits(storage, GROUP, now).await.unwrap()
    }

    #[tokio::test]
    async fn a_deposit_without_an_event_is_removed_after_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path()).await;
        let (now, tomorrow) = (Timestamp::now(), Timestamp::now() + A_DAY);
        let lost = deposit(&storage, now).await;
        let young = deposit(&storage, tomorrow).await;
        assert_eq!(sweep_at(&storage, now).await, 0);
        assert_eq!(sweep_at(&storage, tomorrow).await, 1);
        assert!(!is_there(&storage, &lost).await);
        assert_eq!(storage.store.find(lost.id).await.unwrap(), None);
        assert!(is_there(&storage, &young).await);
        assert_eq!(sweep_at(&storage, tomorrow).await, 0);
    }

    #[tokio::test]
    async fn a_request_with_the_same_key_renews_its_deposit() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path()).await;
        let tomorrow = Timestamp::now() + A_DAY;
        let again = Operation {
            queued_at: tomorrow,
            ..deposit(&storage, Timestamp::now()).await
        };
        let picture = Bytes::from("picture");
        storage.store.deposit(&again, picture).await.unwrap();
        assert_eq!(sweep_at(&storage, tomorrow).await, 0);
        assert!(is_there(&storage, &again).await);
    }

    /// The log has the event, and nobody told the row its position.
    #[tokio::test]
    async fn a_deposit_stays_while_its_event_may_wait_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path()).await;
        let tomorrow = Timestamp::now() + A_DAY;
        let accepted = deposit(&storage, Timestamp::now()).await;
        let record = Record {
            key: accepted.id.to_string(),
            headers: Vec::new(),
            value: Bytes::new(),
        };
        let position = storage.log.append(Topic::Requests, record).await.unwrap();
        assert_eq!(sweep_at(&storage, tomorrow).await, 0);
        assert!(is_there(&storage, &accepted).await);

        // The worker comes to it at last, and commits.
        let begun = Operation {
            position: Some(position),
            ..accepted.clone()
        };
        let begin = storage.store.begin(&begun, "worker", tomorrow);
        begin.await.unwrap();
        let mut consumer = storage.log.subscribe(Topic::Requests, GROUP).await.unwrap();
        let mut next = position;
        next.offset += 1;
        consumer.commit(next).await.unwrap();
        assert_eq!(sweep_at(&storage, tomorrow).await, 0);
        assert!(is_there(&storage, &accepted).await);
        let row = storage.store.find(accepted.id).await.unwrap().unwrap();
        assert_eq!(row.status, Status::Processing);
    }
}
