//! Requests the metadata and the settings of topics from the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaError;

use super::errors::LastError;
use super::options::KafkaOptions;
use crate::event_log::LogError;

/// The timeout of a metadata request to the cluster.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the cluster may take to return the settings of a topic.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);

/// A partition as the metadata shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) id: i32,
    /// The broker that stores its events, if one does.
    pub(super) leader: Option<i32>,
    /// The number of replicas that are in sync.
    pub(super) in_sync: usize,
}

/// The partitions of a topic. None means that the topic does not exist.
pub(super) fn layout<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Vec<Partition>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), timeout)?;
    let found = metadata.topics().iter();
    let partitions = found
        .filter(|found| found.name() == topic)
        .flat_map(rdkafka::metadata::MetadataTopic::partitions)
        .map(|partition| Partition {
            id: partition.id(),
            leader: Some(partition.leader()).filter(|leader| *leader >= 0),
            in_sync: partition.isr().len(),
        });
    Ok(partitions.collect())
}

/// The numbers of a topic's partitions.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    last_error: &LastError,
    topic: &str,
) -> Result<Vec<i32>, LogError> {
    let layout = layout(client, topic, METADATA_TIMEOUT);
    let layout = layout.map_err(|error| last_error.explain(error))?;
    if layout.is_empty() {
        return Err(missing(topic));
    }
    Ok(layout.iter().map(|partition| partition.id).collect())
}

pub(super) fn missing(topic: &str) -> LogError {
    LogError::Misconfigured(format!(
        "the topic {topic} does not exist: run `picresize migrate`"
    ))
}

/// The settings of a topic that decide what it stores.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopicSettings {
    pub(super) min_insync_replicas: Option<usize>,
    pub(super) max_message_bytes: Option<u64>,
}

/// Reads the settings of a topic. The Kafka user may not be allowed to. The client is not kept,
/// because they are read rarely.
pub(super) async fn settings(
    options: &KafkaOptions,
    topic: &str,
) -> Result<TopicSettings, LogError> {
    let last_error = LastError::default();
    let admin: AdminClient<LastError> = options
        .client(&[])?
        .create_with_context(last_error.clone())?;
    let patience = AdminOptions::new().request_timeout(Some(SETTINGS_TIMEOUT));
    let answers = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &patience)
        .await
        .map_err(|error| last_error.explain(error))?;
    let found = match answers.into_iter().next() {
        Some(Ok(found)) => found,
        Some(Err(code)) => return Err(LogError::Unavailable(code.to_string().into())),
        None => return Err(LogError::Unavailable("the cluster gave no answer".into())),
    };
    let value = |key| found.get(key).and_then(|entry| entry.value.as_deref());
    Ok(TopicSettings {
        min_insync_replicas: value("min.insync.replicas").and_then(|text| text.parse().ok()),
        max_message_bytes: value("max.message.bytes").and_then(|text| text.parse().ok()),
    })
}

/// Metadata requests block, so they run on a thread for blocking work.
pub(super) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| LogError::Unavailable(Box::new(error)))?
}

/// Why appends to a topic would fail, if they would: a partition has no leader, or fewer replicas
/// in sync than `least`.
pub(super) fn fault(topic: &str, partitions: &[Partition], least: usize) -> Option<String> {
    if let Some(Partition { id, .. }) = partitions.iter().find(|found| found.leader.is_none()) {
        return Some(format!(
            "partition {id} of the topic {topic} has no leader: too few brokers are up"
        ));
    }
    let worst = partitions.iter().min_by_key(|found| found.in_sync)?;
    let Partition { id, in_sync, .. } = worst;
    (*in_sync < least).then(|| {
        format!(
            "partition {id} of the topic {topic} has {in_sync} replicas in sync, but \
             min.insync.replicas is {least}: too few brokers are up"
        )
    })
}

/// One partition of each leader.
pub(super) fn of_each_leader(partitions: &[Partition]) -> BTreeMap<i32, i32> {
    let led = partitions.iter();
    led.filter_map(|partition| Some((partition.leader?, partition.id)))
        .collect()
}

/// Whether a partition can store an event.
pub(super) fn is_usable(partition: &Partition, least: usize) -> bool {
    partition.leader.is_some() && partition.in_sync >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(states: &[(bool, usize)]) -> Vec<Partition> {
        let states = states.iter().zip(0..);
        let partitions = states.map(|((has_leader, in_sync), id)| Partition {
            id,
            leader: has_leader.then_some(1),
            in_sync: *in_sync,
        });
        partitions.collect()
    }

    #[test]
    fn a_topic_is_well_if_every_partition_can_store() {
        assert_eq!(fault("t", &partitions(&[(true, 3), (true, 2)]), 2), None);
        let fault = |states| fault("t", &partitions(states), 2).unwrap();
        let leaderless = fault(&[(true, 3), (false, 1)]);
        assert!(leaderless.contains("partition 1 of the topic t has no leader"));
        let below = fault(&[(true, 3), (true, 1)]);
        assert!(below.contains("partition 1"), "{below}");
        assert!(below.contains("1 replicas in sync"), "{below}");
        assert!(below.contains("min.insync.replicas is 2"), "{below}");
    }
}
