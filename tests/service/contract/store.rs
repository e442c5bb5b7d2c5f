//! What every picture store keeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use picresize::operation::{
    Digest, EventPosition, Fingerprint, Format, Operation, OperationId, PictureFacts,
    ResizeRequest, Status,
};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::picture_store::{Begun, FinishedPicture, MOST_DISTANCE, Page, PictureStore};
use tokio::task::JoinSet;

use crate::mysql::{Server, TestDatabase};

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
    an_operation_goes_from_queued_to_done(&*store).await;
    a_failure_is_kept_with_its_reason(&*store).await;
    a_failure_can_be_reopened(&*store).await;
    a_late_row_hides_nothing(&*store).await;
    a_missing_row_is_added_by_its_worker(&*store).await;
    what_is_final_stays(&*store).await;
    an_id_belongs_to_who_came_first(&*store).await;
    an_unknown_id_is_nobody(&*store).await;
    many_begin_at_once_and_each_attempt_counts(&store).await;
    what_a_row_lacks_is_filled_in(&*store).await;
    a_deposited_picture_is_there_for_its_worker(&*store).await;
    a_large_result_goes_in_and_out(&*store).await;
    a_deposit_is_withdrawn_unless_the_log_has_its_event(&*store).await;
    a_deposit_without_a_position_can_be_discarded(&*store).await;
    a_twin_lends_its_result(&*store).await;
    a_result_is_replaced_only_on_purpose(&*store).await;
    pictures_are_found_by_their_digests(&*store).await;
    look_alikes_are_found_nearest_first(&*store).await;
    what_expired_is_gone_and_then_forgotten(&*store).await;
    what_is_erased_is_gone_whatever_it_was(&*store).await;

    let operation = queued("600");
    store.enqueue(&operation).await.unwrap();
    drop(store);
    let found = open().await.find(operation.id).await.unwrap();
    assert_eq!(found, Some(operation), "a store outlives its process");
}

