//! The contract of look-ups.

use std::time::Duration;

use picresize::operation::{Digest, Fingerprint, Operation, OperationId, Status, Tenant};
use picresize::picture_store::{FinishedPicture, MOST_DISTANCE, Page, PictureStore};

use super::{ALL, done, find, finished, now, queued, queued_picture};

pub(super) async fn an_equal_request_lends_its_result(store: &dyn PictureStore) {
    const ENGINE: &str = "7";
    let first = queued_picture("705", "asked twice");
    let picture = finished("the result of both");
    let second = Operation {
        id: OperationId::generate(),
        ..first.clone()
    };
    assert_eq!(
        store.find_same_request(&second, ENGINE).await.unwrap(),
        None
    );
    store.enqueue(&first).await.unwrap();
    assert_eq!(
        store.find_same_request(&second, ENGINE).await.unwrap(),
        None
    );
    assert!(!store.copy_result(second.id, first.id, now()).await.unwrap());
    done(store, &first, &picture).await;
    assert_eq!(
        store.find_same_request(&second, ENGINE).await.unwrap(),
        Some(first.id)
    );
    assert_eq!(store.find_same_request(&first, ENGINE).await.unwrap(), None);
    assert_eq!(store.find_same_request(&second, "8").await.unwrap(), None);
    let other = queued_picture("706", "asked twice");
    let mut foreign = second.clone();
    foreign.tenant = "another".parse().unwrap();
    for other in [other, foreign] {
        assert_eq!(store.find_same_request(&other, ENGINE).await.unwrap(), None);
    }

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
    assert_eq!(store.find_same_request(&third, ENGINE).await.unwrap(), None);
    assert!(!store.copy_result(third.id, first.id, now()).await.unwrap());
}

pub(super) async fn pictures_are_found_by_their_digests(store: &dyn PictureStore) {
    let digest = Digest::of(b"in and out");
    assert_eq!(
        store
            .with_digest(&Tenant::default(), digest, ALL)
            .await
            .unwrap(),
        []
    );
    let mut ids = Vec::new();
    for age in [30, 20, 10, 0] {
        let operation = Operation {
            queued_at: now() - Duration::from_secs(age),
            ..queued_picture("708", "in and out")
        };
        store.enqueue(&operation).await.unwrap();
        ids.push(operation.id);
    }
    // It is the result of one operation, and both source and result of the other.
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
            .with_digest(&Tenant::default(), digest, Page { skip, take })
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

pub(super) async fn look_alikes_are_found_nearest_first(store: &dyn PictureStore) {
    let sought = Fingerprint(0xfedc_ba98_7654_3210);
    let nobody = Digest::of(b"nobody's picture");
    let nothing = store
        .similar(&Tenant::default(), sought, MOST_DISTANCE, nobody, ALL)
        .await;
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
        let (ours, page) = (Tenant::default(), Page { skip, take });
        let found = store.similar(&ours, sought, distance, nobody, page);
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

    // A picture with exactly these bytes, as source or result, is not a similar one.
    let exact = queued_picture("710", "a source");
    let picture = FinishedPicture {
        fingerprint: Some(sought),
        ..finished("its result")
    };
    done(store, &exact, &picture).await;
    let without = async |digest, page| -> Vec<OperationId> {
        let found = store
            .similar(&Tenant::default(), sought, 0, digest, page)
            .await
            .unwrap();
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
