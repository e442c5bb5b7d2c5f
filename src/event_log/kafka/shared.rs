//! What the log, its consumers and its watch share: the producers, and what is known about the
//! cluster.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;

use super::cluster::{self, Partition, blocking};
use super::errors::{self, LastError};
use super::options::KafkaOptions;
use super::outage::{self, Outages};
use super::producer::{Producer, Purpose, deadline, patience, record_bytes};
use super::spread::Spread;
use crate::event::Record;
use crate::event_log::{EventPosition, LogError, Topic};

/// How long a request may wait for others. Clients wait for its answer.
const REQUEST_LINGER: Duration = Duration::from_millis(2);
/// The same for announcements, for which nobody waits. Their key chooses one of many partitions, each
/// of which is a request of its own.
const ANNOUNCEMENT_LINGER: Duration = Duration::from_millis(300);
/// A look at the cluster asks twice, because the first broker that is asked may be frozen. Both
/// together must take less than the 2 seconds that `ping` has.
const LOOK: Duration = Duration::from_millis(700);
/// How long a look may take with the answers of all leaders. Those that are not connected yet take
/// longer.
const WHOLE_LOOK: Duration = Duration::from_millis(1600);
/// How long a look at the cluster is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// How often the topic's settings are read, once somebody wants to know.
const SETTINGS_AGE: Duration = Duration::from_secs(600);
/// Bytes that Kafka adds to a record, at most.
const RECORD_OVERHEAD: u64 = 128;

pub(super) struct Shared {
    pub(super) options: Arc<KafkaOptions>,
    pub(super) outages: Outages,
    pub(super) last_error: LastError,
    pub(super) producer: Producer,
    /// Created by the first announcement: the API of a busy cluster may never make one.
    announcer: OnceLock<Producer>,
    spreads: Mutex<HashMap<Topic, Spread>>,
    least_in_sync: AtomicUsize,
    settings_wanted: AtomicBool,
    looked: tokio::sync::Mutex<Option<(Instant, Look)>>,
    /// Consumers that receive nothing although events wait, in words.
    complaints: Mutex<BTreeMap<u64, String>>,
    next_consumer: AtomicU64,
    /// Whether the log has said that it refuses events of some size.
    told_of_limit: AtomicBool,
}

/// What a look at the cluster showed.
#[derive(Clone, Debug)]
enum Look {
    Well,
    Away(String),
    Misconfigured(String),
}

impl Look {
    fn result(self) -> Result<(), LogError> {
        match self {
            Self::Well => Ok(()),
            Self::Away(reason) => Err(LogError::Unavailable(reason.into())),
            Self::Misconfigured(sentence) => Err(LogError::Misconfigured(sentence)),
        }
    }
}

impl Shared {
    pub(super) fn new(options: KafkaOptions) -> Result<Self, LogError> {
        let options = Arc::new(options);
        let outages = Outages::default();
        let last_error = LastError::with_alarm(Arc::clone(&outages.alarm));
        let purpose = purpose(&options, REQUEST_LINGER);
        let producer = Producer::new(Arc::clone(&options), purpose, last_error.clone())?;
        let least_in_sync = usize::try_from(options.min_insync_replicas).unwrap_or(1);
        Ok(Self {
            options,
            outages,
            last_error,
            producer,
            announcer: OnceLock::new(),
            spreads: Mutex::default(),
            least_in_sync: AtomicUsize::new(least_in_sync),
            settings_wanted: AtomicBool::new(false),
            looked: tokio::sync::Mutex::default(),
            complaints: Mutex::default(),
            next_consumer: AtomicU64::new(0),
            told_of_limit: AtomicBool::new(false),
        })
    }

    /// Finds the partitions of a topic. None means that it does not exist.
    pub(super) async fn find(
        self: &Arc<Self>,
        topic: Topic,
        timeout: Duration,
    ) -> Result<Vec<Partition>, LogError> {
        let shared = Arc::clone(self);
        let layout = blocking(move || {
            let client = shared.producer.client();
            let name = shared.options.topic(topic);
            let layout = cluster::layout(client.client(), name, timeout);
            layout.map_err(|error| shared.last_error.explain(error))
        })
        .await?;
        self.last_error.forget();
        self.spread_over(topic, &layout);
        Ok(layout)
    }

    /// The partitions of a topic, by its name. It blocks.
    pub(super) fn layout(&self, topic: &str) -> Result<Vec<Partition>, KafkaError> {
        let client = self.producer.client();
        cluster::layout(client.client(), topic, 2 * LOOK)
    }

    fn spread_over(&self, topic: Topic, layout: &[Partition]) {
        let least = self.least_in_sync.load(Ordering::Relaxed);
        let ids = |usable: bool| -> Vec<i32> {
            let found = layout.iter();
            let found = found.filter(|partition| !usable || cluster::is_usable(partition, least));
            found.map(|partition| partition.id).collect()
        };
        let usable = Some(ids(true)).filter(|usable| !usable.is_empty());
        let partitions = usable.unwrap_or_else(|| ids(false));
        let start = outage::jittered(Duration::from_secs(1)).as_micros();
        let start = usize::try_from(start).unwrap_or_default();
        lock(&self.spreads)
            .entry(topic)
            .or_insert_with(|| Spread::new(Vec::new(), start, Instant::now()))
            .set_partitions(&partitions);
    }

