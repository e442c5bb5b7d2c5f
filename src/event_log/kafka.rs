//! The event log on a Kafka cluster, by librdkafka.
//!
//! The producer is idempotent and waits for all in-sync replicas; consumers share a group by
//! cooperative-sticky assignment and commit only what the worker says is finished.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::{
    Consumer, Entry, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic,
};
use crate::event::Record;

mod consumer;
mod progress;
mod reader;
mod topics;

/// How long a broker may not know yet of a topic that was just made.
const SETTLING: Duration = Duration::from_secs(5);
/// How long a question to the cluster may take.
const QUESTION: Duration = Duration::from_secs(10);
/// How long a record may take to be stored, with all retries, before it counts as refused.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long a record may wait for room in the producer's queue.
const QUEUEING: Duration = Duration::from_secs(5);
/// Records of the largest size that the producer's queue holds.
const QUEUED_RECORDS: u64 = 16;

/// Properties that keep the promises of this adapter; they are not for settings to change.
const RESERVED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "group.id",
    "message.max.bytes",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
];

/// Where the cluster is, and how to speak to it.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port` of some brokers, with commas between.
    pub bootstrap_servers: String,
    pub requests_topic: String,
    pub events_topic: String,
    pub dead_letters_topic: String,
    /// Bytes of the largest record, headers included.
    pub max_record_bytes: u64,
    /// Memory for records that were fetched and wait.
    pub prefetch_bytes: u64,
    /// Any other property of librdkafka; may hold passwords.
    pub properties: BTreeMap<String, String>,
}

/// How `migrate` makes topics.
#[derive(Clone, Copy, Debug)]
pub struct TopicOptions {
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub retention: Duration,
}

/// Without the properties, which may hold passwords.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("requests_topic", &self.requests_topic)
            .finish_non_exhaustive()
    }
}

impl KafkaOptions {
    fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Requests => &self.requests_topic,
            Topic::Events => &self.events_topic,
            Topic::DeadLetters => &self.dead_letters_topic,
        }
    }

    /// What every client of the cluster is made with.
    fn client(&self) -> Result<ClientConfig, LogError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "picresize")
            .set("allow.auto.create.topics", "false")
            .set("message.max.bytes", self.max_record_bytes.to_string())
            .set("reconnect.backoff.max.ms", "2000");
        for (name, value) in &self.properties {
            let name = name.replace('_', ".");
            if RESERVED.contains(&name.as_str()) {
                return Err(LogError::Misconfigured(format!(
                    "kafka.properties.{name} cannot be set: picresize's promises depend on it"
                )));
            }
            config.set(name, value);
        }
        Ok(config)
    }
}

/// A log on a Kafka cluster.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    producer: FutureProducer<Complaints>,
    complaints: Complaints,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.options).finish()
    }
}

impl KafkaLog {
    /// Connects to the cluster and checks that the topics are there.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] while no broker answers; [`LogError::Misconfigured`] for what
    /// waiting does not heal.
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        let queue_kib = options.max_record_bytes * QUEUED_RECORDS / 1024;
        let complaints = Complaints::default();
        let producer = options
            .client()?
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string())
            .set("queue.buffering.max.kbytes", queue_kib.to_string())
            .create_with_context(complaints.clone())?;
        let log = Self {
            options: Arc::new(options),
            producer,
            complaints,
        };
        let deadline = Instant::now() + SETTLING;
        loop {
            match log.find(&Topic::ALL).await {
                Err(LogError::Misconfigured(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(SETTLING / 20).await;
                }
                found => return found.map(|()| log),
            }
        }
    }

    /// Checks that topics are there.
    async fn find(&self, topics: &'static [Topic]) -> Result<(), LogError> {
        let (producer, complaints) = (self.producer.clone(), self.complaints.clone());
        let options = Arc::clone(&self.options);
        blocking(move || {
            for topic in topics {
                partitions(producer.client(), &complaints, options.topic(*topic))?;
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        let bytes = record.value.len() as u64;
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            let value = Some(value.as_slice());
            headers = headers.insert(Header { key, value });
        }
        let message = FutureRecord::to(self.options.topic(topic))
            .key(record.key.as_bytes())
            .payload(&record.value[..])
            .headers(headers);
        match self.producer.send(message, QUEUEING).await {
            Ok(delivery) => Ok(EventPosition {
                partition: delivery.partition,
                offset: delivery.offset,
            }),
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize,
                ) => Err(LogError::TooLarge {
                    bytes,
                    limit: self.options.max_record_bytes,
                }),
                _ => Err(self.complaints.explain(error)),
            },
        }
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        let topic = self.options.topic(topic).to_owned();
        let consumer = consumer::GroupMember::join(Arc::clone(&self.options), topic, group)?;
        Ok(Box::new(consumer))
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        let reader = reader::RangeReader::open(&self.options, topic, start.clone()).await?;
        Ok(Box::new(reader))
    }

    async fn erase(&self, _: Topic, _: EventPosition) -> Result<ErasureOutcome, LogError> {
        Ok(ErasureOutcome::AwaitsRetention)
    }

    async fn trim(&self, _: Timestamp, _: &str, _: u32) -> Result<u64, LogError> {
        // The brokers do, by the topic's retention.ms.
        Ok(0)
    }

    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError> {
        let (options, group) = (Arc::clone(&self.options), group.to_owned());
        blocking(move || progress::has_finished(&options, topic, &group, time)).await
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.find(&[Topic::Requests]).await
    }
}

