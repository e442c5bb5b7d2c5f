//! Tests of signed links, tickets, and of what browsers are told.

use std::time::Duration;

use picresize::access::{Key, KeyFile, KeyText};
use picresize::settings::Settings;
use picresize::storage::Storage;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestServer, png};

/// A service with a key of the tenant `shop`.
async fn shop() -> (TestServer, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.data.folder = folder.path().join("data");
    settings.access.allowed_origins = "https://shop.example".to_owned();
    let text = KeyText::generate().unwrap();
    let mut key = Key::new("shop", &text).unwrap();
    key.tenant = "shop".parse().unwrap();
    KeyFile::at(settings.keys_file().unwrap())
        .add(&key)
        .unwrap();
    let storage = Storage::open(&settings).await.unwrap();
    let server = TestServer::start_on(storage, settings, folder).await;
    (server, text.expose().to_owned())
}

async fn json_of(response: Response, expected: StatusCode) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, expected, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Sends a request with a JSON body and the key.
async fn ask(server: &TestServer, key: &str, path: &str, body: Value) -> Response {
    let request = server.client.post(format!("{}{path}", server.url));
    request.bearer_auth(key).json(&body).send().await.unwrap()
}

async fn get(server: &TestServer, path: &str) -> Response {
    let request = server.client.get(format!("{}{path}", server.url));
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_one_picture_for_a_time() {
    let (server, key) = shop().await;
    let posted = server
        .client
        .post(format!("{}/api/?width=20", server.url))
        .bearer_auth(&key)
        .header("content-type", "image/png")
        .body(png(40, 30, 3));
    let posted = json_of(posted.send().await.unwrap(), StatusCode::CREATED).await;
    let id = posted["identifier"].as_str().unwrap().to_owned();
    let made = ask(&server, &key, &format!("/api/{id}/link"), json!({})).await;
    let link = json_of(made, StatusCode::CREATED).await;
    let url = link["url"].as_str().unwrap();

    let mut response = get(&server, url).await;
    while response.status() == StatusCode::ACCEPTED {
        assert_eq!(response.headers()["cache-control"], "no-store");
        response = get(&server, url).await;
    }
    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    assert!(
        headers["cache-control"]
            .to_str()
            .unwrap()
            .starts_with("public, max-age=")
    );
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("sandbox")
    );
    assert!(headers.contains_key("etag"));
    assert!(!headers.contains_key("content-disposition"));
    let saved = get(&server, &format!("{url}&download=a b.png")).await;
    let name = saved.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(name, "attachment; filename*=UTF-8''a%20b.png");

    // Whatever is changed, the link does not hold any more.
    let other = url.replace(&id, "01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11");
    let later = url.replace("expires=1", "expires=2");
    let foreign = url.replace("tenant=shop", "tenant=other");
    let mine = url.replace("&tenant=shop", "");
    let cut = &url[..url.find("&tenant").unwrap() - 2];
    for wrong in [
        &other,
        &later,
        &foreign,
        &mine,
        cut,
        &format!("/api/{id}/picture"),
    ] {
        assert_ne!(wrong, url);
        assert_eq!(
            get(&server, wrong).await.status(),
            StatusCode::FORBIDDEN,
            "{wrong}"
        );
    }
    assert_eq!(
        get(&server, &format!("/api/{id}")).await.status(),
        StatusCode::UNAUTHORIZED
    );
    for seconds in [json!(0), json!(2_592_001)] {
        let path = format!("/api/{id}/link");
        let refused = ask(&server, &key, &path, json!({"seconds": seconds}));
        let refused = json_of(refused.await, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(refused["errors"][0]["field"], "seconds");
    }
    let made = ask(
        &server,
        &key,
        &format!("/api/{id}/link"),
        json!({"seconds": 1}),
    )
    .await;
    let short = json_of(made, StatusCode::CREATED).await;
    let url = short["url"].as_str().unwrap();
    while get(&server, url).await.status() == StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&server, url).await.status(), StatusCode::GONE);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_makes_one_operation_with_fixed_options() {
    let (server, key) = shop().await;
    let options = json!({"width": 20, "format": "webp"});
    let made = ask(&server, &key, "/api/tickets", json!({"options": options})).await;
    let ticket = json_of(made, StatusCode::CREATED).await;
    let (id, url) = (
        ticket["identifier"].as_str().unwrap(),
        ticket["url"].as_str().unwrap(),
    );
    let post = async |url: &str, picture: Vec<u8>| {
        let request = server.client.post(format!("{}{url}", server.url));
        let request = request.header("content-type", "image/png").body(picture);
        request.send().await.unwrap()
    };
    for (url, expected) in [
        (format!("{url}&width=900"), StatusCode::FORBIDDEN),
        (
            format!("/api/?width=900&{}", &url[6..]),
            StatusCode::UNAUTHORIZED,
        ),
        (url[..url.len() - 2].to_owned(), StatusCode::FORBIDDEN),
        ("/api/?ticket=".to_owned(), StatusCode::FORBIDDEN),
    ] {
        assert_eq!(post(&url, png(40, 30, 3)).await.status(), expected, "{url}");
    }
    let form = server.client.post(format!("{}{url}", server.url));
    let body = json!({"image": "iVBORw0KGgo=", "quality": 7});
    let refused = form.json(&body).send().await.unwrap();
    assert!(refused.status().is_client_error());

    for _ in 0..2 {
        let accepted = json_of(post(url, png(40, 30, 3)).await, StatusCode::CREATED).await;
        assert_eq!(accepted["identifier"], id);
    }
    let another = post(url, png(40, 30, 4)).await;
    assert_eq!(another.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let path = format!("{}/api/{id}/status", server.url);
    let status = server
        .client
        .get(path)
        .bearer_auth(&key)
        .send()
        .await
        .unwrap();
    let status = json_of(status, StatusCode::OK).await;
    assert_eq!(status["requested"], json!({"width": 20, "format": "webp"}));
    for wrong in [
        json!({"options": {"width": 0}}),
        json!({"options": {}}),
        json!({"wide": 1}),
    ] {
        let refused = ask(&server, &key, "/api/tickets", wrong).await;
        assert!(refused.status().is_client_error());
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_are_kept_out() {
    let (server, key) = shop().await;
    let send = async |method: Method, headers: &[(&str, &str)]| {
        let mut request = server
            .client
            .request(method.clone(), format!("{}/api/?width=20", server.url))
            .bearer_auth(&key)
            .header("content-type", "image/png");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if method == Method::POST {
            request = request.body(png(40, 30, 3));
        }
        request.send().await.unwrap()
    };
    let evil = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let refused = send(Method::POST, &evil).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(
        !refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let shop = [
        ("origin", "https://shop.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let accepted = send(Method::POST, &shop).await;
    assert_eq!(accepted.status(), StatusCode::CREATED);
    let headers = accepted.headers();
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://shop.example"
    );
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let asked = ("access-control-request-method", "DELETE");
    let preflight = send(Method::OPTIONS, &[shop[0], shop[1], asked]).await;
    assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
    assert!(
        preflight.headers()["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("DELETE")
    );
    let preflight = send(Method::OPTIONS, &[evil[0], evil[1], asked]).await;
    assert_eq!(preflight.status(), StatusCode::FORBIDDEN);
    let rebound = send(Method::POST, &[("host", "evil.example")]).await;
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    let text = rebound.text().await.unwrap();
    assert!(
        text.contains("evil.example") && text.contains("access.allowed_hosts"),
        "{text}"
    );

    for path in ["/", "/assets/page.js", "/api/x", "/nothing", "/healthz"] {
        let response = get(&server, path).await;
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(
            headers["cross-origin-resource-policy"], "same-origin",
            "{path}"
        );
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
    server.stop().await;
}
