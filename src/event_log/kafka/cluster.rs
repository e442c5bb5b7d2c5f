//! Questions to the cluster.

use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::metadata::MetadataPartition;

use super::errors::LastError;
use crate::event_log::LogError;

/// How long a question to the cluster may take.
pub(super) const QUESTION: Duration = Duration::from_secs(10);

/// The numbers of a topic's partitions.
pub(super) fn partitions<C: ClientContext>(
    client: &Client<C>,
    last_error: &LastError,
    topic: &str,
) -> Result<Vec<i32>, LogError> {
    let metadata = client
        .fetch_metadata(Some(topic), QUESTION)
        .map_err(|error| last_error.explain(error))?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic)
        .flat_map(|found| found.partitions().iter().map(MetadataPartition::id))
        .collect();
    if partitions.is_empty() {
        return Err(LogError::Misconfigured(format!(
            "the topic {topic} does not exist: run `picresize migrate`"
        )));
    }
    Ok(partitions)
}

/// Questions to the cluster block, so they are asked where that disturbs nobody.
pub(super) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| LogError::Unavailable(Box::new(error)))?
}
