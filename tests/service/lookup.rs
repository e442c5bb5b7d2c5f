//! Tests look-ups: finding the operations of a picture.

use std::io::Cursor;

use jiff::Timestamp;
use picresize::imaging::{Limits, resize};
use picresize::operation::{
    Digest, Fingerprint, Format, Operation, OperationId, PictureFacts, ResizeOptions,
};
use picresize::picture_store::{FinishedPicture, PictureStore};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{PATIENCE, TestServer, encode, noise_png, pictures, png};

impl TestServer {
    fn asking(&self, query: &str) -> RequestBuilder {
        self.client.post(format!("{}/api/lookup{query}", self.url))
    }

    /// Looks a picture up by its bytes.
    async fn look_up(&self, picture: &[u8], query: &str) -> Value {
        let response = self.asking(query).body(picture.to_vec()).send().await;
        answer(response.unwrap(), StatusCode::OK).await
    }
}

async fn answer(response: reqwest::Response, status: StatusCode) -> Value {
    let (found, answer) = (response.status(), response.json().await.unwrap());
    assert_eq!(found, status, "{answer}");
    answer
}

/// The matches as `identifier of match distance`, with the identifier as its index in `ids`.
fn matches(answer: &Value, ids: &[String]) -> Vec<String> {
    let matches = answer["matches"].as_array().unwrap();
    let short = matches.iter().map(|found| {
        let id = found["identifier"].as_str().unwrap();
        let place = ids.iter().position(|known| known == id).unwrap();
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        format!(
            "{place} {} {} {}",
            text("of"),
            text("match"),
            found["distance"]
        )
    });
    short.collect()
}

#[tokio::test]
async fn a_picture_is_found_by_its_very_bytes() {
    let server = TestServer::start().await;
    let source = waves(300, 200);
    let mut ids = Vec::new();
    let mut results = Vec::new();
    for width in [120, 90] {
        let id = server.submit(&source, json!({"width": width})).await;
        let (_, done) = server.wait(&id).await;
        ids.push(id);
        results.push(crate::support::Picture::of(&done).bytes);
    }
    let found = server.look_up(&source, "?distance=0").await;
    assert_eq!(
        matches(&found, &ids),
        ["1 source exact 0", "0 source exact 0"]
    );
    assert_eq!(found["digest"], Digest::of(&source).to_string());
    assert_eq!(found["next"], Value::Null);

    let found = server.look_up(&results[0], "").await;
    let listed = matches(&found, &ids);
    assert_eq!(listed[0], "0 result exact 0");
    assert_eq!(listed.len(), 2, "each operation once: {listed:?}");
    assert!(listed[1].starts_with("1 result similar "), "{listed:?}");

    let first = &found["matches"][0];
    let status: Value = server
        .get(&format!("/api/{}/status", ids[0]))
        .await
        .json()
        .await
        .unwrap();
    for (key, value) in status.as_object().unwrap() {
        assert_eq!(&first[key], value, "{key}");
    }
    assert_eq!(status["requested"], json!({"width": 120}));
    assert_eq!(status["source"]["digest"], Digest::of(&source).to_string());
    assert_eq!(
        status["result"]["digest"],
        Digest::of(&results[0]).to_string()
    );
    assert_eq!(status["engine"], picresize::imaging::ENGINE_VERSION);
    assert_eq!(status["position"], "0:0");
    assert_eq!(status["fingerprint"], found["fingerprint"]);
    assert!(status["fingerprint"].is_string(), "{status}");
    assert!(status["expires_at"].is_string(), "{status}");

    // In all forms of a request.
    let json = json!({"image": encode(&source), "limit": 1});
    let form = Form::new()
        .part("image", Part::bytes(source.clone()))
        .text("limit", "1");
    let typed = |kind| self::typed(&server, &source, kind);
    for request in [
        server.asking("").json(&json),
        server.asking("/").multipart(form),
        typed("image/png"),
        typed("application/octet-stream"),
    ] {
        let found = answer(request.send().await.unwrap(), StatusCode::OK).await;
        assert_eq!(matches(&found, &ids)[0], "1 source exact 0");
        assert_eq!(found["next"], "exact:1");
    }
    server.stop().await;
}

fn typed(server: &TestServer, picture: &[u8], kind: &str) -> RequestBuilder {
    let request = server.asking("?limit=1").body(picture.to_vec());
    request.header("Content-Type", kind)
}

