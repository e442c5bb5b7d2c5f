//! Tells who waits that an operation has ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::operation::OperationId;

type Waiting = HashMap<OperationId, Vec<oneshot::Sender<()>>>;

/// Who waits for which operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Endings {
    waiting: Arc<Mutex<Waiting>>,
}

/// Ready once the operation has ended.
#[derive(Debug)]
struct Ending {
    endings: Endings,
    id: OperationId,
    ended: oneshot::Receiver<()>,
}

impl Endings {
    /// Waits for the end of an operation from now on.
    pub(super) fn watch(&self, id: OperationId) -> impl Future<Output = ()> + Send + use<> {
        let (sender, ended) = oneshot::channel();
        self.waiting().entry(id).or_default().push(sender);
        Ending {
            endings: self.clone(),
            id,
            ended,
        }
    }

    /// An operation has ended.
    pub(super) fn ended(&self, id: OperationId) {
        let waiters = self.waiting().remove(&id);
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(());
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Ending {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.ended).poll(context).map(drop)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.close();
        let mut waiting = self.endings.waiting();
        if let Some(waiters) = waiting.get_mut(&self.id) {
            waiters.retain(|waiter| !waiter.is_closed());
            if waiters.is_empty() {
                waiting.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_and_nothing_stays() {
        let endings = Endings::default();
        let (id, other) = (OperationId::generate(), OperationId::generate());
        let (first, second) = (endings.watch(id), endings.watch(id));
        drop(endings.watch(id));
        endings.ended(other);
        endings.ended(id);
        first.await;
        second.await;
        drop(endings.watch(other));
        assert!(endings.waiting().is_empty());
    }
}
