//! A budget of memory that requests share. A request reserves memory in steps, while its bytes
//! arrive, and gives it back when they are freed.
//!
//! Requests that hold memory and wait for more could wait for each other. So each one says first
//! how much it may need at most, and a step is granted only if all can still finish afterwards in
//! some order, each with the memory of those before it: the banker's algorithm (Dijkstra, EWD 623).
//! A client that announces a large body and sends little costs what it has sent.
//!
//! Requests that hold nothing yet are served by age, so that small ones do not keep a large one
//! waiting for ever. Those that hold something go on as soon as they can, because others may wait
//! for what they hold.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::banker::{Share, State, Waiting};
use super::problem::{Kind, Problem};

mod banker;

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
            state: Mutex::new(State::new(total)),
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

    fn exhausted(&self) -> Problem {
        Problem::new(Kind::Unavailable, self.exhausted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Waits until it holds this many bytes in all.
    ///
    /// # Errors
    ///
    /// A 503 when that takes too long.
    pub(super) async fn grow(&mut self, size: u64) -> Result<(), Problem> {
        self.wait_for(size.min(self.budget.total)).await
    }

    /// Waits for this many bytes more, as a reservation of their own. This one is held meanwhile.
    /// So it only waits if all can still finish then.
    ///
    /// # Errors
    ///
    /// A 503 when that takes too long, or at once if requests could then wait for each other for
    /// ever.
    pub(super) async fn extend(&self, extra: u64) -> Result<Self, Problem> {
        let size = self.size().saturating_add(extra);
        let announced = size <= self.budget.total && self.budget.state().announce(self.id, size);
        if !announced {
            return Err(self.budget.exhausted());
        }
        let _announcement = Announcement(self);
        self.wait_for(size).await?;
        let id = self.budget.state().split(self.id, extra);
        Ok(Self {
            budget: Arc::clone(&self.budget),
            id,
        })
    }

    /// The bytes that it holds.
    pub(super) fn size(&self) -> u64 {
        let state = self.budget.state();
        state.shares.get(&self.id).map_or(0, |share| share.held)
    }

    async fn wait_for(&self, size: u64) -> Result<(), Problem> {
        let (queued, granted) = {
            let mut state = self.budget.state();
            if !state.must_queue(self.id) && state.grant(self.id, size) {
                return Ok(());
            }
            let (sender, granted) = oneshot::channel();
            let waiting = Waiting {
                size,
                granted: sender,
            };
            state.waiting.insert(self.id, waiting);
            (Queued(self), granted)
        };
        if let Ok(Ok(())) = tokio::time::timeout(self.budget.patience, granted).await {
            return Ok(());
        }
        if queued.leave() {
            Err(self.budget.exhausted())
        } else {
            // It was granted at the last moment.
            Ok(())
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
        Arc::new(self).hold_shared(bytes)
    }

    /// Ties `bytes` to the memory as [`hold`](Self::hold) does. The memory is also kept as long as
    /// there are other copies of this `Arc`.
    pub(super) fn hold_shared<T>(self: Arc<Self>, bytes: T) -> Bytes
    where
        T: AsRef<[u8]> + Send + 'static,
    {
        Bytes::from_owner(Held {
            bytes,
            _memory: self,
        })
    }
}

/// A reservation that waits, until this value is dropped.
struct Queued<'a>(&'a Reservation);

impl Queued<'_> {
    /// Stops waiting. Returns whether it still waited.
    fn leave(&self) -> bool {
        let mut state = self.0.budget.state();
        let has_waited = state.waiting.remove(&self.0.id).is_some();
        if has_waited {
            // Younger ones may have waited for it to go first.
            state.grant_waiting();
        }
        has_waited
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a reservation has announced beyond what it holds, until this value is dropped.
struct Announcement<'a>(&'a Reservation);

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        self.0.budget.state().revoke(self.0.id);
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
    _memory: Arc<Reservation>,
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

    #[tokio::test]
    async fn who_holds_nothing_does_not_overtake() {
        let budget = Budget::new(10, Duration::from_secs(60), "full");
        let mut first = budget.open(8);
        first.grow(6).await.unwrap();
        let second = tokio::spawn({
            let budget = Arc::clone(&budget);
            async move { budget.reserve(6).await }
        });
        while !budget.is_exhausted() {
            tokio::task::yield_now().await;
        }
        let mut third = budget.open(2);
        assert!(budget.state().must_queue(third.id));
        // The second one waits for it, so it goes on.
        first.grow(8).await.unwrap();
        drop(first);
        second.await.unwrap().unwrap();
        third.grow(2).await.unwrap();
    }

    #[tokio::test]
    async fn who_stops_waiting_lets_the_younger_ones_go_on() {
        let budget = Budget::new(10, Duration::from_secs(60), "full");
        let _first = budget.reserve(6).await.unwrap();
        let reserve = |size| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move { budget.reserve(size).await })
        };
        let waiting = |count| {
            let budget = Arc::clone(&budget);
            async move {
                while budget.state().waiting.len() < count {
                    tokio::task::yield_now().await;
                }
            }
        };
        let second = reserve(6);
        waiting(1).await;
        let third = reserve(4);
        waiting(2).await;
        second.abort();
        assert_eq!(held(&third.await.unwrap().unwrap()), 4);
    }

    #[tokio::test]
    async fn extensions_do_not_wait_for_each_other() {
        let budget = Budget::new(512, Duration::from_secs(60), "full");
        let mut tasks = tokio::task::JoinSet::new();
        let mut bodies = Vec::new();
        for _ in 0..17 {
            bodies.push(budget.reserve(30).await.unwrap());
        }
        for body in bodies {
            tasks.spawn(async move { body.extend(200).await.map(|extra| held(&extra)) });
        }
        let (mut granted, mut refused) = (0, 0);
        let waiting = tokio::time::timeout(Duration::from_secs(30), tasks.join_all());
        for outcome in waiting.await.unwrap() {
            match outcome {
                Ok(size) => {
                    assert_eq!(size, 200);
                    granted += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(granted >= 10, "{granted} were granted, {refused} refused");
        assert_eq!(budget.state().free, 512);
        assert!(budget.state().shares.is_empty());
    }

    #[tokio::test]
    async fn an_extension_is_given_back_apart() {
        let budget = budget(10);
        let body = budget.reserve(4).await.unwrap();
        assert!(body.extend(7).await.is_err(), "there are ten in all");
        let extra = body.extend(6).await.unwrap();
        assert!(budget.reserve(1).await.is_err());
        drop(extra);
        assert_eq!(body.size(), 4);
        budget.reserve(6).await.unwrap();
    }
}
