//! A producer that waits for all in-sync replicas, and is made anew when it has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::errors::LastError;
use super::options::KafkaOptions;
use crate::event::Record;
use crate::event_log::{EventPosition, LogError};

/// The number of records of the largest size that fit into the queue.
const QUEUED_RECORDS: u64 = 8;
/// How long a record waits until it asks again for room in the queue.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);
/// A batch is sent when it has so many bytes, however long records may linger. It stays below the
/// smallest limit of a record that brokers are commonly set to.
const BATCH_BYTES: &str = "524288";

/// What a producer is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// How long a record may wait for others, so that they share a request.
    pub(super) linger: Duration,
    /// How long librdkafka tries to store a record.
    pub(super) timeout: Duration,
}

pub(super) type Client = ThreadedProducer<Acknowledgements>;

pub(super) struct Producer {
    options: Arc<KafkaOptions>,
    purpose: Purpose,
    last_error: LastError,
    client: Mutex<Arc<Client>>,
}

impl Producer {
    pub(super) fn new(
        options: Arc<KafkaOptions>,
        purpose: Purpose,
        last_error: LastError,
    ) -> Result<Self, LogError> {
        let client = Mutex::new(Arc::new(client(&options, purpose, &last_error)?));
        Ok(Self {
            options,
            purpose,
            last_error,
            client,
        })
    }

    pub(super) fn client(&self) -> Arc<Client> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&client)
    }

    /// Sends a record and waits until it is stored. Without a partition, the key chooses one. The
    /// record may still be stored after this future was dropped.
    pub(super) async fn send(
        &self,
        topic: &str,
        partition: Option<i32>,
        record: &Record,
    ) -> Result<EventPosition, KafkaError> {
        let client = self.client();
        let sent = Self::send_with(&client, topic, partition, record).await;
        if sent.is_err() && client.client().fatal_error().is_some() {
            self.replace(&client);
            // What ended the client concerned the order of earlier records, not this one. If it was
            // stored all the same, it is the same operation twice.
            return Self::send_with(&self.client(), topic, partition, record).await;
        }
        sent
    }

    async fn send_with(
        client: &Client,
        topic: &str,
        partition: Option<i32>,
        record: &Record,
    ) -> Result<EventPosition, KafkaError> {
        let (sender, stored) = oneshot::channel();
        let mut message = BaseRecord::with_opaque_to(topic, Box::new(sender))
            .key(record.key.as_bytes())
            .payload(&record.value[..])
            .headers(headers(record));
        message.partition = partition;
        loop {
            match client.send(message) {
                Ok(()) => break,
                Err((error, unsent)) if is_queue_full(&error) => {
                    message = unsent;
                    tokio::time::sleep(QUEUE_PAUSE).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
        stored.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Makes a new client in the place of one that has ended, unless another call did.
    fn replace(&self, ended: &Arc<Client>) {
        let mut current = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, ended) {
            return;
        }
        let reason = ended.client().fatal_error();
        let reason = reason.map_or_else(String::new, |(_, reason)| reason);
        match client(&self.options, self.purpose, &self.last_error) {
            Ok(new) => {
                tracing::warn!(reason, "the Kafka producer had to be made anew");
                *current = Arc::new(new);
            }
            Err(error) => tracing::error!(%error, reason, "the Kafka producer has ended"),
        }
    }
}

fn client(
    options: &KafkaOptions,
    purpose: Purpose,
    last_error: &LastError,
) -> Result<Client, LogError> {
    let queue_kib = options.max_record_bytes.saturating_mul(QUEUED_RECORDS) / 1024;
    let timeout = purpose.timeout.as_millis().to_string();
    let config = options.client(&[
        ("linger.ms", purpose.linger.as_millis().to_string()),
        ("batch.size", BATCH_BYTES.to_owned()),
        // A broker that is silent for as long as a record may take is left.
        ("socket.timeout.ms", timeout.clone()),
        ("request.timeout.ms", timeout.clone()),
        ("queue.buffering.max.kbytes", queue_kib.to_string()),
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("delivery.timeout.ms", timeout),
    ])?;
    Ok(config.create_with_context(Acknowledgements {
        last_error: last_error.clone(),
    })?)
}

fn headers(record: &Record) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record
        .headers
        .iter()
        .fold(headers, |headers, (key, value)| {
            let value = Some(value.as_slice());
            headers.insert(Header { key, value })
        })
}

fn is_queue_full(error: &KafkaError) -> bool {
    *error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
}

/// Hands the outcome of each record to the call that waits for it, without its bytes.
pub(super) struct Acknowledgements {
    last_error: LastError,
}

impl ClientContext for Acknowledgements {
    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.last_error.note_log(level, facility, message);
    }
}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<oneshot::Sender<Result<EventPosition, KafkaError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => Ok(EventPosition {
                partition: message.partition(),
                offset: message.offset(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever waited may have given up.
        let _ = waiting.send(outcome);
    }
}

/// Bytes of a record as Kafka counts them, roughly: key, value and headers.
pub(super) fn record_bytes(record: &Record) -> u64 {
    let headers = record.headers.iter();
    let headers: usize = headers.map(|(key, value)| key.len() + value.len()).sum();
    (record.key.len() + record.value.len() + headers) as u64
}

/// How long storing a record may take: `least`, and more for one that is large, since its bytes go
/// to several brokers and their disks.
pub(super) fn patience(least: Duration, bytes: u64) -> Duration {
    const BYTES_PER_SECOND: u64 = 8 << 20;
    const AT_ONCE: u64 = 1 << 20;
    let more = bytes.saturating_sub(AT_ONCE) * 1000 / BYTES_PER_SECOND;
    least + Duration::from_millis(more)
}

/// When a call that began now and takes `patience` must end.
pub(super) fn deadline(patience: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(Instant::now() + patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_records_get_more_time() {
        let least = Duration::from_secs(2);
        assert_eq!(patience(least, 400_000), least);
        assert_eq!(patience(least, 33 << 20), Duration::from_secs(6));
    }
}