#[tokio::test]
async fn pages_follow_each_other_and_leave_nothing_out() {
    let server = TestServer::start().await;
    let store = &*server.storage.store;
    let now = Timestamp::now();
    let picture = waves(300, 200);
    let own = picresize::imaging::fingerprint(&picture, &Limits::default()).unwrap();
    let mut expected = Vec::new();
    // Two of this picture, one at distance 1, two at distance 4, and one that is too far.
    for (bytes, mask) in [
        (&picture[..], u64::MAX),
        (&picture[..], 0),
        (b"other", 1),
        (b"other", 0xf),
        (b"other", 0xf0),
        (b"other", 0xff),
    ] {
        let age = jiff::SignedDuration::from_secs(expected.len() as i64);
        let operation = synthetic(bytes, now - age);
        let fingerprint = Fingerprint(own.0 ^ mask);
        done(store, &operation, b"result", fingerprint).await;
        expected.push(operation.id.to_string());
    }
    let listed = [
        "0 source exact 0",
        "1 source exact 0",
        "2 result similar 1",
        "3 result similar 4",
        "4 result similar 4",
    ];
    for limit in 1..=6 {
        let mut found = Vec::new();
        let mut from = "exact:0".to_owned();
        loop {
            let query = format!("?limit={limit}&from={from}");
            let page = server.look_up(&picture, &query).await;
            let matches = matches(&page, &expected);
            assert!(matches.len() <= limit, "{page}");
            found.extend(matches);
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut from),
                None => break,
            }
        }
        assert_eq!(found, listed, "in pages of {limit}");
    }
    let near = server.look_up(&picture, "?distance=3").await;
    assert_eq!(matches(&near, &expected), listed[..3]);

    let id: OperationId = expected[2].parse().unwrap();
    store.erase(id, now).await.unwrap();
    let id: OperationId = expected[0].parse().unwrap();
    store.erase(id, now).await.unwrap();
    let left = server.look_up(&picture, "").await;
    assert_eq!(matches(&left, &expected), [listed[1], listed[3], listed[4]]);
    server.stop().await;
}

