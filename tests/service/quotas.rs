//! Tests of the limits of a tenant.

use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestServer, png};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_do_so_much_in_a_minute() {
    let server = TestServer::start_with(|settings| {
        settings.quotas.requests_per_minute = 3;
        settings.quotas.megapixels_per_minute = 1;
    })
    .await;
    let post = async |picture| {
        let request = server.client.post(format!("{}/api/?width=20", server.url));
        let request = request.header("content-type", "image/png").body(picture);
        request.send().await.unwrap()
    };
    let accepted = post(png(1000, 1000, 1)).await;
    assert_eq!(accepted.status(), StatusCode::CREATED);
    let headers = accepted.headers();
    assert_eq!(
        headers["ratelimit-policy"],
        "\"requests\";q=3;w=60, \"kilopixels\";q=1000;w=60"
    );
    assert!(
        headers["ratelimit"]
            .to_str()
            .unwrap()
            .starts_with("\"requests\";r=2;")
    );
    // That was a minute's worth of pixels.
    let large = post(png(1000, 1000, 2)).await;
    assert_eq!(large.status(), StatusCode::TOO_MANY_REQUESTS);
    let text = large.text().await.unwrap();
    assert!(text.contains("1000 kilopixels"), "{text}");
    post(png(40, 30, 2)).await;
    let refused = post(png(40, 30, 3)).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_operations_may_be_in_progress() {
    let server = TestServer::start_api_only_with(|settings| settings.quotas.operations = 2).await;
    for number in 0..2 {
        server
            .submit(&png(40, 30, number), json!({"width": 20}))
            .await;
    }
    let request = server.client.post(format!("{}/api/?width=20", server.url));
    let request = request
        .header("content-type", "image/png")
        .body(png(40, 30, 9));
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let text = refused.text().await.unwrap();
    assert!(text.contains("the limit is 2"), "{text}");
    server.stop().await;
}
