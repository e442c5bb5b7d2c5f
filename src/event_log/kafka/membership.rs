//! The client of a member of a consumer group: its partitions, and the offsets that it commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::sync::mpsc;

use super::errors::LastError;
use super::options::KafkaOptions;
use crate::event_log::{EventPosition, LogError};

/// `session.timeout.ms`: a worker that sends no heartbeat for this long loses its partitions. After
/// a longer outage, members join under new IDs, and the coordinator waits so long for the old ones.
const SESSION_MILLISECONDS: &str = "10000";
const HEARTBEAT_MILLISECONDS: &str = "2000";
/// `max.poll.interval.ms`: a worker that takes no event for this long loses its partitions too.
/// Longer than any picture takes.
const POLL_MILLISECONDS: &str = "900000";
/// How often a member looks for a coordinator that moved; ten times as often while it is away. The
/// default is 10 minutes.
const COORDINATOR_MILLISECONDS: &str = "10000";
/// How long a broker may be silent before it is left. A response of the largest size must arrive
/// within it.
const SILENCE_MILLISECONDS: &str = "15000";
/// How long a partition pauses after an error or while the queue is full; the defaults are 500 and
/// 1000.
const FETCH_PAUSE_MILLISECONDS: &str = "100";
/// librdkafka requires the limit of a response to be a little larger than its records.
const ANSWER_OVERHEAD_BYTES: u64 = 1 << 20;
/// How long a member may take to leave its group when it is dropped. It goes on in the background.
const LEAVING: Duration = Duration::from_secs(5);

/// What happened to the partitions of a member.
#[derive(Debug)]
pub(super) enum Change {
    /// These were added. None at all means that the others have them.
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

pub(super) struct Membership {
    /// Some until it is dropped.
    consumer: Option<Arc<StreamConsumer<Group>>>,
    pub(super) changes: mpsc::UnboundedReceiver<Change>,
    pub(super) offsets: Arc<Offsets>,
    topic: String,
}

impl Membership {
    pub(super) fn new(
        options: &KafkaOptions,
        topic: &str,
        group: &str,
        last_error: LastError,
    ) -> Result<Self, LogError> {
        let (sender, changes) = mpsc::unbounded_channel();
        let offsets = Arc::new(Offsets::default());
        let context = Group {
            topic: topic.to_owned(),
            last_error,
            changes: sender,
            offsets: Arc::clone(&offsets),
        };
        let own = |name, value: &str| (name, value.to_owned());
        let config = fetching(
            options,
            &[
                own("group.id", group),
                own("enable.auto.commit", "false"),
                own("enable.auto.offset.store", "false"),
                own("auto.offset.reset", "earliest"),
                own("partition.assignment.strategy", "cooperative-sticky"),
                own("session.timeout.ms", SESSION_MILLISECONDS),
                own("heartbeat.interval.ms", HEARTBEAT_MILLISECONDS),
                own("max.poll.interval.ms", POLL_MILLISECONDS),
                own("coordinator.query.interval.ms", COORDINATOR_MILLISECONDS),
            ],
        )?;
        let consumer: StreamConsumer<Group> = config.create_with_context(context)?;
        consumer.subscribe(&[topic])?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
            changes,
            offsets,
            topic: topic.to_owned(),
        })
    }

    /// The client and the changes of its partitions, to wait for both at once.
    pub(super) fn parts(
        &mut self,
    ) -> (
        &Arc<StreamConsumer<Group>>,
        &mut mpsc::UnboundedReceiver<Change>,
    ) {
        (alive(&self.consumer), &mut self.changes)
    }

    pub(super) fn consumer(&self) -> &Arc<StreamConsumer<Group>> {
        alive(&self.consumer)
    }

    /// Sends what is finished to the group's coordinator, without waiting for its answer. What it
    /// does not store is sent again with what comes later.
    pub(super) fn send_commits(&self) {
        let finished = self.offsets.take_finished();
        if finished.is_empty() {
            return;
        }
        let sent = offset_list(&self.topic, &finished)
            .and_then(|offsets| self.consumer().commit(&offsets, CommitMode::Async));
        if let Err(error) = sent {
            tracing::debug!(%error, "could not send offsets");
            self.offsets.put_back(&finished);
        }
    }
}

