//! A budget of memory that requests share. A request reserves memory in steps, while its bytes
//! arrive, and gives it back when they are freed.
//!
//! Requests that hold memory and wait for more could wait for each other. So each one says first
//! how much it may need at most, and a step is granted only if all can still finish afterwards in
//! some order, each with the memory of those before it: the banker's algorithm (Dijkstra, EWD 623).
//! A client that announces a large body and sends little costs what it has sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::problem::{Kind, Problem};

/// Memory that requests share.
#[derive(Debug)]
pub(super) struct Budget {
    total: u64,
    /// How long a request waits for a step.
    patience: Duration,
    /// What a request is told that waited too long.
    exhausted: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    free: u64,
    next_id: u64,
    /// By age.
    shares: BTreeMap<u64, Share>,
    /// By the age of the reservation, not of the step.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    held: u64,
    most: u64,
}

#[derive(Debug)]
struct Waiting {
    size: u64,
    granted: oneshot::Sender<()>,
}

/// The memory that one request holds, until this value is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<Budget>,
    id: u64,
}

impl Budget {
    pub(super) fn new(total: u64, patience: Duration, exhausted: &'static str) -> Arc<Self> {
        Arc::new(Self {
            total,
            patience,
            exhausted,
            state: Mutex::new(State {
                free: total,
                next_id: 0,
                shares: BTreeMap::new(),
                waiting: BTreeMap::new(),
            }),
        })
    }

    /// All memory of the budget, in bytes.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether requests wait for memory.
    pub(super) fn is_exhausted(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// A reservation of nothing yet, which may grow to `most` bytes. More than there is counts as
    /// all of it.
    pub(super) fn open(self: &Arc<Self>, most: u64) -> Reservation {
        let most = most.min(self.total);
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.shares.insert(id, Share { held: 0, most });
        Reservation {
            budget: Arc::clone(self),
            id,
        }
    }

    /// Waits for this much memory.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Problem> {
        let mut reservation = self.open(bytes);
        reservation.grow(bytes).await?;
        Ok(reservation)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Grants a reservation this size if all others can still finish.
    fn grant(&mut self, id: u64, size: u64) -> bool {
        let Some(share) = self.shares.get(&id).copied() else {
            return false;
        };
        let extra = size.saturating_sub(share.held);
        if extra > self.free {
            return false;
        }
        let granted = Share {
            held: share.held.max(size),
            most: share.most.max(size),
        };
        self.shares.insert(id, granted);
        self.free -= extra;
        let is_safe = self.is_safe();
        if !is_safe {
            self.shares.insert(id, share);
            self.free += extra;
        }
        is_safe
    }

    /// Whether all reservations that hold something can grow to their most, one after another.
    fn is_safe(&self) -> bool {
        let holding = self.shares.values().filter(|share| share.held > 0);
        let mut needs: Vec<_> = holding
            .map(|share| (share.most - share.held, share.held))
            .collect();
        if needs.iter().all(|(need, _)| *need <= self.free) {
            return true;
        }
        needs.sort_unstable();
        let mut free = self.free;
        needs.into_iter().all(|(need, held)| {
            let fits = need <= free;
            free += held;
            fits
        })
    }

    /// Grants what waits, the oldest reservation first.
    fn grant_waiting(&mut self) {
        let waiting: Vec<_> = self.waiting.iter().map(|(id, it)| (*id, it.size)).collect();
        for (id, size) in waiting {
            if self.free == 0 {
                return;
            }
            if self.grant(id, size)
                && let Some(waiting) = self.waiting.remove(&id)
            {
                // Whoever stopped waiting gives it back by dropping the reservation.
                let _ = waiting.granted.send(());
            }
        }
    }
}

impl Reservation {
    /// Waits until it holds this many bytes in all.
    ///
    /// # Errors
    ///
    /// A 503 when that takes too long.
    pub(super) async fn grow(&mut self, size: u64) -> Result<(), Problem> {
        let size = size.min(self.budget.total);
        let granted = {
            let mut state = self.budget.state();
            if state.grant(self.id, size) {
                return Ok(());
            }
            let (sender, granted) = oneshot::channel();
            let waiting = Waiting {
                size,
                granted: sender,
            };
            state.waiting.insert(self.id, waiting);
            granted
        };
        if let Ok(Ok(())) = tokio::time::timeout(self.budget.patience, granted).await {
            return Ok(());
        }
        let mut state = self.budget.state();
        match state.waiting.remove(&self.id) {
            Some(_) => Err(Problem::new(Kind::Unavailable, self.budget.exhausted)),
            // It was granted at the last moment.
            None => Ok(()),
        }
    }

