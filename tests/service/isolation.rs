//! Tests that a picture can hurt only itself: whatever it does to its pixel process, the others are
//! done, and nobody restarts.

use std::path::Path;
use std::time::{Duration, Instant};

use picresize::imaging::{self, Limits};
use picresize::operation::ResizeOptions;
use picresize::processing::{PixelProcesses, Processor, ProcessorOptions};
use picresize::settings::Settings;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::process::{Process, free_address, program, run};
use crate::shared_storage::Shared;
use crate::support::{
    PATIENCE, Picture, TestServer, files, pictures, pixel_processes, png, request, story, submit,
    wait, with_fault,
};

/// What a picture can do, and what its error says.
const FAULTS: &[(&str, &str)] = &[
    ("abort", "ended the process that worked on it twice"),
    ("exit", "ended the process that worked on it twice"),
    ("overflow", "ended the process that worked on it twice"),
    ("allocate", "needs more memory than its estimate"),
    ("spin", "took more than 2 s of processor time"),
    ("sleep", "stood still for 15 s"),
    ("panic", "its decoder gave up"),
];

/// The options of all pictures here.
fn options() -> Value {
    json!({"width": 40})
}

fn good(n: u32) -> Vec<u8> {
    png(96, 64, n)
}

/// The bytes of the result of [`good`].
fn expected(n: u32) -> Vec<u8> {
    let options = ResizeOptions::from_pairs([("width", "40")]).unwrap();
    let resized = imaging::resize(&good(n), &options, &Limits::default());
    resized.unwrap().bytes
}

