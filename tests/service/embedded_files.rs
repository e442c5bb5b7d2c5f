//! Tests the embedded files: older ones are read, damaged and lost ones are refused with a remedy,
//! nothing is written outside of the data folder, and the files give space back.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use picresize::event::Record;
use picresize::event_log::embedded::EmbeddedLog;
use picresize::event_log::{EventLog, EventPosition, Start, Topic};
use picresize::operation::{Fingerprint, Status, Tenant};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::picture_store::{LookupStore, OperationStore, Page, RetentionStore};
use reqwest::{Client, StatusCode};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::contract::store::{done, queued_picture};
use crate::process::{Process, program, run, text};
use crate::support::{png, submit, wait};

const LOG: &str = "log.sqlite";
const TABLE: &str = "pictures.sqlite";

/// The files as the first version wrote them, with an event and a done operation.
const OLD_LOG: &str = "
    PRAGMA page_size = 16384;
    PRAGMA journal_mode = wal;
    CREATE TABLE events (
        id          INTEGER PRIMARY KEY,
        topic       TEXT    NOT NULL,
        position    INTEGER NOT NULL,
        appended_at INTEGER NOT NULL,
        key         TEXT    NOT NULL,
        headers     TEXT    NOT NULL,
        value       BLOB    NOT NULL,
        UNIQUE (topic, position)
    ) STRICT;
    CREATE INDEX events_by_time ON events (topic, appended_at);
    CREATE TABLE positions (
        consumer_group TEXT    NOT NULL,
        topic          TEXT    NOT NULL,
        next           INTEGER NOT NULL,
        PRIMARY KEY (consumer_group, topic)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
    INSERT INTO events (topic, position, appended_at, key, headers, value) VALUES
        ('picresize.requests', 7, 1767225600000, 'key', '[[\"name\",[0,255]],[\"text\",[97]]]', x'0102');
";
const OLD_TABLE: &str = "
    PRAGMA page_size = 16384;
    PRAGMA journal_mode = wal;
    CREATE TABLE pictures (
        id            TEXT    NOT NULL PRIMARY KEY,
        status        TEXT    NOT NULL,
        request       TEXT    NOT NULL,
        source_format TEXT    NOT NULL,
        source_width  INTEGER NOT NULL,
        source_height INTEGER NOT NULL,
        source_bytes  INTEGER NOT NULL,
        source_digest TEXT    NOT NULL,
        result_format TEXT,
        result_width  INTEGER,
        result_height INTEGER,
        result_bytes  INTEGER,
        result_digest TEXT,
        fingerprint   INTEGER,
        band0         INTEGER GENERATED ALWAYS AS (fingerprint       & 65535) VIRTUAL,
        band1         INTEGER GENERATED ALWAYS AS (fingerprint >> 16 & 65535) VIRTUAL,
        band2         INTEGER GENERATED ALWAYS AS (fingerprint >> 32 & 65535) VIRTUAL,
        band3         INTEGER GENERATED ALWAYS AS (fingerprint >> 48 & 65535) VIRTUAL,
        failure       TEXT,
        attempts      INTEGER NOT NULL DEFAULT 0,
        worker        TEXT,
        engine        TEXT,
        position      TEXT,
        queued_at     INTEGER NOT NULL,
        started_at    INTEGER,
        finished_at   INTEGER,
        expires_at    INTEGER,
        source        BLOB,
        result        BLOB
    ) STRICT;
    CREATE INDEX pictures_source ON pictures (source_digest, queued_at);
    CREATE INDEX pictures_result ON pictures (result_digest, queued_at);
    CREATE INDEX pictures_expiry ON pictures (status, expires_at);
    CREATE INDEX pictures_band0 ON pictures (band0, fingerprint, queued_at);
    CREATE INDEX pictures_band1 ON pictures (band1, fingerprint, queued_at);
    CREATE INDEX pictures_band2 ON pictures (band2, fingerprint, queued_at);
    CREATE INDEX pictures_band3 ON pictures (band3, fingerprint, queued_at);
    PRAGMA user_version = 1;
    INSERT INTO pictures (id, status, request, source_format, source_width, source_height,
        source_bytes, source_digest, result_format, result_width, result_height, result_bytes,
        result_digest, fingerprint, attempts, engine, queued_at, finished_at, expires_at, result)
    VALUES ('01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11', 'done', '[[\"width\",\"320\"]]', 'png', 640, 480,
        2, '1111111111111111111111111111111111111111111111111111111111111111', 'png', 320, 240,
        2, '2222222222222222222222222222222222222222222222222222222222222222', 81985529216486895,
        1, '4', 1767225600000, 1767225601000, 1767225602000, x'0304');
";
const FIRST: Page = Page { skip: 0, take: 10 };

fn write_file(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn an_older_log_is_read_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LOG);
    write_file(&path, OLD_LOG);
    let log = EmbeddedLog::open(&path).unwrap();
    let mut reader = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    let old = reader.next().await.unwrap().unwrap();
    assert_eq!(old.position.offset, 7);
    let headers = [("name", vec![0, 255]), ("text", b"a".to_vec())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(old.record.headers, headers);
    assert_eq!(old.record.value[..], [1, 2]);

    let position = log.append(Topic::Requests, old.record).await.unwrap();
    assert_eq!(position.offset, 8);
    log.erase(Topic::Requests, position).await.unwrap();
    let mut reader = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    while let Some(entry) = reader.next().await.unwrap() {
        assert!(entry.record.value.is_empty(), "both have the same key");
    }
}

#[tokio::test]
async fn an_older_table_is_read_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(TABLE);
    write_file(&path, OLD_TABLE);
    let store = EmbeddedStore::open(&path).unwrap();
    let id = "01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11".parse().unwrap();
    let old = store.find(id).await.unwrap().unwrap();
    assert_eq!(old.status, Status::Done);
    let new = queued_picture("320", "another");
    done(&store, &new, &crate::contract::store::finished("result")).await;

    let digest = old.result.unwrap().digest;
    assert_eq!(
        store
            .with_digest(&Tenant::default(), digest, FIRST)
            .await
            .unwrap()[0]
            .id,
        id
    );
    let near = Fingerprint(old.fingerprint.unwrap().0 ^ 0b111);
    let similar = store
        .similar(&Tenant::default(), near, 7, new.source.digest, FIRST)
        .await
        .unwrap();
    assert_eq!((similar[0].0, similar[0].1.id), (3, id));
    assert_eq!(store.expire(Timestamp::now(), 10).await.unwrap(), 1);
    assert_eq!(store.result(id).await.unwrap(), None);
    assert_eq!(store.forget(Timestamp::now(), 10).await.unwrap(), 1);
    assert_eq!(
        store.find(new.id).await.unwrap().unwrap().status,
        Status::Done
    );
}

