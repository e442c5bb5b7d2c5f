//! The contract that every picture store keeps.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use picresize::operation::{
    Digest, Fingerprint, Format, Operation, OperationId, PictureFacts, ResizeOptions,
};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::picture_store::{Begun, FinishedPicture, Page, PictureStore};

use crate::mysql::{Server, TestDatabase};

mod deposits;
mod lookup;
mod operations;
mod playback;
mod retention;

type Store = Arc<dyn PictureStore>;

const ALL: Page = Page {
    skip: 0,
    take: 1000,
};

#[tokio::test]
async fn the_embedded_store_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    picture_store_keeps_its_contract(async || {
        Arc::new(EmbeddedStore::open(&folder.path().join("pictures.sqlite")).unwrap()) as Store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mysql_store_keeps_its_contract() {
    server_keeps_the_contract(Server::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mariadb_store_keeps_its_contract() {
    server_keeps_the_contract(Server::MariaDb).await;
}

async fn server_keeps_the_contract(server: Server) {
    let Some(database) = TestDatabase::prepared(server).await else {
        return;
    };
    picture_store_keeps_its_contract(async || Arc::new(database.open().await.unwrap()) as Store)
        .await;
}

/// Runs a store through its contract. `open` opens the same store, fresh or again.
async fn picture_store_keeps_its_contract(open: impl AsyncFn() -> Store) {
    let store = open().await;
    store.ping().await.unwrap();
    operations::an_operation_goes_from_queued_to_done(&*store).await;
    operations::several_are_queued_at_once(&*store).await;
    operations::those_in_progress_are_counted(&*store).await;
    operations::a_failure_is_kept_with_its_reason(&*store).await;
    playback::a_failure_can_be_reopened(&*store).await;
    operations::a_late_row_hides_nothing(&*store).await;
    operations::several_are_queued_as_each_alone(&*store).await;
    operations::a_missing_row_is_added_by_its_worker(&*store).await;
    operations::what_is_final_stays(&*store).await;
    operations::an_id_belongs_to_who_came_first(&*store).await;
    operations::an_unknown_id_is_nobody(&*store).await;
    operations::many_begin_at_once_and_each_attempt_counts(&store).await;
    operations::what_a_row_lacks_is_filled_in(&*store).await;
    deposits::a_deposited_picture_is_there_for_its_worker(&*store).await;
    operations::a_large_result_goes_in_and_out(&*store).await;
    deposits::a_deposit_is_withdrawn_unless_the_log_has_its_event(&*store).await;
    deposits::a_deposit_without_a_position_can_be_discarded(&*store).await;
    lookup::an_equal_request_lends_its_result(&*store).await;
    playback::a_result_is_replaced_only_on_purpose(&*store).await;
    lookup::pictures_are_found_by_their_digests(&*store).await;
    lookup::look_alikes_are_found_nearest_first(&*store).await;
    retention::what_expired_is_gone_and_then_forgotten(&*store).await;
    retention::unread_events_fail_their_operations(&*store).await;
    retention::what_is_erased_is_gone_whatever_it_was(&*store).await;
    retention::a_result_that_comes_with_an_erasure_is_gone(&store).await;

    let operation = queued("600");
    store.enqueue(&operation).await.unwrap();
    drop(store);
    let found = open().await.find(operation.id).await.unwrap();
    assert_eq!(found, Some(operation), "a store outlives its process");
}

pub(crate) fn queued(width: &str) -> Operation {
    let request = ResizeOptions::from_pairs([("width", width), ("fit", "cover")]).unwrap();
    let source = PictureFacts {
        format: Format::Png,
        width: 40,
        height: 30,
        bytes: 7,
        digest: Digest::of(b"picture"),
    };
    Operation::queued(OperationId::generate(), request, source, now())
}

/// The current time, with the precision that every store keeps.
fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap()
}

pub(crate) fn finished(bytes: impl Into<Bytes>) -> FinishedPicture {
    let bytes = bytes.into();
    FinishedPicture {
        facts: PictureFacts {
            format: Format::Webp,
            width: 20,
            height: 15,
            bytes: bytes.len() as u64,
            digest: Digest::of(&bytes),
        },
        bytes,
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

/// An operation that is done, with a result of its own.
pub(crate) async fn done(
    store: &dyn PictureStore,
    operation: &Operation,
    picture: &FinishedPicture,
) {
    begin(store, operation).await;
    store
        .complete(operation.id, picture.clone(), now())
        .await
        .unwrap();
}

/// An operation on a picture of its own.
pub(crate) fn queued_picture(width: &str, picture: &str) -> Operation {
    let mut operation = queued(width);
    operation.source.digest = Digest::of(picture.as_bytes());
    operation
}
