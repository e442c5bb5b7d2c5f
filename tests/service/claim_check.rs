//! Tests the claim check: pictures wait in the table, and events only refer to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use picresize::event::{Event, EventBody, PicturePayload};
use picresize::event_log::{Entry, LogError, Start, Topic};
use picresize::operation::{OperationId, Tenant};
use picresize::settings::EventModel;
use reqwest::StatusCode;
use serde_json::json;

use crate::faulty_log::{self, AppendFault};
use crate::support::{TestServer, png, request};

/// The log refuses requests while this is true.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

#[async_trait]
impl AppendFault for Broken {
    async fn before_append(&self, topic: Topic) -> Result<(), LogError> {
        if topic == Topic::Requests && self.0.load(Ordering::SeqCst) {
            return Err(LogError::Unavailable("broken".into()));
        }
        Ok(())
    }
}

async fn breakable() -> (TestServer, Arc<Broken>) {
    let broken = Arc::new(Broken::default());
    let fault = Arc::clone(&broken) as Arc<dyn AppendFault>;
    let server = faulty_log::serve(fault, |settings| {
        settings.events.model = EventModel::ClaimCheck;
    });
    (server.await, broken)
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
    let (server, broken) = breakable().await;
    let picture = png(40, 30, 2);
    let body = request(&picture, json!({"width": 20}));
    broken.0.store(true, Ordering::SeqCst);
    let refused = server.post(&body).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let digest = picresize::operation::Digest::of(&picture);
    let page = picresize::picture_store::Page { skip: 0, take: 9 };
    let left = server
        .storage
        .store
        .with_digest(&Tenant::default(), digest, page)
        .await
        .unwrap();
    assert_eq!(left, [], "nothing is shown as queued");

    let post = || {
        let post = server.client.post(format!("{}/api/", server.url));
        post.header("idempotency-key", "order-18").json(&body)
    };
    let refused = post().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    broken.0.store(false, Ordering::SeqCst);
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
