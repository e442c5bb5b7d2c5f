//! Tests that no client can take the service from the others, whatever it does with its
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use picresize::event_log::{LogError, Topic};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::faulty_log::{self, AppendFault};
use crate::support::{PATIENCE, TestServer, noise_png, png, request};

/// Much longer than a test may take.
const NEVER_SECONDS: u64 = 100_000;

/// A connection on which a test writes by itself.
struct Raw(TcpStream);

impl Raw {
    async fn open(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Opens a connection for which the client's system keeps few bytes that are not read.
    async fn with_small_buffer(url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        let address = url.trim_start_matches("http://").parse().unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    async fn sending(url: &str, text: &str) -> Self {
        let mut raw = Self::open(url).await;
        raw.send(text.as_bytes()).await;
        raw
    }

    /// Begins to send a picture of this many bytes.
    async fn posting(url: &str, length: usize) -> Self {
        let head = format!(
            "POST /api/?width=9 HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n\
             content-length: {length}\r\n\r\nbegin"
        );
        Self::sending(url, &head).await
    }

    async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.0.write_all(bytes))
            .await
            .unwrap()
            .unwrap();
    }

    /// All that the server sends until it closes the connection.
    async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let reading = self.0.read_to_end(&mut rest);
        timeout(PATIENCE, reading).await.unwrap().unwrap();
        String::from_utf8(rest).unwrap()
    }
}

/// Bounds a test that would wait for ever if it failed.
async fn bounded<T>(waiting: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waiting).await.unwrap()
}

async fn submit(server: &TestServer) -> StatusCode {
    let body = request(&png(40, 30, 1), json!({"width": 20}));
    bounded(server.post(&body)).await.status()
}

#[tokio::test]
async fn announced_bodies_that_do_not_come_starve_nobody() {
    let server = TestServer::start_with(|settings| {
        settings.server.upload_memory_mib = 64;
        settings.server.body_timeout_seconds = NEVER_SECONDS;
        settings.server.body_pause_seconds = NEVER_SECONDS;
        settings.server.memory_wait_seconds = NEVER_SECONDS;
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Raw::posting(&server.url, 44_000_000).await);
    }
    assert_eq!(submit(&server).await, StatusCode::CREATED);
    let large = noise_png(1300, 1300);
    assert!(large.len() > 5_000_000);
    let body = request(&large, json!({"width": 20}));
    let answer = server.post(&body);
    assert_eq!(bounded(answer).await.status(), StatusCode::CREATED);
    drop(silent);
    server.stop().await;
}

#[tokio::test]
async fn large_bodies_that_need_more_than_there_is_take_turns() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_picture_bytes = 6_000_000;
        settings.server.upload_memory_mib = 12;
        settings.server.memory_wait_seconds = NEVER_SECONDS;
    })
    .await;
    let body = request(&noise_png(1300, 1300), json!({"width": 20})).to_string();
    let mut clients = JoinSet::new();
    for _ in 0..12 {
        let post = Client::new()
            .post(format!("{}/api/", server.url))
            .header("content-type", "application/json")
            .body(body.clone());
        clients.spawn(async move { bounded(post.send()).await.unwrap().status() });
    }
    while let Some(status) = clients.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::CREATED);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_pauses_gets_408() {
    let server = TestServer::start_with(|settings| {
        settings.server.body_timeout_seconds = NEVER_SECONDS;
        settings.server.body_pause_seconds = 1;
    })
    .await;
    let answer = Raw::posting(&server.url, 1000).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("no byte of the body arrived for 1 s"));
    server.stop().await;
}

