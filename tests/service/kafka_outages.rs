//! What the Kafka log does when the cluster can't store events, refuses a client, or has removed
//! events.
//!
//! The runs that stop brokers need `PICRESIZE_TEST_OUTAGES=1`, because they stop the brokers of
//! `scripts/services` under all other tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use picresize::event::Record;
use picresize::event_log::kafka::{KafkaLog, KafkaOptions, TopicOptions};
use picresize::event_log::{Consumer, Delivery, EventLog, EventPosition, LogError, Topic};
use picresize::operation::OperationId;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::{Cluster, KAFKA_SASL, PATIENCE, address};

const GROUP: &str = "outages";
/// What a call may take that has two seconds, on a busy machine.
const IN_TIME: Duration = Duration::from_millis(3500);
/// What a call may take that fails at once.
const AT_ONCE: Duration = Duration::from_millis(500);

fn options(bootstrap_servers: &str) -> KafkaOptions {
    let name = OperationId::generate();
    KafkaOptions {
        bootstrap_servers: bootstrap_servers.to_owned(),
        requests_topic: format!("outages.{name}.requests"),
        events_topic: format!("outages.{name}.events"),
        dead_letters_topic: format!("outages.{name}.dead-letters"),
        max_record_bytes: 8 << 20,
        prefetch_bytes: 8 << 20,
        append_timeout: Duration::from_secs(2),
        min_insync_replicas: 2,
        properties: BTreeMap::new(),
    }
}

fn one_partition(replication: i32, min_insync_replicas: i32) -> TopicOptions {
    TopicOptions {
        partitions: 1,
        replication,
        min_insync_replicas,
        retention: Duration::from_secs(3600),
    }
}

async fn open(options: &KafkaOptions, topics: TopicOptions) -> Arc<KafkaLog> {
    KafkaLog::migrate(options, topics).await.unwrap();
    Arc::new(KafkaLog::open(options.clone()).await.unwrap())
}

fn record(key: &str, bytes: usize) -> Record {
    Record {
        key: key.to_owned(),
        headers: vec![("ce_type".to_owned(), b"resize.requested".to_vec())],
        value: Bytes::from(vec![7; bytes]),
    }
}

async fn append(log: &KafkaLog, key: &str) -> Result<EventPosition, LogError> {
    log.append(Topic::Requests, record(key, 100)).await
}

async fn next(consumer: &mut dyn Consumer) -> Delivery {
    let received = tokio::time::timeout(PATIENCE, consumer.receive()).await;
    received.expect("a delivery in time").unwrap()
}

fn behind(position: EventPosition) -> EventPosition {
    EventPosition {
        offset: position.offset + 1,
        ..position
    }
}

/// Two of three brokers are killed and come back.
#[tokio::test(flavor = "multi_thread")]
async fn too_few_brokers_are_known_in_time_and_heal_by_themselves() {
    let (Some(servers), Some((_, _turn))) = (Cluster::Kraft.bootstrap_servers(), runs().await)
    else {
        return;
    };
    let log = open(&options(&servers), one_partition(3, 2)).await;
    append(&log, "before").await.unwrap();
    brokers("kill", &BROKERS[1..]);
    let began = Instant::now();
    let refused = append(&log, "during").await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let began = Instant::now();
    let mut appends = tokio::task::JoinSet::new();
    for n in 0..50 {
        let log = Arc::clone(&log);
        appends.spawn(async move { append(&log, &n.to_string()).await.is_err() });
    }
    let refused = appends.join_all().await;
    assert!(refused.iter().all(|refused| *refused));
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let began = Instant::now();
    log.ping().await.unwrap_err();
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());

    brokers("start", &BROKERS[1..]);
    let deadline = Instant::now() + PATIENCE;
    while append(&log, "after").await.is_err() {
        assert!(Instant::now() < deadline, "the log does not heal");
        tokio::time::sleep(AT_ONCE / 10).await;
    }
}

