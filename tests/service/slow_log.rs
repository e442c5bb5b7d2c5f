//! Tests of a log that does not answer in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use picresize::event_log::{LogError, Topic};
use reqwest::{Response, StatusCode};
use tokio::sync::watch;

use crate::faulty_log::{self, AppendFault};
use crate::support::{TestServer, png};

/// Lets no request through until it is opened.
#[derive(Debug)]
struct Gate(watch::Sender<bool>);

#[async_trait]
impl AppendFault for Gate {
    async fn before_append(&self, topic: Topic) -> Result<(), LogError> {
        if topic == Topic::Requests {
            let mut is_open = self.0.subscribe();
            // The gate lives as long as the log.
            let _ = is_open.wait_for(|is_open| *is_open).await;
        }
        Ok(())
    }
}

/// A service behind a closed gate.
async fn serve(timeout_seconds: u64) -> (TestServer, Arc<Gate>) {
    let gate = Arc::new(Gate(watch::Sender::new(false)));
    let fault = Arc::clone(&gate) as Arc<dyn AppendFault>;
    let server = faulty_log::serve(fault, |settings| {
        settings.server.storage_timeout_seconds = timeout_seconds;
    });
    (server.await, gate)
}

fn post(server: &TestServer, key: &str) -> impl Future<Output = Response> + use<> {
    let request = server
        .client
        .post(format!("{}/api/?width=20", server.url))
        .header("content-type", "image/png")
        .header("idempotency-key", key)
        .body(png(40, 30, 1));
    async move { request.send().await.unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_kept_waiting_and_may_be_sent_again() {
    let (server, gate) = serve(1).await;
    let began = Instant::now();
    let refused = post(&server, "one").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let text = refused.text().await.unwrap();
    assert!(text.contains("may still be accepted"), "{text}");
    assert!(began.elapsed() >= Duration::from_secs(1));

    gate.0.send_replace(true);
    // Whether the first one arrived or not, both are one operation.
    let mut answer = post(&server, "one").await;
    while answer.status() != StatusCode::CREATED {
        assert!(began.elapsed() < Duration::from_secs(60));
        answer = post(&server, "one").await;
    }
    let id = answer.headers()["identifier"].to_str().unwrap().to_owned();
    assert_eq!(server.wait(&id).await.0, StatusCode::OK);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_use_is_a_conflict() {
    let (server, gate) = serve(6).await;
    let first = tokio::spawn(post(&server, "two"));
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..2 {
        others.spawn(post(&server, "two"));
    }
    let conflict = loop {
        let answer = others.join_next().await.unwrap().unwrap();
        if answer.status() == StatusCode::CONFLICT {
            break answer.text().await.unwrap();
        }
    };
    assert!(conflict.contains("two"), "{conflict}");
    gate.0.send_replace(true);
    let first = first.await.unwrap().status();
    let may_be = [
        StatusCode::CREATED,
        StatusCode::CONFLICT,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    assert!(may_be.contains(&first), "{first}");
    server.stop().await;
}
