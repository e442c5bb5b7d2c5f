//! The contract of deposited pictures.

use std::time::Duration;

use bytes::Bytes;
use picresize::operation::{EventPosition, Operation};
use picresize::picture_store::PictureStore;

use super::{begin, done, find, finished, now, queued};

pub(super) async fn a_deposited_picture_is_there_for_its_worker(store: &dyn PictureStore) {
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

pub(super) async fn a_deposit_is_withdrawn_unless_the_log_has_its_event(store: &dyn PictureStore) {
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

pub(super) async fn a_deposit_without_a_position_can_be_discarded(store: &dyn PictureStore) {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
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
    // An accepted operation keeps its times.
    let again = Operation {
        queued_at: now(),
        ..accepted.clone()
    };
    deposit(&again).await;
    assert_eq!(find(store, &accepted).await, accepted);
}