pub(crate) fn queued(width: &str) -> Operation {
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

fn finished(bytes: impl Into<Bytes>) -> FinishedPicture {
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

    let (picture, at) = (finished("result"), now());
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
    let picture = finished(&b"reopened"[..]);
    let id = operation.id;
    store.complete(id, picture, now()).await.unwrap();
    assert!(!store.reopen(id).await.unwrap(), "it is done");
}

async fn a_late_row_hides_nothing(store: &dyn PictureStore) {
    let operation = queued("300");
    begin(store, &operation).await;
    store
        .complete(operation.id, finished("result"), now())
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
    let picture = finished("first");
    let completed = store.complete(operation.id, picture.clone(), now());
    assert!(completed.await.unwrap());
    let row = find(store, &operation).await;
    let completed = store.complete(operation.id, finished("second"), now());
    assert!(!completed.await.unwrap());
    let failed = store.fail(operation.id, "too late", "7", now());
    assert!(!failed.await.unwrap());
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

/// An operation that is done, with a result of its own.
async fn done(store: &dyn PictureStore, operation: &Operation, picture: &FinishedPicture) {
    begin(store, operation).await;
    store
        .complete(operation.id, picture.clone(), now())
        .await
        .unwrap();
}

/// An operation on a picture of its own.
fn queued_picture(width: &str, picture: &str) -> Operation {
    let mut operation = queued(width);
    operation.source.digest = Digest::of(picture.as_bytes());
    operation
}

async fn many_begin_at_once_and_each_attempt_counts(store: &Store) {
    let operation = queued("700");
    let mut workers = JoinSet::new();
    for _ in 0..10 {
        let (store, operation) = (Arc::clone(store), operation.clone());
        workers.spawn(async move { begin(&*store, &operation).await });
    }
    let mut attempts: Vec<u32> = workers
        .join_all()
        .await
        .into_iter()
        .map(|begun| match begun {
            Begun::Attempt(attempt) => attempt,
            other => panic!("{other:?}"),
        })
        .collect();
    attempts.sort_unstable();
    assert_eq!(attempts, Vec::from_iter(1..=10));
}

async fn what_a_row_lacks_is_filled_in(store: &dyn PictureStore) {
    let bare = queued("701");
    let at = |offset| {
        Some(EventPosition {
            partition: 3,
            offset,
        })
    };
    let complete = Operation {
        position: at(7),
        expires_at: Some(now() + Duration::from_secs(1000)),
        ..bare.clone()
    };
    store.enqueue(&bare).await.unwrap();
    assert_eq!(find(store, &bare).await.position, None);
    begin(store, &complete).await;
    let row = find(store, &bare).await;
    assert_eq!(row.position, complete.position);
    assert_eq!(row.expires_at, complete.expires_at);
    // Only what it lacks.
    let other = Operation {
        position: at(8),
        expires_at: None,
        ..bare.clone()
    };
    begin(store, &other).await;
    let row = find(store, &bare).await;
    assert_eq!(row.position, complete.position);
    assert_eq!(row.expires_at, complete.expires_at);
}

async fn a_deposited_picture_is_there_for_its_worker(store: &dyn PictureStore) {
    let operation = Operation {
        expires_at: Some(now() + Duration::from_secs(1000)),
        ..queued("702")
    };
    assert_eq!(store.deposited(operation.id).await.unwrap(), None);
    for picture in ["picture", "another"] {
        store
            .deposit(&operation, Bytes::from(picture))
            .await
            .unwrap();
        let found = store.deposited(operation.id).await.unwrap();
        assert_eq!(found, Some(Bytes::from("picture")), "the first one stays");
    }
    assert_eq!(find(store, &operation).await, operation);
    store.enqueue(&operation).await.unwrap();
    done(store, &operation, &finished("result of a deposit")).await;
    let found = store.deposited(operation.id).await.unwrap();
    assert_eq!(found, Some(Bytes::from("picture")));

    let without = queued("703");
    store.enqueue(&without).await.unwrap();
    assert_eq!(store.deposited(without.id).await.unwrap(), None);
    assert!(store.is_deposited(operation.id).await.unwrap());
    assert!(!store.is_deposited(without.id).await.unwrap());
}

async fn a_deposit_is_withdrawn_unless_the_log_has_its_event(store: &dyn PictureStore) {
    let deposit = async |operation: &Operation| {
        let deposited = store.deposit(operation, Bytes::from("picture"));
        deposited.await.unwrap();
    };
    let refused = queued("719");
    deposit(&refused).await;
    store.withdraw(refused.id).await.unwrap();
    assert_eq!(store.find(refused.id).await.unwrap(), None);
    store.withdraw(refused.id).await.unwrap();

    let accepted = Operation {
        position: Some(EventPosition {
            partition: 2,
            offset: 5,
        }),
        ..queued("720")
    };
    let not_yet = Operation {
        position: None,
        ..accepted.clone()
    };
    deposit(&not_yet).await;
    assert_eq!(find(store, &accepted).await, not_yet);
    let another = Operation {
        request: queued("721").request,
        ..accepted.clone()
    };
    store.enqueue(&another).await.unwrap();
    assert_eq!(find(store, &accepted).await.position, None);
    store.enqueue(&accepted).await.unwrap();
    store.withdraw(accepted.id).await.unwrap();
    assert_eq!(find(store, &accepted).await, accepted);
    let found = store.deposited(accepted.id).await.unwrap();
    assert_eq!(found, Some(Bytes::from("picture")));

    let begun = queued("722");
    deposit(&begun).await;
    begin(store, &begun).await;
    store.withdraw(begun.id).await.unwrap();
    assert_eq!(find(store, &begun).await.attempts, 1);
}

async fn a_deposit_without_a_position_can_be_discarded(store: &dyn PictureStore) {
    let hours = |hours| Duration::from_secs(hours * 3600);
    let deposit = async |operation: &Operation| {
        let deposited = store.deposit(operation, Bytes::from("picture"));
        deposited.await.unwrap();
    };
    let old = |width| Operation {
        queued_at: now() - hours(48),
        ..queued(width)
    };
    let before = now() - hours(24);
    let accepted = Operation {
        position: Some(EventPosition {
            partition: 4,
            offset: 2,
        }),
        ..old("723")
    };
    let not_yet = Operation {
        position: None,
        ..accepted.clone()
    };
    let begun = old("724");
    let without_picture = old("725");
    let renewed = old("726");
    deposit(&not_yet).await;
    store.enqueue(&accepted).await.unwrap();
    deposit(&begun).await;
    begin(store, &begun).await;
    store.enqueue(&without_picture).await.unwrap();
    deposit(&renewed).await;
    let renewed = Operation {
        queued_at: now(),
        expires_at: Some(now() + hours(1)),
        ..renewed
    };
    deposit(&renewed).await;
    assert_eq!(find(store, &renewed).await, renewed);
    assert!(!store.has_lost_deposits(before).await.unwrap());
    assert_eq!(store.discard_deposits(before, 100).await.unwrap(), 0);

    let lost = ["727", "728", "729"].map(old);
    for operation in &lost {
        deposit(operation).await;
    }
    assert!(store.has_lost_deposits(before).await.unwrap());
    assert_eq!(store.discard_deposits(before, 2).await.unwrap(), 2);
    assert_eq!(store.discard_deposits(before, 2).await.unwrap(), 1);
    assert!(!store.has_lost_deposits(before).await.unwrap());
    for operation in &lost {
        assert_eq!(store.find(operation.id).await.unwrap(), None);
    }
    for operation in [&accepted, &begun, &renewed] {
        let found = store.deposited(operation.id).await.unwrap();
        assert_eq!(found, Some(Bytes::from("picture")));
    }
    assert_eq!(find(store, &without_picture).await, without_picture);
    // What was accepted keeps its times.
    let again = Operation {
        queued_at: now(),
        ..accepted.clone()
    };
    deposit(&again).await;
    assert_eq!(find(store, &accepted).await, accepted);
}

async fn a_large_result_goes_in_and_out(store: &dyn PictureStore) {
    let mut bytes = vec![0; 64 << 20];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index * 7 + index / 251) as u8;
    }
    let operation = queued("704");
    let picture = finished(bytes);
    done(store, &operation, &picture).await;
    let found = store.result(operation.id).await.unwrap().unwrap();
    assert!(found == picture.bytes, "the bytes differ");
}

