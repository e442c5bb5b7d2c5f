//! Fails the operations whose events expired in the log before a worker read them.

use std::ops::Range;
use std::time::Instant;

use jiff::Timestamp;

use super::job::{JobContext, Unfinished};
use super::retry::Retries;
use crate::imaging::ENGINE_VERSION;
use crate::picture_store::UnreadEvents;

/// Why such an operation failed.
const REASON: &str = "its event was removed from the log by the log's retention before a worker \
                      could handle it";
/// The most rows that are changed at once.
const BATCH: u32 = 100;

/// Marks the operations of these events as failed. Nobody can deliver them any more.
pub(super) async fn fail(
    context: &JobContext,
    partition: i32,
    offsets: Range<i64>,
) -> Result<(), Unfinished> {
    let unread = UnreadEvents { partition, offsets };
    let mut retries = Retries::default();
    let mut sum = 0;
    loop {
        let now = Timestamp::now();
        let failed = context
            .store
            .fail_unread(&unread, REASON, ENGINE_VERSION, now, BATCH);
        let error = match failed.await {
            Ok(failed) => {
                sum += failed;
                if failed < u64::from(BATCH) {
                    break;
                }
                continue;
            }
            Err(error) => error,
        };
        let Some(pause) = retries.pause(error.is_transient(), Instant::now()) else {
            return Err(Unfinished::Refused(error.into()));
        };
        tokio::select! {
            () = context.stop.cancelled() => return Err(Unfinished::Abandoned),
            () = tokio::time::sleep(pause) => {}
        }
    }
    let UnreadEvents { partition, offsets } = unread;
    tracing::error!(
        partition,
        from = offsets.start,
        to = offsets.end,
        failed = sum,
        "events expired in the log before a worker read them; their operations have failed"
    );
    Ok(())
}