/// The numbers of a topic's partitions.
fn partitions<C: ClientContext>(
    client: &Client<C>,
    complaints: &Complaints,
    topic: &str,
) -> Result<Vec<i32>, LogError> {
    let metadata = client
        .fetch_metadata(Some(topic), QUESTION)
        .map_err(|error| complaints.explain(error))?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .filter(|found| found.name() == topic)
        .flat_map(|found| found.partitions().iter().map(MetadataPartition::id))
        .collect();
    if partitions.is_empty() {
        return Err(LogError::Misconfigured(format!(
            "the topic {topic} is not there: run `picresize migrate`"
        )));
    }
    Ok(partitions)
}

/// Questions to the cluster block, so they are asked where that disturbs nobody.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(ask)
        .await
        .map_err(|error| LogError::Unavailable(Box::new(error)))?
}

/// Remembers the last thing a client complained of: what a failed call answers is often no more
/// than "timed out".
#[derive(Clone, Debug, Default)]
struct Complaints {
    last: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
}

impl rdkafka::consumer::ConsumerContext for Complaints {}

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // A refusal is followed by "all brokers are down", which would hide the cause.
            if !last.as_ref().is_some_and(|(code, _)| is_refusal(*code)) {
                *last = Some((code, reason.to_owned()));
            }
        }
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl Complaints {
    /// Says what an error means for a person.
    fn explain(&self, error: KafkaError) -> LogError {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match last {
            Some((RDKafkaErrorCode::Authentication, reason)) => LogError::Misconfigured(format!(
                "Kafka refused the credentials of kafka.properties: {reason}"
            )),
            Some((RDKafkaErrorCode::SSL, reason)) => LogError::Misconfigured(format!(
                "no TLS connection to Kafka: {reason}; see kafka.properties"
            )),
            Some((_, reason)) => LogError::Unavailable(format!("{error}: {reason}").into()),
            None => error.into(),
        }
    }
}

fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL
    )
}

impl From<KafkaError> for LogError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, key, _) => Self::Misconfigured(format!(
                "kafka.properties.{} is refused by librdkafka: {reason}",
                key.replace('.', "_")
            )),
            KafkaError::ClientCreation(reason) => Self::Misconfigured(format!(
                "no Kafka client can be made of these settings: {reason}"
            )),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

fn position(message: &BorrowedMessage<'_>) -> EventPosition {
    EventPosition {
        partition: message.partition(),
        offset: message.offset(),
    }
}

/// The record of a message. What has no key or value is an empty one: it can't be understood, and
/// is set aside as what it is.
fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| {
                (
                    header.key.to_owned(),
                    header.value.unwrap_or_default().to_vec(),
                )
            })
            .collect()
    });
    Record {
        key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
        headers,
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}

fn entry(message: &BorrowedMessage<'_>) -> Entry {
    let appended_at = message
        .timestamp()
        .to_millis()
        .and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok())
        .unwrap_or_default();
    Entry {
        position: position(message),
        appended_at,
        record: record(message),
    }
}
