//! The contract of the life cycle of an operation.

use std::sync::Arc;
use std::time::Duration;

use picresize::operation::{EventPosition, Operation, OperationId, Status, Tenant};
use picresize::picture_store::{Begun, PictureStore};
use tokio::task::JoinSet;

use super::{Store, begin, done, find, finished, now, queued, queued_picture};

pub(super) async fn an_operation_goes_from_queued_to_done(store: &dyn PictureStore) {
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

pub(super) async fn several_are_queued_at_once(store: &dyn PictureStore) {
    let operations = [queued("151"), queued("152"), queued("153")];
    begin(store, &operations[1]).await;
    store.enqueue_all(&operations).await.unwrap();
    store.enqueue_all(&[]).await.unwrap();
    store.sync().await.unwrap();
    let expected = [Status::Queued, Status::Processing, Status::Queued];
    for (operation, status) in operations.iter().zip(expected) {
        assert_eq!(find(store, operation).await.status, status);
    }
}

pub(super) async fn a_failure_is_kept_with_its_reason(store: &dyn PictureStore) {
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

pub(super) async fn a_late_row_hides_nothing(store: &dyn PictureStore) {
    let operation = queued("300");
    begin(store, &operation).await;
    store
        .complete(operation.id, finished("result"), now())
        .await
        .unwrap();
    store.enqueue(&operation).await.unwrap();
    assert_eq!(find(store, &operation).await.status, Status::Done);
}

pub(super) async fn several_are_queued_as_each_alone(store: &dyn PictureStore) {
    let at = |offset| {
        Some(EventPosition {
            partition: 6,
            offset,
        })
    };
    let mut operations = Vec::new();
    for offset in 0..150 {
        operations.push(Operation {
            position: at(offset),
            ..queued("310")
        });
    }
    let [deposited, begun, taken] = [3, 77, 140].map(|index| operations[index].clone());
    let not_yet = Operation {
        position: None,
        ..deposited.clone()
    };
    store.deposit(&not_yet, "picture".into()).await.unwrap();
    begin(store, &begun).await;
    let other = Operation {
        request: queued("311").request,
        position: None,
        ..taken.clone()
    };
    store.enqueue(&other).await.unwrap();
    // Those that are new are added, in whatever order they come.
    operations.rotate_left(60);
    for count in [0, 1, 3, 150] {
        store.enqueue_all(&operations[..count]).await.unwrap();
    }
    for operation in &operations {
        let row = find(store, operation).await;
        if operation.id == taken.id {
            assert_eq!(row, other);
        } else if operation.id == begun.id {
            assert_eq!(row.status, Status::Processing);
        } else {
            assert_eq!(row, *operation);
        }
    }
    assert!(store.is_deposited(deposited.id).await.unwrap());
}

pub(super) async fn a_missing_row_is_added_by_its_worker(store: &dyn PictureStore) {
    let operation = queued("400");
    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    let row = find(store, &operation).await;
    assert_eq!(row.request, operation.request);
    assert_eq!(row.source, operation.source);
    assert_eq!(row.queued_at, operation.queued_at);
}

pub(super) async fn what_is_final_stays(store: &dyn PictureStore) {
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

pub(super) async fn an_id_belongs_to_who_came_first(store: &dyn PictureStore) {
    let operation = queued("501");
    let other = Operation {
        id: operation.id,
        ..queued("502")
    };
    assert_eq!(begin(store, &operation).await, Begun::Attempt(1));
    let before = find(store, &operation).await;
    assert_eq!(begin(store, &other).await, Begun::Taken);
    assert_eq!(find(store, &operation).await, before);
    done(store, &operation, &finished("result")).await;
    assert_eq!(begin(store, &other).await, Begun::Taken);
}

pub(super) async fn an_unknown_id_is_nobody(store: &dyn PictureStore) {
    let id = OperationId::generate();
    assert_eq!(store.find(id).await.unwrap(), None);
    assert_eq!(store.result(id).await.unwrap(), None);
}

pub(super) async fn many_begin_at_once_and_each_attempt_counts(store: &Store) {
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

pub(super) async fn what_a_row_lacks_is_filled_in(store: &dyn PictureStore) {
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
    // It only gets the missing position.
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

pub(super) async fn a_large_result_goes_in_and_out(store: &dyn PictureStore) {
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

pub(super) async fn those_in_progress_are_counted(store: &dyn PictureStore) {
    let tenant: Tenant = "counted".parse().unwrap();
    let count = async |most| store.unfinished(&tenant, most).await.unwrap();
    assert_eq!(count(10).await, 0);
    let mut operations = Vec::new();
    for number in 0..3 {
        let mut operation = queued_picture("99", &format!("counted {number}"));
        operation.tenant = tenant.clone();
        store.enqueue(&operation).await.unwrap();
        assert_eq!(find(store, &operation).await.tenant, tenant);
        operations.push(operation);
    }
    store.begin(&operations[0], "w", now()).await.unwrap();
    assert_eq!((count(10).await, count(2).await), (3, 2));
    store
        .fail(operations[0].id, "no", "7", now())
        .await
        .unwrap();
    done(store, &operations[1], &finished("counted")).await;
    assert_eq!(count(10).await, 1);
    store.erase(operations[2].id, now()).await.unwrap();
    assert_eq!(count(10).await, 0);
}
