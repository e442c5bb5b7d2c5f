//! What every event log keeps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use picresize::event::Record;
use picresize::event_log::embedded::EmbeddedLog;
use picresize::event_log::{Consumer, EventLog, Position, Received, Topic};
use tokio::task::JoinSet;

use crate::support::PATIENCE;

const GROUP: &str = "contract";
/// Long enough to see that nothing comes.
const A_MOMENT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn the_embedded_log_keeps_its_contract() {
    event_log_keeps_its_contract(|folder| {
        Arc::new(EmbeddedLog::open(&folder.join("log.sqlite")).unwrap())
    })
    .await;
}

/// Runs a log through its contract. `open` opens the log of a folder, fresh or again.
async fn event_log_keeps_its_contract(open: impl Fn(&Path) -> Arc<dyn EventLog>) {
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path());
        (folder, log)
    };
    let (_folder, log) = fresh();
    what_is_appended_is_delivered_unchanged_and_in_order(&*log).await;
    let (_folder, log) = fresh();
    what_is_not_committed_is_delivered_again(&*log).await;
    let (_folder, log) = fresh();
    topics_and_groups_do_not_disturb_each_other(&*log).await;
    let (_folder, log) = fresh();
    a_group_shares_its_events(&*log).await;
    let (_folder, log) = fresh();
    a_waiting_consumer_is_woken_by_an_append(&log).await;
    let (_folder, log) = fresh();
    giving_up_a_wait_loses_nothing(&*log).await;
    let (_folder, log) = fresh();
    many_can_append_at_once(&log).await;
    let (folder, log) = fresh();
    append(&*log, "kept").await;
    drop(log);
    let mut consumer = join(&*open(folder.path())).await;
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

async fn append(log: &dyn EventLog, key: &str) -> Position {
    log.append(Topic::Requests, record(key)).await.unwrap()
}

async fn join(log: &dyn EventLog) -> Box<dyn Consumer> {
    log.subscribe(Topic::Requests, GROUP).await.unwrap()
}

async fn next(consumer: &mut dyn Consumer) -> (Position, Record) {
    let received = tokio::time::timeout(PATIENCE, consumer.receive()).await;
    match received.expect("an event in time").unwrap() {
        Received::Delivered(position, record) => (position, record),
        other => panic!("{other:?}"),
    }
}

fn behind(position: Position) -> Position {
    Position {
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
    let mut second = join(log).await;
    let (position, _) = next(&mut *first).await;
    first.commit(behind(position)).await.unwrap();
    let nothing = tokio::time::timeout(A_MOMENT, second.receive()).await;
    assert!(nothing.is_err(), "one event reaches one member");
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
        // Given up at whatever point it has come to.
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