fn alive(consumer: &Option<Arc<StreamConsumer<Group>>>) -> &Arc<StreamConsumer<Group>> {
    consumer.as_ref().expect("it is taken only when dropped")
}

/// Leaving a group takes a moment, and longer if the cluster is away.
impl Drop for Membership {
    fn drop(&mut self) {
        self.send_commits();
        let Some(consumer) = self.consumer.take() else {
            return;
        };
        let (left, leaving) = std_mpsc::channel();
        let thread = std::thread::Builder::new().name("kafka-leave".to_owned());
        let spawned = thread.spawn(move || {
            drop(consumer);
            // Nobody may be waiting any more.
            let _ = left.send(());
        });
        if spawned.is_ok() {
            // Either it has left, or it goes on without this process waiting.
            let _ = leaving.recv_timeout(LEAVING);
        }
    }
}

/// Configures fetching: the largest record fits, and the queue is limited by bytes.
pub(super) fn fetching(
    options: &KafkaOptions,
    own: &[(&str, String)],
) -> Result<ClientConfig, LogError> {
    let fetch = options.prefetch_bytes.max(options.max_record_bytes);
    let answer = fetch.saturating_add(ANSWER_OVERHEAD_BYTES).max(100_000_000);
    let queue_kib = (options.prefetch_bytes / 1024).max(1);
    let mut all = vec![
        (
            "fetch.message.max.bytes",
            options.max_record_bytes.to_string(),
        ),
        ("fetch.max.bytes", fetch.to_string()),
        ("receive.message.max.bytes", answer.to_string()),
        ("queued.max.messages.kbytes", queue_kib.to_string()),
        (
            "fetch.error.backoff.ms",
            FETCH_PAUSE_MILLISECONDS.to_owned(),
        ),
        (
            "fetch.queue.backoff.ms",
            FETCH_PAUSE_MILLISECONDS.to_owned(),
        ),
        ("socket.timeout.ms", SILENCE_MILLISECONDS.to_owned()),
    ];
    all.extend_from_slice(own);
    options.client(&all)
}

pub(super) fn offset_list(
    topic: &str,
    offsets: &[EventPosition],
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for EventPosition { partition, offset } in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// The offsets of the partitions that a member holds. A partition that is not held is not
/// committed: its next owner may have committed more.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    held: Mutex<HashMap<i32, Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// The smallest offset that may be committed. It only grows while the partition is held.
    floor: Option<i64>,
    /// Finished, but not sent to the coordinator yet.
    finished: Option<i64>,
}

impl Offsets {
    fn assigned(&self, partitions: &[i32]) {
        let mut held = self.held();
        for partition in partitions {
            held.entry(*partition).or_default();
        }
    }

    /// Gives partitions up; returns what is finished in them and was not sent yet.
    fn revoked(&self, partitions: &[i32]) -> Vec<EventPosition> {
        let mut held = self.held();
        let given_up = partitions.iter().filter_map(|partition| {
            let offset = held.remove(partition)?.finished?;
            Some(EventPosition {
                partition: *partition,
                offset,
            })
        });
        given_up.collect()
    }

    pub(super) fn delivered(&self, position: EventPosition) {
        if let Some(held) = self.held().get_mut(&position.partition) {
            held.floor.get_or_insert(position.offset);
        }
    }

    /// Notes that all before `next` is finished in its partition.
    pub(super) fn finished(&self, next: EventPosition) {
        if let Some(held) = self.held().get_mut(&next.partition)
            && held.floor.is_none_or(|floor| floor <= next.offset)
        {
            held.floor = Some(next.offset);
            held.finished = Some(next.offset);
        }
    }

