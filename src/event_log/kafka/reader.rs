//! Reads a topic once from start to end, without joining a consumer group.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cluster::{METADATA_TIMEOUT, blocking, partitions};
use super::errors::{LastError, Reaction, reaction};
use super::membership::fetching;
use super::message::entry;
use super::options::KafkaOptions;
use crate::event_log::{Entry, EventPosition, LogError, Reader, Start, Topic};

/// How long the brokers may take for the next record.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct RangeReader {
    consumer: StreamConsumer<LastError>,
    /// The end offset of each partition that is not read completely yet.
    ends: HashMap<i32, i64>,
    starts: Vec<EventPosition>,
    total: u64,
}

impl fmt::Debug for RangeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader")
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

impl RangeReader {
    pub(super) async fn open(
        options: &KafkaOptions,
        topic: Topic,
        start: Start,
    ) -> Result<Self, LogError> {
        let topic = options.topic(topic).to_owned();
        let own = |name, value: &str| (name, value.to_owned());
        let config = fetching(
            options,
            &[
                // librdkafka requires it; nothing is ever committed to it.
                own("group.id", "picresize-reader"),
                own("enable.auto.commit", "false"),
                own("enable.auto.offset.store", "false"),
                own("enable.partition.eof", "true"),
                own("auto.offset.reset", "earliest"),
            ],
        )?;
        let consumer: StreamConsumer<LastError> =
            config.create_with_context(LastError::default())?;
        blocking(move || Self::assign(consumer, &topic, &start)).await
    }

    fn assign(
        consumer: StreamConsumer<LastError>,
        topic: &str,
        start: &Start,
    ) -> Result<Self, LogError> {
        let explain = |error| consumer.context().explain(error);
        let mut assignment = TopicPartitionList::new();
        let mut ends = HashMap::new();
        let mut starts = Vec::new();
        let mut total = 0;
        for partition in partitions(consumer.client(), consumer.context(), topic)? {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition, METADATA_TIMEOUT)
                .map_err(explain)?;
            let first = match start {
                Start::Beginning => Some(low),
                Start::Time(time) => {
                    let milliseconds = time.as_millisecond();
                    first_since(&consumer, topic, partition, milliseconds)
                        .map_err(explain)?
                        .or(Some(high))
                }
                Start::Positions(positions) => positions
                    .iter()
                    .find(|position: &&EventPosition| position.partition == partition)
                    .map(|position| position.offset.max(low)),
            };
            let Some(first) = first else {
                continue;
            };
            starts.push(EventPosition {
                partition,
                offset: first,
            });
            if first >= high {
                continue;
            }
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(first))
                .map_err(explain)?;
            ends.insert(partition, high);
            total += u64::try_from(high - first).unwrap_or(0);
        }
        consumer.assign(&assignment).map_err(explain)?;
        Ok(Self {
            consumer,
            ends,
            starts,
            total,
        })
    }
}

/// The first offset of a partition that was appended at this time or later.
pub(super) fn first_since(
    consumer: &impl Consumer<LastError>,
    topic: &str,
    partition: i32,
    milliseconds: i64,
) -> Result<Option<i64>, KafkaError> {
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(topic, partition, Offset::Offset(milliseconds))?;
    let found = consumer.offsets_for_times(times, METADATA_TIMEOUT)?;
    let offset = found
        .find_partition(topic, partition)
        .map(|element| element.offset());
    Ok(match offset {
        Some(Offset::Offset(offset)) => Some(offset),
        _ => None,
    })
}

#[async_trait]
impl Reader for RangeReader {
    async fn next(&mut self) -> Result<Option<Entry>, LogError> {
        while !self.ends.is_empty() {
            let received = tokio::time::timeout(PATIENCE, self.consumer.recv()).await;
            let Ok(received) = received else {
                let reason = format!("no record arrived within {} seconds", PATIENCE.as_secs());
                return Err(LogError::Unavailable(reason.into()));
            };
            let entry = match received {
                Ok(message) => entry(&message),
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.ends.remove(&partition);
                    continue;
                }
                // The brokers have `PATIENCE` to come back.
                Err(error) if reaction(&error) == Reaction::GoOn => continue,
                Err(error) => return Err(self.consumer.context().explain(error)),
            };
            let EventPosition { partition, offset } = entry.position;
            let Some(end) = self.ends.get(&partition).copied() else {
                continue;
            };
            if offset + 1 >= end {
                self.ends.remove(&partition);
            }
            if offset < end {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn starts(&self) -> Vec<EventPosition> {
        self.starts.clone()
    }

    fn total(&self) -> u64 {
        self.total
    }
}
