//! Tests the three forms of a request, and their answers.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{TestServer, encode, facts, png, request};

#[tokio::test]
async fn a_json_request_is_answered_with_its_id() {
    let server = TestServer::start().await;
    let body = request(&png(40, 30, 1), json!({"width": 20, "height": "10"}));
    let response = server.post(&body).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (identifier, location) = (header("identifier"), header("location"));
    assert_eq!(location, format!("/api/{identifier}"));
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["identifier"], identifier);
    assert_eq!(answer["status"], "queued");

    let (status, result) = server.wait(&identifier).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&result["width"], &result["height"]),
        (&json!(20), &json!(10))
    );
    server.stop().await;
}

#[tokio::test]
async fn base64_may_be_url_safe_unpadded_or_a_data_url() {
    let server = TestServer::start().await;
    let picture = png(40, 30, 2);
    let plain = encode(&picture);
    let url_safe = plain.replace('+', "-").replace('/', "_").replace('=', "");
    let data_url = format!("data:image/png;base64,{plain}");
    let broken_into_lines = format!("{}\r\n{}", &plain[..76], &plain[76..]);
    for image in [plain, url_safe, data_url, broken_into_lines] {
        let response = server.post(&json!({"image": image, "width": 20})).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", &image[..30]);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_picture_itself_is_a_request_too() {
    let server = TestServer::start().await;
    let picture = png(40, 30, 3);
    // The last is the default of curl's --data-binary.
    for content_type in [
        Some("image/png"),
        Some("application/octet-stream"),
        Some("application/x-www-form-urlencoded"),
        None,
    ] {
        let url = format!("{}/api/?width=20&height=20&format=webp", server.url);
        let mut post = server.client.post(url).body(picture.clone());
        if let Some(content_type) = content_type {
            post = post.header("content-type", content_type);
        }
        let response = post.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{content_type:?}");
        let id = response.headers()["identifier"]
            .to_str()
            .unwrap()
            .to_owned();
        let (_, result) = server.wait(&id).await;
        assert_eq!(result["content_type"], "image/webp");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_form_is_a_request_too() {
    let server = TestServer::start().await;
    let form = Form::new()
        .text("width", "20")
        .text("fit", "inside")
        .part("image", Part::bytes(png(40, 30, 4)).file_name("a.png"));
    let post = server
        .client
        .post(format!("{}/api", server.url))
        .multipart(form);
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let id = response.headers()["identifier"]
        .to_str()
        .unwrap()
        .to_owned();
    let (_, result) = server.wait(&id).await;
    assert_eq!(result["height"], 15);
    server.stop().await;
}

#[tokio::test]
async fn an_idempotency_key_means_one_operation() {
    let server = TestServer::start().await;
    let body = request(&png(40, 30, 5), json!({"width": 20}));
    let other = request(&png(40, 30, 5), json!({"width": 21}));
    let post = |body: &Value| {
        let url = format!("{}/api/", server.url);
        let post = server
            .client
            .post(url)
            .header("idempotency-key", "order-17");
        post.json(body).send()
    };
    let (first, again) = tokio::join!(post(&body), post(&body));
    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(again.status(), StatusCode::CREATED);
    assert_eq!(first.headers()["identifier"], again.headers()["identifier"]);

    let refused = post(&other).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = refused.json().await.unwrap();
    assert!(
        problem["detail"].as_str().unwrap().contains("order-17"),
        "{problem}"
    );
    server.stop().await;
}

#[tokio::test]
async fn one_size_keeps_the_aspect_ratio() {
    let server = TestServer::start().await;
    let picture = server.resize(&png(40, 30, 6), json!({"height": 15})).await;
    assert_eq!(facts(&picture.bytes), ("png".to_owned(), 20, 15));
    assert_eq!((picture.width, picture.height), (20, 15));
    server.stop().await;
}