    /// Gives back all but this many bytes. It will not grow again.
    pub(super) fn shrink(&mut self, size: u64) {
        let mut state = self.budget.state();
        if let Some(share) = state.shares.get_mut(&self.id) {
            let size = size.min(share.held);
            let freed = share.held - size;
            *share = Share {
                held: size,
                most: size,
            };
            state.free += freed;
            state.grant_waiting();
        }
    }

    /// Ties `bytes` to the memory that was reserved for them: it is given back when the last copy
    /// of the returned `Bytes` is dropped, whoever has it then.
    pub(super) fn hold<T>(self, bytes: T) -> Bytes
    where
        T: AsRef<[u8]> + Send + 'static,
    {
        Bytes::from_owner(Held {
            bytes,
            _memory: self,
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.waiting.remove(&self.id);
        if let Some(share) = state.shares.remove(&self.id) {
            state.free += share.held;
            state.grant_waiting();
        }
    }
}

/// Fields are dropped in this order: first the bytes, then their reservation.
struct Held<T> {
    bytes: T,
    _memory: Reservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(reservation: &Reservation) -> u64 {
        reservation.budget.state().shares[&reservation.id].held
    }

    fn budget(total: u64) -> Arc<Budget> {
        Budget::new(total, Duration::from_millis(1), "full")
    }

    #[tokio::test]
    async fn what_is_announced_costs_nothing() {
        let budget = budget(100);
        let mut silent: Vec<_> = (0..50).map(|_| budget.open(100)).collect();
        silent[0].grow(1).await.unwrap();
        let mut other = budget.open(99);
        other.grow(99).await.unwrap();
        assert!(silent[1].grow(1).await.is_err(), "nothing is left");
        drop(other);
        silent[0].grow(100).await.unwrap();
    }

    #[tokio::test]
    async fn a_step_that_could_make_all_wait_for_each_other_is_not_granted() {
        let budget = budget(100);
        let [mut first, mut second] = [budget.open(80), budget.open(80)];
        first.grow(40).await.unwrap();
        assert!(second.grow(30).await.is_err(), "first may need 40 more");
        second.grow(20).await.unwrap();
        first.grow(80).await.unwrap();
        assert!(second.grow(21).await.is_err());
        drop(first);
        second.grow(80).await.unwrap();
    }

    #[tokio::test]
    async fn memory_is_given_back_with_the_last_copy_of_its_bytes() {
        let budget = budget(10);
        let bytes = budget.reserve(10).await.unwrap().hold(vec![1; 10]);
        let part = bytes.slice(3..4);
        drop(bytes);
        assert!(budget.reserve(1).await.is_err());
        drop(part);
        assert_eq!(held(&budget.reserve(10).await.unwrap()), 10);
    }

    #[tokio::test]
    async fn waiting_ends_when_memory_is_given_back() {
        let budget = Budget::new(10, Duration::from_secs(60), "full");
        let mut first = budget.reserve(10).await.unwrap();
        let second = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.reserve(6).await }
        });
        while !budget.is_exhausted() {
            tokio::task::yield_now().await;
        }
        first.shrink(4);
        assert_eq!(held(&second.await.unwrap().unwrap()), 6);
        assert!(!budget.is_exhausted());
    }
}
