//! Tests that an equal request is answered from a stored result, and that events keep the trace.

use std::time::Instant;

use picresize::event::{Event, EventBody};
use picresize::event_log::{Start, Topic};
use picresize::operation::OperationId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Picture, TestServer, png, request};

async fn events(server: &TestServer, topic: Topic) -> Vec<Event> {
    let log = &server.storage.log;
    let mut reader = log.read(topic, &Start::Beginning).await.unwrap();
    let mut events = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        events.push(Event::from_record(&entry.record).unwrap());
    }
    events
}

async fn posted(server: &TestServer, body: &Value) -> Value {
    let response = server.post(body).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    response.json().await.unwrap()
}

#[tokio::test]
async fn the_same_request_is_done_at_once() {
    let server = TestServer::start().await;
    let body = request(&png(40, 30, 1), json!({"width": 20}));
    let first = posted(&server, &body).await;
    let (_, result) = server.wait(first["identifier"].as_str().unwrap()).await;

    let second = posted(&server, &body).await;
    assert_eq!(second["status"], "done");
    assert_ne!(second["identifier"], first["identifier"]);
    let id = second["identifier"].as_str().unwrap();
    let (status, same) = server.wait(id).await;
    assert_eq!(status, StatusCode::OK);
    assert!(Picture::of(&same).bytes == Picture::of(&result).bytes);

    let id: OperationId = id.parse().unwrap();
    let requested = events(&server, Topic::Requests).await;
    assert_eq!(requested[1].operation, id);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = events(&server, Topic::Events).await;
        let of_second = told.iter().filter(|event| event.operation == id);
        let completed = of_second.filter(|event| matches!(event.body, EventBody::Completed(_)));
        match completed.count() {
            0 => assert!(Instant::now() < deadline, "{told:?}"),
            count => break assert_eq!(count, 1, "{told:?}"),
        }
    }

    // Neither needs the other.
    let url = format!(
        "{}/api/{}",
        server.url,
        first["identifier"].as_str().unwrap()
    );
    server.client.delete(url).send().await.unwrap();
    let (status, _) = server.wait(&id.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    server.stop().await;
}

#[tokio::test]
async fn another_request_is_work_and_so_is_the_same_when_reuse_is_off() {
    let server = TestServer::start_with(|settings| settings.server.reuse_results = false).await;
    let body = request(&png(40, 30, 2), json!({"width": 20}));
    for _ in 0..2 {
        let answer = posted(&server, &body).await;
        assert_eq!(answer["status"], "queued");
        let id = answer["identifier"].as_str().unwrap();
        server.wait(id).await;
        let row = server.storage.store.find(id.parse().unwrap()).await;
        assert_eq!(row.unwrap().unwrap().attempts, 1);
    }
    server.stop().await;

    let server = TestServer::start().await;
    let picture = png(40, 30, 2);
    server.resize(&picture, json!({"width": 20})).await;
    let other = request(&picture, json!({"width": 20, "quality": 50}));
    assert_eq!(posted(&server, &other).await["status"], "queued");
    server.stop().await;
}

#[tokio::test]
async fn a_trace_goes_through_every_event() {
    let server = TestServer::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (header, expected) in [(trace, Some(trace)), ("00-0-0-01", None)] {
        let width = header.len();
        let post = server
            .client
            .post(format!("{}/api/?width={width}", server.url))
            .header("content-type", "image/png")
            .header("traceparent", header)
            .body(png(40, 30, 3));
        let response = post.send().await.unwrap();
        let id = response.headers()["identifier"].to_str().unwrap();
        server.wait(id).await;
        let id: OperationId = id.parse().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let told = loop {
            let mut told = events(&server, Topic::Requests).await;
            told.extend(events(&server, Topic::Events).await);
            told.retain(|event| event.operation == id);
            if told.len() == 3 {
                break told;
            }
            assert!(Instant::now() < deadline, "{told:?}");
        };
        for event in told {
            assert_eq!(event.trace_parent.as_deref(), expected);
        }
    }
    server.stop().await;
}