#[tokio::test]
async fn a_header_that_does_not_end_gets_408() {
    let server = TestServer::start_with(|settings| {
        settings.server.header_timeout_seconds = 1;
        settings.server.idle_timeout_seconds = NEVER_SECONDS;
    })
    .await;
    let begun = Raw::sending(&server.url, "GET / HTTP/1.1\r\nhost: x\r\n").await;
    let answer = begun.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("header-timeout"), "{answer}");
    // The same on a connection that was used before.
    let first = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut used = Raw::sending(&server.url, first).await;
    let mut byte = [0];
    bounded(used.0.read_exact(&mut byte)).await.unwrap();
    used.send(b"GET /healthz HTTP/1.1\r\n").await;
    let answer = used.rest().await;
    assert!(answer.contains("HTTP/1.1 408 "), "{answer}");
    // Who says nothing gets no answer.
    assert_eq!(Raw::open(&server.url).await.rest().await, "");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_without_requests_is_closed() {
    let server = TestServer::start_with(|settings| {
        settings.server.header_timeout_seconds = NEVER_SECONDS;
        settings.server.idle_timeout_seconds = 1;
    })
    .await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let answer = Raw::sending(&server.url, request).await.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("408"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_header_has_a_limit_of_fields_and_of_bytes() {
    let server = TestServer::start().await;
    let fields: String = (0..1000).map(|n| format!("x{n}: y\r\n")).collect();
    for header in [fields, format!("x: {}\r\n", "y".repeat(100_000))] {
        let mut raw = Raw::open(&server.url).await;
        // The server may close the connection before everything is sent.
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{header}\r\n");
        let _ = raw.0.write_all(request.as_bytes()).await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:.100}");
    }
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_give_their_slots_to_new_ones() {
    let server = TestServer::start_with(|settings| {
        settings.server.max_connections = 4;
        settings.server.header_timeout_seconds = NEVER_SECONDS;
        settings.server.idle_timeout_seconds = NEVER_SECONDS;
    })
    .await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(Raw::open(&server.url).await);
        idle.push(Raw::sending(&server.url, "GET / HTTP/1.1\r\nhost").await);
    }
    assert_eq!(submit(&server).await, StatusCode::CREATED);
    let oldest = idle.swap_remove(0);
    assert_eq!(oldest.rest().await, "", "it gave its slot");
    drop(idle);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_gets_503() {
    let server = TestServer::start_with(|settings| {
        settings.server.max_connections = 4;
        settings.server.body_timeout_seconds = NEVER_SECONDS;
        settings.server.body_pause_seconds = NEVER_SECONDS;
    })
    .await;
    let mut busy = Vec::new();
    // Wait until the header of each was read: until then it may lose its slot.
    for _ in 0..4 {
        let mut raw = Raw::sending(
            &server.url,
            "POST /api/ HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n\
             content-length: 9\r\nexpect: 100-continue\r\n\r\n",
        )
        .await;
        let mut answer = [0; 21];
        bounded(raw.0.read_exact(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100 Continue"));
        busy.push(raw);
    }
    let answer = Raw::sending(&server.url, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = answer.rest().await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("all 4 connections are in use"), "{answer}");
    // The longest silent one has to go, once its pause is long.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while submit_to(&server).await != Some(StatusCode::CREATED) {
        assert!(tokio::time::Instant::now() < deadline);
    }
    drop(busy);
    server.stop().await;
}

/// Posts on a new connection.
async fn submit_to(server: &TestServer) -> Option<StatusCode> {
    let body = request(&png(40, 30, 1), json!({"width": 20}));
    let post = Client::new()
        .post(format!("{}/api/", server.url))
        .json(&body);
    bounded(post.send())
        .await
        .ok()
        .map(|answer| answer.status())
}

#[tokio::test]
async fn whoever_is_still_sending_gets_an_answer() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_picture_bytes = 1_000_000;
        settings.server.upload_memory_mib = 2;
    })
    .await;
    let body = vec![b'x'; 30_000_000];
    let length = body.len();
    for (head, status) in [
        (
            format!("content-type: image/png\r\ncontent-length: {length}"),
            413,
        ),
        (
            format!("content-type: text/plain\r\ncontent-length: {length}"),
            415,
        ),
        (
            format!("idempotency-key: \r\ncontent-length: {length}"),
            400,
        ),
        (
            "content-type: image/png\r\ntransfer-encoding: chunked".to_owned(),
            413,
        ),
    ] {
        let request = format!("POST /api/?width=9 HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n");
        let mut raw = Raw::sending(&server.url, &request).await;
        if head.contains("chunked") {
            raw.send(format!("{length:x}\r\n").as_bytes()).await;
        }
        raw.send(&body).await;
        let answer = raw.rest().await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.contains("connection: close"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn whoever_never_reads_starves_nobody() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_result_bytes = 8 << 20;
        settings.server.answer_memory_mib = 8;
        settings.server.memory_wait_seconds = NEVER_SECONDS;
    })
    .await;
    let picture = noise_png(1300, 1300);
    let options = json!({"width": 1300, "format": "png"});
    let id = server.submit(&picture, options).await;
    let (status, _) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK);
    let mut deaf = Vec::new();
    for _ in 0..3 {
        let request = format!("GET /api/{id} HTTP/1.1\r\nhost: x\r\n\r\n");
        deaf.push(Raw::sending(&server.url, &request).await);
    }
    // Each of them is closed in turn, because others wait for its memory.
    let answer = bounded(server.get(&format!("/api/{id}"))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let length = answer.content_length().unwrap();
    assert_eq!(answer.bytes().await.unwrap().len() as u64, length);
    drop(deaf);
    server.stop().await;
}

