//! Tests of keys and tenants: who may do what, on both engines.

use std::path::PathBuf;

use picresize::access::{Key, KeyFile, KeyText};
use picresize::operation::OperationId;
use picresize::settings::Settings;
use picresize::storage::Storage;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shared_storage::Shared;
use crate::support::{TestServer, png};

/// A service with keys.
struct Guarded {
    server: TestServer,
    file: KeyFile,
}

/// The keys of a test by their names: of the tenants a and b, and some that do not hold.
struct Keys(Vec<(&'static str, String)>);

impl Keys {
    fn add(file: &KeyFile) -> Self {
        let mut keys = Vec::new();
        for (name, tenant, may, expires) in [
            ("a", "a", "post,read,erase,lookup", None),
            ("b", "b", "post,read,erase,lookup", None),
            ("a-reader", "a", "read", None),
            ("a-poster", "a", "post", None),
            (
                "ended",
                "a",
                "post,read,erase,lookup",
                Some("2020-01-01T00:00:00Z"),
            ),
            ("revoked", "a", "post,read,erase,lookup", None),
        ] {
            let text = KeyText::generate().unwrap();
            let mut key = Key::new(name, &text).unwrap();
            key.tenant = tenant.parse().unwrap();
            key.may = may.parse().unwrap();
            key.expires_at = expires.map(|end: &str| end.parse().unwrap());
            file.add(&key).unwrap();
            keys.push((name, text.expose().to_owned()));
        }
        file.revoke("revoked").unwrap();
        keys.push(("unknown", KeyText::generate().unwrap().expose().to_owned()));
        let mut broken = keys[0].1.clone();
        broken.truncate(broken.len() - 1);
        keys.push(("broken", broken));
        Self(keys)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(text)
    }
}

async fn embedded(change: impl FnOnce(&mut Settings)) -> (Guarded, Keys) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.data.folder = folder.path().join("data");
    change(&mut settings);
    let file = KeyFile::at(settings.keys_file().unwrap());
    let keys = Keys::add(&file);
    let storage = Storage::open(&settings).await.unwrap();
    let server = TestServer::start_on(storage, settings, folder).await;
    (Guarded { server, file }, keys)
}

/// The same on Kafka and MySQL, if they are there.
async fn shared() -> Option<(Guarded, Keys)> {
    let mut settings = Shared::prepared()?.settings();
    let folder = tempfile::tempdir().unwrap();
    settings.access.keys_file = folder.path().join("keys");
    settings.access.secrets = "s".repeat(40).into();
    let file = KeyFile::at(settings.access.keys_file.clone());
    let keys = Keys::add(&file);
    let storage = Storage::open(&settings).await.unwrap();
    let server = TestServer::start_on(storage, settings, folder).await;
    Some((Guarded { server, file }, keys))
}

impl Guarded {
    async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> (StatusCode, String) {
        let url = format!("{}{path}", self.server.url);
        let mut request = self.server.client.request(method, url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "image/png").body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            assert!(response.headers().contains_key("www-authenticate"));
        }
        (status, response.text().await.unwrap())
    }

    async fn post(&self, key: &str, picture: Vec<u8>) -> String {
        let (status, text) = self
            .send(Method::POST, "/api/?width=20", Some(key), Some(picture))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["identifier"].as_str().unwrap().to_owned()
    }

    /// Waits until an operation is done, with its owner's key.
    async fn done(&self, id: &str, key: &str) {
        let path = format!("/api/{id}");
        loop {
            let (status, text) = self.send(Method::GET, &path, Some(key), None).await;
            match status {
                StatusCode::OK => return,
                // On a server, the row may come a moment later.
                StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE => {}
                other => panic!("{other}: {text}"),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Every endpoint with every kind of key: the method, the path, and what key a gets.
async fn every_endpoint(guarded: Guarded, keys: Keys) {
    let (a, b) = (keys.text("a").unwrap(), keys.text("b").unwrap());
    let picture = png(40, 30, 7);
    let id = guarded.post(a, picture.clone()).await;
    guarded.done(&id, a).await;
    // As young as the other one: the row of a young operation may still come to a table on a server.
    let unknown = OperationId::generate().to_string();
    let endpoints = [
        (Method::POST, "/api/?width=20".to_owned(), true),
        (Method::POST, "/api/lookup".to_owned(), true),
        (Method::GET, format!("/api/{id}"), false),
        (Method::GET, format!("/api/{id}/status"), false),
        (Method::HEAD, format!("/api/{id}"), false),
        (Method::DELETE, format!("/api/{id}"), false),
    ];
    for (method, path, has_body) in &endpoints {
        let body = has_body.then(|| picture.clone());
        for kind in ["none", "broken", "unknown", "ended", "revoked"] {
            let key = keys.text(kind);
            assert_eq!(key.is_none(), kind == "none");
            let (status, _) = guarded.send(method.clone(), path, key, body.clone()).await;
            assert_eq!(
                status,
                StatusCode::UNAUTHORIZED,
                "{method} {path} with {kind}"
            );
        }
        for kind in ["a-reader", "a-poster"] {
            let may = match (*method == Method::POST, path.ends_with("lookup")) {
                (true, false) => "a-poster",
                (true, true) => "",
                _ if *method == Method::DELETE => "",
                _ => "a-reader",
            };
            let (status, text) = guarded
                .send(method.clone(), path, keys.text(kind), body.clone())
                .await;
            assert_eq!(
                status == StatusCode::FORBIDDEN,
                kind != may,
                "{method} {path} with {kind}: {status} {text}"
            );
        }
        // What is not yours is as good as not there.
        if !has_body {
            let path_of_nothing = path.replace(&id, &unknown);
            let foreign = guarded.send(method.clone(), path, Some(b), None).await;
            let nothing = guarded
                .send(method.clone(), &path_of_nothing, Some(b), None)
                .await;
            assert_eq!(foreign.0, nothing.0, "{method} {path}");
            assert_eq!(
                foreign.1.replace(&id, &unknown),
                nothing.1,
                "{method} {path}"
            );
        }
    }
    // The other tenant has changed nothing, and then the owner has.
    let none = "/api/00000000-0000-4000-8000-000000000000";
    assert_eq!(
        guarded.send(Method::GET, none, Some(a), None).await.0,
        StatusCode::NOT_FOUND
    );
    let path = format!("/api/{id}");
    let (status, _) = guarded.send(Method::DELETE, &path, Some(a), None).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = guarded.send(Method::GET, &path, Some(a), None).await;
    assert_eq!(status, StatusCode::GONE);
    guarded.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_needs_the_right_key() {
    let (guarded, keys) = embedded(|_| {}).await;
    every_endpoint(guarded, keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_needs_the_right_key_on_servers() {
    if let Some((guarded, keys)) = shared().await {
        every_endpoint(guarded, keys).await;
    }
}

/// The same picture and the same key of two tenants.
async fn apart(guarded: Guarded, keys: Keys) {
    let (a, b) = (keys.text("a").unwrap(), keys.text("b").unwrap());
    let picture = png(50, 30, 3);
    let of_a = guarded.post(a, picture.clone()).await;
    guarded.done(&of_a, a).await;
    for (key, found) in [(a, 1), (b, 0)] {
        let (status, text) = guarded
            .send(
                Method::POST,
                "/api/lookup",
                Some(key),
                Some(picture.clone()),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["matches"].as_array().unwrap().len(), found);
    }
    let mut ids = Vec::new();
    for key in [a, b, a] {
        let response = guarded
            .server
            .client
            .post(format!("{}/api/?width=21", guarded.server.url))
            .bearer_auth(key)
            .header("idempotency-key", "order-1")
            .header("content-type", "image/png")
            .body(picture.clone());
        let response = response.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        ids.push(
            response.headers()["identifier"]
                .to_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let computed = picresize::operation::OperationId::from_idempotency_key("order-1");
    assert!(!ids.contains(&computed.to_string()));
    guarded.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_kept_apart() {
    let (guarded, keys) = embedded(|_| {}).await;
    apart(guarded, keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_kept_apart_on_servers() {
    if let Some((guarded, keys)) = shared().await {
        apart(guarded, keys).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_keys_needs_no_restart() {
    let (guarded, keys) = embedded(|_| {}).await;
    let a = keys.text("a").unwrap();
    let path = "/api/00000000-0000-4000-8000-000000000000";
    let becomes = async |key: &str, expected| {
        while guarded.send(Method::GET, path, Some(key), None).await.0 != expected {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    becomes(a, StatusCode::NOT_FOUND).await;
    guarded.file.revoke("a").unwrap();
    becomes(a, StatusCode::UNAUTHORIZED).await;
    let text = KeyText::generate().unwrap();
    guarded.file.add(&Key::new("new", &text).unwrap()).unwrap();
    becomes(text.expose(), StatusCode::NOT_FOUND).await;
    // A file that cannot be read changes nothing.
    std::fs::write(guarded.file.path(), "new sha256=broken").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    becomes(text.expose(), StatusCode::NOT_FOUND).await;
    guarded.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_only_this_machine_is_let_in() {
    let server = TestServer::start().await;
    let id = server.submit(&png(40, 30, 3), json!({"width": 20})).await;
    assert_eq!(server.wait(&id).await.0, StatusCode::OK);
    // A key that nobody made is refused all the same.
    let text = KeyText::generate().unwrap();
    let request = server.client.get(format!("{}/api/{id}", server.url));
    let answer = request.bearer_auth(text.expose()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    server.stop().await;

    for (mode, starts) in [("keys", false), ("open", true)] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = crate::process::program();
        program
            .args(["serve", "--listen", "0.0.0.0:0", "--data"])
            .arg(folder.path().join("data"))
            .env("PICRESIZE__ACCESS__MODE", mode);
        if starts {
            let process = crate::process::Process::start(program);
            drop(process);
        } else {
            let refused = crate::process::run(program);
            let text = crate::process::text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{text}");
            assert!(
                text.contains("picresize keys add") && text.contains("0.0.0.0"),
                "{text}"
            );
        }
    }
}

#[test]
fn keys_are_made_listed_and_revoked_by_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let data: PathBuf = folder.path().join("data");
    let keys = |arguments: &[&str]| {
        let mut program = crate::process::program();
        program.arg("keys").args(arguments).arg("--data").arg(&data);
        crate::process::run(program)
    };
    let made = keys(&[
        "add",
        "shop",
        "--tenant",
        "shop",
        "--may",
        "post",
        "--expires",
        "30d",
    ]);
    assert!(
        made.status.success(),
        "{}",
        crate::process::text(&made.stderr)
    );
    let text = crate::process::text(&made.stdout);
    assert!(KeyText::parse(text.trim()).is_ok(), "{text}");
    let listed = keys(&["list"]);
    let listed = crate::process::text(&listed.stdout);
    assert!(
        listed.contains("shop") && listed.contains("post"),
        "{listed}"
    );
    assert!(!listed.contains(text.trim()), "{listed}");
    let twice = keys(&["add", "shop"]);
    assert_eq!(twice.status.code(), Some(1));
    for wrong in [
        ["--tenant", "A B"],
        ["--may", "all"],
        ["--expires", "2020-01-01T00:00:00Z"],
    ] {
        let refused = keys(&["add", "other", wrong[0], wrong[1]]);
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
    }
    assert!(keys(&["revoke", "shop"]).status.success());
    assert_eq!(keys(&["revoke", "shop"]).status.code(), Some(1));
}
