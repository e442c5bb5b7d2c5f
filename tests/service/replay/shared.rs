//! Tests replays from Kafka into MySQL, end to end. Only here the log has several partitions.

use super::*;
use crate::shared_storage::Shared;

async fn serve() -> Option<TestServer> {
    let shared = Shared::new()?.with("KAFKA__PARTITIONS", "3").migrated();
    let settings = shared.settings();
    let storage = Storage::open(&settings).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    Some(TestServer::start_on(storage, settings, folder).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_played_back_into_mysql() {
    let Some(server) = serve().await else {
        return;
    };
    let mut ids = resized(&server, 12).await;
    range::ranges_are_all_that_is_played(&server, ids[1]).await;
    let (ended, _) = play_all(&server.storage, shadow::shadow(&[("quality", "40")], false)).await;
    assert_eq!(ended.summary.count(Outcome::Compared), 12, "{ended:?}");

    let failed = server.submit(&cut_short(), json!({"width": 20})).await;
    let (status, _) = server.wait(&failed).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    announced(&server.storage, 13).await;
    ids.push(failed.parse().unwrap());
    let before = dump(&server.storage, &ids).await;
    let (storage, _database) = without_table(&server).await;
    let (ended, _) = play_all(&storage, Task::Verify).await;
    assert_eq!(ended.summary.count(Outcome::Missing), 13, "{ended:?}");
    assert_eq!(range::rebuilt_in_parts(&storage).await, 12);
    assert_eq!(dump(&storage, &ids).await, before);
    let (ended, _) = play_all(&storage, Task::Verify).await;
    assert_eq!(ended.summary.problems(), 0, "{ended:?}");

    let url = format!("{}/api/{}", server.url, ids[2]);
    let deleted = server.client.delete(url).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    let (storage, _database) = without_table(&server).await;
    let (_, witness) = play_all(&storage, Task::Rebuild).await;
    assert_eq!(witness.found(Outcome::Gone), [ids[2]]);
    assert!(storage.store.find(ids[2]).await.unwrap().is_none());

    let letter = letters::given_up(&server, 99).await;
    let put_back = letters::letters(&server.storage, false, None).await;
    assert_eq!(put_back.found(Outcome::PutBack), [letter]);
    let (status, answer) = server.wait(&letter.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = letters::letters(&server.storage, false, None).await;
    assert_eq!(again.found(Outcome::PutBackBefore), [letter]);
    server.stop().await;
}
