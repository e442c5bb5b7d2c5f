//! Reads how far a consumer group has committed.

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::cluster::{METADATA_TIMEOUT, partitions};
use super::errors::LastError;
use super::options::KafkaOptions;
use super::reader::first_since;
use crate::event_log::{LogError, Topic};

/// Whether the group has finished every event of the topic that was appended before `time`.
pub(super) fn has_finished(
    options: &KafkaOptions,
    topic: Topic,
    group: &str,
    time: Timestamp,
) -> Result<bool, LogError> {
    let topic = options.topic(topic);
    // It only requests the group's offsets. It never subscribes, so it does not join the group.
    let consumer: BaseConsumer<LastError> = options
        .client(&[])?
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create_with_context(LastError::default())?;
    let explain = |error| consumer.context().explain(error);
    let partitions = partitions(consumer.client(), consumer.context(), topic)?;
    let mut asked = TopicPartitionList::new();
    for partition in &partitions {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer
        .committed_offsets(asked, METADATA_TIMEOUT)
        .map_err(explain)?;
    for partition in partitions {
        let (low, high) = consumer
            .fetch_watermarks(topic, partition, METADATA_TIMEOUT)
            .map_err(explain)?;
        let end = first_since(&consumer, topic, partition, time.as_millisecond())
            .map_err(explain)?
            .unwrap_or(high);
        let committed = committed
            .find_partition(topic, partition)
            .map(|element| element.offset());
        let next = match committed {
            Some(Offset::Offset(next)) => next.max(low),
            _ => low,
        };
        if next < end {
            return Ok(false);
        }
    }
    Ok(true)
}
