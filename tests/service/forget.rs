//! Tests that operations that are erased or past their retention are gone, and stay gone.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use picresize::event_log::{Start, Topic};
use picresize::operation::{
    Digest, Format, Operation, OperationId, PictureFacts, ResizeOptions, Status,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{PATIENCE, TestServer, png};

async fn erase(server: &TestServer, id: &str) -> (StatusCode, Value) {
    let url = format!("{}/api/{id}", server.url);
    let response = server.client.delete(url).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Checks both answers about an operation that is gone.
async fn assert_gone(server: &TestServer, id: &str, word: &str) {
    for path in [format!("/api/{id}"), format!("/api/{id}/status")] {
        let response = server.get(&path).await;
        assert_eq!(response.status(), StatusCode::GONE, "{path}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["type"], "urn:picresize:problem:operation-gone");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(word) && detail.contains(id), "{detail}");
    }
}

async fn status_becomes(server: &TestServer, id: OperationId, expected: StatusCode) {
    let deadline = Instant::now() + PATIENCE;
    while server.get(&format!("/api/{id}")).await.status() != expected {
        assert!(Instant::now() < deadline, "{id} did not become {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_erased_is_gone_from_table_and_log() {
    let server = TestServer::start().await;
    let picture = png(40, 30, 1);
    let id = server.submit(&picture, json!({"width": 20})).await;
    server.wait(&id).await;
    for _ in 0..2 {
        let (status, answer) = erase(&server, &id).await;
        assert_eq!(status, StatusCode::OK);
        let expected = json!({"identifier": id, "status": "erased", "log": "erased"});
        assert_eq!(answer, expected);
    }
    assert_gone(&server, &id, "erased").await;
    let key: OperationId = id.parse().unwrap();
    assert_eq!(server.storage.store.result(key).await.unwrap(), None);
    let log = &server.storage.log;
    let mut requests = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    let request = requests.next().await.unwrap().unwrap();
    assert!(request.record.value.is_empty());

    let (status, _) = erase(&server, &OperationId::generate().to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[tokio::test]
async fn a_key_of_an_erased_operation_is_answered_with_410() {
    let server = TestServer::start().await;
    let body = crate::support::request(&png(40, 30, 2), json!({"width": 20}));
    let post = || {
        let post = server.client.post(format!("{}/api/", server.url));
        post.header("idempotency-key", "order-19").json(&body)
    };
    let accepted = post().send().await.unwrap();
    let id = accepted.headers()["identifier"].to_str().unwrap();
    erase(&server, id).await;
    let again = post().send().await.unwrap();
    assert_eq!(again.status(), StatusCode::GONE);
    server.stop().await;
}

#[tokio::test]
async fn what_is_erased_before_it_is_done_is_never_done() {
    let server = TestServer::start_with(|settings| settings.worker.concurrency = 1).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let id = server
            .submit(&png(400, 300, n), json!({"width": 200}))
            .await;
        let (status, _) = erase(&server, &id).await;
        assert_eq!(status, StatusCode::OK);
        ids.push(id);
    }
    // A later operation is done, so these have had their turn.
    server.resize(&png(40, 30, 99), json!({"width": 20})).await;
    for id in ids {
        assert_gone(&server, &id, "erased").await;
        let key = id.parse().unwrap();
        assert_eq!(server.storage.store.result(key).await.unwrap(), None);
    }
    server.stop().await;
}

fn operation(expires_at: Timestamp) -> Operation {
    let mut operation = Operation::queued(
        OperationId::generate(),
        ResizeOptions::from_pairs([("width", "20")]).unwrap(),
        PictureFacts {
            format: Format::Png,
            width: 40,
            height: 30,
            bytes: 7,
            digest: Digest::of(b"picture"),
        },
        expires_at - Duration::from_secs(3600),
    );
    operation.expires_at = Some(expires_at);
    operation
}

#[tokio::test]
async fn what_is_past_its_retention_is_swept_away() {
    let server = TestServer::start_with(|settings| settings.retention.sweep_seconds = 1).await;
    let store = &server.storage.store;
    let now = Timestamp::now();
    let over = operation(now - Duration::from_secs(1));
    let long_over = operation(now - Duration::from_secs(31 * 24 * 3600));
    let later = operation(now + Duration::from_secs(3600));
    for operation in [&over, &long_over, &later] {
        store.enqueue(operation).await.unwrap();
    }
    status_becomes(&server, over.id, StatusCode::GONE).await;
    assert_gone(&server, &over.id.to_string(), "expired").await;
    status_becomes(&server, long_over.id, StatusCode::NOT_FOUND).await;
    let kept = store.find(later.id).await.unwrap().unwrap();
    assert_eq!(kept.status, Status::Queued);
    server.stop().await;
}

#[tokio::test]
async fn what_is_accepted_has_its_time() {
    for (hours, expected) in [(5.0, Some(5 * 3600)), (0.25, Some(900)), (0.0, None)] {
        let server = TestServer::start_with(|settings| settings.retention.keep_hours = hours).await;
        let id = server.submit(&png(40, 30, 3), json!({"width": 20})).await;
        let row = server.storage.store.find(id.parse().unwrap()).await;
        let row = row.unwrap().unwrap();
        let kept = row
            .expires_at
            .map(|at| at.duration_since(row.queued_at).as_secs());
        // Between the two times, a moment passes.
        let is_expected = match (kept, expected) {
            (Some(kept), Some(seconds)) => (seconds - 1..=seconds).contains(&kept),
            (kept, expected) => kept == expected,
        };
        assert!(is_expected, "{kept:?} for {hours} hours");
        server.stop().await;
    }
}
