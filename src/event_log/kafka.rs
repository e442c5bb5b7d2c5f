//! The event log on a Kafka cluster, through librdkafka: opens it, appends to it, and creates
//! consumers and readers.
//!
//! The producers are idempotent and wait for all in-sync replicas. `options` holds the settings and
//! the configuration of librdkafka; `shared` is what all parts use: `producer` stores records,
//! `spread` chooses their partitions, and `outage` knows with its `breaker` whether the cluster is
//! away. `consumer` is a member of a consumer group: `membership` is its client, `watchdog` sees
//! that it does not stop silently, and `positions` looks for events that expired unread and for
//! those that wait. `reader` reads a topic without a group, `cluster` requests metadata, `topics`
//! creates and alters topics, and `errors` says what librdkafka's errors mean.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::task::AbortHandle;

use self::cluster::blocking;
pub use self::options::{KafkaOptions, TopicOptions};
use self::shared::Shared;
use super::{Consumer, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic};
use crate::event::Record;

mod breaker;
mod cluster;
mod consumer;
mod errors;
mod membership;
mod message;
mod options;
mod outage;
mod positions;
mod producer;
mod progress;
mod reader;
mod shared;
mod spread;
mod topics;
mod watchdog;

/// How long it may take until every broker knows a new topic.
const SETTLING: Duration = Duration::from_secs(5);
/// How long the brokers may take to answer at the start.
const GREETING: Duration = Duration::from_millis(3500);

/// A log on a Kafka cluster.
pub struct KafkaLog {
    shared: Arc<Shared>,
    watch: AbortHandle,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog")
            .field(&self.shared.options)
            .finish()
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.watch.abort();
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
        let shared = Arc::new(Shared::new(options)?);
        greet(&shared).await?;
        let deadline = Instant::now() + SETTLING;
        for topic in Topic::ALL {
            while shared.find(topic, GREETING).await?.is_empty() {
                if Instant::now() > deadline {
                    return Err(cluster::missing(shared.options.topic(topic)));
                }
                tokio::time::sleep(SETTLING / 20).await;
            }
        }
        let watch = tokio::spawn(Arc::clone(&shared).watch()).abort_handle();
        Ok(Self { shared, watch })
    }
}

/// Waits for the first answer, but not longer than until the brokers refuse the client: librdkafka
/// tries again for ever.
async fn greet(shared: &Arc<Shared>) -> Result<(), LogError> {
    let deadline = Instant::now() + GREETING;
    loop {
        match shared.find(Topic::Requests, GREETING / 5).await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {}
            Err(error) if error.is_transient() => {
                return Err(shared.last_error.wrong_protocol().unwrap_or(error));
            }
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    /// Fails within `append_timeout` if the record can't be stored. It may be stored all the same
    /// later, because it may already be on its way. Then it is delivered as an event like any
    /// other: it has its operation's ID, so if the caller tries again with the same record, both
    /// are the same operation.
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        self.shared.append(topic, &record).await
    }

    async fn announce(&self, record: Record) -> Result<(), LogError> {
        self.shared.announce(&record).await
    }

    fn outage(&self) -> Option<LogError> {
        self.shared.outages.refusal()
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        let consumer = consumer::GroupMember::join(Arc::clone(&self.shared), topic, group)?;
        Ok(Box::new(consumer))
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        let options = &self.shared.options;
        let reader = reader::RangeReader::open(options, topic, start.clone()).await?;
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
        let (options, group) = (Arc::clone(&self.shared.options), group.to_owned());
        blocking(move || progress::has_finished(&options, topic, &group, time)).await
    }

    /// Whether an append would succeed, and the consumers of this process receive what waits.
    /// Answers within two seconds.
    async fn ping(&self) -> Result<(), LogError> {
        self.shared.ping().await
    }
}
