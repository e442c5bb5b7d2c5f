//! The contract of expiry and erasure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use picresize::operation::{Operation, OperationId, Status};
use picresize::picture_store::{Begun, PictureStore};

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