    /// What is finished and not sent yet.
    pub(super) fn take_finished(&self) -> Vec<EventPosition> {
        let mut held = self.held();
        let finished = held.iter_mut().filter_map(|(partition, held)| {
            let offset = held.finished.take()?;
            Some(EventPosition {
                partition: *partition,
                offset,
            })
        });
        finished.collect()
    }

    /// What was taken could not be stored, so it is sent again, unless later ones replace it.
    pub(super) fn put_back(&self, unsent: &[EventPosition]) {
        let mut all = self.held();
        for EventPosition { partition, offset } in unsent {
            if let Some(held) = all.get_mut(partition) {
                held.finished = held.finished.max(Some(*offset));
            }
        }
    }

    pub(super) fn partitions(&self) -> Vec<i32> {
        self.held().keys().copied().collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<i32, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the member what happens to its partitions.
pub(super) struct Group {
    topic: String,
    pub(super) last_error: LastError,
    changes: mpsc::UnboundedSender<Change>,
    offsets: Arc<Offsets>,
}

impl ClientContext for Group {
    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.last_error.note_log(level, facility, message);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // The member may be gone already.
        match rebalance {
            Rebalance::Assign(partitions) => {
                let partitions = numbers(partitions);
                if !partitions.is_empty() {
                    tracing::info!(?partitions, "assigned");
                }
                self.offsets.assigned(&partitions);
                let _ = self.changes.send(Change::Assigned(partitions));
            }
            Rebalance::Revoke(partitions) if partitions.count() > 0 => {
                let partitions = numbers(partitions);
                tracing::info!(?partitions, "revoked");
                let finished = self.offsets.revoked(&partitions);
                if !finished.is_empty() && !consumer.assignment_lost() {
                    // Sent before the partitions are given up, so the next owner begins there.
                    let sent = offset_list(&self.topic, &finished)
                        .and_then(|offsets| consumer.commit(&offsets, CommitMode::Async));
                    if let Err(error) = sent {
                        tracing::debug!(%error, "could not send offsets");
                    }
                }
                let _ = self.changes.send(Change::Revoked(partitions));
            }
            Rebalance::Revoke(_) => {}
            Rebalance::Error(error) => tracing::debug!(%error, "a rebalance failed"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let Err(error) = result else {
            return;
        };
        tracing::debug!(%error, "offsets were not stored; they are sent again");
        let unsent: Vec<_> = offsets
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some(EventPosition {
                    partition: element.partition(),
                    offset,
                }),
                _ => None,
            })
            .collect();
        self.offsets.put_back(&unsent);
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    let elements = partitions.elements();
    elements
        .iter()
        .map(TopicPartitionListElem::partition)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> EventPosition {
        EventPosition { partition, offset }
    }

    #[test]
    fn only_partitions_that_are_held_are_committed() {
        let offsets = Offsets::default();
        offsets.finished(at(0, 5));
        assert_eq!(offsets.take_finished(), []);
        offsets.assigned(&[0]);
        offsets.delivered(at(0, 5));
        offsets.finished(at(0, 6));
        assert_eq!(offsets.revoked(&[0]), [at(0, 6)]);
        offsets.finished(at(0, 7));
        assert_eq!(offsets.take_finished(), []);
    }

    #[test]
    fn offsets_never_go_back() {
        let offsets = Offsets::default();
        offsets.assigned(&[0]);
        offsets.delivered(at(0, 5));
        offsets.finished(at(0, 4));
        assert_eq!(offsets.take_finished(), []);
        offsets.finished(at(0, 8));
        offsets.finished(at(0, 7));
        assert_eq!(offsets.take_finished(), [at(0, 8)]);
    }

    #[test]
    fn what_was_not_stored_is_sent_again_unless_later_ones_replace_it() {
        let offsets = Offsets::default();
        offsets.assigned(&[0]);
        offsets.finished(at(0, 8));
        let taken = offsets.take_finished();
        offsets.put_back(&taken);
        assert_eq!(offsets.take_finished(), taken);
        offsets.finished(at(0, 9));
        offsets.put_back(&taken);
        assert_eq!(offsets.take_finished(), [at(0, 9)]);
    }
}
