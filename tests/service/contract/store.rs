//! What every picture store keeps.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use picresize::operation::{
    Digest, Fingerprint, Format, Operation, OperationId, PictureFacts, ResizeRequest, Status,
};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::picture_store::{Begun, FinishedPicture, PictureStore};

#[tokio::test]
async fn the_embedded_store_keeps_its_contract() {
    picture_store_keeps_its_contract(|folder| {
        Arc::new(EmbeddedStore::open(&folder.join("pictures.sqlite")).unwrap())
    })
    .await;
}

/// Runs a store through its contract. `open` opens the store of a folder, fresh or again.
async fn picture_store_keeps_its_contract(open: impl Fn(&Path) -> Arc<dyn PictureStore>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.ping().await.unwrap();
    an_operation_goes_from_queued_to_done(&*store).await;
    a_failure_is_kept_with_its_reason(&*store).await;
    a_failure_can_be_reopened(&*store).await;
    a_late_row_hides_nothing(&*store).await;
    a_missing_row_is_added_by_its_worker(&*store).await;
    what_is_final_stays(&*store).await;
    an_id_belongs_to_who_came_first(&*store).await;
    an_unknown_id_is_nobody(&*store).await;

    let operation = queued("600");
    store.enqueue(&operation).await.unwrap();
    drop(store);
    let found = open(folder.path()).find(operation.id).await.unwrap();
    assert_eq!(found, Some(operation), "a store outlives its process");
}

fn queued(width: &str) -> Operation {
    let request = ResizeRequest::from_pairs([("width", width), ("fit", "cover")]).unwrap();
    let source = PictureFacts {
        format: Format::Png,
        width: 40,
        height: 30,
        bytes: 7,
        digest: Digest::of(b"picture"),
    };
    Operation::queued(OperationId::generate(), request, source, now())
}

/// Now, as precisely as every store keeps it.
fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap()
}

fn finished(bytes: &'static [u8]) -> FinishedPicture {
    FinishedPicture {
        facts: PictureFacts {
            format: Format::Webp,
            width: 20,
            height: 15,
            bytes: bytes.len() as u64,
            digest: Digest::of(bytes),
        },
        bytes: Bytes::from_static(bytes),
        fingerprint: Some(Fingerprint(0x0123_4567_89ab_cdef)),
        engine: "7",
    }
}

async fn find(store: &dyn PictureStore, operation: &Operation) -> Operation {
    store.find(operation.id).await.unwrap().unwrap()
}

async fn begin(store: &dyn PictureStore, operation: &Operation) -> Begun {
    store.begin(operation, "worker-1", now()).await.unwrap()
}

async fn an_operation_goes_from_queued_to_done(store: &dyn PictureStore) {
    let operation = queued("100");
    store.enqueue(&operation).await.unwrap();
    assert_eq!(find(store, &operation).await, operation);
    assert_eq!(store.result(operation.id).await.unwrap(), None);

    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    let row = find(store, &operation).await;
    assert_eq!(row.status, Status::Processing);
    assert_eq!(row.worker.as_deref(), Some("worker-1"));
    assert_eq!(begin(store, &operation).await, Begun::Attempt(2));

    let (picture, at) = (finished(b"result"), now());
    store
        .complete(operation.id, picture.clone(), at)
        .await
        .unwrap();
    let row = find(store, &operation).await;
    assert_eq!(row.status, Status::Done);
    assert_eq!(row.result, Some(picture.facts));
    assert_eq!(row.fingerprint, picture.fingerprint);
    assert_eq!(row.engine.as_deref(), Some("7"));
    assert_eq!(row.finished_at, Some(at));
    assert_eq!(row.attempts, 2);
    assert_eq!(
        store.result(operation.id).await.unwrap(),
        Some(picture.bytes)
    );
}

async fn a_failure_is_kept_with_its_reason(store: &dyn PictureStore) {
    let operation = queued("200");
    begin(store, &operation).await;
    store
        .fail(operation.id, "it is broken: „§“", "7", now())
        .await
        .unwrap();
    let row = find(store, &operation).await;
    assert_eq!(row.status, Status::Failed);
    assert_eq!(row.failure.as_deref(), Some("it is broken: „§“"));
    assert_eq!(begin(store, &operation).await, Begun::Finished);
}

async fn a_failure_can_be_reopened(store: &dyn PictureStore) {
    let operation = queued("201");
    store.enqueue(&operation).await.unwrap();
    assert!(
        !store.reopen(operation.id).await.unwrap(),
        "it has not failed"
    );
    begin(store, &operation).await;
    store
        .fail(operation.id, "broken", "7", now())
        .await
        .unwrap();
    assert!(store.reopen(operation.id).await.unwrap());
    assert_eq!(find(store, &operation).await, operation, "as it was queued");
    assert!(!store.reopen(operation.id).await.unwrap());
    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    let picture = finished(b"reopened");
    let id = operation.id;
    store.complete(id, picture, now()).await.unwrap();
    assert!(!store.reopen(id).await.unwrap(), "it is done");
}

async fn a_late_row_hides_nothing(store: &dyn PictureStore) {
    let operation = queued("300");
    begin(store, &operation).await;
    store
        .complete(operation.id, finished(b"result"), now())
        .await
        .unwrap();
    store.enqueue(&operation).await.unwrap();
    assert_eq!(find(store, &operation).await.status, Status::Done);
}

async fn a_missing_row_is_added_by_its_worker(store: &dyn PictureStore) {
    let operation = queued("400");
    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    let row = find(store, &operation).await;
    assert_eq!(row.request, operation.request);
    assert_eq!(row.source, operation.source);
    assert_eq!(row.queued_at, operation.queued_at);
}

async fn what_is_final_stays(store: &dyn PictureStore) {
    let operation = queued("500");
    begin(store, &operation).await;
    let picture = finished(b"first");
    store
        .complete(operation.id, picture.clone(), now())
        .await
        .unwrap();
    let row = find(store, &operation).await;
    store
        .complete(operation.id, finished(b"second"), now())
        .await
        .unwrap();
    store
        .fail(operation.id, "too late", "7", now())
        .await
        .unwrap();
    assert_eq!(begin(store, &operation).await, Begun::Finished);
    assert_eq!(find(store, &operation).await, row);
    assert_eq!(
        store.result(operation.id).await.unwrap(),
        Some(picture.bytes)
    );
}

async fn an_id_belongs_to_who_came_first(store: &dyn PictureStore) {
    let operation = queued("501");
    let other = Operation {
        id: operation.id,
        ..queued("502")
    };
    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    assert_eq!(begin(store, &other).await, Begun::Taken);
    assert_eq!(find(store, &operation).await.request, operation.request);
}

async fn an_unknown_id_is_nobody(store: &dyn PictureStore) {
    let id = OperationId::generate();
    assert_eq!(store.find(id).await.unwrap(), None);
    assert_eq!(store.result(id).await.unwrap(), None);
}