async fn a_twin_lends_its_result(store: &dyn PictureStore) {
    const ENGINE: &str = "7";
    let first = queued_picture("705", "twins");
    let picture = finished("the twins' result");
    let second = Operation {
        id: OperationId::generate(),
        ..first.clone()
    };
    assert_eq!(store.twin(&second, ENGINE).await.unwrap(), None);
    store.enqueue(&first).await.unwrap();
    assert_eq!(store.twin(&second, ENGINE).await.unwrap(), None);
    assert!(!store.copy_result(second.id, first.id, now()).await.unwrap());
    done(store, &first, &picture).await;
    assert_eq!(store.twin(&second, ENGINE).await.unwrap(), Some(first.id));
    assert_eq!(store.twin(&first, ENGINE).await.unwrap(), None);
    assert_eq!(store.twin(&second, "8").await.unwrap(), None);
    let other = queued_picture("706", "twins");
    assert_eq!(store.twin(&other, ENGINE).await.unwrap(), None);

    // There is no row yet.
    assert!(!store.copy_result(second.id, first.id, now()).await.unwrap());
    store.enqueue(&second).await.unwrap();
    let at = now();
    assert!(store.copy_result(second.id, first.id, at).await.unwrap());
    let row = find(store, &second).await;
    assert_eq!(row.status, Status::Done);
    assert_eq!(row.result, Some(picture.facts.clone()));
    assert_eq!(row.fingerprint, picture.fingerprint);
    assert_eq!(row.engine.as_deref(), Some(ENGINE));
    assert_eq!((row.started_at, row.finished_at), (None, Some(at)));
    assert_eq!(
        store.result(second.id).await.unwrap(),
        Some(picture.bytes.clone())
    );
    assert!(!store.copy_result(second.id, first.id, now()).await.unwrap());

    let third = Operation {
        id: OperationId::generate(),
        ..first.clone()
    };
    store.enqueue(&third).await.unwrap();
    for gone in [first.id, second.id] {
        store.erase(gone, now()).await.unwrap();
    }
    assert_eq!(store.twin(&third, ENGINE).await.unwrap(), None);
    assert!(!store.copy_result(third.id, first.id, now()).await.unwrap());
}

async fn a_result_is_replaced_only_on_purpose(store: &dyn PictureStore) {
    let operation = queued_picture("707", "to be replaced");
    let request = ResizeRequest::from_pairs([("width", "17")]).unwrap();
    let picture = FinishedPicture {
        fingerprint: None,
        engine: "8",
        ..finished("a better result")
    };
    let replace = async || {
        let replaced = store.replace(operation.id, &request, picture.clone(), now());
        replaced.await.unwrap()
    };
    assert!(!replace().await);
    store.enqueue(&operation).await.unwrap();
    assert!(!replace().await, "there is nothing to replace yet");
    done(store, &operation, &finished("the first result")).await;
    assert!(replace().await);
    assert!(replace().await, "once more is no harm");
    let row = find(store, &operation).await;
    assert_eq!(row.status, Status::Done);
    assert_eq!(row.request, request);
    assert_eq!(row.result, Some(picture.facts.clone()));
    assert_eq!(row.fingerprint, None);
    assert_eq!(row.engine.as_deref(), Some("8"));
    assert_eq!(
        store.result(operation.id).await.unwrap(),
        Some(picture.bytes.clone())
    );
    store.erase(operation.id, now()).await.unwrap();
    assert!(!replace().await);
}

