//! Tests that the memory of the service stays within its budgets, measured on a real process.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::{Process, children, program, status_kib};
use crate::support::{PATIENCE, encode, noise_png, png, post, request, wait};

const MIB: u64 = 1 << 20;
/// What the process may take beside its budgets.
const BASE_MIB: u64 = 150;

/// A running service with some settings, and its folder.
struct Measured {
    process: Process,
    /// The most memory that it and its pixel processes had together, in KiB.
    peak: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Measured {
    fn start(settings: &[(&str, u64)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"));
        for (key, value) in settings {
            command.env(format!("PICRESIZE__{key}"), value.to_string());
        }
        let process = Process::start(command);
        let (peak, is_over) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (pid, highest, end) = (process.id(), Arc::clone(&peak), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                highest.fetch_max(memory_kib(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self {
            process,
            peak,
            is_over,
            client: Client::new(),
            _folder: folder,
        }
    }

    fn peak_mib(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) / 1024
    }

    /// Waits until it takes at most this much memory.
    async fn shrinks_to(&self, mib: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = memory_kib(self.process.id()) / 1024;
            if now <= mib {
                return;
            }
            assert!(Instant::now() < deadline, "it keeps {now} of {mib} MiB");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The memory of a service and its pixel processes. Code counts once, because they share it.
fn memory_kib(service: u32) -> u64 {
    let pixels = children(service).into_iter();
    let pixels = pixels.map(|pid| status_kib(pid, &["RssAnon", "RssShmem"]));
    status_kib(service, &["VmRSS"]) + pixels.sum::<u64>()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_uploads_at_once_stay_within_the_budget() {
    let service = Measured::start(&[
        ("SERVER__UPLOAD_MEMORY_MIB", 64),
        ("SERVER__MEMORY_WAIT_SECONDS", 600),
        ("WORKER__MEMORY_MIB", 64),
    ]);
    let picture = noise_png(1300, 1300);
    let body = request(&picture, json!({"width": 40})).to_string();
    let body = bytes::Bytes::from(body);
    let mut clients = JoinSet::new();
    for _ in 0..64 {
        // By default the client gives up when the service reads nothing for 30 s.
        let client = Client::builder().tcp_user_timeout(None);
        let client = client.build().unwrap();
        let url = service.process.url.clone();
        let body = body.clone();
        clients.spawn(async move {
            let request = client.post(format!("{url}/api/"));
            let request = request.header("content-type", "application/json");
            let answer = request.body(body).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
            let answer: Value = answer.json().await.unwrap();
            let id = answer["identifier"].as_str().unwrap().to_owned();
            let (status, answer) = wait(&client, &url, &id).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let peak = service.peak_mib();
    eprintln!("64 uploads: peak {peak} MiB");
    assert!(peak < BASE_MIB + 64 + 64, "{peak} MiB");
    service.shrinks_to(BASE_MIB).await;
}

#[tokio::test]
async fn json_costs_no_more_than_its_body() {
    let service = Measured::start(&[("SERVER__UPLOAD_MEMORY_MIB", 64)]);
    let image = encode(&png(40, 30, 1));
    for body in [
        format!("{{\"x\":[{}0]}}", "{\"\":0},".repeat(5_000_000)),
        format!("{{\"x\":{}", "[".repeat(40_000_000)),
        format!("{{\"x\":\"{}\"}}", "\\u0000".repeat(6_000_000)),
        format!("{{\"{}\":1}}", "\\n".repeat(20_000_000)),
        format!("{{\"width\":{}}}", "1".repeat(40_000_000)),
        format!(
            "{{\"image\":\"{image}\",\"width\":\"{}\"}}",
            "1".repeat(40_000_000)
        ),
    ] {
        let request = service.client.post(format!("{}/api/", service.process.url));
        let request = request.header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_client_error());
        let answer = answer.text().await.unwrap();
        assert!(answer.len() < 4_000, "{answer:.300}");
        let peak = service.peak_mib();
        eprintln!("40 MB of JSON: peak {peak} MiB");
        assert!(peak < BASE_MIB, "{peak} MiB: {answer:.300}");
    }
}

#[tokio::test]
async fn results_that_nobody_reads_stay_within_the_budget() {
    let service = Measured::start(&[
        ("LIMITS__MAX_RESULT_BYTES", 16 * MIB),
        ("SERVER__ANSWER_MEMORY_MIB", 32),
        ("SERVER__MEMORY_WAIT_SECONDS", 600),
    ]);
    let url = &service.process.url;
    let picture = noise_png(1900, 1900);
    assert!(picture.len() as u64 > 10 * MIB);
    let body = request(&picture, json!({"width": 1900, "format": "png"}));
    let answer: Value = post(&service.client, url, &body)
        .await
        .json()
        .await
        .unwrap();
    let id = answer["identifier"].as_str().unwrap();
    assert_eq!(wait(&service.client, url, id).await.0, StatusCode::OK);
    let before = service.peak_mib();
    let mut deaf = Vec::new();
    for _ in 0..16 {
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /api/{id} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    // An answer after theirs shows that the service has tried to answer them.
    let answer = service.client.get(format!("{url}/api/{id}")).send();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.unwrap();
    let peak = service.peak_mib();
    eprintln!("16 that never read: peak {peak} MiB, {before} before");
    assert!(peak < before + 32 + 32, "{peak} MiB, {before} before");
}

#[tokio::test]
async fn abandoned_look_ups_stay_within_the_budget() {
    let service = Measured::start(&[("SERVER__UPLOAD_MEMORY_MIB", 200)]);
    let picture = black_png(6000, 4000);
    let address = service.process.url.trim_start_matches("http://");
    let before = service.peak_mib();
    let mut begun = Vec::new();
    for _ in 0..12 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            picture.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&picture).await.unwrap();
        begun.push(stream);
        // They are left while they are at work, which the memory shows.
        if begun.len() == 4 {
            let deadline = Instant::now() + PATIENCE;
            while service.peak_mib() < before + 60 {
                assert!(Instant::now() < deadline, "no picture is decoded");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            begun.clear();
        }
    }
    let request = service
        .client
        .post(format!("{}/api/lookup", service.process.url));
    let answer = request.body(png(40, 30, 1)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let peak = service.peak_mib();
    eprintln!("abandoned look-ups: peak {peak} MiB");
    assert!(peak < BASE_MIB + 200, "{peak} MiB");
}

/// A large picture of a few bytes.
fn black_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    let pixels = vec![0; width as usize * height as usize * 3];
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}
