//! Adds the rows of accepted operations to the table, many together and behind the answers. The log
//! has these operations already, so a worker would add their rows too, but perhaps much later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use crate::operation::{Operation, OperationId};
use crate::picture_store::PictureStore;

/// The most rows that wait for the table. Further ones are left to the workers.
const MAX_ROWS: usize = 20_000;
/// The most rows that are added at once.
const MAX_BATCH: usize = 256;
/// The pauses between attempts while the table does not answer.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_secs(1))
    .without_max_times();

/// How long after a failed call of the table other servers may still be adding rows. Longer than two
/// of the pauses above, and than a table that is back goes unnoticed.
const CATCHING_UP: Duration = Duration::from_secs(8);
/// How long the row of an accepted operation may be on its way to a table that works.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// The rows that the table does not have yet.
#[derive(Debug, Default)]
pub(super) struct Rows {
    waiting: Mutex<HashMap<OperationId, Row>>,
    added: Notify,
    /// When the table last failed.
    failed_at: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Row {
    operation: Operation,
    /// Who waits until the table has it.
    waiters: Vec<oneshot::Sender<()>>,
}

impl Rows {
    /// Adds a row soon.
    pub(super) fn add(&self, operation: Operation) {
        let mut waiting = self.waiting();
        if waiting.len() >= MAX_ROWS {
            return;
        }
        let waiters = Vec::new();
        waiting.insert(operation.id, Row { operation, waiters });
        drop(waiting);
        self.added.notify_one();
    }

    /// An accepted operation whose row the table does not have yet.
    pub(super) fn find(&self, id: OperationId) -> Option<Operation> {
        let waiting = self.waiting();
        waiting.get(&id).map(|row| row.operation.clone())
    }

    /// Notes that the table has failed just now.
    pub(super) fn table_failed(&self) {
        *self.failed_at() = Some(Instant::now());
    }

    /// Whether another server may have accepted an operation whose row it has not added yet.
    pub(super) fn may_come(&self, id: OperationId) -> bool {
        let failed_at = *self.failed_at();
        failed_at.is_some_and(|at| at.elapsed() < CATCHING_UP)
            || is_new(id.time(), Timestamp::now())
    }

    fn failed_at(&self) -> MutexGuard<'_, Option<Instant>> {
        let failed_at = self.failed_at.lock();
        failed_at.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the table has the row of an operation, at most for `patience`. Returns whether it
    /// has it, as far as is known here.
    pub(super) async fn settled(&self, id: OperationId, patience: Duration) -> bool {
        let settled = {
            let mut waiting = self.waiting();
            let Some(row) = waiting.get_mut(&id) else {
                return true;
            };
            let (sender, receiver) = oneshot::channel();
            row.waiters.push(sender);
            receiver
        };
        matches!(tokio::time::timeout(patience, settled).await, Ok(Ok(())))
    }

    /// Adds rows for ever.
    pub(super) async fn run(&self, store: &dyn PictureStore) {
        loop {
            self.flush(store).await;
            self.added.notified().await;
        }
    }

    /// Adds all rows that wait.
    pub(super) async fn flush(&self, store: &dyn PictureStore) {
        loop {
            let batch: Vec<Operation> = {
                let waiting = self.waiting();
                let operations = waiting.values().map(|row| row.operation.clone());
                operations.take(MAX_BATCH).collect()
            };
            if batch.is_empty() {
                return;
            }
            let mut pauses = PAUSES.build();
            while let Err(error) = store.enqueue_all(&batch).await {
                if !error.is_transient() {
                    tracing::warn!(%error, "rows of accepted operations are left to the workers");
                    break;
                }
                self.table_failed();
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
            let mut waiting = self.waiting();
            for operation in batch {
                let row = waiting.remove(&operation.id);
                for waiter in row.into_iter().flat_map(|row| row.waiters) {
                    let _ = waiter.send(());
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<OperationId, Row>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operation was accepted a moment ago, by its ID. The clocks of servers differ a little.
fn is_new(time: Option<Timestamp>, now: Timestamp) -> bool {
    time.is_some_and(|time| now.duration_since(time).unsigned_abs() < ON_ITS_WAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_this_moment_may_be_on_its_way() {
        let now = Timestamp::now();
        assert!(is_new(Some(now), now));
        assert!(is_new(now.checked_add(ON_ITS_WAY / 2).ok(), now));
        assert!(!is_new(now.checked_sub(ON_ITS_WAY).ok(), now));
        assert!(!is_new(None, now));
    }

    #[test]
    fn any_row_may_come_while_other_servers_catch_up() {
        let rows = Rows::default();
        let id = OperationId::from_idempotency_key("order-17");
        assert!(!rows.may_come(id));
        rows.table_failed();
        assert!(rows.may_come(id));
    }
}