    /// Stores a record and waits for it.
    pub(super) async fn append(
        &self,
        topic: Topic,
        record: &Record,
    ) -> Result<EventPosition, LogError> {
        self.store(&self.producer, topic, record).await
    }

    /// Stores a record for which nobody waits.
    pub(super) async fn announce(&self, record: &Record) -> Result<(), LogError> {
        let announcer = match self.announcer.get() {
            Some(announcer) => announcer,
            None => {
                let purpose = purpose(&self.options, ANNOUNCEMENT_LINGER);
                let options = Arc::clone(&self.options);
                let new = Producer::new(options, purpose, self.last_error.clone())?;
                self.announcer.get_or_init(|| new)
            }
        };
        self.store(announcer, Topic::Events, record).await.map(drop)
    }

    async fn store(
        &self,
        producer: &Producer,
        topic: Topic,
        record: &Record,
    ) -> Result<EventPosition, LogError> {
        let attempt = self.outages.admit()?;
        let bytes = record_bytes(record);
        let patience = patience(self.options.append_timeout, bytes);
        let partition = self.partition(topic, record);
        let sending = producer.send(self.options.topic(topic), partition, record);
        let sent = tokio::time::timeout_at(deadline(patience), sending).await;
        let error = match sent {
            Ok(Ok(position)) => {
                self.note_partition(topic, partition, true);
                self.last_error.forget();
                attempt.succeeded();
                return Ok(position);
            }
            Ok(Err(error)) => error,
            Err(_) => KafkaError::MessageProduction(Code::MessageTimedOut),
        };
        match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                attempt.ended();
                return Err(self.too_large(topic, bytes + RECORD_OVERHEAD).await);
            }
            Some(Code::MessageTimedOut) => {
                self.note_partition(topic, partition, false);
                let error = match self.last_error.refusal() {
                    Some(refusal) => refusal,
                    None => LogError::Unavailable(self.in_time(patience).into()),
                };
                attempt.failed(&bare(&error));
                return Err(error);
            }
            _ => {}
        }
        self.note_partition(topic, partition, false);
        if let Some(refusal) = errors::refused(&error, self.options.topic(topic), "") {
            attempt.ended();
            return Err(refusal);
        }
        let error = self.last_error.explain(error);
        attempt.failed(&bare(&error));
        Err(error)
    }

    /// What to say when nothing was stored in time.
    fn in_time(&self, patience: Duration) -> String {
        let milliseconds = patience.as_millis();
        let reason = self.last_error.reason().map(|reason| format!(": {reason}"));
        format!(
            "no broker stored the event within {milliseconds} ms{}",
            reason.unwrap_or_default()
        )
    }

    /// The partition of a record; `None` if its key chooses one. The events about an operation must
    /// be read in their order, so they share a partition. Nothing depends on the order of requests
    /// or dead letters.
    fn partition(&self, topic: Topic, record: &Record) -> Option<i32> {
        match topic {
            Topic::Events => None,
            Topic::Requests | Topic::DeadLetters => lock(&self.spreads)
                .get_mut(&topic)?
                .next(record.value.len(), Instant::now()),
        }
    }

    fn note_partition(&self, topic: Topic, partition: Option<i32>, stored: bool) {
        let (Some(partition), mut spreads) = (partition, lock(&self.spreads)) else {
            return;
        };
        if let Some(spread) = spreads.get_mut(&topic) {
            if stored {
                spread.succeeded(partition);
            } else {
                spread.failed(partition, Instant::now());
            }
        }
    }

    /// Which limit an event exceeds: the program's own, or that of the topic.
    async fn too_large(&self, topic: Topic, bytes: u64) -> LogError {
        let own = self.options.max_record_bytes;
        if bytes > own {
            return LogError::TooLarge { bytes, limit: own };
        }
        let name = self.options.topic(topic);
        let settings = cluster::settings(&self.options, name).await;
        let limit = settings.ok().and_then(|found| found.max_message_bytes);
        if !self.told_of_limit.swap(true, Ordering::Relaxed) {
            let known = limit.map_or_else(String::new, |limit| format!(", which is {limit}"));
            tracing::error!(
                bytes,
                "the brokers refuse an event that the settings allow: raise max.message.bytes of \
                 the topic {name}{known}, to {own} (`picresize migrate` does), or lower \
                 limits.max_picture_bytes"
            );
        }
        // A limit that can't be read is below what it refused.
        let limit = limit.unwrap_or(u64::MAX).min(bytes.saturating_sub(1));
        LogError::TooLarge { bytes, limit }
    }

    /// Whether an append would succeed.
    pub(super) async fn ping(self: &Arc<Self>) -> Result<(), LogError> {
        if !self.settings_wanted.swap(true, Ordering::Relaxed) {
            self.outages.alarm.notify_one();
        }
        self.look(BELIEVED).await?;
        self.outages.looks_well();
        if let Some(reason) = self.outages.reason() {
            return Err(LogError::Unavailable(reason.into()));
        }
        match lock(&self.complaints).values().next() {
            Some(complaint) => Err(LogError::Unavailable(complaint.clone().into())),
            None => Ok(()),
        }
    }

    /// Looks at the cluster, unless somebody did within `age`. Those who ask at the same time share
    /// the answer.
    async fn look(self: &Arc<Self>, age: Duration) -> Result<(), LogError> {
        let mut looked = self.looked.lock().await;
        if let Some((at, look)) = looked.as_ref()
            && at.elapsed() < age
        {
            return look.clone().result();
        }
        let look = self.look_now().await;
        *looked = Some((Instant::now(), look.clone()));
        look.result()
    }

    async fn look_now(self: &Arc<Self>) -> Look {
        let deadline = Instant::now() + WHOLE_LOOK;
        let mut found = self.find(Topic::Requests, LOOK).await;
        if found.as_ref().is_err_and(LogError::is_transient) {
            found = self.find(Topic::Requests, LOOK).await;
        }
        let name = self.options.topic(Topic::Requests);
        match found {
            Ok(layout) if layout.is_empty() => {
                Look::Misconfigured(cluster::missing(name).to_string())
            }
            Ok(layout) => {
                let least = self.least_in_sync.load(Ordering::Relaxed);
                match cluster::fault(name, &layout, least) {
                    Some(fault) => Look::Away(fault),
                    // What was stored shows more than what the leaders say.
                    None if self.outages.has_stored(BELIEVED) => Look::Well,
                    None => self.ask_leaders(layout, deadline).await,
                }
            }
            Err(LogError::Misconfigured(sentence)) => Look::Misconfigured(sentence),
            Err(error) => Look::Away(bare(&error)),
        }
    }

    /// Asks each leader of a partition for an offset. The metadata may be old: it shows brokers that
    /// are frozen or have just been killed, and all of them while the controllers are away.
    async fn ask_leaders(self: &Arc<Self>, layout: Vec<Partition>, deadline: Instant) -> Look {
        let shared = Arc::clone(self);
        let asking = blocking(move || {
            let topic = shared.options.topic(Topic::Requests);
            let client = shared.producer.client();
            for (leader, partition) in cluster::of_each_leader(&layout) {
                let patience = deadline.saturating_duration_since(Instant::now());
                let answer = client.client().fetch_watermarks(topic, partition, patience);
                if let Err(error) = answer {
                    let error = bare(&shared.last_error.explain(error));
                    let reason = format!(
                        "broker {leader}, which leads partition {partition} of the topic {topic}, \
                         does not answer: {error}"
                    );
                    return Err(LogError::Unavailable(reason.into()));
                }
            }
            Ok(())
        });
        match asking.await {
            Ok(()) => Look::Well,
            Err(error) => Look::Away(bare(&error)),
        }
    }

    /// Attends to alarms until it is aborted: looks at the cluster while it is away, so that the
    /// outage is known, logged and over without a request.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            let alarm = self.outages.alarm.notified();
            if tokio::time::timeout(SETTINGS_AGE, alarm).await.is_ok() {
                self.attend().await;
            }
            if self.settings_wanted.load(Ordering::Relaxed) {
                self.read_settings().await;
            }
        }
    }

    async fn attend(self: &Arc<Self>) {
        loop {
            let began = Instant::now();
            match self.look(Duration::ZERO).await {
                Ok(()) => {
                    self.outages.looks_well();
                    if !self.outages.is_known() {
                        return;
                    }
                }
                // Something was stored meanwhile: while brokers return, some partitions are usable.
                Err(_) if self.outages.has_stored(BELIEVED) => {}
                Err(error) => self.outages.seen_away(began, &bare(&error)),
            }
            tokio::time::sleep(outage::pause()).await;
        }
    }

    async fn read_settings(&self) {
        let name = self.options.topic(Topic::Requests);
        match cluster::settings(&self.options, name).await {
            Ok(settings) => {
                if let Some(least) = settings.min_insync_replicas {
                    self.least_in_sync.store(least, Ordering::Relaxed);
                }
            }
            Err(error) => tracing::debug!(%error, "could not read the topic's settings"),
        }
    }

    /// A number for a new consumer.
    pub(super) fn register(&self) -> u64 {
        self.next_consumer.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes what keeps a consumer from receiving, or that nothing does.
    pub(super) fn complain(&self, consumer: u64, complaint: Option<String>) {
        let mut complaints = lock(&self.complaints);
        match complaint {
            Some(complaint) => complaints.insert(consumer, complaint),
            None => complaints.remove(&consumer),
        };
    }
}

fn purpose(options: &KafkaOptions, linger: Duration) -> Purpose {
    Purpose {
        linger,
        timeout: patience(options.append_timeout, options.max_record_bytes),
    }
}

/// The sentence of an error without the words that its type puts before it.
fn bare(error: &LogError) -> String {
    match error {
        LogError::Unavailable(reason) => reason.to_string(),
        _ => error.to_string(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
