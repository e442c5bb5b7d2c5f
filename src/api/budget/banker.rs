//! The banker's algorithm: grants a step only if all reservations can still finish afterwards.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

/// Who holds how much, who may need how much, and who waits.
#[derive(Debug)]
pub(super) struct State {
    pub(super) free: u64,
    pub(super) next_id: u64,
    /// By age.
    pub(super) shares: BTreeMap<u64, Share>,
    /// By the age of the reservation, not of the step.
    pub(super) waiting: BTreeMap<u64, Waiting>,
}

/// What one reservation holds, and how much it may grow to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) held: u64,
    pub(super) most: u64,
}

/// A step that a reservation waits for.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) size: u64,
    pub(super) granted: oneshot::Sender<()>,
}

impl State {
    pub(super) fn new(total: u64) -> Self {
        Self {
            free: total,
            next_id: 0,
            shares: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Whether a reservation lets an older one go first.
    pub(super) fn must_queue(&self, id: u64) -> bool {
        let holds = self.shares.get(&id).is_some_and(|share| share.held > 0);
        !holds && self.waiting.range(..id).next().is_some()
    }

    /// Announces that a reservation may grow to this size, if all can still finish then.
    pub(super) fn announce(&mut self, id: u64, size: u64) -> bool {
        let Some(share) = self.shares.get(&id).copied() else {
            return false;
        };
        let most = share.most.max(size);
        self.shares.insert(id, Share { most, ..share });
        let is_safe = self.is_safe();
        if !is_safe {
            self.shares.insert(id, share);
        }
        is_safe
    }

    /// Takes back what was announced beyond what is held.
    pub(super) fn revoke(&mut self, id: u64) {
        if let Some(share) = self.shares.get_mut(&id) {
            share.most = share.held;
            self.grant_waiting();
        }
    }

    /// Makes a part of what a reservation holds a share of its own. Returns the new share's ID.
    pub(super) fn split(&mut self, id: u64, size: u64) -> u64 {
        if let Some(share) = self.shares.get_mut(&id) {
            share.held -= size;
        }
        let part = self.next_id;
        self.next_id += 1;
        let share = Share {
            held: size,
            most: size,
        };
        self.shares.insert(part, share);
        part
    }

    /// Grants a reservation this size if all others can still finish.
    pub(super) fn grant(&mut self, id: u64, size: u64) -> bool {
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
    pub(super) fn grant_waiting(&mut self) {
        let waiting: Vec<_> = self.waiting.iter().map(|(id, it)| (*id, it.size)).collect();
        for (id, size) in waiting {
            if self.free == 0 {
                return;
            }
            if !self.must_queue(id)
                && self.grant(id, size)
                && let Some(waiting) = self.waiting.remove(&id)
            {
                // Whoever stopped waiting gives it back by dropping the reservation.
                let _ = waiting.granted.send(());
            }
        }
    }
}
