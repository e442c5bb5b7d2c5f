//! Tests of answers that wait until an operation has ended.

use std::time::{Duration, Instant};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestServer, png};

async fn get(client: &Client, url: &str, id: &str, prefer: &str) -> Response {
    let request = client.get(format!("{url}/api/{id}"));
    request.header("prefer", prefer).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_end_of_the_operation() {
    let server = TestServer::start().await;
    let id = server.submit(&png(400, 300, 1), json!({"width": 20})).await;
    let answer = get(&server.client, &server.url, &id, "wait=60").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["width"], 20);

    // An operation that fails has ended, too, and so has an unknown one.
    let mut broken = png(400, 300, 2);
    broken.truncate(broken.len() / 2);
    let id = server.submit(&broken, json!({"width": 20})).await;
    let answer = get(&server.client, &server.url, &id, "wait=60").await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let unknown = "01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11";
    let answer = get(&server.client, &server.url, unknown, "wait=60").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    server.stop().await;
}

/// Nobody works here, so nothing ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_its_time_an_erasure_or_the_server() {
    let server = TestServer::start_api_only().await;
    let id = server.submit(&png(40, 30, 1), json!({"width": 20})).await;
    let began = Instant::now();
    let answer = get(&server.client, &server.url, &id, "wait=1").await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    assert!(began.elapsed() >= Duration::from_secs(1));

    let waiting = {
        let (client, url, id) = (server.client.clone(), server.url.clone(), id.clone());
        tokio::spawn(async move { get(&client, &url, &id, "wait=60").await.status() })
    };
    let erased = server.client.delete(format!("{}/api/{id}", server.url));
    assert_eq!(erased.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(waiting.await.unwrap(), StatusCode::GONE);

    let id = server.submit(&png(40, 30, 2), json!({"width": 20})).await;
    let waiting = {
        let (client, url) = (server.client.clone(), server.url.clone());
        tokio::spawn(async move { get(&client, &url, &id, "wait=60").await.status() })
    };
    let began = Instant::now();
    server.stop().await;
    // It is answered, or refused if it came after the stop.
    if let Ok(status) = waiting.await {
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    assert!(began.elapsed() < Duration::from_secs(30));
}