async fn start(change: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::start_with(|settings| {
        settings.limits.max_seconds = 2;
        change(settings);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_pictures_fail_alone() {
    let server = start(|_| {}).await;
    fail_alone(&server.client, &server.url).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_pictures_fail_alone_on_kafka_and_mysql() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let shared = shared.with("LIMITS__MAX_SECONDS", "2");
    let with_faults = |arguments: &[&str]| {
        let mut command = shared.command(arguments);
        command.env("PICRESIZE_TEST_FAULTS", "on");
        Process::start(command)
    };
    let mut api = with_faults(&["api", "--listen", "127.0.0.1:0"]);
    let mut worker = with_faults(&["worker", "--admin-listen", "127.0.0.1:0"]);
    fail_alone(&Client::new(), &api.url).await;
    assert!(api.is_running() && worker.is_running());
}

/// Posts 100 good pictures with every kind of hostile one between them.
async fn fail_alone(client: &Client, url: &str) {
    let mut others = Vec::new();
    let mut hostile = Vec::new();
    for (n, (fault, _)) in FAULTS.iter().enumerate() {
        for m in 0..17 {
            let n = n as u32 * 100 + m;
            others.push((n, submit(client, url, &good(n), options()).await));
        }
        let picture = with_fault(good(n as u32), fault);
        hostile.push(submit(client, url, &picture, options()).await);
    }
    for (id, (fault, message)) in hostile.iter().zip(FAULTS) {
        let (status, problem) = wait(client, url, id).await;
        let expected = StatusCode::UNPROCESSABLE_ENTITY;
        assert_eq!(status, expected, "{fault}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(message), "{fault}: {detail}");
    }
    for (n, id) in others {
        let (status, answer) = wait(client, url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(Picture::of(&answer).bytes == expected(n), "picture {n}");
    }
}

/// Real hostile files: each is refused at once, or fails, or has a result; nothing else happens.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_files_hurt_nobody() {
    let Some(folder) = pictures("hostile") else {
        return;
    };
    let server = start(|_| {}).await;
    let (client, url) = (&server.client, &server.url);
    let (mut hostile, mut others) = (Vec::new(), Vec::new());
    for (n, file) in (0..).zip(files(&folder)) {
        others.push((n, submit(client, url, &good(n), options()).await));
        let picture = std::fs::read(&file).unwrap();
        let body = request(&picture, json!({"width": 40, "format": "png"}));
        let response = server.post(&body).await;
        let (status, answer) = (response.status(), response.json::<Value>().await.unwrap());
        match status {
            StatusCode::CREATED => hostile.push(answer["identifier"].as_str().unwrap().to_owned()),
            _ => assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}"),
        }
        let look_up = client
            .post(format!("{url}/api/lookup"))
            .json(&request(&picture, json!({})));
        let status = look_up.send().await.unwrap().status();
        assert!(
            matches!(status.as_u16(), 200 | 422),
            "{}: {status}",
            file.display()
        );
    }
    for id in hostile {
        let (status, answer) = wait(client, url, &id).await;
        assert!(matches!(status.as_u16(), 200 | 422), "{answer}");
    }
    for (n, id) in others {
        let (status, answer) = wait(client, url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(Picture::of(&answer).bytes == expected(n), "picture {n}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_headers_are_refused_at_the_door() {
    let server = start(|_| {}).await;
    for (fault, message) in FAULTS {
        // A header may take less memory and time than pixels.
        let message = message.replace("than its estimate", "than its estimate of 67108864 bytes");
        let picture = with_fault(good(1), &format!("header-{fault}"));
        let response = server.post(&request(&picture, json!({"width": 40}))).await;
        let status = response.status();
        let problem: Value = response.json().await.unwrap();
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{fault}: {problem}"
        );
        assert_eq!(problem["type"], "urn:picresize:problem:broken-picture");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&message), "{fault}: {detail}");
        let made = server.resize(&good(2), json!({"width": 40})).await;
        assert!(made.bytes == expected(2), "after {fault}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_look_ups_find_exact_matches_only() {
    let server = start(|_| {}).await;
    for (fault, _) in FAULTS {
        let picture = with_fault(good(3), fault);
        let url = format!("{}/api/lookup", server.url);
        let body = request(&picture, json!({}));
        let response = server.client.post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{fault}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["fingerprint"], Value::Null, "{fault}");
    }
    let made = server.resize(&good(2), json!({"width": 40})).await;
    assert!(made.bytes == expected(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_process_gives_another_chance() {
    let server = start(|settings| settings.worker.concurrency = 1).await;
    // Every process has been used before.
    for n in 0..8 {
        server.resize(&good(n), json!({"width": 30})).await;
    }
    let id = server
        .submit(&with_fault(good(9), "abort-if-used"), json!({"width": 40}))
        .await;
    let (status, answer) = server.wait(&id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(Picture::of(&answer).bytes == expected(9));
    server.stop().await;
}

/// How many pictures [`serve`] processes at once.
const IN_FLIGHT: u32 = 4;

/// Starts `serve` with faults allowed.
fn serve(address: &str, data: &Path) -> Process {
    let mut command = program();
    command
        .args(["serve", "--listen", address, "--data"])
        .arg(data)
        .env("PICRESIZE_TEST_FAULTS", "on")
        .env("PICRESIZE__WORKER__CONCURRENCY", IN_FLIGHT.to_string())
        .env("PICRESIZE__LIMITS__MAX_SECONDS", "1000");
    Process::start(command)
}

/// The kernel ends a process when memory runs out, with the same signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let service = serve("127.0.0.1:0", folder.path());
    let (client, url) = (Client::new(), &service.url);
    let id = submit(&client, url, &with_fault(good(1), "spin"), options()).await;
    let deadline = Instant::now() + PATIENCE;
    // Kills all pixel processes again and again: also those that are idle or read a header.
    loop {
        let answer = client.get(format!("{url}/api/{id}")).send().await.unwrap();
        if answer.status() != StatusCode::ACCEPTED {
            break;
        }
        assert!(Instant::now() < deadline, "it never failed");
        for child in service.children() {
            let child = rustix::process::Pid::from_raw(child as i32).unwrap();
            // It may have ended already.
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, problem) = wait(&client, url, &id).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("twice (it ended with signal 9)"),
        "{detail}"
    );
    let id = submit(&client, url, &good(2), options()).await;
    let (status, answer) = wait(&client, url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(Picture::of(&answer).bytes == expected(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn erasing_ends_the_work() {
    let server = start(|settings| {
        settings.limits.max_seconds = 100_000;
        settings.worker.concurrency = 1;
    })
    .await;
    let id = server
        .submit(&with_fault(good(1), "spin"), json!({"width": 40}))
        .await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = server.get(&format!("/api/{id}")).await;
        let answer: Value = answer.json().await.unwrap();
        if answer["status"] == "processing" {
            break;
        }
        assert!(Instant::now() < deadline, "it never began: {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let url = format!("{}/api/{id}", server.url);
    server.client.delete(url).send().await.unwrap();
    // The only core is free again.
    let made = server.resize(&good(2), json!({"width": 40})).await;
    assert!(made.bytes == expected(2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_ends_with_its_client() {
    let server = start(|settings| settings.limits.max_seconds = 100_000).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    let url = format!("{}/api/lookup", server.url);
    for _ in 0..2 * cores {
        let body = request(&with_fault(good(1), "spin"), json!({}));
        let client = Client::new();
        let left = client
            .post(&url)
            .json(&body)
            .timeout(Duration::from_millis(300));
        assert!(left.send().await.unwrap_err().is_timeout());
    }
    // Each look-up had a core for itself, so all of them have ended.
    let body = request(&good(1), json!({}));
    let found = server.client.post(&url).json(&body).timeout(PATIENCE);
    assert_eq!(found.send().await.unwrap().status(), StatusCode::OK);
    server.stop().await;
}

/// A thread may still write an abandoned picture into the file that its process shares.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_picture_was_abandoned_gets_no_other() {
    let options = ProcessorOptions {
        concurrency: 1,
        max_attempts: 1,
        ..ProcessorOptions::of(&Settings::default())
    };
    let processor = Processor::new(pixel_processes("on"), options);
    let options = ResizeOptions::from_pairs([("width", "40")]).unwrap();
    processor.resize(&good(0).into(), &options).await.unwrap();
    let mut large = good(1);
    large.resize(32 << 20, 0);
    let large = large.into();
    let abandoned = timeout(Duration::ZERO, processor.resize(&large, &options));
    assert!(abandoned.await.is_err());
    let only_in_a_new_one = with_fault(good(2), "abort-if-used").into();
    let made = processor.resize(&only_in_a_new_one, &options).await;
    assert!(made.unwrap().picture.bytes == expected(2));
}

/// What a pixel process can do, by its own account.
async fn possible(processes: PixelProcesses) -> String {
    let options = ProcessorOptions::of(&Settings::default());
    let processor = Processor::new(processes, options);
    let picture = with_fault(good(1), "probe").into();
    let options = ResizeOptions::from_pairs([("width", "40")]).unwrap();
    let error = processor.resize(&picture, &options).await.unwrap_err();
    match error {
        picresize::processing::ProcessingError::Panicked(message) => message,
        other => panic!("{other}"),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_pixel_process_is_confined() {
    let inside = possible(pixel_processes("on")).await;
    assert!(inside.ends_with("possible: nothing"), "{inside}");
    // Without the cage, the same attempts succeed.
    let outside = possible(pixel_processes("unconfined")).await;
    for attempt in ["open", "create", "connect", "exec", "fork", "signal"] {
        assert!(outside.contains(attempt), "{outside}");
    }
    if rustix::process::geteuid().is_root() {
        assert!(outside.contains("trace"), "{outside}");
    }
}

#[test]
fn a_batch_makes_all_of_its_good_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        name.to_owned()
    };
    let mut names = Vec::new();
    for n in 0..8 {
        names.push(write(&format!("good-{n}.png"), good(n)));
    }
    for (fault, _) in FAULTS {
        names.push(write(&format!("{fault}.png"), with_fault(good(1), fault)));
        let at_header = format!("header-{fault}");
        names.push(write(
            &format!("{at_header}.png"),
            with_fault(good(1), &at_header),
        ));
    }
    let mut command = program();
    command
        .arg("resize")
        .args(&names)
        .args(["--width", "40", "--out-dir", "small"])
        .env("PICRESIZE_TEST_FAULTS", "on")
        .env("PICRESIZE__LIMITS__MAX_SECONDS", "2")
        .current_dir(folder.path());
    let output = run(command);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    let count = 2 * FAULTS.len();
    let summary = format!("{count} of {} pictures failed", count + 8);
    assert!(messages.contains(&summary), "{messages}");
    for (fault, message) in FAULTS {
        for name in [format!("{fault}.png"), format!("header-{fault}.png")] {
            let line = messages
                .lines()
                .find(|line| line.contains(&format!(" {name}: ")));
            assert!(line.unwrap().contains(message), "{messages}");
        }
    }
    for n in 0..8 {
        let made = std::fs::read(folder.path().join(format!("small/good-{n}.png")));
        assert!(made.unwrap() == expected(n), "picture {n}");
    }
}

/// Kills a whole worker again and again while the same pictures are in flight.
#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_blame_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let url = format!("http://{address}");
    let mut process = serve(&address, folder.path());
    let client = Client::new();
    let mut ids = Vec::new();
    for n in 0..IN_FLIGHT {
        let picture = with_fault(good(n), "spin");
        ids.push((n, submit(&client, &url, &picture, options()).await));
    }
    for kill in 1..=10 {
        let deadline = Instant::now() + PATIENCE;
        for (n, id) in &ids {
            loop {
                let story = story(&client, &url, id).await;
                if story["attempts"].as_u64() >= Some(kill) {
                    break;
                }
                assert!(
                    Instant::now() < deadline,
                    "kill {kill}, picture {n}: {story}"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        process.kill();
        process = serve(&address, folder.path());
    }
    process.kill();
    // Without the switch, the pictures are not slow any more.
    let _process = Process::serve(&address, folder.path());
    for (n, id) in ids {
        let (status, answer) = wait(&client, &url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(Picture::of(&answer).bytes == expected(n), "picture {n}");
    }
}
