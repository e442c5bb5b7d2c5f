//! Tests that events which can't be handled become dead letters, and do not block later events.

use bytes::Bytes;
use jiff::Timestamp;
use picresize::event::{Event, EventBody, PicturePayload, Record};
use picresize::event_log::{Delivery, Topic};
use picresize::operation::{Digest, Format, Operation, OperationId, PictureFacts, ResizeOptions};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{PATIENCE, TestServer, png, with_fault};

/// The next dead letter: the record and its reason.
async fn dead_letter(server: &TestServer) -> (Record, String) {
    let log = &server.storage.log;
    let mut consumer = log.subscribe(Topic::DeadLetters, "test").await.unwrap();
    let received = tokio::time::timeout(PATIENCE, consumer.receive()).await;
    let Delivery::Event(_, mut record) = received.unwrap().unwrap() else {
        panic!("a dead letter was expected");
    };
    let (name, reason) = record.headers.pop().unwrap();
    assert_eq!(name, "picresize-reason");
    (record, String::from_utf8(reason).unwrap())
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_a_dead_letter() {
    let server = TestServer::start().await;
    let record = Record {
        key: "?".to_owned(),
        headers: vec![("ce_specversion".to_owned(), b"9.9".to_vec())],
        value: Bytes::from_static(b"\x00\xff"),
    };
    let log = &server.storage.log;
    log.append(Topic::Requests, record.clone()).await.unwrap();
    let (letter, reason) = dead_letter(&server).await;
    assert_eq!(letter, record, "as it came");
    assert!(reason.contains("9.9"), "{reason}");
    let next = server.resize(&png(40, 30, 1), json!({"width": 20})).await;
    assert_eq!(next.width, 20);
    server.stop().await;
}

/// A new operation, and its event.
fn requested(picture: Vec<u8>) -> (Operation, Event) {
    let operation = Operation::queued(
        OperationId::generate(),
        ResizeOptions::from_pairs([("width", "20")]).unwrap(),
        PictureFacts {
            format: Format::Png,
            width: 40,
            height: 30,
            bytes: picture.len() as u64,
            digest: Digest::of(&picture),
        },
        Timestamp::now(),
    );
    let body = EventBody::Requested {
        request: operation.request.clone(),
        source: operation.source.clone(),
        picture: PicturePayload::Carried(picture.into()),
    };
    let event = Event::new(operation.id, operation.queued_at, body);
    (operation, event)
}

#[tokio::test]
async fn a_picture_that_ends_two_processes_is_a_dead_letter() {
    let server = TestServer::start().await;
    let picture = with_fault(png(40, 30, 2), "abort");
    let id = server.submit(&picture, json!({"width": 20})).await;
    let (status, problem) = server.wait(&id).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("twice (it ended with signal 6)"),
        "{detail}"
    );
    let (letter, reason) = dead_letter(&server).await;
    assert!(detail.contains(&reason), "{reason}");
    assert!(letter.value == picture, "as it came");
    let story: Value = server.story(&id).await;
    assert_eq!(story["attempts"], 2);
    server.stop().await;
}

#[tokio::test]
async fn workers_that_die_blame_no_picture() {
    let server = TestServer::start().await;
    let (operation, event) = requested(png(40, 30, 2));
    // The state after ten workers died while they processed it.
    for _ in 0..10 {
        let store = &server.storage.store;
        let begun = store.begin(&operation, "gone", Timestamp::now());
        begun.await.unwrap();
    }
    let log = &server.storage.log;
    log.append(Topic::Requests, event.to_record())
        .await
        .unwrap();

    let id = operation.id.to_string();
    let (status, answer) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(server.story(&id).await["attempts"], 11);
    server.stop().await;
}

#[tokio::test]
async fn an_event_whose_row_cannot_be_read_is_a_dead_letter() {
    let server = TestServer::start().await;
    let (operation, event) = requested(png(40, 30, 5));
    server.storage.store.enqueue(&operation).await.unwrap();
    let table = server.settings.data.folder.join("pictures.sqlite");
    let changed = rusqlite::Connection::open(table).unwrap().execute(
        "UPDATE pictures SET request = 'nonsense' WHERE id = ?1",
        [operation.id.to_string()],
    );
    assert_eq!(changed.unwrap(), 1);
    let log = &server.storage.log;
    let appended = log.append(Topic::Requests, event.to_record());
    appended.await.unwrap();

    let (letter, reason) = dead_letter(&server).await;
    assert_eq!(Event::from_record(&letter).unwrap(), event);
    assert!(reason.contains("cannot be read"), "{reason}");
    let next = server.resize(&png(40, 30, 6), json!({"width": 20})).await;
    assert_eq!(next.width, 20, "nothing waits behind it");
    server.stop().await;
}

#[tokio::test]
async fn an_event_that_comes_twice_is_done_once() {
    let server = TestServer::start().await;
    let id = server.submit(&png(40, 30, 3), json!({"width": 20})).await;
    let (_, first) = server.wait(&id).await;
    let log = &server.storage.log;
    let mut consumer = log.subscribe(Topic::Requests, "copier").await.unwrap();
    let Delivery::Event(_, record) = consumer.receive().await.unwrap() else {
        panic!("the request was expected");
    };
    log.append(Topic::Requests, record).await.unwrap();
    // This comes after the copy, so once it is done the copy was handled.
    server.resize(&png(40, 30, 4), json!({"width": 20})).await;
    let (_, again) = server.wait(&id).await;
    assert_eq!(again, first);
    let story: Value = server.story(&id).await;
    assert_eq!(story["attempts"], 1);
    server.stop().await;
}