/// Each ends the start with what to set, and is not tried for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_ends_the_start_with_a_sentence() {
    let (Some(plain), Some(sasl)) = (
        Cluster::Kraft.bootstrap_servers(),
        address(KAFKA_SASL, "Kafka with SASL"),
    ) else {
        return;
    };
    let (credentials, sasl) = sasl.rsplit_once('@').unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    let with_sasl = |password, mechanism| {
        vec![
            ("security_protocol", "sasl_plaintext"),
            ("sasl_mechanisms", mechanism),
            ("sasl_username", user),
            ("sasl_password", password),
        ]
    };
    let cases = [
        (sasl, with_sasl("wrong", "PLAIN"), "sasl_password"),
        (
            sasl,
            with_sasl(password, "SCRAM-SHA-512"),
            "sasl_mechanisms",
        ),
        (&plain, with_sasl(password, "PLAIN"), "a port with SASL"),
        (sasl, vec![], "security_protocol"),
        (
            &plain,
            vec![("security_protocol", "ssl")],
            "security_protocol",
        ),
    ];
    for (servers, properties, sentence) in cases {
        let mut options = options(servers);
        let properties = properties.into_iter();
        options.properties = properties
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let began = Instant::now();
        match KafkaLog::open(options).await {
            Err(LogError::Misconfigured(message)) => {
                assert!(message.contains(sentence), "{sentence}: {message}");
            }
            other => panic!("{sentence}: {other:?}"),
        }
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_that_refused_an_event_is_named() {
    let Some(servers) = Cluster::Kraft.bootstrap_servers() else {
        return;
    };
    let mut options = options(&servers);
    options.max_record_bytes = 1 << 20;
    KafkaLog::migrate(&options, one_partition(3, 2))
        .await
        .unwrap();
    let topic_limit = options.max_record_bytes;
    options.max_record_bytes = 8 << 20;
    let log = KafkaLog::open(options.clone()).await.unwrap();
    for (bytes, expected) in [(2 << 20, topic_limit), (9 << 20, 8 << 20)] {
        match log.append(Topic::Requests, record("large", bytes)).await {
            Err(LogError::TooLarge { bytes, limit }) => {
                assert_eq!(limit, expected);
                assert!(bytes > limit, "{bytes} are within {limit}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The next one is stored at once.
    append(&log, "small").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_learns_which_events_expired_unread() {
    let Some(servers) = Cluster::Kraft.bootstrap_servers() else {
        return;
    };
    let options = options(&servers);
    let log = open(&options, one_partition(3, 2)).await;
    let mut positions = Vec::new();
    for key in ["0", "1", "2", "3"] {
        positions.push(append(&log, key).await.unwrap());
    }
    let mut consumer = log.subscribe(Topic::Requests, GROUP).await.unwrap();
    while !matches!(next(&mut *consumer).await, Delivery::Event(..)) {}
    consumer.commit(behind(positions[0])).await.unwrap();
    drop(consumer);

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .create()
        .unwrap();
    let mut before = TopicPartitionList::new();
    before
        .add_partition_offset(&options.requests_topic, 0, Offset::Offset(3))
        .unwrap();
    let removed = admin.delete_records(&before, &AdminOptions::new()).await;
    removed.unwrap();

    let mut consumer = log.subscribe(Topic::Requests, GROUP).await.unwrap();
    let (mut expired, mut delivered) = (None, None);
    while expired.is_none() || delivered.is_none() {
        match next(&mut *consumer).await {
            Delivery::Expired {
                partition,
                from,
                to,
            } => expired = Some((partition, from, to)),
            Delivery::Event(position, _) => delivered = Some(position),
            Delivery::Revoked(_) => {}
        }
    }
    assert_eq!(expired, Some((0, 1, 3)));
    assert_eq!(delivered, Some(positions[3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_for_later_is_stored_when_the_consumer_ends() {
    let Some(servers) = Cluster::Kraft.bootstrap_servers() else {
        return;
    };
    let log = open(&options(&servers), one_partition(3, 2)).await;
    for key in ["a", "b", "c"] {
        append(&log, key).await.unwrap();
    }
    // The first is committed when it is dropped, the second by a call.
    for (finishes, expected) in [(false, "a"), (true, "b")] {
        let mut consumer = log.subscribe(Topic::Requests, GROUP).await.unwrap();
        let position = loop {
            if let Delivery::Event(position, record) = next(&mut *consumer).await {
                assert_eq!(record.key, expected);
                break position;
            }
        };
        consumer.commit_soon(behind(position)).await.unwrap();
        if finishes {
            consumer.finish_commits().await.unwrap();
        }
    }
    let mut consumer = log.subscribe(Topic::Requests, GROUP).await.unwrap();
    loop {
        let delivery = next(&mut *consumer).await;
        if let Delivery::Event(_, record) = delivery {
            assert_eq!(record.key, "c");
            break;
        }
    }
}

const BROKERS: [&str; 3] = ["kafka.1", "kafka.2", "kafka.3"];

/// Held by the test that stops brokers.
static TURN: Mutex<()> = Mutex::const_new(());

/// How many runs may stop brokers, if they may at all, and the turn to do so. Without it, tests
/// would stop the brokers that another one has just started.
async fn runs() -> Option<(u32, MutexGuard<'static, ()>)> {
    let runs = std::env::var("PICRESIZE_TEST_OUTAGES").ok();
    let runs = runs.and_then(|runs| runs.parse().ok());
    if runs.is_none() {
        eprintln!("SKIPPED: PICRESIZE_TEST_OUTAGES is not set to a number of runs");
    }
    Some((runs?, TURN.lock().await))
}

/// Starts or ends brokers of `scripts/services`, all at once.
fn brokers(what: &str, which: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
    let running: Vec<_> = which
        .iter()
        .map(|broker| Command::new(&script).args([what, broker]).spawn().unwrap())
        .collect();
    for mut process in running {
        assert!(process.wait().unwrap().success(), "{what}");
    }
}

/// All brokers are killed and come back.
#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_after_all_brokers_were_away() {
    let (Some(servers), Some((runs, _turn))) = (Cluster::Kraft.bootstrap_servers(), runs().await)
    else {
        return;
    };
    let options = options(&servers);
    let topics = TopicOptions {
        partitions: 12,
        ..one_partition(3, 2)
    };
    let log = open(&options, topics).await;
    let mut consumer = log.subscribe(Topic::Requests, GROUP).await.unwrap();
    for run in 0..runs {
        let mut expected = BTreeSet::new();
        for n in 0..100 {
            let key = format!("{run}.{n}");
            append(&log, &key).await.unwrap();
            expected.insert(key);
        }
        brokers("kill", &BROKERS);
        let began = Instant::now();
        append(&log, "during").await.unwrap_err();
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        let began = Instant::now();
        log.ping().await.unwrap_err();
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        // Nothing is delivered meanwhile, but what was fetched.
        let away = Duration::from_secs(if run % 2 == 0 { 20 } else { 60 });
        let until = tokio::time::Instant::now() + away;
        while let Ok(delivery) = tokio::time::timeout_at(until, consumer.receive()).await {
            if let Delivery::Event(_, record) = delivery.unwrap() {
                expected.remove(&record.key);
            }
        }
        brokers("start", &BROKERS);
        let back = Instant::now();
        let deadline = back + Duration::from_secs(20);
        let key = format!("{run}.after");
        while append(&log, &key).await.is_err() {
            assert!(Instant::now() < deadline, "nothing can be appended");
            tokio::time::sleep(AT_ONCE / 10).await;
        }
        expected.insert(key);
        while !expected.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let received = tokio::time::timeout(left, consumer.receive()).await;
            let delivery = received.unwrap_or_else(|_| panic!("{} are stuck", expected.len()));
            if let Delivery::Event(position, record) = delivery.unwrap() {
                expected.remove(&record.key);
                consumer.commit_soon(behind(position)).await.unwrap();
            }
        }
        eprintln!("run {run}: done {:?} after the return", back.elapsed());
    }
}
