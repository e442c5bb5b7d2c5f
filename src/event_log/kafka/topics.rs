//! Creates the topics that are missing, and changes existing ones to what the settings say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic,
    ResourceSpecifier, TopicReplication,
};
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;

use super::KafkaLog;
use super::cluster::METADATA_TIMEOUT;
use super::errors::LastError;
use super::options::{KafkaOptions, TopicOptions};
use crate::event_log::{LogError, Topic};

/// How long it may take until all brokers know a new topic.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

impl KafkaLog {
    /// Creates the topics that are missing and alters those that differ. Returns what it did, what
    /// was already right, and what the operator must do. Safe to run twice, and twice at the same
    /// time.
    ///
    /// # Errors
    ///
    /// The cluster does not answer, or refuses.
    pub async fn migrate(
        options: &KafkaOptions,
        topics: TopicOptions,
    ) -> Result<Vec<String>, LogError> {
        let admin: AdminClient<LastError> = options
            .client(&[])?
            .create_with_context(LastError::default())?;
        let cluster = Cluster {
            admin,
            max_message_bytes: options.max_record_bytes.to_string(),
            topics,
        };
        let mut report = Vec::new();
        for topic in Topic::ALL {
            cluster.migrate(options.topic(topic), &mut report).await?;
        }
        Ok(report)
    }
}

struct Cluster {
    admin: AdminClient<LastError>,
    max_message_bytes: String,
    topics: TopicOptions,
}

impl Cluster {
    async fn migrate(&self, topic: &str, report: &mut Vec<String>) -> Result<(), LogError> {
        if self.layout(topic)?.is_none() {
            if self.create(topic).await? {
                let TopicOptions {
                    partitions,
                    replication,
                    ..
                } = self.topics;
                report.push(format!(
                    "topic {topic}: created, with {partitions} partitions and {replication} \
                     replicas"
                ));
            }
            self.wait_for(topic).await?;
        }
        let before = report.len();
        self.settle_layout(topic, report).await?;
        self.settle_config(topic, report).await?;
        if report.len() == before {
            report.push(format!("topic {topic}: already right"));
        }
        Ok(())
    }

