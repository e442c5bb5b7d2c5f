//! The event log on a Kafka cluster, through librdkafka: opens it, appends to it, and creates
//! consumers and readers.
//!
//! The producer is idempotent and waits for all in-sync replicas. `options` holds the settings and
//! the configuration of librdkafka, `consumer` is a member of a consumer group, `reader` reads a
//! topic without a group, `cluster` requests metadata, `topics` creates and alters topics, and
//! `errors` turns librdkafka's errors into messages.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use self::cluster::{blocking, partitions};
use self::errors::LastError;
pub use self::options::{KafkaOptions, TopicOptions};
use super::{Consumer, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic};
use crate::event::Record;

mod cluster;
mod consumer;
mod errors;
mod message;
mod options;
mod progress;
mod reader;
mod topics;

/// How long it may take until every broker knows a new topic.
const SETTLING: Duration = Duration::from_secs(5);
/// How long a record may take to be stored, with all retries, before the append fails.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long a record may wait for room in the producer's queue.
const QUEUEING: Duration = Duration::from_secs(5);
/// The number of records of the largest size that fit into the producer's queue.
const QUEUED_RECORDS: u64 = 16;

/// A log on a Kafka cluster.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    producer: FutureProducer<LastError>,
    last_error: LastError,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.options).finish()
    }
}

impl KafkaLog {
    /// Connects to the cluster and checks that the topics exist.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] while no broker answers; [`LogError::Misconfigured`] if waiting
    /// does not help.
    pub async fn open(options: KafkaOptions) -> Result<Self, LogError> {
        let queue_kib = options.max_record_bytes.saturating_mul(QUEUED_RECORDS) / 1024;
        let last_error = LastError::default();
        let producer = options
            .client()?
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("delivery.timeout.ms", DELIVERY.as_millis().to_string())
            .set("queue.buffering.max.kbytes", queue_kib.to_string())
            .create_with_context(last_error.clone())?;
        let log = Self {
            options: Arc::new(options),
            producer,
            last_error,
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

    /// Checks that topics exist.
    async fn find(&self, topics: &'static [Topic]) -> Result<(), LogError> {
        let (producer, last_error) = (self.producer.clone(), self.last_error.clone());
        let options = Arc::clone(&self.options);
        blocking(move || {
            for topic in topics {
                partitions(producer.client(), &last_error, options.topic(*topic))?;
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
                _ => Err(self.last_error.explain(error)),
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
        // The brokers do this, according to the topic's retention.ms.
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
