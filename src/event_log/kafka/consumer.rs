//! A consumer that shares a topic with the other members of its group.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use tokio::sync::mpsc;

use super::cluster::blocking;
use super::errors::LastError;
use super::message::{position, record};
use super::options::KafkaOptions;
use crate::event_log::{Consumer, Delivery, EventPosition, LogError};

/// `session.timeout.ms`: a worker that sends no heartbeat for this long loses its partitions.
const SESSION_MILLISECONDS: &str = "15000";
const HEARTBEAT_MILLISECONDS: &str = "3000";
/// `max.poll.interval.ms`: a worker that takes no event for this long loses its partitions too.
/// Longer than any picture takes.
const POLL_MILLISECONDS: &str = "900000";
/// librdkafka requires the limit of a response to be a little larger than its records.
const ANSWER_OVERHEAD_BYTES: u64 = 1 << 20;

pub(super) struct GroupMember {
    options: Arc<KafkaOptions>,
    topic: String,
    group: String,
    membership: Membership,
    /// The smallest offset that may be committed. It only grows while the partition is held.
    floor: HashMap<i32, i64>,
}

struct Membership {
    consumer: Arc<StreamConsumer<Group>>,
    revoked: mpsc::UnboundedReceiver<Vec<i32>>,
}

impl fmt::Debug for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMember")
            .field("topic", &self.topic)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl GroupMember {
    pub(super) fn join(
        options: Arc<KafkaOptions>,
        topic: String,
        group: &str,
    ) -> Result<Self, LogError> {
        let membership = Membership::new(&options, &topic, group)?;
        Ok(Self {
            options,
            topic,
            group: group.to_owned(),
            membership,
            floor: HashMap::new(),
        })
    }

    /// A client stops working after a fatal error, so a new one replaces it.
    fn join_again(&mut self) -> Result<Delivery, LogError> {
        self.membership = Membership::new(&self.options, &self.topic, &self.group)?;
        Ok(self.gave_up(self.floor.keys().copied().collect()))
    }

    fn gave_up(&mut self, partitions: Vec<i32>) -> Delivery {
        for partition in &partitions {
            self.floor.remove(partition);
        }
        Delivery::Revoked(partitions)
    }
}

impl Membership {
    fn new(options: &KafkaOptions, topic: &str, group: &str) -> Result<Self, LogError> {
        let (sender, revoked) = mpsc::unbounded_channel();
        let context = Group {
            last_error: LastError::default(),
            revoked: sender,
        };
        let consumer: StreamConsumer<Group> = fetching(options)?
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", SESSION_MILLISECONDS)
            .set("heartbeat.interval.ms", HEARTBEAT_MILLISECONDS)
            .set("max.poll.interval.ms", POLL_MILLISECONDS)
            .create_with_context(context)?;
        consumer.subscribe(&[topic])?;
        Ok(Self {
            consumer: Arc::new(consumer),
            revoked,
        })
    }
}

/// Configures fetching: the largest record fits, and the queue is limited by bytes.
pub(super) fn fetching(options: &KafkaOptions) -> Result<rdkafka::config::ClientConfig, LogError> {
    let fetch = options.prefetch_bytes.max(options.max_record_bytes);
    let answer = fetch.saturating_add(ANSWER_OVERHEAD_BYTES);
    let answer = answer.max(100_000_000);
    let mut config = options.client()?;
    config
        .set(
            "fetch.message.max.bytes",
            options.max_record_bytes.to_string(),
        )
        .set("fetch.max.bytes", fetch.to_string())
        .set("receive.message.max.bytes", answer.to_string())
        .set(
            "queued.max.messages.kbytes",
            (options.prefetch_bytes / 1024).max(1).to_string(),
        );
    Ok(config)
}

#[async_trait]
impl Consumer for GroupMember {
    async fn receive(&mut self) -> Result<Delivery, LogError> {
        let Membership { consumer, revoked } = &mut self.membership;
        let received = tokio::select! {
            // Report lost partitions before delivering anything else.
            biased;
            Some(partitions) = revoked.recv() => Err(partitions),
            message = consumer.recv() => Ok(message.map(|message| {
                let position = position(&message);
                (position, record(&message))
            })),
        };
        match received {
            Err(partitions) => Ok(self.gave_up(partitions)),
            Ok(Ok((position, record))) => {
                self.floor
                    .entry(position.partition)
                    .or_insert(position.offset);
                Ok(Delivery::Event(position, record))
            }
            Ok(Err(error)) if self.membership.consumer.client().fatal_error().is_some() => {
                tracing::error!(%error, "the Kafka consumer failed and must be created again");
                self.join_again()
            }
            Ok(Err(error)) => Err(self.membership.consumer.context().last_error.explain(error)),
        }
    }

    async fn commit(&mut self, next: EventPosition) -> Result<(), LogError> {
        let floor = self.floor.entry(next.partition).or_insert(next.offset);
        if next.offset < *floor {
            return Ok(());
        }
        *floor = next.offset;
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(&self.topic, next.partition, Offset::Offset(next.offset))
            .map_err(LogError::from)?;
        let consumer = Arc::clone(&self.membership.consumer);
        blocking(move || {
            consumer
                .commit(&offsets, CommitMode::Sync)
                .map_err(|error| consumer.context().last_error.explain(error))
        })
        .await
    }
}

/// Notifies the member of the partitions that it lost.
struct Group {
    last_error: LastError,
    revoked: mpsc::UnboundedSender<Vec<i32>>,
}

impl ClientContext for Group {
    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.error(error, reason);
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let numbers = |partitions: &TopicPartitionList| -> Vec<i32> {
            let elements = partitions.elements();
            elements
                .iter()
                .map(TopicPartitionListElem::partition)
                .collect()
        };
        match rebalance {
            Rebalance::Assign(partitions) if partitions.count() > 0 => {
                tracing::info!(partitions = ?numbers(partitions), "assigned");
            }
            Rebalance::Revoke(partitions) if partitions.count() > 0 => {
                let partitions = numbers(partitions);
                tracing::info!(?partitions, "revoked");
                // The member may be gone already.
                let _ = self.revoked.send(partitions);
            }
            Rebalance::Error(error) => tracing::warn!(%error, "a rebalance failed"),
            _ => {}
        }
    }
}
