//! Tests the roles as separate processes on a real Kafka cluster and a real MySQL server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::process::{Process, program, run, text, wait_for_log};
use crate::shared_storage::Shared;
use crate::support::{
    KAFKA_SASL, PATIENCE, Picture, TestServer, address, files, noise_png, pictures, png, post,
    request, story, submit, wait,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_apart_give_the_same_bytes_as_one_process() {
    let (Some(photos), Some(shared)) = (pictures("photos"), Shared::prepared()) else {
        return;
    };
    let (api, _workers) = (shared.api(), [shared.worker(), shared.worker()]);
    let alone = TestServer::start().await;
    let client = Client::new();
    let options = json!({"width": 320, "height": 200, "fit": "cover", "position": "smart"});
    for file in files(&photos) {
        let photo = std::fs::read(&file).unwrap();
        let id = submit(&client, &api.url, &photo, options.clone()).await;
        let (status, answer) = wait(&client, &api.url, &id).await;
        assert_eq!(status, StatusCode::OK, "{}: {answer}", file.display());
        let expected = alone.resize(&photo, options.clone()).await;
        let same = Picture::of(&answer).bytes == expected.bytes;
        assert!(same, "{} has other bytes", file.display());
    }
    alone.stop().await;
}

const OPERATIONS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn work_spreads_and_survives_who_joins_and_who_leaves() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let api = shared.api();
    let mut first = shared.worker();
    let _second = shared.worker();
    let client = Client::new();

    // Wait until both have joined the group.
    let mut joined = HashMap::new();
    let deadline = Instant::now() + PATIENCE;
    while joined.len() < 2 {
        assert!(Instant::now() < deadline, "{joined:?}");
        joined.extend(work(&client, &api.url, 0..12, async |_| {}).await);
    }

    let shares = work(&client, &api.url, 0..120, async |_| {}).await;
    assert_eq!(shares.len(), 2, "{shares:?}");
    // Twelve partitions are six per worker: with 120 operations a fair share is about 60.
    assert!(shares.values().all(|share| *share >= 25), "{shares:?}");

    let mut third = None;
    let shares = work(&client, &api.url, 120..120 + OPERATIONS, async |n| {
        if n == 120 + OPERATIONS / 3 {
            third = Some(shared.worker());
        }
        if n == 120 + OPERATIONS / 2 {
            first.signal("TERM");
        }
    })
    .await;
    assert!(first.wait().success());
    assert!(shares.len() >= 2, "{shares:?}");
    assert_eq!(shares.values().sum::<usize>(), OPERATIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_s_work_is_done_by_another() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let api = shared.api();
    let (first, _second) = (shared.worker(), shared.worker());
    let mut first = Some(first);
    let client = Client::new();
    let shares = work(&client, &api.url, 0..100, async |n| {
        if n == 50 {
            first.take().unwrap().kill();
        }
    })
    .await;
    assert_eq!(shares.values().sum::<usize>(), 100);
}

/// Posts pictures, waits for all of them, and counts the operations of each worker. `between` is
/// called before each post.
async fn work(
    client: &Client,
    url: &str,
    numbers: std::ops::Range<usize>,
    mut between: impl AsyncFnMut(usize),
) -> HashMap<String, usize> {
    let mut ids = Vec::new();
    for n in numbers {
        between(n).await;
        let options = json!({"width": 64, "height": 48, "format": "jpeg"});
        ids.push(submit(client, url, &png(160, 120, n as u32), options).await);
    }
    let mut shares = HashMap::new();
    for id in ids {
        let (status, answer) = wait(client, url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let story = story(client, url, &id).await;
        let worker = story["worker"].as_str().unwrap().to_owned();
        *shares.entry(worker).or_default() += 1;
    }
    shares
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_picture_goes_through_and_a_larger_one_is_refused() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let (api, _worker) = (shared.api(), shared.worker());
    let client = Client::new();
    // Noise, which no format compresses.
    let noise = noise_png(2800, 2500);
    assert!(
        (20 << 20..24 << 20).contains(&noise.len()),
        "{}",
        noise.len()
    );
    let id = submit(&client, &api.url, &noise, json!({"width": 300})).await;
    let (status, answer) = wait(&client, &api.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(Picture::of(&answer).width, 300);

    let noise = noise_png(3600, 3200);
    let response = post(&client, &api.url, &request(&noise, json!({"width": 300}))).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn migrate_says_what_it_did_and_what_was_right() {
    let Some(shared) = Shared::new() else {
        return;
    };
    let both = [(); 2].map(|()| shared.command(&["migrate"]).output().unwrap());
    let [first, second] = both.map(|output| {
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    });
    assert!(
        first.contains("requests: created, with 12 partitions"),
        "{first}"
    );
    assert!(second.contains("requests: already right"), "{second}");

    let more = shared
        .with("KAFKA__PARTITIONS", "15")
        .with("KAFKA__RETENTION_HOURS", "24");
    let third = run(more.command(&["migrate"]));
    let third = text(&third.stdout);
    assert!(third.contains("partitions raised from 12 to 15"), "{third}");
    assert!(
        third.contains("retention.ms from 604800000 to 86400000"),
        "{third}"
    );
    let fewer = more.with("KAFKA__PARTITIONS", "3");
    let fourth = run(fewer.command(&["migrate"]));
    let fourth = text(&fourth.stdout);
    assert!(fourth.contains("set kafka.partitions to 15"), "{fourth}");
}

#[test]
fn two_at_once_migrate_an_empty_server() {
    let Some(shared) = Shared::new() else {
        return;
    };
    let running = [(); 2].map(|()| {
        let mut command = shared.command(&["migrate"]);
        std::thread::spawn(move || command.output().unwrap())
    });
    for thread in running {
        let output = thread.join().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

/// Every misconfiguration ends the process with an error that says what to do.
#[test]
fn what_waiting_does_not_heal_ends_with_a_sentence() {
    let Some(unprepared) = Shared::new() else {
        return;
    };
    // The table is only checked once the topics exist, so each gets its own case.
    expect_failure(&unprepared, "run `picresize migrate`");
    let prepared = || Shared::prepared().unwrap();
    expect_failure(
        &prepared().with("KAFKA__REQUESTS_TOPIC", "test.not.there"),
        "the topic test.not.there does not exist: run `picresize migrate`",
    );
    expect_failure(&prepared().with("MYSQL__PASSWORD", "wrong"), "password");
    expect_failure(
        &prepared().with("MYSQL__DATABASE", "picresize_not_there"),
        "picresize_not_there",
    );
    expect_failure(
        &prepared().with("KAFKA__PROPERTIES__NO_SUCH_THING", "1"),
        "kafka.properties.no_such_thing",
    );
    expect_failure(
        &prepared().with("KAFKA__PROPERTIES__ACKS", "0"),
        "kafka.properties.acks cannot be set",
    );
    // A server whose packets are too small for the results.
    let large = prepared()
        .with("LIMITS__MAX_RESULT_BYTES", "2000000000")
        .with("SERVER__ANSWER_MEMORY_MIB", "2000");
    expect_failure(&large, "max_allowed_packet");
}

fn expect_failure(shared: &Shared, sentence: &str) {
    let deadline = Instant::now() + PATIENCE;
    for role in ["api", "worker"] {
        // Not the default addresses, because they may be in use.
        let mut command = shared.command(&[role]);
        command
            .env("PICRESIZE__SERVER__LISTEN", "127.0.0.1:0")
            .env("PICRESIZE__WORKER__ADMIN_LISTEN", "127.0.0.1:0");
        let output = run(command);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{role}: {message}");
        assert!(message.contains(sentence), "{role}: {message}");
        assert!(!message.contains("panicked"), "{role}: {message}");
    }
    assert!(Instant::now() < deadline);
}

/// A cluster that requires a user name and a password, as managed ones do.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_given_to_kafka() {
    let (Some(shared), Some(address)) = (Shared::new(), address(KAFKA_SASL, "Kafka with SASL"))
    else {
        return;
    };
    let (credentials, servers) = address.rsplit_once('@').unwrap();
    let (user, password) = credentials.split_once(':').unwrap();
    let shared = shared
        .with("KAFKA__BOOTSTRAP_SERVERS", servers)
        .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
        .with("KAFKA__PROPERTIES__SASL_USERNAME", user)
        .with("KAFKA__PROPERTIES__SASL_PASSWORD", password)
        .migrated();
    let (api, _worker) = (shared.api(), shared.worker());
    let client = Client::new();
    let id = submit(&client, &api.url, &png(40, 30, 1), json!({"width": 20})).await;
    let (status, answer) = wait(&client, &api.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    expect_failure(
        &shared.with("KAFKA__PROPERTIES__SASL_PASSWORD", "wrong"),
        "Kafka refused the credentials",
    );
}

#[test]
fn servers_that_are_away_are_waited_for() {
    let Some(shared) = Shared::new() else {
        return;
    };
    let away = shared.with("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1");
    wait_for_log(
        away.command(&["api", "--listen", "127.0.0.1:0"]),
        "trying again",
    );
    let prepared = Shared::prepared().unwrap().with("MYSQL__PORT", "1");
    wait_for_log(
        prepared.command(&["worker", "--admin-listen", "127.0.0.1:0"]),
        "trying again",
    );
}

#[test]
fn a_role_of_its_own_needs_shared_storage() {
    for role in ["api", "worker"] {
        let mut command = program();
        command.arg(role);
        let refused = run(command);
        let message = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains("storage.log is embedded"), "{message}");
        assert!(message.contains("picresize serve"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_by_a_command() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let worker = shared.worker();
    let url = format!("{}/readyz", worker.url);
    let ready = run(shared.command(&["health", &url]));
    assert!(ready.status.success(), "{}", text(&ready.stderr));
    worker.kill();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let gone = run(shared.command(&["health", &url]));
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("does not answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_can_serve_on_shared_storage() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let server = Process::start(shared.command(&["serve", "--listen", "127.0.0.1:0"]));
    let client = Client::new();
    let id = submit(&client, &server.url, &png(40, 30, 1), json!({"width": 20})).await;
    let (status, answer) = wait(&client, &server.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    // And with an embedded log and the shared table.
    let folder = tempfile::tempdir().unwrap();
    let mixed = shared.with("STORAGE__LOG", "embedded");
    let mut command = mixed.command(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(folder.path());
    let server = Process::start(command);
    let (status, answer) = wait(&client, &server.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// Both event models side by side: requests of one are processed by workers of the other.
#[tokio::test(flavor = "multi_thread")]
async fn both_event_models_are_done_and_erased() {
    let Some(shared) = Shared::prepared() else {
        return;
    };
    let shared = shared.with("SERVER__REUSE_RESULTS", "true");
    let _worker = shared.worker();
    let carried = shared.api();
    let claim_check = shared.with("EVENTS__MODEL", "claim-check").api();
    let client = Client::new();
    let mut results = Vec::new();
    for (n, (url, log)) in [
        (&claim_check.url, "erased"),
        (&carried.url, "until retention"),
    ]
    .into_iter()
    .enumerate()
    {
        // The second finds the result of the first.
        let id = submit(&client, url, &png(40, 30, 1), json!({"width": 20})).await;
        let (status, answer) = wait(&client, url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let story = story(&client, url, &id).await;
        assert!(story["attempts"].as_u64() <= Some(1), "{story}");
        results.push((id, log, Picture::of(&answer).bytes));
        assert_eq!(results[n].2, results[0].2);
    }
    for (id, log, _) in results {
        let url = format!("{}/api/{id}", carried.url);
        for _ in 0..2 {
            let erased = client.delete(&url).send().await.unwrap();
            let answer: Value = erased.json().await.unwrap();
            assert_eq!(answer["log"], log, "{answer}");
        }
        let gone = client.get(&url).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::GONE);
    }
}
