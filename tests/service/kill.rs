//! Tests that the service keeps its promises when it is killed or stopped at any moment.

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use picresize::imaging::{self, Limits};
use picresize::operation::ResizeOptions;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::process::{Process, free_address, program, run};
use crate::support::{PATIENCE, Picture, png, request, wait};

const PICTURES: usize = 500;
const CLIENTS: usize = 16;
const KILLS: usize = 5;

fn options(n: usize) -> Value {
    let format = ["same", "jpeg", "webp"][n % 3];
    json!({"width": 100 + n, "height": 80, "format": format})
}

fn picture(n: usize) -> Vec<u8> {
    png(160, 120, n as u32)
}

/// The expected result: the pipeline gives the same bytes everywhere.
fn expected(n: usize) -> Vec<u8> {
    let Value::Object(options) = options(n) else {
        unreachable!("options are an object");
    };
    let pairs = options.into_iter().map(|(key, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (key, text)
    });
    let request = ResizeOptions::from_pairs(pairs).unwrap();
    imaging::resize(&picture(n), &request, &Limits::default())
        .unwrap()
        .bytes
}

/// Posts one picture until it is accepted. A request that a kill interrupted is sent again.
async fn submit(client: &Client, url: &str, n: usize) -> String {
    let body = request(&picture(n), options(n));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let post = client.post(format!("{url}/api/")).json(&body);
        if let Ok(response) = post.send().await
            && response.status() == StatusCode::CREATED
        {
            return response.headers()["identifier"]
                .to_str()
                .unwrap()
                .to_owned();
        }
        assert!(Instant::now() < deadline, "picture {n} was never accepted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_201_is_done_after_five_kills() {
    kill_five_times("carried").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_201_is_done_after_five_kills_with_claim_checks() {
    kill_five_times("claim-check").await;
}

async fn kill_five_times(model: &str) {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let url = format!("http://{address}");
    let serve = || {
        let mut command = program();
        command
            .args(["serve", "--listen", &address, "--data"])
            .arg(folder.path())
            .env("PICRESIZE__EVENTS__MODEL", model);
        Process::start(command)
    };
    let mut process = serve();

    let next = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (url, next, accepted) = (url.clone(), Arc::clone(&next), Arc::clone(&accepted));
        clients.spawn(async move {
            let client = Client::new();
            let mut ids = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= PICTURES {
                    return ids;
                }
                ids.push((n, submit(&client, &url, n).await));
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    for kill in 1..=KILLS {
        // Spread over the run: each kill comes after this many more were accepted.
        let deadline = Instant::now() + PATIENCE;
        while accepted.load(Ordering::Relaxed) < kill * PICTURES / (KILLS + 1) {
            assert!(Instant::now() < deadline, "only {accepted:?} were accepted");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        process.kill();
        process = serve();
    }

    let ids: HashMap<usize, String> = clients.join_all().await.into_iter().flatten().collect();
    assert_eq!(ids.len(), PICTURES);
    let client = Client::new();
    for (n, id) in ids {
        let (status, answer) = wait(&client, &url, &id).await;
        assert_eq!(status, StatusCode::OK, "picture {n}: {answer}");
        let result = Picture::of(&answer);
        assert!(result.bytes == expected(n), "picture {n} has other bytes");
    }
}

#[tokio::test]
async fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::serve("127.0.0.1:0", folder.path());
    let mut second = program();
    second
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path());
    let second = run(second);
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(
        message.contains("in use by another picresize process"),
        "{message}"
    );
    assert!(message.contains("--data"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_signal_finishes_what_was_begun() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let url = format!("http://{address}");
    let mut process = Process::serve(&address, folder.path());
    let client = Client::new();
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(submit(&client, &url, n).await);
    }
    process.signal("TERM");
    let status = process.wait();
    assert_eq!(status.code(), Some(0), "a stop signal is no failure");

    let _process = Process::serve(&address, folder.path());
    for id in ids {
        let (status, answer) = wait(&client, &url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

#[test]
fn a_wrong_setting_is_refused_by_name() {
    for (name, value) in [
        ("PICRESIZE__SERVER__LISTEN", "nowhere"),
        ("PICRESIZE__SERVER__LISEN", "127.0.0.1:0"),
        ("PICRESIZE__LIMITS__MAX_SIDE", "0"),
        ("PICRESIZE__LOGS__FILTER", "a=b=c"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .env(name, value);
        let refused = run(command);
        let message = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{name}: {message}");
        let key = name.rsplit("__").next().unwrap().to_lowercase();
        assert!(message.contains(&key), "{name}: {message}");
    }
}

#[tokio::test]
async fn one_command_makes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("in.png");
    std::fs::write(&from, picture(1)).unwrap();
    let to = folder.path().join("out.webp");
    let resize = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_picresize"))
            .arg("resize")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let done = resize(&["in.png", "out.webp", "--width", "64"]);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let made = imaging::inspect(&std::fs::read(&to).unwrap(), &Limits::default()).unwrap();
    assert_eq!((made.width(), made.height()), (64, 48));

    std::fs::write(folder.path().join("other.png"), picture(2)).unwrap();
    std::fs::write(folder.path().join("bad.png"), b"no picture").unwrap();
    let some = resize(&[
        "in.png",
        "bad.png",
        "other.png",
        "--out-dir",
        "small",
        "--width",
        "9",
    ]);
    assert_eq!(some.status.code(), Some(1), "one of three failed");
    assert!(String::from_utf8_lossy(&some.stderr).contains("bad.png"));
    assert!(folder.path().join("small/in.png").exists());
    assert!(folder.path().join("small/other.png").exists());

    for (arguments, word) in [
        (&["in.png", "out.webp"][..], "--width"),
        (&["in.png", "out.webp", "--width", "-5"], "-5 is too small"),
        (&["in.png", "out.xyz", "--width", "5"], "xyz"),
        (&["in.png", "--width", "5"], "--out-dir"),
    ] {
        let refused = resize(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}
