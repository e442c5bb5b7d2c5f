//! The contract of expiry and erasure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use picresize::event_log::EventPosition;
use picresize::operation::{Operation, OperationId, Status};
use picresize::picture_store::{Begun, PictureStore, UnreadEvents};

use super::{Store, begin, done, find, finished, now, queued};

/// Checks that the pictures are gone and that nothing restores them.
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

pub(super) async fn what_expired_is_gone_and_then_forgotten(store: &dyn PictureStore) {
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

/// The log removed these events before a worker read them.
pub(super) async fn unread_events_fail_their_operations(store: &dyn PictureStore) {
    let at = |partition, offset, width| {
        let mut operation = queued(width);
        operation.position = Some(EventPosition { partition, offset });
        operation
    };
    let unread = [at(3, 9, "731"), at(3, 10, "732"), at(3, 101, "733")];
    let others = [
        at(3, 8, "734"),
        at(3, 102, "735"),
        at(33, 10, "736"),
        at(13, 10, "737"),
        queued("738"),
    ];
    for operation in unread.iter().chain(&others) {
        store.enqueue(operation).await.unwrap();
    }
    let finished_one = at(3, 50, "739");
    done(store, &finished_one, &finished("in time")).await;
    begin(store, &unread[1]).await;

    let events = UnreadEvents {
        partition: 3,
        offsets: 9..102,
    };
    let fail = async || {
        let failed = store.fail_unread(&events, "expired unread", "7", now(), 2);
        failed.await.unwrap()
    };
    assert_eq!(fail().await, 2);
    assert_eq!(fail().await, 1);
    assert_eq!(fail().await, 0);
    for operation in &unread {
        let row = find(store, operation).await;
        assert_eq!(row.status, Status::Failed);
        assert_eq!(row.failure.as_deref(), Some("expired unread"));
    }
    for operation in &others {
        assert_eq!(find(store, operation).await.status, Status::Queued);
    }
    assert_eq!(find(store, &finished_one).await.status, Status::Done);
}

pub(super) async fn what_is_erased_is_gone_whatever_it_was(store: &dyn PictureStore) {
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

/// Whichever of the two comes first.
pub(super) async fn a_result_that_comes_with_an_erasure_is_gone(store: &Store) {
    for round in 0..20 {
        let operation = queued("730");
        begin(&**store, &operation).await;
        let completing = tokio::spawn({
            let (store, id) = (Arc::clone(store), operation.id);
            async move { store.complete(id, finished("late"), now()).await.unwrap() }
        });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        assert!(store.erase(operation.id, now()).await.unwrap());
        completing.await.unwrap();
        is_gone(&**store, &operation, Status::Erased).await;
    }
}
