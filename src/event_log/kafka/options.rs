//! The settings of the Kafka adapter: the cluster's address, the layout of the topics, and the
//! configuration of every librdkafka client.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use secrecy::{ExposeSecret, SecretString};

use crate::event_log::{LogError, Topic};

/// Properties on which this adapter's guarantees depend, so settings can't change them.
const RESERVED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
];

/// The time limits of all clients, which settings may change. librdkafka's own let a client wait
/// for minutes after an outage.
const DEFAULTS: &[(&str, &str)] = &[
    // A new leader, or a broker that is back, is found within seconds; the default is 5 minutes.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // A frozen host accepts connections but does not answer.
    ("socket.connection.setup.timeout.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "1000"),
    ("retry.backoff.ms", "50"),
    ("retry.backoff.max.ms", "500"),
];

/// How to connect to the cluster.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// `host:port` of some brokers, with commas between.
    pub bootstrap_servers: String,
    pub requests_topic: String,
    pub events_topic: String,
    pub dead_letters_topic: String,
    /// Bytes of the largest record, headers included.
    pub max_record_bytes: u64,
    /// Memory for records that were fetched but not yet handled.
    pub prefetch_bytes: u64,
    /// How long an append may take before it fails. A large record gets more time.
    pub append_timeout: Duration,
    /// `min.insync.replicas` of the topics, where the cluster does not say it.
    pub min_insync_replicas: i32,
    /// Any other property of librdkafka; some are passwords, so no value is ever shown.
    pub properties: BTreeMap<String, SecretString>,
}

/// How `migrate` creates topics.
#[derive(Clone, Copy, Debug)]
pub struct TopicOptions {
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub retention: Duration,
}

impl KafkaOptions {
    pub(super) fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Requests => &self.requests_topic,
            Topic::Events => &self.events_topic,
            Topic::DeadLetters => &self.dead_letters_topic,
        }
    }

    /// The configuration of a client: what all clients share, `own`, and the properties of the
    /// settings, which go before all that they may change.
    pub(super) fn client(&self, own: &[(&str, String)]) -> Result<ClientConfig, LogError> {
        let mut config = ClientConfig::new();
        // What it logs about connections is read, whatever this process logs.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "picresize")
            .set("allow.auto.create.topics", "false")
            .set("message.max.bytes", self.max_record_bytes.to_string());
        for (name, value) in DEFAULTS {
            config.set(*name, *value);
        }
        for (name, value) in own {
            config.set(*name, value);
        }
        for (name, value) in &self.properties {
            let name = name.replace('_', ".");
            if RESERVED.contains(&name.as_str()) {
                return Err(LogError::Misconfigured(format!(
                    "kafka.properties.{name} cannot be set: picresize's guarantees depend on it"
                )));
            }
            config.set(name, value.expose_secret());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_not_shown() {
        let options = KafkaOptions {
            bootstrap_servers: "localhost:9092".to_owned(),
            requests_topic: "requests".to_owned(),
            events_topic: "events".to_owned(),
            dead_letters_topic: "dead-letters".to_owned(),
            max_record_bytes: 1,
            prefetch_bytes: 1,
            append_timeout: Duration::from_secs(2),
            min_insync_replicas: 1,
            properties: BTreeMap::from([("sasl_password".to_owned(), "hush".into())]),
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("sasl_password"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
        let config = options.client(&[]).unwrap();
        assert_eq!(config.get("sasl.password"), Some("hush"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