#[tokio::test]
async fn a_result_that_nobody_reads_is_given_up() {
    let server = TestServer::start_with(|settings| {
        settings.server.write_timeout_seconds = 1;
    })
    .await;
    let picture = noise_png(1800, 1800);
    let id = server.submit(&picture, json!({"width": 1800})).await;
    server.wait(&id).await;
    let request = format!("GET /api/{id} HTTP/1.1\r\nhost: x\r\naccept: image/*\r\n\r\n");
    let mut deaf = Raw::sending(&server.url, &request).await;
    // Nothing is read, so only the end of the connection makes it writable no more.
    let gone = async {
        while deaf.0.write_all(b"\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    bounded(gone).await;
    server.stop().await;
}

#[tokio::test]
async fn a_slow_download_is_not_idle() {
    let server = TestServer::start_with(|settings| {
        settings.server.max_connections = 2;
        settings.server.idle_timeout_seconds = 1;
    })
    .await;
    let picture = noise_png(2200, 2200);
    let options = json!({"width": 2200, "format": "png"});
    let id = server.submit(&picture, options).await;
    let (status, _) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK);
    let mut slow = Raw::with_small_buffer(&server.url).await;
    let request = format!("GET /api/{id} HTTP/1.1\r\nhost: x\r\naccept: image/*\r\n\r\n");
    slow.send(request.as_bytes()).await;
    // The systems of both sides keep a few MiB. The rest has to wait in the server, for longer than
    // a connection may be idle.
    let mut received = Vec::new();
    let mut others = Vec::new();
    let mut piece = vec![0; 1 << 20];
    let mut pace = interval(std::time::Duration::from_millis(300));
    loop {
        let mut filled = 0;
        while filled < piece.len() {
            let length = bounded(slow.0.read(&mut piece[filled..])).await.unwrap();
            if length == 0 {
                break;
            }
            filled += length;
        }
        received.extend_from_slice(&piece[..filled]);
        if filled < piece.len() {
            break;
        }
        // There is one slot for all of them, so each one makes the one before it close.
        others.push(Raw::open(&server.url).await);
        pace.tick().await;
    }
    let head = received
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .unwrap();
    let text = String::from_utf8_lossy(&received[..head]).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200 "), "{text}");
    let length = text.split("content-length: ").nth(1).unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    assert!(length > 12 << 20, "{length}");
    assert_eq!(received.len() - head - 4, length, "it was cut");
    drop(others);
    server.stop().await;
}

#[tokio::test]
async fn whoever_reads_a_little_now_and_then_starves_nobody() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_result_bytes = 8 << 20;
        settings.server.answer_memory_mib = 8;
        settings.server.memory_wait_seconds = NEVER_SECONDS;
    })
    .await;
    let picture = noise_png(1500, 1500);
    let options = json!({"width": 1500, "format": "png"});
    let id = server.submit(&picture, options).await;
    let (status, _) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK);
    let mut slow = Raw::with_small_buffer(&server.url).await;
    let request = format!("GET /api/{id} HTTP/1.1\r\nhost: x\r\n\r\n");
    slow.send(request.as_bytes()).await;
    let mut byte = [0];
    bounded(slow.0.read_exact(&mut byte)).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut piece = vec![0; 8 << 10];
        let mut pace = interval(std::time::Duration::from_millis(200));
        while slow.0.read(&mut piece).await.is_ok_and(|length| length > 0) {
            pace.tick().await;
        }
    });
    let answer = bounded(server.get(&format!("/api/{id}"))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap();
    reading.abort();
    server.stop().await;
}

