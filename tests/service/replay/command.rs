//! Tests the command itself, beside a running service.

use std::path::Path;
use std::process::Output;

use picresize::event::Record;
use reqwest::Client;
use serde_json::Value;

use super::*;
use crate::process::{Process, free_address, program};
use crate::support::{Picture, post, request, wait};

fn replay(data: &Path, arguments: &[&str]) -> Output {
    program()
        .arg("replay")
        .args(arguments)
        .arg("--data")
        .arg(data)
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_works_beside_a_running_service() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let address = free_address();
    let url = format!("http://{address}");
    let process = Process::serve(&address, data);
    let client = Client::new();
    let mut results = Vec::new();
    for n in 0..4 {
        let body = request(&png(64, 48, n), json!({"width": 24}));
        let answer: Value = post(&client, &url, &body).await.json().await.unwrap();
        let id = answer["identifier"].as_str().unwrap().to_owned();
        let (status, answer) = wait(&client, &url, &id).await;
        assert_eq!(status, StatusCode::OK);
        results.push((id, Picture::of(&answer).bytes));
    }

    let verified = replay(data, &["verify", "--json"]);
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
    let told = lines(&verified);
    assert_eq!(told.len(), 5);
    assert_eq!(told[4]["summary"]["outcomes"]["same"], 4);
    let shadowed = replay(data, &["shadow", "--format", "webp"]);
    assert_eq!(shadowed.status.code(), Some(0), "{shadowed:?}");
    let text = String::from_utf8_lossy(&shadowed.stdout).into_owned();
    assert!(text.contains("SSIMULACRA2, mean of 4"), "{text}");

    // The running worker notices a dead letter that another process re-queues.
    let picture = png(40, 30, 9);
    let letter = operation(&picture);
    let record = event(
        &letter,
        picresize::event::PicturePayload::Carried(picture.into()),
    )
    .to_record();
    put_among_dead_letters(data, record).await;
    let put_back = replay(data, &["dead-letters", "--json"]);
    assert_eq!(put_back.status.code(), Some(0), "{put_back:?}");
    assert_eq!(lines(&put_back)[0]["outcome"], "put-back");
    let (status, answer) = wait(&client, &url, &letter.id.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    process.kill();
    for file in [
        "pictures.sqlite",
        "pictures.sqlite-wal",
        "pictures.sqlite-shm",
    ] {
        // The last two exist after a kill.
        let _ = std::fs::remove_file(data.join(file));
    }
    let missing = replay(data, &["verify"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    let rebuilt = replay(data, &["rebuild"]);
    assert_eq!(rebuilt.status.code(), Some(0), "{rebuilt:?}");
    let _process = Process::serve(&address, data);
    for (id, bytes) in results {
        let (status, answer) = wait(&client, &url, &id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert!(Picture::of(&answer).bytes == bytes, "{id} has other bytes");
    }
}

async fn put_among_dead_letters(data: &Path, mut record: Record) {
    let reason = ("picresize-reason".to_owned(), b"a fault".to_vec());
    record.headers.push(reason);
    let mut settings = Settings::default();
    settings.data.folder = data.to_owned();
    let storage = Storage::open_beside(&settings).await.unwrap();
    let log = &storage.log;
    log.append(Topic::DeadLetters, record).await.unwrap();
}

#[test]
fn what_cannot_be_played_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, word) in [
        (&["verify"][..], 1, "contains no log"),
        (&["verify", "--from", "yesterday"], 2, "yesterday"),
        (&["verify", "--to", "0:1"], 2, "--to"),
        (&["rebuild", "--speed", "fast"], 2, "fast"),
        (&["rebuild", "--id", "17"], 2, "17"),
        (&["shadow", "--filter", "soft"], 2, "--filter"),
    ] {
        let output = replay(folder.path(), arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
}