#[tokio::test]
async fn what_has_no_likeness_is_found_by_its_bytes() {
    let server = TestServer::start().await;
    let grey = grey(200, 100);
    server.resize(&grey, json!({"width": 64})).await;
    let other = resized(&grey, "width=150 format=jpeg");
    server.resize(&other, json!({"width": 64})).await;
    let found = server.look_up(&grey, "").await;
    assert_eq!(found["fingerprint"], Value::Null);
    assert_eq!(found["matches"].as_array().unwrap().len(), 1);

    // Its header is valid, so it was accepted; then it failed.
    let broken = &png(300, 200, 9)[..400];
    let id = server.submit(broken, json!({"width": 64})).await;
    server.wait(&id).await;
    let found = server.look_up(broken, "").await;
    assert_eq!(matches(&found, &[id]), ["0 source exact 0"]);
    assert_eq!(found["matches"][0]["status"], "failed");

    let unknown = server.look_up(&png(200, 300, 9), "?distance=0").await;
    assert_eq!(unknown["matches"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_mistake_in_a_look_up_is_named() {
    let server = TestServer::start().await;
    let picture = png(30, 20, 1);
    for (query, body, status, words) in [
        ("?limit=0", &picture[..], 422, "1 to 100"),
        ("?distance=8", &picture, 422, "0 to 7"),
        ("?from=7", &picture, 422, "\"7\""),
        ("?width=7", &picture, 422, "is not an option"),
        ("", b"no picture at all", 422, "not-a-picture"),
        ("", &picture[..20], 422, "broken-picture"),
        ("", b"", 400, "missing-body"),
        ("", b"{\"width\": 3}", 422, "give the picture"),
    ] {
        let response = server.asking(query).body(body.to_vec()).send().await;
        let status = StatusCode::from_u16(status).unwrap();
        let problem = answer(response.unwrap(), status).await.to_string();
        let unquoted = problem.replace('\\', "");
        assert!(unquoted.contains(words), "{query}: {problem}");
    }
    let response = server.get("/api/lookup").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    server.stop().await;

    let small = TestServer::start_with(|s| s.limits.max_picture_bytes = 500).await;
    let response = small.asking("").body(png(300, 200, 1)).send().await;
    answer(response.unwrap(), StatusCode::PAYLOAD_TOO_LARGE).await;
    small.stop().await;
}

/// Photographs that are resized and then looked up among many operations. The others are never
/// resized.
const PHOTOGRAPHS: [&str; 8] = [
    "photo-01-2048x1358.jpg",
    "photo-02-1365x2048.webp",
    "photo-02-1638x2048.png",
    "photo-02-2048x1365.jpg",
    "photo-03-2048x1332.jpg",
    "photo-04-2048x1365.jpg",
    "photo-05-2048x1367.jpg",
    "photo-06-1507x2048.jpg",
];
const STRANGERS: [&str; 3] = [
    "photo-07-1365x2048.jpg",
    "photo-08-1638x2048.jpg",
    "mosaic-4096x2664.jpg",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_result_is_found_first_among_two_thousand() {
    let Some(folder) = pictures("photos") else {
        return;
    };
    let server = TestServer::start().await;
    let mut filling = JoinSet::new();
    for number in 0..2000_u64 {
        let store = server.storage.store.clone();
        filling.spawn(async move {
            let operation = synthetic(&number.to_le_bytes(), Timestamp::now());
            let fingerprint =
                Fingerprint(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            done(&*store, &operation, &number.to_be_bytes(), fingerprint).await;
        });
    }
    while let Some(filled) = filling.join_next().await {
        filled.unwrap();
    }
    let mut results = Vec::new();
    for name in PHOTOGRAPHS {
        let source = std::fs::read(folder.join(name)).unwrap();
        let id = server.submit(&source, json!({"width": 320})).await;
        let (_, done) = server.wait(&id).await;
        results.push((name, id, crate::support::Picture::of(&done).bytes));
    }
    for (name, id, result) in &results {
        for (what, copy) in copies(result) {
            let found = server.look_up(&copy, "").await;
            let listed = matches(&found, std::slice::from_ref(id));
            assert_eq!(listed.len(), 1, "{name} as {what}: {found}");
            assert!(
                listed[0].starts_with("0 result "),
                "{name} as {what}: {listed:?}"
            );
        }
    }
    for name in STRANGERS {
        let stranger = std::fs::read(folder.join(name)).unwrap();
        let found = server.look_up(&stranger, "").await;
        assert_eq!(found["matches"], json!([]), "{name}");
    }
    server.stop().await;
}

/// Copies of a result, as other programs save them.
fn copies(result: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let png = resized(result, "width=320 format=png");
    let mut reader = png::Decoder::new(Cursor::new(&png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut pixels).unwrap();
    for value in &mut pixels {
        *value = (f32::from(*value) * 1.08).min(255.0) as u8;
    }
    let (width, height) = (reader.info().width, reader.info().height);
    vec![
        ("the result", result.to_vec()),
        ("JPEG 60", resized(&png, "width=320 format=jpeg quality=60")),
        ("WebP", resized(&png, "width=320 format=webp")),
        ("80 %", resized(&png, "width=256 format=jpeg")),
        ("+8 %", rgb_png(width, height, &pixels)),
        ("PNG", png),
    ]
}

fn resized(picture: &[u8], options: &str) -> Vec<u8> {
    let pairs = options.split(' ').map(|word| word.split_once('=').unwrap());
    let request = ResizeOptions::from_pairs(pairs).unwrap();
    resize(picture, &request, &Limits::default()).unwrap().bytes
}

fn grey(width: u32, height: u32) -> Vec<u8> {
    rgb_png(width, height, &vec![127; (width * height * 3) as usize])
}

/// A picture with all low frequencies.
fn waves(width: u32, height: u32) -> Vec<u8> {
    let wave =
        |frequency: u32, along: f64| (std::f64::consts::PI * f64::from(frequency) * along).cos();
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (
                f64::from(x) / f64::from(width),
                f64::from(y) / f64::from(height),
            );
            let sum: f64 = (0..100)
                .map(|n| (n % 10, n / 10))
                .map(|(u, v)| {
                    if (u * 7 + v * 5) % 3 == 0 {
                        -wave(u, x) * wave(v, y)
                    } else {
                        wave(u, x) * wave(v, y)
                    }
                })
                .sum();
            pixels.extend([(128.0 + 6.0 * sum).clamp(0.0, 255.0) as u8; 3]);
        }
    }
    rgb_png(width, height, &pixels)
}

fn rgb_png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

#[tokio::test]
async fn large_look_ups_do_not_wait_for_each_other() {
    let server = TestServer::start_with(|settings| {
        settings.limits.max_picture_bytes = 6_000_000;
        settings.server.upload_memory_mib = 32;
        settings.server.memory_wait_seconds = 100_000;
    })
    .await;
    let picture = noise_png(1300, 1300);
    let mut clients = JoinSet::new();
    for _ in 0..12 {
        let post = server.asking("").body(picture.clone());
        clients.spawn(async move { post.send().await.unwrap().status() });
    }
    let statuses = timeout(PATIENCE, clients.join_all()).await.unwrap();
    let found = statuses.iter().filter(|it| **it == StatusCode::OK).count();
    let refused = statuses
        .iter()
        .filter(|it| **it == StatusCode::SERVICE_UNAVAILABLE)
        .count();
    assert!(found > 0, "{statuses:?}");
    assert_eq!(found + refused, statuses.len(), "{statuses:?}");
    server.stop().await;
}

/// An operation on a picture that does not exist.
fn synthetic(source: &[u8], at: Timestamp) -> Operation {
    let request = ResizeOptions::from_pairs([("width", "20")]).unwrap();
    Operation::queued(OperationId::generate(), request, facts(source), at)
}

fn facts(bytes: &[u8]) -> PictureFacts {
    PictureFacts {
        format: Format::Png,
        width: 20,
        height: 10,
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

async fn done(
    store: &dyn PictureStore,
    operation: &Operation,
    result: &[u8],
    fingerprint: Fingerprint,
) {
    store.enqueue(operation).await.unwrap();
    let picture = FinishedPicture {
        facts: facts(result),
        bytes: result.to_vec().into(),
        fingerprint: Some(fingerprint),
        engine: "1",
    };
    store
        .complete(operation.id, picture, Timestamp::now())
        .await
        .unwrap();
}