async fn pictures_are_found_by_their_digests(store: &dyn PictureStore) {
    let digest = Digest::of(b"in and out");
    assert_eq!(store.with_digest(digest, ALL).await.unwrap(), []);
    let mut ids = Vec::new();
    for age in [30, 20, 10, 0] {
        let operation = Operation {
            queued_at: now() - Duration::from_secs(age),
            ..queued_picture("708", "in and out")
        };
        store.enqueue(&operation).await.unwrap();
        ids.push(operation.id);
    }
    // One of which it is the result, and one of which it is both.
    let result = Operation {
        queued_at: now() - Duration::from_secs(15),
        ..queued_picture("709", "something else")
    };
    done(store, &result, &finished("in and out")).await;
    let both = Operation {
        queued_at: now() - Duration::from_secs(5),
        ..queued_picture("709", "in and out")
    };
    done(store, &both, &finished("in and out")).await;
    ids.insert(2, result.id);
    ids.insert(4, both.id);
    ids.reverse();

    let found = async |skip, take| -> Vec<OperationId> {
        let found = store
            .with_digest(digest, Page { skip, take })
            .await
            .unwrap();
        found.iter().map(|operation| operation.id).collect()
    };
    assert_eq!(found(0, 1000).await, ids);
    assert_eq!(found(0, 2).await, ids[..2]);
    assert_eq!(found(4, 10).await, ids[4..]);
    assert_eq!(found(6, 10).await, []);
    store.erase(ids[0], now()).await.unwrap();
    assert_eq!(found(0, 1000).await, ids[1..]);
}

async fn look_alikes_are_found_nearest_first(store: &dyn PictureStore) {
    let sought = Fingerprint(0xfedc_ba98_7654_3210);
    let nobody = Digest::of(b"nobody's picture");
    let nothing = store.similar(sought, MOST_DISTANCE, nobody, ALL).await;
    assert_eq!(nothing.unwrap(), []);
    let mut expected = Vec::new();
    for (mask, age) in [
        (0_u64, 10),
        (0, 20),
        (1 << 63, 0),
        (0x0003_0000_0000_0000, 0),
        (0x0003_0003_0001_0001, 0),
        (0x0003_0003_0003_0001, 0),
        // Eight bits, two in each band: too far.
        (0x0003_0003_0003_0003, 0),
        (u64::MAX, 0),
    ] {
        let operation = Operation {
            queued_at: now() - Duration::from_secs(age),
            ..queued("710")
        };
        let picture = FinishedPicture {
            fingerprint: Some(Fingerprint(sought.0 ^ mask)),
            ..finished("alike")
        };
        done(store, &operation, &picture).await;
        if mask.count_ones() <= MOST_DISTANCE {
            expected.push((mask.count_ones(), operation.id));
        }
    }
    let found = async |distance, skip, take| -> Vec<(u32, OperationId)> {
        let found = store.similar(sought, distance, nobody, Page { skip, take });
        let found = found.await.unwrap();
        found.iter().map(|(far, row)| (*far, row.id)).collect()
    };
    assert_eq!(found(MOST_DISTANCE, 0, 1000).await, expected);
    assert_eq!(found(2, 0, 1000).await, expected[..4]);
    assert_eq!(found(0, 0, 1000).await, expected[..2]);
    assert_eq!(found(MOST_DISTANCE, 1, 3).await, expected[1..4]);
    assert_eq!(found(MOST_DISTANCE, 6, 3).await, []);
    store.erase(expected[0].1, now()).await.unwrap();
    assert_eq!(found(MOST_DISTANCE, 0, 1000).await, expected[1..]);

    // What has the very bytes, as source or result, is no look-alike.
    let exact = queued_picture("710", "a source");
    let picture = FinishedPicture {
        fingerprint: Some(sought),
        ..finished("its result")
    };
    done(store, &exact, &picture).await;
    let without = async |digest, page| -> Vec<OperationId> {
        let found = store.similar(sought, 0, digest, page).await.unwrap();
        found.iter().map(|(_, row)| row.id).collect()
    };
    assert_eq!(without(nobody, ALL).await, [exact.id, expected[1].1]);
    for bytes in [b"a source".as_slice(), b"its result"] {
        assert_eq!(without(Digest::of(bytes), ALL).await, [expected[1].1]);
        let second = Page { skip: 1, take: 1 };
        assert_eq!(without(Digest::of(bytes), second).await, []);
    }
    assert_eq!(without(Digest::of(b"alike"), ALL).await, [exact.id]);
}

