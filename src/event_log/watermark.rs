//! Tracks for each partition the offset before which all events are finished: the offset to commit,
//! and to continue from.

use std::collections::{BTreeSet, HashMap};

use super::EventPosition;

/// Events finish in any order. A position may only be committed once everything before it is
/// finished.
#[derive(Debug, Default)]
pub struct Watermark {
    partitions: HashMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    unfinished: BTreeSet<i64>,
    /// The offset after the last delivered event.
    end: i64,
    committed: Option<i64>,
}

impl Partition {
    fn next(&self) -> i64 {
        self.unfinished.first().copied().unwrap_or(self.end)
    }
}

impl Watermark {
    /// An event was delivered and is now being worked on.
    pub fn delivered(&mut self, position: EventPosition) {
        let partition = self.partitions.entry(position.partition).or_default();
        partition.unfinished.insert(position.offset);
        partition.end = partition.end.max(position.offset + 1);
    }

    /// An event is finished. Returns the position to commit, if it has moved.
    pub fn finished(&mut self, position: EventPosition) -> Option<EventPosition> {
        let partition = self.partitions.get_mut(&position.partition)?;
        if !partition.unfinished.remove(&position.offset) {
            return None;
        }
        let next = partition.next();
        let moved = match partition.committed {
            Some(committed) => next > committed,
            None => next > position.offset || partition.unfinished.is_empty(),
        };
        if !moved {
            return None;
        }
        partition.committed = Some(next);
        Some(EventPosition {
            partition: position.partition,
            offset: next,
        })
    }

    /// The first unfinished position of a partition; `None` if none of its events were delivered.
    pub fn next(&self, partition: i32) -> Option<EventPosition> {
        let offset = self.partitions.get(&partition)?.next();
        Some(EventPosition { partition, offset })
    }

    /// Whether events of a partition are unfinished.
    pub fn is_busy(&self, partition: i32) -> bool {
        let partition = self.partitions.get(&partition);
        partition.is_some_and(|partition| !partition.unfinished.is_empty())
    }

    /// The partition now belongs to another consumer, which commits its unfinished events.
    pub fn revoked(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> EventPosition {
        EventPosition { partition, offset }
    }

    fn delivered(positions: impl IntoIterator<Item = EventPosition>) -> Watermark {
        let mut watermark = Watermark::default();
        for position in positions {
            watermark.delivered(position);
        }
        watermark
    }

    #[test]
    fn nothing_behind_a_gap_is_committed() {
        let mut watermark = delivered([at(0, 5), at(0, 6), at(0, 7)]);
        assert_eq!(watermark.finished(at(0, 6)), None);
        assert_eq!(watermark.next(0), Some(at(0, 5)));
        assert_eq!(watermark.next(1), None);
        assert_eq!(watermark.finished(at(0, 5)), Some(at(0, 7)));
        assert_eq!(watermark.finished(at(0, 7)), Some(at(0, 8)));
    }

    #[test]
    fn offsets_may_jump() {
        let mut watermark = delivered([at(0, 5), at(0, 9)]);
        assert_eq!(watermark.finished(at(0, 5)), Some(at(0, 9)));
        assert_eq!(watermark.finished(at(0, 9)), Some(at(0, 10)));
    }

    #[test]
    fn partitions_do_not_wait_for_each_other() {
        let mut watermark = delivered([at(0, 0), at(1, 0)]);
        assert_eq!(watermark.finished(at(1, 0)), Some(at(1, 1)));
        assert_eq!(watermark.finished(at(0, 0)), Some(at(0, 1)));
    }

    #[test]
    fn a_revoked_partition_is_not_committed() {
        let mut watermark = delivered([at(0, 3), at(1, 3)]);
        watermark.revoked(0);
        assert_eq!(watermark.finished(at(0, 3)), None);
        assert_eq!(watermark.finished(at(1, 3)), Some(at(1, 4)));
        watermark.delivered(at(0, 3));
        assert_eq!(watermark.finished(at(0, 3)), Some(at(0, 4)));
    }
}
