//! Asks the cluster where a group stands: whether events expired before it read them, and how many
//! wait for it. These calls block.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::membership::Group;
use super::shared::Shared;
use super::watchdog::Waiting;

/// How long the cluster may take for one answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a group stands in a partition that a member has just been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) partition: i32,
    /// `None` if the group has never committed.
    pub(super) committed: Option<i64>,
    /// The first offset that still exists.
    pub(super) low: i64,
}

impl Standing {
    /// The offset of the first event that the member can receive.
    pub(super) fn next(&self) -> i64 {
        self.committed.map_or(self.low, |next| next.max(self.low))
    }

    /// The offsets that the group has not read and that no longer exist, from the first to the one
    /// after the last.
    pub(super) fn expired(&self) -> Option<(i64, i64)> {
        let committed = self.committed?;
        (committed < self.low).then_some((committed, self.low))
    }
}

/// Where the group stands in these partitions.
pub(super) fn standings(
    shared: &Shared,
    consumer: &StreamConsumer<Group>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<Standing>, KafkaError> {
    let committed = committed(consumer, topic, partitions)?;
    let standings = partitions.iter().map(|partition| {
        let (low, _) = watermarks(shared, topic, *partition)?;
        Ok(Standing {
            partition: *partition,
            committed: committed.get(partition).copied(),
            low,
        })
    });
    standings.collect()
}

/// The first and the next offset of a partition. It does not ask through the consumer, which may be
/// what does not work.
pub(super) fn watermarks(
    shared: &Shared,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaError> {
    let client = shared.producer.client();
    client.client().fetch_watermarks(topic, partition, PATIENCE)
}

fn committed(
    consumer: &StreamConsumer<Group>,
    topic: &str,
    partitions: &[i32],
) -> Result<HashMap<i32, i64>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let answer = consumer.committed_offsets(asked, PATIENCE)?;
    let known = answer.elements();
    let known = known.iter().filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((element.partition(), offset)),
        _ => None,
    });
    Ok(known.collect())
}

/// How many events wait in the partitions of a member, of which `next` holds the next offsets.
pub(super) fn waiting(
    shared: &Shared,
    topic: &str,
    next: &HashMap<i32, i64>,
) -> Result<Waiting, KafkaError> {
    let mut events = 0;
    for (partition, next) in next {
        let (low, high) = watermarks(shared, topic, *partition)?;
        events += unread(*next, low, high);
    }
    Ok(Waiting::Assigned { events })
}

/// How many events wait for the whole group in these partitions.
pub(super) fn waiting_for_group(
    shared: &Shared,
    consumer: &StreamConsumer<Group>,
    topic: &str,
    partitions: &[i32],
) -> Result<Waiting, KafkaError> {
    let mut events = 0;
    for partition in partitions {
        let (low, high) = watermarks(shared, topic, *partition)?;
        events += unread(low, low, high);
    }
    if events == 0 {
        return Ok(Waiting::Unassigned {
            events,
            committed: 0,
        });
    }
    let committed = committed(consumer, topic, partitions)?;
    let mut events = 0;
    for partition in partitions {
        let (low, high) = watermarks(shared, topic, *partition)?;
        events += unread(committed.get(partition).copied().unwrap_or(low), low, high);
    }
    Ok(Waiting::Unassigned {
        events,
        committed: committed.values().sum(),
    })
}

fn unread(next: i64, low: i64, high: i64) -> u64 {
    u64::try_from(high - next.max(low)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(committed: Option<i64>, low: i64) -> Standing {
        Standing {
            partition: 0,
            committed,
            low,
        }
    }

    #[test]
    fn events_between_the_commit_and_the_first_that_exists_expired() {
        assert_eq!(standing(Some(5), 8).expired(), Some((5, 8)));
        assert_eq!(standing(Some(5), 8).next(), 8);
        assert_eq!(standing(Some(8), 8).expired(), None);
        assert_eq!(standing(Some(9), 8).expired(), None);
        assert_eq!(standing(Some(9), 8).next(), 9);
    }

    #[test]
    fn a_new_group_has_missed_nothing() {
        assert_eq!(standing(None, 8).expired(), None);
        assert_eq!(standing(None, 8).next(), 8);
    }

    #[test]
    fn only_events_that_exist_wait() {
        assert_eq!(unread(5, 0, 8), 3);
        assert_eq!(unread(0, 6, 8), 2);
        assert_eq!(unread(8, 0, 8), 0);
        assert_eq!(unread(9, 0, 8), 0);
    }
}