/// Runs `serve` on a folder that it must refuse; returns what it says.
fn refusal(folder: &Path) -> String {
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder);
    let refused = run(command);
    let message = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    message
}

/// A folder with an operation, after a clean stop.
async fn used_folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::serve("127.0.0.1:0", folder.path());
    let client = Client::new();
    let id = submit(&client, &process.url, &png(80, 60, 1), json!({"width": 40})).await;
    assert_eq!(wait(&client, &process.url, &id).await.0, StatusCode::OK);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    (folder, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_the_two_files_are_everything() {
    let (folder, id) = used_folder().await;
    let copy = tempfile::tempdir().unwrap();
    for file in [LOG, TABLE] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    let process = Process::serve("127.0.0.1:0", copy.path());
    let (status, answer) = wait(&Client::new(), &process.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_is_not_made_anew_in_silence() {
    let (folder, id) = used_folder().await;
    let aside = folder.path().join("aside");
    for (file, remedy) in [
        (TABLE, "picresize replay rebuild --data"),
        (LOG, "restore it"),
    ] {
        let path = folder.path().join(file);
        std::fs::rename(&path, &aside).unwrap();
        // A file that was emptied is as lost as one that was removed.
        for empty in [false, true] {
            if empty {
                std::fs::write(&path, "").unwrap();
            }
            let message = refusal(folder.path());
            assert!(
                message.contains(file) && message.contains(remedy),
                "{message}"
            );
        }
        std::fs::rename(&aside, &path).unwrap();
    }

    // The remedy is a remedy.
    std::fs::remove_file(folder.path().join(TABLE)).unwrap();
    let mut rebuild = program();
    rebuild
        .args(["replay", "rebuild", "--data"])
        .arg(folder.path());
    let rebuilt = run(rebuild);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt.stderr));
    let process = Process::serve("127.0.0.1:0", folder.path());
    let (status, answer) = wait(&Client::new(), &process.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_with_a_remedy() {
    let (folder, _) = used_folder().await;
    for (file, remedy) in [(TABLE, "picresize replay rebuild"), (LOG, "backup")] {
        let path = folder.path().join(file);
        let good = std::fs::read(&path).unwrap();
        let mut torn = good.clone();
        torn[4096..8192].fill(0x55);
        let foreign = folder.path().join(format!("foreign-{file}"));
        write_file(&foreign, "CREATE TABLE strangers (name TEXT)");
        for (what, bad) in [
            (
                "no database",
                b"This is a text, and not a database. ".repeat(100),
            ),
            ("truncated", good[..good.len() - 4096].to_vec()),
            ("torn", torn),
            ("foreign", std::fs::read(&foreign).unwrap()),
        ] {
            std::fs::write(&path, bad).unwrap();
            let message = refusal(folder.path());
            assert!(
                message.contains(file) && message.contains(remedy),
                "{what}: {message}"
            );
        }
        std::fs::write(&path, good).unwrap();
    }
    drop(Process::serve("127.0.0.1:0", folder.path()));
}

/// Containers are often run with a file system that cannot be written, apart from the data.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_outside_of_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .env("TMPDIR", "/nonexistent")
        .env("SQLITE_TMPDIR", "/nonexistent");
    let process = Process::start(command);
    let client = Client::new();
    let id = submit(&client, &process.url, &png(80, 60, 1), json!({"width": 40})).await;
    let (status, answer) = wait(&client, &process.url, &id).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trimmed_log_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(LOG);
    let log = EmbeddedLog::open(&path).unwrap();
    for n in 0..100 {
        let record = Record {
            key: n.to_string(),
            headers: Vec::new(),
            value: vec![7; 2_000_000].into(),
        };
        log.append(Topic::Requests, record).await.unwrap();
    }
    let next = EventPosition {
        partition: 0,
        offset: 100,
    };
    let mut workers = log.subscribe(Topic::Requests, "workers").await.unwrap();
    workers.commit(next).await.unwrap();
    let later = Timestamp::now() + Duration::from_secs(3600);
    while log.trim(later, "workers", 100).await.unwrap() > 0 {}
    log.close().await;
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 30_000_000, "{bytes} are left of 200 MB");
    let log = EmbeddedLog::open(&path).unwrap();
    let mut reader = log.read(Topic::Requests, &Start::Beginning).await.unwrap();
    let last = reader.next().await.unwrap().unwrap();
    assert_eq!(last.position.offset, 99, "the last event stays");
}
