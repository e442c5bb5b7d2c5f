//! Requests with the same idempotency key take turns.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use crate::operation::OperationId;

/// The keys of the requests that are being accepted.
#[derive(Debug, Default)]
pub(super) struct Keys {
    locks: Mutex<HashMap<OperationId, Arc<tokio::sync::Mutex<()>>>>,
}

/// The turn of one request. The next one begins when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    keys: Arc<Keys>,
    id: OperationId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Keys {
    /// Waits for the turn of a request with this ID; `None` if earlier ones take longer than
    /// `patience`.
    pub(super) async fn turn(
        self: &Arc<Self>,
        id: OperationId,
        patience: Duration,
    ) -> Option<Turn> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(id).or_default())
        };
        // Made before waiting, so that a request that gives up tidies up too.
        let mut turn = Turn {
            keys: Arc::clone(self),
            id,
            guard: None,
        };
        turn.guard = tokio::time::timeout(patience, lock.lock_owned()).await.ok();
        turn.guard.is_some().then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut locks = self
            .keys
            .locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The map has the only handle, so nobody waits.
        if locks
            .get(&self.id)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            locks.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_stays() {
        let keys = Arc::new(Keys::default());
        let (id, other) = (OperationId::generate(), OperationId::generate());
        let soon = Duration::from_millis(1);
        let first = keys.turn(id, soon).await;
        assert!(first.is_some());
        assert!(keys.turn(other, soon).await.is_some());
        assert!(keys.turn(id, soon).await.is_none());
        let waiting = keys.turn(id, Duration::from_secs(60));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        drop(first);
        assert!(waiting.await.is_some());
        assert!(keys.locks.lock().unwrap().is_empty());
    }
}