#[tokio::test]
async fn thousands_of_fields_get_a_short_answer() {
    let server = TestServer::start().await;
    let keys: Vec<_> = (0..100_000).map(|n| format!("\"{n}\":1")).collect();
    let query: Vec<_> = (0..2_000).map(|n| format!("{n}=1")).collect();
    let parts: Vec<_> = (0..2_000)
        .map(|n| format!("--X\r\nContent-Disposition: form-data; name=\"{n}\"\r\n\r\n1\r\n"))
        .collect();
    let json = format!("{{{}}}", keys.join(","));
    let few = format!("{{{}}}", keys[..60].join(","));
    let form = "multipart/form-data; boundary=X";
    for path in ["/api/", "/api/lookup"] {
        for (query, content_type, body, status) in [
            ("", "application/json", json.clone(), 400),
            ("", "application/json", few.clone(), 422),
            ("", form, parts.concat() + "--X--", 400),
            (&*query.join("&"), "image/png", "x".to_owned(), 400),
        ] {
            let url = format!("{}{path}?{query}", server.url);
            let post = server.client.post(url).header("content-type", content_type);
            let answer = bounded(post.body(body).send()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path} {content_type}");
            let answer = answer.text().await.unwrap();
            assert!(answer.len() < 16_000, "{}: {answer:.300}", answer.len());
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_field_that_is_given_twice_is_named() {
    let server = TestServer::start().await;
    for (body, field) in [
        (r#"{"image":"AAAA","image":"AAAA","width":9}"#, "image"),
        (r#"{"image":"AAAA","width":9,"width":9}"#, "width"),
    ] {
        let post = server.client.post(format!("{}/api/", server.url));
        let post = post.header("content-type", "application/json").body(body);
        let answer: Value = post.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["errors"][0]["field"], field, "{answer}");
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("more than once"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_told() {
    let server = TestServer::start_with(|settings| {
        settings.data.min_free_mib = u64::MAX;
    })
    .await;
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let answer: Value = answer.json().await.unwrap();
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("MiB free"), "{detail}");
    assert!(detail.contains("data.min_free_mib"), "{detail}");
    server.stop().await;
}

/// The log stores nothing before it may.
#[derive(Debug)]
struct Stalled {
    may_store: Semaphore,
    /// How many records came to it.
    appends: AtomicUsize,
}

#[async_trait]
impl AppendFault for Stalled {
    async fn before_append(&self, _topic: Topic) -> Result<(), LogError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let _may_store = self.may_store.acquire().await;
        Ok(())
    }
}

impl Stalled {
    /// A service on such a log, for pictures of up to 2 MB.
    async fn serve(upload_memory_mib: u64) -> (TestServer, Arc<Self>) {
        let stalled = Arc::new(Self {
            may_store: Semaphore::new(0),
            appends: AtomicUsize::new(0),
        });
        let fault = Arc::clone(&stalled) as Arc<dyn AppendFault>;
        let server = faulty_log::serve(fault, |settings| {
            settings.limits.max_picture_bytes = 2_000_000;
            settings.server.upload_memory_mib = upload_memory_mib;
            settings.server.memory_wait_seconds = 1;
        });
        (server.await, stalled)
    }

    fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }
}

/// The upload of a picture, by a client of its own.
fn upload(server: &TestServer, picture: &[u8]) -> reqwest::RequestBuilder {
    Client::new()
        .post(format!("{}/api/?width=20", server.url))
        .header("content-type", "image/png")
        .body(picture.to_vec())
}

#[tokio::test]
async fn uploads_hold_their_memory_until_the_log_has_them() {
    let (server, stalled) = Stalled::serve(8).await;
    let picture = noise_png(800, 800);
    assert!((1_900_000..2_000_000).contains(&picture.len()));
    let mut clients = JoinSet::new();
    for _ in 0..30 {
        let post = upload(&server, &picture);
        clients.spawn(async move { bounded(post.send()).await.unwrap() });
    }
    // At most four fit into the memory. Every other client gets an answer, and none is reset.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while clients.len() > stalled.appends() {
        assert!(tokio::time::Instant::now() < deadline);
        // Whoever has not been answered yet may still come to the log: look again.
        let moment = std::time::Duration::from_millis(10);
        let Ok(answer) = timeout(moment, clients.join_next()).await else {
            continue;
        };
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    let stored = stalled.appends();
    assert!((1..=4).contains(&stored), "{stored}");
    stalled.may_store.add_permits(1000);
    while let Some(answer) = clients.join_next().await {
        assert_eq!(answer.unwrap().status(), StatusCode::CREATED);
    }
    assert_eq!(submit(&server).await, StatusCode::CREATED);
    server.stop().await;
}

#[tokio::test]
async fn what_was_begun_is_finished_when_its_client_leaves() {
    let (server, stalled) = Stalled::serve(4).await;
    let picture = noise_png(800, 800);
    for n in 1..=2 {
        let post = upload(&server, &picture);
        let client = tokio::spawn(post.send());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while stalled.appends() < n {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        client.abort();
    }
    // Both still have their memory, because the log still has their bytes.
    let answer = bounded(upload(&server, &picture).send()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    stalled.may_store.add_permits(1000);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while submit(&server).await != StatusCode::CREATED {
        assert!(tokio::time::Instant::now() < deadline);
    }
    server.stop().await;
}
