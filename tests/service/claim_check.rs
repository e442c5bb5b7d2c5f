//! Tests the claim check: pictures wait in the table, and events only refer to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use picresize::event::{Event, EventBody, PicturePayload, Record};
use picresize::event_log::{
    Consumer, Entry, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic,
};
use picresize::operation::OperationId;
use picresize::settings::{EventModel, Settings};
use picresize::storage::Storage;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestServer, png, request};

/// A log that refuses requests while it is broken.
#[derive(Debug)]
struct Breakable {
    log: Arc<dyn EventLog>,
    is_broken: Arc<AtomicBool>,
}

#[async_trait]
impl EventLog for Breakable {
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        if topic == Topic::Requests && self.is_broken.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable("broken".into()));
        }
        self.log.append(topic, record).await
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        self.log.subscribe(topic, group).await
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        self.log.read(topic, start).await
    }

    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError> {
        self.log.erase(topic, position).await
    }

    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError> {
        self.log.trim(before, group, most).await
    }

    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError> {
        self.log.has_finished(topic, group, time).await
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.log.ping().await
    }
}

async fn breakable() -> (TestServer, Arc<AtomicBool>) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.data.folder = folder.path().join("data");
    settings.events.model = EventModel::ClaimCheck;
    let mut storage = Storage::open(&settings).await.unwrap();
    let is_broken = Arc::new(AtomicBool::new(false));
    storage.log = Arc::new(Breakable {
        log: storage.log,
        is_broken: Arc::clone(&is_broken),
    });
    (
        TestServer::start_on(storage, settings, folder).await,
        is_broken,
    )
}

async fn requests(server: &TestServer) -> Vec<Entry> {
    let log = &server.storage.log;
    let mut reader = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        entries.push(entry);
    }
    entries
}

#[tokio::test]
async fn an_event_refers_to_a_picture_in_the_table() {
    let (server, _) = breakable().await;
    let picture = png(40, 30, 1);
    let id = server.submit(&picture, json!({"width": 20})).await;
    let (status, answer) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let requests = requests(&server).await;
    assert!(requests[0].record.value.is_empty());
    let event = Event::from_record(&requests[0].record).unwrap();
    assert!(matches!(
        event.body,
        EventBody::Requested {
            picture: PicturePayload::ClaimCheck,
            ..
        }
    ));
    let id: OperationId = id.parse().unwrap();
    let deposited = server.storage.store.deposited(id).await.unwrap();
    assert_eq!(deposited.as_deref(), Some(&picture[..]));
    server.stop().await;
}

#[tokio::test]
async fn what_the_log_does_not_take_leaves_nothing_in_the_way() {
    let (server, is_broken) = breakable().await;
    let picture = png(40, 30, 2);
    let body = request(&picture, json!({"width": 20}));
    is_broken.store(true, Ordering::SeqCst);
    let refused = server.post(&body).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let digest = picresize::operation::Digest::of(&picture);
    let page = picresize::picture_store::Page { skip: 0, take: 9 };
    let left = server
        .storage
        .store
        .with_digest(digest, page)
        .await
        .unwrap();
    assert_eq!(left, [], "nothing is shown as queued");

    let post = || {
        let post = server.client.post(format!("{}/api/", server.url));
        post.header("idempotency-key", "order-18").json(&body)
    };
    let refused = post().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    is_broken.store(false, Ordering::SeqCst);
    let accepted = post().send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::CREATED);
    let id = accepted.headers()["identifier"]
        .to_str()
        .unwrap()
        .to_owned();
    let (status, answer) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = post().send().await.unwrap();
    assert_eq!(again.headers()["identifier"], id);
    assert_eq!(requests(&server).await.len(), 1);
    server.stop().await;
}

/// The event arrived, but the table lost the picture that it refers to.
#[tokio::test]
async fn an_operation_whose_picture_is_lost_fails_with_a_reason() {
    let (server, _) = breakable().await;
    let id = server.submit(&png(40, 30, 3), json!({"width": 20})).await;
    server.wait(&id).await;
    let mut record = requests(&server).await[0].record.clone();
    let other = OperationId::generate();
    for (name, value) in &mut record.headers {
        if name == "ce_subject" {
            *value = other.to_string().into();
        }
    }
    let log = &server.storage.log;
    log.append(Topic::Requests, record).await.unwrap();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while server.storage.store.find(other).await.unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (status, problem) = server.wait(&other.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("not there any more"), "{detail}");
    server.stop().await;
}