    /// Creates a topic. Returns `false` if another process has just created it.
    async fn create(&self, topic: &str) -> Result<bool, LogError> {
        let wanted = self.wanted_config();
        let mut new = NewTopic::new(
            topic,
            self.topics.partitions,
            TopicReplication::Fixed(self.topics.replication),
        );
        for (key, value) in &wanted {
            new = new.set(key, value);
        }
        let answer = self.admin.create_topics([&new], &patient()).await;
        match self.first(answer)? {
            Ok(_) => Ok(true),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
            Err((_, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                Err(LogError::Misconfigured(format!(
                    "topic {topic}: the cluster has fewer brokers than kafka.replication asks \
                     for ({}): start more brokers or lower it",
                    self.topics.replication
                )))
            }
            Err((_, code)) => Err(refused(topic, "created", code)),
        }
    }

    /// The number of partitions and the smallest number of replicas; `None` if the topic does not
    /// exist.
    fn layout(&self, topic: &str) -> Result<Option<(i32, i32)>, LogError> {
        let client: &Client<LastError> = self.admin.inner();
        let metadata: Metadata = client
            .fetch_metadata(Some(topic), METADATA_TIMEOUT)
            .map_err(|error| client.context().explain(error))?;
        let layout = metadata
            .topics()
            .iter()
            .filter(|found| found.name() == topic && !found.partitions().is_empty())
            .map(|found| {
                let partitions = found.partitions();
                let replicas = partitions.iter().map(|p| p.replicas().len()).min();
                (count(partitions.len()), count(replicas.unwrap_or(0)))
            })
            .next();
        Ok(layout)
    }

    async fn wait_for(&self, topic: &str) -> Result<(), LogError> {
        let deadline = Instant::now() + PATIENCE;
        while self.layout(topic)?.is_none() {
            if Instant::now() > deadline {
                let reason = format!("the topic {topic} was created, but no broker knows it yet");
                return Err(LogError::Unavailable(reason.into()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn settle_layout(&self, topic: &str, report: &mut Vec<String>) -> Result<(), LogError> {
        let (partitions, replicas) = self.layout(topic)?.unwrap_or_default();
        let wanted = self.topics.partitions;
        if partitions < wanted {
            let more = NewPartitions::new(topic, usize::try_from(wanted).unwrap_or_default());
            let answer = self.admin.create_partitions([&more], &patient()).await;
            match self.first(answer)? {
                Ok(_) => report.push(format!(
                    "topic {topic}: partitions raised from {partitions} to {wanted}"
                )),
                // Another process did it in the meantime.
                Err((_, RDKafkaErrorCode::InvalidPartitions)) => {}
                Err((_, code)) => return Err(refused(topic, "given more partitions", code)),
            }
        } else if partitions > wanted {
            report.push(format!(
                "topic {topic}: has {partitions} partitions, more than kafka.partitions \
                 ({wanted}); Kafka can't remove partitions, so set kafka.partitions to {partitions}"
            ));
        }
        if replicas != self.topics.replication {
            report.push(format!(
                "topic {topic}: has {replicas} replicas, not the {} of kafka.replication; move \
                 them with kafka-reassign-partitions, or set kafka.replication to {replicas}",
                self.topics.replication
            ));
        }
        Ok(())
    }

    /// Sets the entries that differ. The call replaces the whole configuration, so all other
    /// entries of the topic are sent too.
    async fn settle_config(&self, topic: &str, report: &mut Vec<String>) -> Result<(), LogError> {
        let resource = ResourceSpecifier::Topic(topic);
        let answer = self.admin.describe_configs([&resource], &patient()).await;
        let found = match self.first(answer)? {
            Ok(found) => found,
            Err(code) => return Err(refused(topic, "read", code)),
        };
        let mut config: BTreeMap<&str, &str> = found
            .entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic)
            .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
            .collect();
        let wanted = self.wanted_config();
        let mut changes = Vec::new();
        for (key, value) in &wanted {
            let present = found.get(key).and_then(|entry| entry.value.as_deref());
            if present != Some(value) {
                changes.push(format!(
                    "{key} from {} to {value}",
                    present.unwrap_or("nothing")
                ));
                config.insert(key, value);
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let mut alter = AlterConfig::new(resource);
        for (key, value) in config {
            alter = alter.set(key, value);
        }
        let answer = self.admin.alter_configs([&alter], &patient()).await;
        match self.first(answer)? {
            Ok(_) => report.push(format!("topic {topic}: changed {}", changes.join(", "))),
            Err((_, code)) => return Err(refused(topic, "altered", code)),
        }
        Ok(())
    }

    fn wanted_config(&self) -> [(&'static str, String); 4] {
        let retention = self.topics.retention.as_millis();
        [
            ("cleanup.policy", "delete".to_owned()),
            ("max.message.bytes", self.max_message_bytes.clone()),
            (
                "min.insync.replicas",
                self.topics.min_insync_replicas.to_string(),
            ),
            ("retention.ms", retention.to_string()),
        ]
    }

    /// The answer for the only topic of the request.
    fn first<T>(&self, answers: Result<Vec<T>, KafkaError>) -> Result<T, LogError> {
        let answers = answers.map_err(|error| self.admin.inner().context().explain(error))?;
        let nothing = || LogError::Unavailable("the cluster gave no answer".into());
        answers.into_iter().next().ok_or_else(nothing)
    }
}

fn refused(topic: &str, what: &str, code: RDKafkaErrorCode) -> LogError {
    LogError::Misconfigured(format!(
        "topic {topic} could not be {what}: {code}; the Kafka user needs the right to create, \
         describe and alter topics"
    ))
}

fn patient() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE))
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
