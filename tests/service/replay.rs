//! Tests replays: rebuilding and verifying the table, comparing options, and re-queueing dead
//! letters.
//!
//! Each test takes a server, so that it can run on any storage and event model.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use picresize::event::{Event, EventBody, PicturePayload};
use picresize::event_log::{Entry, ErasureOutcome, Start, Topic};
use picresize::operation::{
    Digest, Format, Operation, OperationId, PictureFacts, ResizeOptions, Status,
};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::replay::{self, Ended, Finding, Observer, Outcome, Range, Resources, Task};
use picresize::settings::{EventModel, Settings, TableKind};
use picresize::storage::Storage;
use reqwest::StatusCode;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::mysql::{Server, TestDatabase};
use crate::support::{PATIENCE, TestServer, pixel_processes, png};

/// Runs the tests on a server of their own, with embedded storage and one event model. The contract
/// tests of log and store check that other storage behaves alike.
macro_rules! promises {
    ($place:ident, $model:ident: $($name:ident),+ $(,)?) => {
        mod $place {
            use super::{EventModel, TestServer};
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    let model = EventModel::$model;
                    let server = TestServer::start_with(|it| it.events.model = model).await;
                    super::$name(&server).await;
                    server.stop().await;
                }
            )+
        }
    };
}

mod command;
mod letters;
mod range;
mod rebuild;
mod shadow;
mod shared;
mod verify;

/// An observer that keeps all findings, and stops the replay after enough of them.
pub(crate) struct Witness {
    findings: Vec<Finding>,
    stop: CancellationToken,
    most: usize,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            findings: Vec::new(),
            stop: CancellationToken::new(),
            most: usize::MAX,
        }
    }
}

impl Observer for Witness {
    fn begins(&mut self, _events: u64) {}

    fn advanced(&mut self, finding: Option<&Finding>) {
        self.findings.extend(finding.cloned());
        if self.findings.len() >= self.most {
            self.stop.cancel();
        }
    }
}

impl Witness {
    /// In the order of their IDs, which is the order of time.
    fn found(&self, outcome: Outcome) -> Vec<OperationId> {
        let found = self.findings.iter().filter(|it| it.outcome == outcome);
        let mut found: Vec<_> = found.filter_map(|finding| finding.identifier).collect();
        found.sort();
        found
    }
}

async fn play_as(witness: &mut Witness, storage: &Storage, task: Task, range: &Range) -> Ended {
    let settings = Settings::default();
    let stop = witness.stop.clone();
    let resources = Resources {
        storage,
        processes: pixel_processes("on"),
        settings: &settings,
        name: "replay-test".to_owned(),
    };
    let played = replay::play(resources, range, task, witness, &stop);
    played.await.unwrap()
}

/// Plays a range to its end.
async fn play(storage: &Storage, task: Task, range: &Range) -> (Ended, Witness) {
    let mut witness = Witness::default();
    let ended = play_as(&mut witness, storage, task, range).await;
    assert!(
        ended.error.is_none() && ended.continue_from.is_none(),
        "{ended:?}"
    );
    (ended, witness)
}

/// Plays everything to its end.
async fn play_all(storage: &Storage, task: Task) -> (Ended, Witness) {
    play(storage, task, &Range::default()).await
}

/// The same log with an empty table of the same kind, which is removed when the second value is
/// dropped.
async fn without_table(server: &TestServer) -> (Storage, Box<dyn Send>) {
    let mut storage = server.storage.clone();
    match server.settings.storage.table {
        TableKind::Embedded => {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("new.sqlite");
            storage.store = Arc::new(EmbeddedStore::open(&file).unwrap());
            (storage, Box::new(folder))
        }
        TableKind::Mysql => {
            let database = TestDatabase::prepared(Server::Mysql).await.unwrap();
            storage.store = Arc::new(database.open().await.unwrap());
            (storage, Box::new(database))
        }
    }
}

/// The same log with a table that only has the deposited pictures left.
async fn without_results(server: &TestServer) -> (Storage, Box<dyn Send>) {
    let storage = &server.storage;
    let (other, database) = without_table(server).await;
    for entry in entries(storage, Topic::Requests).await {
        let event = Event::from_record(&entry.record).unwrap();
        let id = event.operation;
        if let Some(picture) = storage.store.deposited(id).await.unwrap() {
            let row = storage.store.find(id).await.unwrap().unwrap();
            let mut queued = Operation::queued(id, row.request, row.source, row.queued_at);
            queued.expires_at = row.expires_at;
            other.store.deposit(&queued, picture).await.unwrap();
        }
    }
    (other, database)
}

/// Everything that the table has of these operations.
async fn dump(storage: &Storage, ids: &[OperationId]) -> Vec<(Operation, Option<Bytes>)> {
    let mut rows = Vec::new();
    for id in ids {
        let row = storage.store.find(*id).await.unwrap();
        let row = row.unwrap_or_else(|| panic!("{id} has no row"));
        rows.push((row, storage.store.result(*id).await.unwrap()));
    }
    rows
}

/// Every event of a topic.
async fn entries(storage: &Storage, topic: Topic) -> Vec<Entry> {
    let mut reader = storage.log.read(topic, &Start::Beginning).await.unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next().await.unwrap() {
        entries.push(entry);
    }
    entries
}

/// Waits until the log has the final events of this many operations. They are appended after the
/// answer.
async fn announced(storage: &Storage, operations: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = entries(storage, Topic::Events).await;
        // An outcome can be announced more than once.
        let ends = entries.iter().filter_map(|entry| {
            let event = Event::from_record(&entry.record).unwrap();
            match event.body {
                EventBody::Completed(_) => Some((event.operation, true)),
                EventBody::Failed(_) => Some((event.operation, false)),
                _ => None,
            }
        });
        if ends.collect::<HashSet<_>>().len() >= operations {
            return;
        }
        assert!(Instant::now() < deadline, "not everything was announced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Resizes `count` pictures; returns their IDs once the log has all events.
async fn resized(server: &TestServer, count: u32) -> Vec<OperationId> {
    let mut ids = Vec::new();
    for n in 0..count {
        let format = ["same", "jpeg", "webp"][n as usize % 3];
        let options = json!({"width": 32 + n, "format": format});
        ids.push(server.submit(&png(96, 64, n), options).await);
    }
    for id in &ids {
        let (status, answer) = server.wait(id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    announced(&server.storage, ids.len()).await;
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// A picture that is accepted, but can't be decoded.
fn cut_short() -> Vec<u8> {
    let mut picture = png(96, 64, 77);
    picture.truncate(picture.len() / 2);
    picture
}

/// An operation that was never accepted over HTTP.
fn operation(picture: &[u8]) -> Operation {
    Operation::queued(
        OperationId::generate(),
        ResizeOptions::from_pairs([("width", "20")]).unwrap(),
        PictureFacts {
            format: Format::Png,
            width: 40,
            height: 30,
            bytes: picture.len() as u64,
            digest: Digest::of(picture),
        },
        Timestamp::now(),
    )
}

fn event(operation: &Operation, picture: PicturePayload) -> Event {
    let body = EventBody::Requested {
        request: operation.request.clone(),
        source: operation.source.clone(),
        picture,
    };
    Event::new(operation.id, operation.queued_at, body)
}
