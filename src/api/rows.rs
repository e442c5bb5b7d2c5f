//! Adds the rows of accepted operations to the table, many together and behind the answers. The log
//! has these operations already, so a worker would add their rows too, but perhaps much later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Notify, oneshot};

use crate::operation::{Operation, OperationId};
use crate::picture_store::PictureStore;

/// The most rows that wait for the table. While there are so many, no more requests are accepted.
const MAX_ROWS: usize = 50_000;
/// The most rows that are added at once.
const MAX_BATCH: usize = 256;
/// The pauses between attempts while the table does not answer.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_secs(1))
    .without_max_times();

/// The rows that the table does not have yet.
#[derive(Debug, Default)]
pub(super) struct Rows {
    waiting: Mutex<HashMap<OperationId, Row>>,
    added: Notify,
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
        let waiters = Vec::new();
        let row = Row { operation, waiters };
        self.waiting().insert(row.operation.id, row);
        self.added.notify_one();
    }

    /// Whether the table is too far behind to accept more.
    pub(super) fn is_full(&self) -> bool {
        self.waiting().len() >= MAX_ROWS
    }

    /// An accepted operation whose row the table does not have yet.
    pub(super) fn find(&self, id: OperationId) -> Option<Operation> {
        let waiting = self.waiting();
        waiting.get(&id).map(|row| row.operation.clone())
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
                    add_each(store, &batch).await;
                    break;
                }
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

/// Adds rows of which the table refuses one.
async fn add_each(store: &dyn PictureStore, operations: &[Operation]) {
    for operation in operations {
        if let Err(error) = store.enqueue(operation).await {
            let id = operation.id;
            tracing::warn!(%id, %error, "the row of an accepted operation is left to a worker");
        }
    }
}
