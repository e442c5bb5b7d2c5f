//! Tests the answers to requests for a result, for the page, and for health.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Picture, TestServer, png, png_size};

#[tokio::test]
async fn a_result_comes_as_json_or_as_the_picture_itself() {
    let server = TestServer::start().await;
    let id = server
        .submit(&png(40, 30, 1), json!({"width": 20, "height": 20}))
        .await;
    let (_, answer) = server.wait(&id).await;
    let picture = Picture::of(&answer);
    assert_eq!(picture.content_type, "image/png");
    assert_eq!(png_size(&picture.bytes), (20, 20));
    assert_eq!(answer["identifier"], id);

    for path in [format!("/api/{id}"), format!("/api/{id}/")] {
        let url = format!("{}{path}", server.url);
        let get = server.client.get(url).header("accept", "image/*");
        let response = get.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "image/png");
        assert_eq!(response.headers()["vary"], "Accept");
        assert_eq!(response.bytes().await.unwrap(), picture.bytes);
    }
    server.stop().await;
}

#[tokio::test]
async fn head_and_if_none_match_save_the_bytes() {
    let server = TestServer::start().await;
    let id = server.submit(&png(40, 30, 2), json!({"width": 20})).await;
    let (_, answer) = server.wait(&id).await;
    let length = Picture::of(&answer).bytes.len();
    let url = format!("{}/api/{id}", server.url);

    let head = server.client.head(&url).header("accept", "image/png");
    let response = head.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-length"], length.to_string());
    let etag = response.headers()["etag"].clone();
    assert!(response.bytes().await.unwrap().is_empty());

    let known = server
        .client
        .get(&url)
        .header("accept", "image/png")
        .header("if-none-match", &etag);
    let response = known.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()["etag"], etag);

    let json = server.client.get(&url).header("if-none-match", &etag);
    let response = json.send().await.unwrap();
    assert_eq!(
        response.status(),
        StatusCode::OK,
        "the JSON has a tag of its own"
    );
    server.stop().await;
}

#[tokio::test]
async fn the_status_tells_the_whole_story() {
    let server = TestServer::start().await;
    let id = server
        .submit(
            &png(40, 30, 3),
            json!({"width": 20, "fit": "inside", "enlarge": false}),
        )
        .await;
    server.wait(&id).await;
    let story: Value = server.story(&id).await;
    assert_eq!(story["status"], "done");
    assert_eq!(
        story["requested"],
        json!({"width": 20, "fit": "inside", "enlarge": false})
    );
    assert_eq!(story["source"]["format"], "png");
    assert_eq!(story["source"]["width"], 40);
    assert_eq!(story["result"]["height"], 15);
    assert_eq!(story["attempts"], 1);
    assert_eq!(story["worker"], "test-worker");
    let steps: Vec<_> = story["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["queued", "processing", "done"]);
    server.stop().await;
}

#[tokio::test]
async fn a_picture_with_a_broken_body_fails_with_a_reason() {
    let server = TestServer::start().await;
    let whole = png(400, 300, 4);
    let id = server
        .submit(&whole[..whole.len() / 2], json!({"width": 20}))
        .await;
    let (status, problem) = server.wait(&id).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["type"], "urn:picresize:problem:operation-failed");
    let story: Value = server.story(&id).await;
    assert_eq!(story["status"], "failed");
    assert_eq!(story["failure"], problem["detail"]);
    assert!(story["result"].is_null());

    let next = server.resize(&png(40, 30, 5), json!({"width": 20})).await;
    assert_eq!(next.width, 20, "the service goes on");
    server.stop().await;
}

#[tokio::test]
async fn the_page_and_its_files_are_served() {
    let server = TestServer::start().await;
    for path in ["/", "/result?id=01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11"] {
        let response = server.get(path).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            response.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'self'")
        );
        let page = response.text().await.unwrap();
        for asset in page.split('"').filter(|text| text.starts_with("/assets/")) {
            let response = server.get(asset).await;
            assert_eq!(response.status(), StatusCode::OK, "{asset}");
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        }
    }
    assert_eq!(
        server.get("/assets/secret").await.status(),
        StatusCode::NOT_FOUND
    );
    server.stop().await;
}

#[tokio::test]
async fn health_and_readiness_are_told() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz", "/readyz/"] {
        assert_eq!(server.get(path).await.status(), StatusCode::OK, "{path}");
    }
    server.stop().await;
}
