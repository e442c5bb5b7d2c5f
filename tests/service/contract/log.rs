//! The contract that every event log keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use picresize::event::Record;
use picresize::event_log::embedded::EmbeddedLog;
use picresize::event_log::kafka::{KafkaLog, KafkaOptions, TopicOptions};
use picresize::event_log::{
    Consumer, Delivery, Entry, ErasureOutcome, EventLog, EventPosition, LogError, Start, Topic,
};
use picresize::operation::OperationId;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{Cluster, PATIENCE};

const GROUP: &str = "contract";
/// Long enough to see that nothing arrives.
const A_MOMENT: Duration = Duration::from_millis(200);

/// Creates logs of one kind.
#[async_trait]
trait Logs {
    /// A new log.
    async fn fresh(&self) -> Arc<dyn EventLog>;

    /// The last new log, opened again.
    async fn again(&self) -> Arc<dyn EventLog>;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_keeps_its_contract() {
    event_log_keeps_its_contract(&EmbeddedLogs::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_log_keeps_its_contract() {
    cluster_keeps_the_contract(Cluster::Kraft).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_log_with_zookeeper_keeps_its_contract() {
    cluster_keeps_the_contract(Cluster::ZooKeeper).await;
}

async fn cluster_keeps_the_contract(cluster: Cluster) {
    if let Some(logs) = KafkaLogs::on(cluster) {
        event_log_keeps_its_contract(&logs).await;
    }
}

#[derive(Default)]
struct EmbeddedLogs {
    folders: Mutex<Vec<TempDir>>,
}

#[async_trait]
impl Logs for EmbeddedLogs {
    async fn fresh(&self) -> Arc<dyn EventLog> {
        self.folders
            .lock()
            .unwrap()
            .push(tempfile::tempdir().unwrap());
        self.again().await
    }

    async fn again(&self) -> Arc<dyn EventLog> {
        let path = self
            .folders
            .lock()
            .unwrap()
            .last()
            .unwrap()
            .path()
            .join("log");
        Arc::new(EmbeddedLog::open(&path).unwrap())
    }
}

/// Logs with one partition, so that the order of all events is certain.
struct KafkaLogs {
    options: Mutex<KafkaOptions>,
}

impl KafkaLogs {
    fn on(cluster: Cluster) -> Option<Self> {
        let options = Mutex::new(kafka_options(&cluster.bootstrap_servers()?));
        Some(Self { options })
    }
}

#[async_trait]
impl Logs for KafkaLogs {
    async fn fresh(&self) -> Arc<dyn EventLog> {
        let options = {
            let mut options = self.options.lock().unwrap();
            *options = kafka_options(&options.bootstrap_servers);
            options.clone()
        };
        let topics = TopicOptions {
            partitions: 1,
            replication: 3,
            min_insync_replicas: 2,
            retention: Duration::from_secs(3600),
        };
        KafkaLog::migrate(&options, topics).await.unwrap();
        self.again().await
    }

    async fn again(&self) -> Arc<dyn EventLog> {
        let options = self.options.lock().unwrap().clone();
        Arc::new(KafkaLog::open(options).await.unwrap())
    }
}

/// The options for new topics.
fn kafka_options(bootstrap_servers: &str) -> KafkaOptions {
    let name = OperationId::generate();
    KafkaOptions {
        bootstrap_servers: bootstrap_servers.to_owned(),
        requests_topic: format!("contract.{name}.requests"),
        events_topic: format!("contract.{name}.events"),
        dead_letters_topic: format!("contract.{name}.dead-letters"),
        max_record_bytes: 33 << 20,
        prefetch_bytes: 64 << 20,
        // Many tests share the cores.
        append_timeout: Duration::from_secs(30),
        min_insync_replicas: 2,
        properties: BTreeMap::new(),
    }
}

/// Runs a log through its contract.
async fn event_log_keeps_its_contract(logs: &impl Logs) {
    what_is_appended_is_delivered_unchanged_and_in_order(&*logs.fresh().await).await;
    what_is_not_committed_is_delivered_again(&*logs.fresh().await).await;
    topics_and_groups_do_not_disturb_each_other(&*logs.fresh().await).await;
    a_group_shares_its_events(&*logs.fresh().await).await;
    a_waiting_consumer_is_woken_by_an_append(&logs.fresh().await).await;
    giving_up_a_wait_loses_nothing(&*logs.fresh().await).await;
    many_can_append_at_once(&logs.fresh().await).await;
    a_range_is_read_without_moving_anyone(&*logs.fresh().await).await;
    a_group_has_finished_what_it_committed(&*logs.fresh().await).await;
    what_is_erased_keeps_its_place(&*logs.fresh().await).await;
    what_is_erased_is_not_delivered_later(&*logs.fresh().await).await;
    announcements_are_events(&*logs.fresh().await).await;
    what_is_too_large_is_refused(logs).await;
    append(&*logs.fresh().await, "kept").await;
    let mut consumer = join(&*logs.again().await).await;
    assert_eq!(
        next(&mut *consumer).await.1.key,
        "kept",
        "a log outlives its process"
    );
}

fn record(key: &str) -> Record {
    Record {
        key: key.to_owned(),
        headers: vec![
            ("ce_type".to_owned(), b"resize.requested".to_vec()),
            ("binary".to_owned(), vec![0, 255, 10]),
        ],
        value: Bytes::from(vec![7; 100_000]),
    }
}

async fn append(log: &dyn EventLog, key: &str) -> EventPosition {
    log.append(Topic::Requests, record(key)).await.unwrap()
}

async fn join(log: &dyn EventLog) -> Box<dyn Consumer> {
    log.subscribe(Topic::Requests, GROUP).await.unwrap()
}

async fn next(consumer: &mut dyn Consumer) -> (EventPosition, Record) {
    loop {
        let received = tokio::time::timeout(PATIENCE, consumer.receive()).await;
        if let Delivery::Event(position, record) = received.expect("an event in time").unwrap() {
            return (position, record);
        }
    }
}

fn behind(position: EventPosition) -> EventPosition {
    EventPosition {
        offset: position.offset + 1,
        ..position
    }
}

async fn what_is_appended_is_delivered_unchanged_and_in_order(log: &dyn EventLog) {
    log.ping().await.unwrap();
    let mut positions = Vec::new();
    for key in ["a", "b", "c"] {
        positions.push(append(log, key).await);
    }
    assert!(positions.is_sorted());
    let mut consumer = join(log).await;
    for (key, position) in ["a", "b", "c"].into_iter().zip(positions) {
        assert_eq!(next(&mut *consumer).await, (position, record(key)));
    }
}

async fn what_is_not_committed_is_delivered_again(log: &dyn EventLog) {
    for key in ["a", "b", "c"] {
        append(log, key).await;
    }
    let mut consumer = join(log).await;
    let (first, _) = next(&mut *consumer).await;
    next(&mut *consumer).await;
    consumer.commit(behind(first)).await.unwrap();
    drop(consumer);
    let mut consumer = join(log).await;
    assert_eq!(next(&mut *consumer).await.1.key, "b");
    // A position never moves back.
    consumer.commit(first).await.unwrap();
    drop(consumer);
    assert_eq!(next(&mut *join(log).await).await.1.key, "b");
}

async fn topics_and_groups_do_not_disturb_each_other(log: &dyn EventLog) {
    let position = append(log, "request").await;
    log.append(Topic::Events, record("event")).await.unwrap();
    let mut consumer = join(log).await;
    next(&mut *consumer).await;
    consumer.commit(behind(position)).await.unwrap();
    let mut other = log.subscribe(Topic::Requests, "another").await.unwrap();
    assert_eq!(next(&mut *other).await.1.key, "request");
    let mut events = log.subscribe(Topic::Events, GROUP).await.unwrap();
    assert_eq!(next(&mut *events).await.1.key, "event");
}

async fn a_group_shares_its_events(log: &dyn EventLog) {
    append(log, "a").await;
    let mut first = join(log).await;
    let (position, _) = next(&mut *first).await;
    first.commit(behind(position)).await.unwrap();
    let mut second = join(log).await;
    let nothing = tokio::time::timeout(A_MOMENT, second.receive()).await;
    assert!(
        nothing.is_err(),
        "an event that was committed reaches no other member"
    );
    drop(first);
    append(log, "b").await;
    assert_eq!(next(&mut *second).await.1.key, "b", "who stays takes over");
}

async fn a_waiting_consumer_is_woken_by_an_append(log: &Arc<dyn EventLog>) {
    let mut consumer = join(&**log).await;
    let waiting = tokio::spawn(async move { next(&mut *consumer).await });
    append(&**log, "a").await;
    assert_eq!(waiting.await.unwrap().1.key, "a");
}

async fn giving_up_a_wait_loses_nothing(log: &dyn EventLog) {
    let mut consumer = join(log).await;
    for key in ["a", "b", "c", "d"] {
        // Dropped while it waits, at different points.
        for microseconds in [0, 50, 500] {
            let patience = Duration::from_micros(microseconds);
            let nothing = tokio::time::timeout(patience, consumer.receive()).await;
            assert!(nothing.is_err());
        }
        append(log, key).await;
        assert_eq!(next(&mut *consumer).await.1.key, key);
    }
}

async fn many_can_append_at_once(log: &Arc<dyn EventLog>) {
    let mut appends = JoinSet::new();
    for n in 0..100 {
        let log = Arc::clone(log);
        appends.spawn(async move { append(&*log, &n.to_string()).await });
    }
    let mut appended = appends.join_all().await;
    appended.sort();
    appended.dedup();
    assert_eq!(appended.len(), 100, "each has a position of its own");
    let mut consumer = join(&**log).await;
    let mut delivered = Vec::new();
    for _ in 0..100 {
        delivered.push(next(&mut *consumer).await.0);
    }
    delivered.sort();
    assert_eq!(delivered, appended);
}

async fn collect(log: &dyn EventLog, start: Start) -> Vec<Entry> {
    let mut reader = log.read(Topic::Requests, &start).await.unwrap();
    let total = reader.total();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        entries.push(entry);
    }
    assert_eq!(entries.len() as u64, total);
    entries
}

async fn a_range_is_read_without_moving_anyone(log: &dyn EventLog) {
    assert_eq!(collect(log, Start::Beginning).await, []);
    let mut positions = Vec::new();
    for key in ["a", "b", "c"] {
        positions.push(append(log, key).await);
        // So that no two have the same millisecond.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let all = collect(log, Start::Beginning).await;
    let found: Vec<_> = all.iter().map(|entry| entry.position).collect();
    assert_eq!(found, positions);
    assert_eq!(all[1].record, record("b"));
    assert!(all.is_sorted_by_key(|entry| entry.appended_at));

    let from_time = collect(log, Start::Time(all[1].appended_at)).await;
    assert_eq!(from_time, all[1..]);
    let from_position = collect(log, Start::Positions(vec![positions[2]])).await;
    assert_eq!(from_position, all[2..]);
    let after_the_end = collect(log, Start::Positions(vec![behind(positions[2])])).await;
    assert_eq!(after_the_end, []);

    let mut reader = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    append(log, "late").await;
    let mut read = 0;
    while reader.next().await.unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, 3, "the end is where it was when the reading began");
    let (first, _) = next(&mut *join(log).await).await;
    assert_eq!(first, positions[0], "no group has moved");
}

async fn a_group_has_finished_what_it_committed(log: &dyn EventLog) {
    let has_finished = async |group, time| {
        let finished = log.has_finished(Topic::Requests, group, time);
        finished.await.unwrap()
    };
    let hour = Duration::from_secs(3600);
    let (start, end) = (Timestamp::now() - hour, Timestamp::now() + hour);
    assert!(has_finished(GROUP, end).await, "there is nothing to do");
    let first = append(log, "a").await;
    // So that no two have the same millisecond.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let between = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = append(log, "b").await;
    assert!(has_finished(GROUP, start).await);
    assert!(!has_finished(GROUP, between).await);
    let mut consumer = join(log).await;
    for _ in 0..2 {
        next(&mut *consumer).await;
    }
    assert!(
        !has_finished(GROUP, between).await,
        "delivered is not finished"
    );
    consumer.commit(behind(first)).await.unwrap();
    assert!(has_finished(GROUP, between).await);
    assert!(!has_finished(GROUP, end).await);
    assert!(!has_finished("another", between).await);
    consumer.commit(behind(second)).await.unwrap();
    assert!(has_finished(GROUP, end).await);
}

async fn what_is_erased_keeps_its_place(log: &dyn EventLog) {
    let position = append(log, "a").await;
    append(log, "b").await;
    let erased = log.erase(Topic::Requests, position).await.unwrap();
    let entries = collect(log, Start::Beginning).await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].record.headers, record("a").headers);
    match erased {
        ErasureOutcome::DataRemoved => assert!(entries[0].record.value.is_empty()),
        ErasureOutcome::AwaitsRetention => assert_eq!(entries[0].record, record("a")),
    }
    assert_eq!(entries[1].record, record("b"));
}

/// A consumer may have read ahead by then.
async fn what_is_erased_is_not_delivered_later(log: &dyn EventLog) {
    let mut positions = Vec::new();
    for key in ["a", "b", "c"] {
        positions.push(append(log, key).await);
    }
    let mut consumer = join(log).await;
    assert_eq!(next(&mut *consumer).await, (positions[0], record("a")));
    let erased = log.erase(Topic::Requests, positions[1]).await.unwrap();
    let (position, received) = next(&mut *consumer).await;
    assert_eq!(position, positions[1]);
    if erased == ErasureOutcome::DataRemoved {
        assert!(received.value.is_empty());
    }
    assert_eq!(next(&mut *consumer).await, (positions[2], record("c")));
}

async fn announcements_are_events(log: &dyn EventLog) {
    for key in ["a", "b"] {
        log.announce(record(key)).await.unwrap();
    }
    let mut reader = log.read(Topic::Events, &Start::Beginning).await.unwrap();
    for key in ["a", "b"] {
        assert_eq!(reader.next().await.unwrap().unwrap().record, record(key));
    }
    assert!(reader.next().await.unwrap().is_none());
}

/// The largest picture is accepted. A log with a limit of its own reports it.
async fn what_is_too_large_is_refused(logs: &impl Logs) {
    let log = logs.fresh().await;
    let largest = Record {
        value: vec![7; 32 << 20].into(),
        ..record("largest")
    };
    log.append(Topic::Requests, largest.clone()).await.unwrap();
    let (_, received) = next(&mut *join(&*log).await).await;
    assert!(received == largest);
    let too_large = Record {
        value: vec![7; 34 << 20].into(),
        ..record("too large")
    };
    match log.append(Topic::Requests, too_large).await {
        Ok(_) => {}
        Err(LogError::TooLarge { bytes, limit }) => {
            assert!(bytes > limit, "{bytes} are within {limit}");
        }
        Err(error) => panic!("{error}"),
    }
}
