//! What every store keeps of playback.

use picresize::operation::{ResizeOptions, Status};
use picresize::picture_store::{Begun, FinishedPicture, PictureStore};

use super::{begin, done, find, finished, now, queued, queued_picture};

pub(super) async fn a_failure_can_be_reopened(store: &dyn PictureStore) {
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

pub(super) async fn a_result_is_replaced_only_on_purpose(store: &dyn PictureStore) {
    let operation = queued_picture("707", "to be replaced");
    let request = ResizeOptions::from_pairs([("width", "17")]).unwrap();
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