/// The pictures are gone and nothing brings them back.
async fn is_gone(store: &dyn PictureStore, operation: &Operation, status: Status) {
    let row = find(store, operation).await;
    assert_eq!(row.status, status);
    assert_eq!(row.fingerprint, None);
    let late = finished("much too late");
    store
        .complete(operation.id, late.clone(), now())
        .await
        .unwrap();
    store.fail(operation.id, "late", "7", now()).await.unwrap();
    store.enqueue(operation).await.unwrap();
    store.deposit(operation, late.bytes).await.unwrap();
    assert_eq!(begin(store, operation).await, Begun::Finished);
    assert_eq!(find(store, operation).await, row);
    assert_eq!(store.result(operation.id).await.unwrap(), None);
    assert_eq!(store.deposited(operation.id).await.unwrap(), None);
}

async fn what_expired_is_gone_and_then_forgotten(store: &dyn PictureStore) {
    let end = now() - Duration::from_secs(100);
    let second = Duration::from_secs(1);
    let mut operations = Vec::new();
    for width in ["711", "712", "713"] {
        operations.push(Operation {
            queued_at: end - second,
            expires_at: Some(end),
            ..queued(width)
        });
    }
    let [waiting, finished_one, failed] = &operations[..] else {
        unreachable!();
    };
    let later = Operation {
        expires_at: Some(end + second),
        ..queued("714")
    };
    let never = queued("715");
    for operation in [&later, &never] {
        done(store, operation, &finished("kept")).await;
    }
    store
        .deposit(waiting, Bytes::from("picture"))
        .await
        .unwrap();
    done(store, finished_one, &finished("old")).await;
    begin(store, failed).await;
    store.fail(failed.id, "broken", "7", now()).await.unwrap();

    let just_before = end - Duration::from_millis(1);
    assert_eq!(store.expire(just_before, 100).await.unwrap(), 0);
    assert_eq!(store.expire(end, 2).await.unwrap(), 2);
    assert_eq!(store.expire(end, 2).await.unwrap(), 1);
    assert_eq!(store.expire(end, 2).await.unwrap(), 0);
    for operation in &operations {
        is_gone(store, operation, Status::Expired).await;
    }
    for operation in [&later, &never] {
        assert_eq!(find(store, operation).await.status, Status::Done);
        assert!(store.result(operation.id).await.unwrap().is_some());
    }

    assert_eq!(store.forget(end, 100).await.unwrap(), 0);
    assert_eq!(store.forget(end + second, 2).await.unwrap(), 2);
    assert_eq!(store.forget(end + second, 2).await.unwrap(), 1);
    for operation in &operations {
        assert_eq!(store.find(operation.id).await.unwrap(), None);
    }
    assert!(store.find(later.id).await.unwrap().is_some());
}

async fn what_is_erased_is_gone_whatever_it_was(store: &dyn PictureStore) {
    let unknown = OperationId::generate();
    assert!(!store.erase(unknown, now()).await.unwrap());
    let waiting = queued("716");
    store
        .deposit(&waiting, Bytes::from("picture"))
        .await
        .unwrap();
    let working = queued("717");
    begin(store, &working).await;
    let finished_one = queued("718");
    done(store, &finished_one, &finished("to be erased")).await;
    for operation in [&waiting, &working, &finished_one] {
        let at = now();
        assert!(store.erase(operation.id, at).await.unwrap());
        is_gone(store, operation, Status::Erased).await;
        assert_eq!(find(store, operation).await.expires_at, Some(at));
        let again = at + Duration::from_secs(1);
        assert!(store.erase(operation.id, again).await.unwrap());
        assert_eq!(find(store, operation).await.expires_at, Some(at));
    }
    assert!(store.is_deposited(waiting.id).await.unwrap());
}
