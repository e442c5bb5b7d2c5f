//! Chooses the partitions of events whose order does not matter.
//!
//! librdkafka sends one request for each partition, and each of them costs all brokers work. So
//! events that are appended within some milliseconds go to the same partition and share a request.
//! The key stays in the record, but does not choose the partition: no two requests must keep their
//! order, and a partition whose leader is away must not make a picture wait for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long one partition takes all events.
const TURN: Duration = Duration::from_millis(8);
/// A turn also ends after so many events or bytes, so that a burst reaches several workers.
const TURN_EVENTS: u32 = 16;
const TURN_BYTES: usize = 128 * 1024;
/// How long a partition that stored nothing is avoided.
const AVOIDED: Duration = Duration::from_secs(5);

/// Gives each partition of a topic a short turn, one after the other.
#[derive(Debug)]
pub(super) struct Spread {
    partitions: Vec<i32>,
    current: usize,
    turn_began: Instant,
    events: u32,
    bytes: usize,
    avoided_until: HashMap<i32, Instant>,
}

impl Spread {
    /// Begins at the partition `start`, modulo their number, so that processes do not march in
    /// step.
    pub(super) fn new(partitions: Vec<i32>, start: usize, now: Instant) -> Self {
        Self {
            current: start % partitions.len().max(1),
            partitions,
            turn_began: now,
            events: 0,
            bytes: 0,
            avoided_until: HashMap::new(),
        }
    }

    /// The partition of the next event. `None` if no partition is known.
    pub(super) fn next(&mut self, bytes: usize, now: Instant) -> Option<i32> {
        let over = self.events >= TURN_EVENTS
            || self.bytes >= TURN_BYTES
            || now.saturating_duration_since(self.turn_began) >= TURN;
        if over || self.is_avoided(self.current, now) {
            self.turn(now);
        }
        self.events += 1;
        self.bytes += bytes;
        self.partitions.get(self.current).copied()
    }

    /// Goes on to the next partition that is not avoided; if all are, to the next one.
    fn turn(&mut self, now: Instant) {
        let count = self.partitions.len().max(1);
        let next = (1..=count)
            .map(|step| (self.current + step) % count)
            .find(|index| !self.is_avoided(*index, now));
        self.current = next.unwrap_or((self.current + 1) % count);
        (self.turn_began, self.events, self.bytes) = (now, 0, 0);
    }

    fn is_avoided(&self, index: usize, now: Instant) -> bool {
        let partition = self.partitions.get(index);
        let until = partition.and_then(|partition| self.avoided_until.get(partition));
        until.is_some_and(|until| now < *until)
    }

    pub(super) fn failed(&mut self, partition: i32, now: Instant) {
        self.avoided_until.insert(partition, now + AVOIDED);
    }

    pub(super) fn succeeded(&mut self, partition: i32) {
        self.avoided_until.remove(&partition);
    }

    /// The partitions that the topic has now.
    pub(super) fn set_partitions(&mut self, partitions: &[i32]) {
        if self.partitions != partitions {
            partitions.clone_into(&mut self.partitions);
            self.current %= self.partitions.len().max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(now: Instant) -> Spread {
        Spread::new(vec![0, 1, 2], 4, now)
    }

    #[test]
    fn events_that_come_together_share_a_partition_and_later_ones_do_not() {
        let now = Instant::now();
        let mut spread = spread(now);
        assert_eq!(spread.next(10, now), Some(1));
        assert_eq!(spread.next(10, now), Some(1));
        assert_eq!(spread.next(10, now + TURN), Some(2));
        assert_eq!(spread.next(TURN_BYTES, now + TURN), Some(2));
        assert_eq!(spread.next(10, now + TURN), Some(0));
    }

    #[test]
    fn a_burst_reaches_all_partitions() {
        let now = Instant::now();
        let mut spread = spread(now);
        let chosen = (0..TURN_EVENTS * 3).filter_map(|_| spread.next(1, now));
        let mut counts = HashMap::new();
        for partition in chosen {
            *counts.entry(partition).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 3, "{counts:?}");
        assert!(counts.values().all(|count| *count == TURN_EVENTS));
    }

    #[test]
    fn a_partition_that_failed_is_avoided_for_a_while() {
        let now = Instant::now();
        let mut spread = spread(now);
        spread.failed(1, now);
        assert_eq!(spread.next(1, now), Some(2));
        assert_eq!(spread.next(1, now + TURN), Some(0));
        assert_eq!(spread.next(1, now + 2 * TURN), Some(2));
        spread.succeeded(1);
        assert_eq!(spread.next(1, now + 3 * TURN), Some(0));
        assert_eq!(spread.next(1, now + 4 * TURN), Some(1));
        for partition in 0..3 {
            spread.failed(partition, now + 4 * TURN);
        }
        assert!(spread.next(1, now + 4 * TURN).is_some());
    }

    #[test]
    fn new_partitions_are_used_and_none_is_no_panic() {
        let now = Instant::now();
        let mut spread = Spread::new(Vec::new(), 7, now);
        assert_eq!(spread.next(1, now), None);
        spread.set_partitions(&[5]);
        assert_eq!(spread.next(1, now + TURN), Some(5));
    }
}
