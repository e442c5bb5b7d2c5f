//! Tests of requests as programs really send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestServer, png};

async fn status_and_text(request: RequestBuilder) -> (StatusCode, String) {
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

fn post(server: &TestServer, query: &str) -> RequestBuilder {
    server.client.post(format!("{}/api/{query}", server.url))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_programs_write_in_other_ways_is_understood() {
    let server = TestServer::start_api_only().await;
    let picture = png(40, 30, 3);
    let image = STANDARD.encode(&picture);
    let texts = [
        format!("{{\"image\":\"{image}\",\"width\":60.0}}"),
        format!("{{\"image\":\"{image}\",\"width\":6e1}}"),
        format!("{{\"image\":\"{image}\",\"width\":\"60.0\"}}"),
        format!("\u{feff}{{\"image\":\"{image}\",\"width\":60}}"),
    ];
    let form = Form::new()
        .text("width", "60")
        .text("height", "")
        .text("format", "")
        .part("image", Part::bytes(picture.clone()));
    let mut requests = vec![
        post(&server, "?width=60&height=&quality=").body(picture.clone()),
        post(&server, "?width=60")
            .header(CONTENT_TYPE, "binary/octet-stream")
            .header(CONTENT_ENCODING, "identity")
            .body(picture.clone()),
        post(&server, "").multipart(form),
    ];
    for text in texts {
        let request = post(&server, "").header(CONTENT_TYPE, "application/json");
        requests.push(request.body(text));
    }
    for request in requests {
        let (status, text) = status_and_text(request).await;
        assert_eq!(status, StatusCode::CREATED, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let path = format!(
            "{}/api/{}/status",
            server.url,
            answer["identifier"].as_str().unwrap()
        );
        let (_, text) = status_and_text(server.client.get(path)).await;
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["requested"], json!({"width": 60}));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_on_the_way_is_refused() {
    let server = TestServer::start_api_only().await;
    let image = STANDARD.encode(png(40, 30, 3));
    let plus = image.find(|c: char| c.is_ascii_alphanumeric()).unwrap() + 7;
    let mut spaced = image.clone();
    spaced.replace_range(plus..=plus, " ");
    let body = json!({"image": spaced, "width": 60});
    let (status, text) = status_and_text(post(&server, "").json(&body)).await;
    assert!(status.is_client_error(), "{text}");
    assert!(text.contains("space") && text.contains("%2B"), "{text}");
    // Lines of base64 are no fault, with spaces at their ends or not.
    let (first, second) = image.split_at(40);
    let lines = format!("  {first} \r\n  {second}  ");
    let body = json!({"image": lines, "width": 60});
    let (status, text) = status_and_text(post(&server, "").json(&body)).await;
    assert_eq!(status, StatusCode::CREATED, "{text}");

    let packed = post(&server, "?width=60").header(CONTENT_ENCODING, "gzip");
    let response = packed.body(vec![0x1f, 0x8b, 8]).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(response.headers()["accept-encoding"], "identity");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_may_wait_for_its_result() {
    let server = TestServer::start().await;
    for (accept, content_type) in [("image/*", "image/png"), ("*/*", "application/json")] {
        let request = post(&server, "?width=20&wait=60").header(ACCEPT, accept);
        let response = request.body(png(40, 30, 3)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        let headers = response.headers();
        assert_eq!(headers["preference-applied"], "wait=60");
        assert_eq!(headers[CONTENT_TYPE], content_type);
        let id = headers["identifier"].to_str().unwrap().to_owned();
        assert_eq!(headers["location"], format!("/api/{id}"));
        // A browser that opens the address sees the picture.
        let opened = server.client.get(format!("{}/api/{id}", server.url));
        let opened = opened.header(ACCEPT, "text/html,image/webp,*/*;q=0.8");
        let opened = opened.send().await.unwrap();
        assert_eq!(opened.headers()[CONTENT_TYPE], "image/png");
    }
    server.stop().await;

    let server = TestServer::start_api_only().await;
    let request = post(&server, "?width=20").header("prefer", "wait=1");
    let response = request.body(png(40, 30, 3)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["preference-applied"], "wait=1");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["status"], "queued");
    server.stop().await;
}
