//! Tests that a lost table is restored from the log.

use super::*;

const OPERATIONS: u32 = 200;
/// The number of rounds of requests, each with a replay at the same time.
const ROUNDS: u32 = 5;
const REQUESTS_OF_A_ROUND: u32 = 60;

async fn a_lost_table_tells_the_same_story_again(server: &TestServer) {
    let mut ids = resized(server, OPERATIONS).await;
    let failed = server.submit(&cut_short(), json!({"width": 20})).await;
    let (status, _) = server.wait(&failed).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    announced(&server.storage, ids.len() + 1).await;
    ids.push(failed.parse().unwrap());
    let before = dump(&server.storage, &ids).await;

    let (storage, _folder) = without_results(server).await;
    let (first, _) = play_all(&storage, Task::Rebuild).await;
    assert_eq!(
        first.summary.count(Outcome::Rebuilt),
        u64::from(OPERATIONS),
        "{first:?}"
    );
    assert_eq!(first.summary.count(Outcome::FailureRestored), 1);
    assert_eq!(dump(&storage, &ids).await, before);

    let (second, _) = play_all(&storage, Task::Rebuild).await;
    assert_eq!(
        second.summary.count(Outcome::Untouched),
        ids.len() as u64,
        "{second:?}"
    );
    assert_eq!(dump(&storage, &ids).await, before);
    let (verified, _) = play_all(&storage, Task::Verify).await;
    assert_eq!(verified.summary.problems(), 0, "{verified:?}");
}

async fn what_is_gone_does_not_come_back(server: &TestServer) {
    let ids = resized(server, 3).await;
    let requests = entries(&server.storage, Topic::Requests).await;
    let mut requests = requests.iter();
    let request = requests.find(|it| it.record.key == ids[0].to_string());
    let log = &server.storage.log;
    let erased_from_log = log.erase(Topic::Requests, request.unwrap().position).await;
    let is_erased_from_log = erased_from_log.unwrap() == ErasureOutcome::DataRemoved;
    let erased = server.storage.store.erase(ids[1], Timestamp::now()).await;
    assert!(erased.unwrap());
    let deleted = format!("{}/api/{}", server.url, ids[2]);
    let deleted = server.client.delete(deleted).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);

    let (here, witness) = play_all(&server.storage, Task::Rebuild).await;
    assert_eq!(witness.found(Outcome::Gone).len(), 2, "{here:?}");
    assert_eq!(here.summary.count(Outcome::Untouched), 1);

    let (storage, _folder) = without_table(server).await;
    let (_, witness) = play_all(&storage, Task::Rebuild).await;
    assert!(witness.found(Outcome::Gone).contains(&ids[2]));
    assert!(storage.store.find(ids[2]).await.unwrap().is_none());
    if is_erased_from_log {
        assert!(storage.store.find(ids[0]).await.unwrap().is_none());
    }
}

/// How many `Started` events an operation has.
async fn begun(storage: &Storage, id: OperationId) -> usize {
    let entries = entries(storage, Topic::Events).await;
    let events = entries
        .iter()
        .map(|entry| Event::from_record(&entry.record).unwrap());
    events
        .filter(|event| event.operation == id && matches!(event.body, EventBody::Started(_)))
        .count()
}

/// An operation that was answered from a stored result is restored unchanged.
async fn a_result_that_was_there_before_comes_back(server: &TestServer) {
    let mut ids: Vec<OperationId> = Vec::new();
    for _ in 0..3 {
        let id = server.submit(&png(96, 64, 7), json!({"width": 31})).await;
        server.wait(&id).await;
        ids.push(id.parse().unwrap());
        announced(&server.storage, ids.len()).await;
    }
    let before = dump(&server.storage, &ids).await;
    // A worker may have started it too, and appends its event later.
    let deadline = Instant::now() + PATIENCE;
    for (row, _) in &before {
        while begun(&server.storage, row.id).await < row.attempts as usize {
            assert!(Instant::now() < deadline, "{row:?}");
        }
    }
    let (storage, _folder) = without_results(server).await;
    let (ended, _) = play_all(&storage, Task::Rebuild).await;
    assert_eq!(ended.summary.count(Outcome::Rebuilt), 3, "{ended:?}");
    assert_eq!(dump(&storage, &ids).await, before);
}

async fn a_time_that_is_over_stays_over(server: &TestServer) {
    let picture = png(40, 30, 1);
    let mut old = operation(&picture);
    old.queued_at = Timestamp::now() - Duration::from_secs(31 * 24 * 3600);
    let record = event(&old, PicturePayload::Carried(picture.into())).to_record();
    server
        .storage
        .log
        .append(Topic::Requests, record)
        .await
        .unwrap();
    let (storage, _folder) = without_table(server).await;
    let (_, witness) = play_all(&storage, Task::Rebuild).await;
    assert_eq!(witness.found(Outcome::Gone), [old.id]);
    assert!(storage.store.find(old.id).await.unwrap().is_none());
}

/// The next rebuild finishes the work of killed ones. However often that happened, no picture is
/// blamed.
async fn a_rebuild_that_was_killed_is_made_up_for(server: &TestServer) {
    let picture = png(40, 30, 1);
    let (storage, _folder) = without_table(server).await;
    let mut left = Vec::new();
    for kills in [1, 10] {
        let begun = operation(&picture);
        for _ in 0..kills {
            let begin = storage.store.begin(&begun, "replay-1", Timestamp::now());
            begin.await.unwrap();
        }
        let mut record = event(&begun, PicturePayload::Carried(picture.clone().into())).to_record();
        // The server's own worker never sees it, because it would append the final event.
        record.key = begun.id.to_string();
        left.push((begun.id, record));
    }
    let alone = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.data.folder = alone.path().join("data");
    let mut apart = Storage::open(&settings).await.unwrap();
    apart.store = storage.store;
    for (_, record) in &left {
        apart
            .log
            .append(Topic::Requests, record.clone())
            .await
            .unwrap();
    }
    let (ended, witness) = play_all(&apart, Task::Rebuild).await;
    let ids = [left[0].0, left[1].0];
    assert_eq!(witness.found(Outcome::Rebuilt), ids, "{ended:?}");
    let rows = dump(&apart, &ids).await;
    assert_eq!((rows[0].0.status, rows[0].0.attempts), (Status::Done, 2));
    assert_eq!((rows[1].0.status, rows[1].0.attempts), (Status::Done, 11));
}

async fn live_traffic_is_not_disturbed(server: &TestServer) {
    let mut ids = Vec::new();
    for round in 0..ROUNDS {
        for n in 0..REQUESTS_OF_A_ROUND {
            let picture = png(96, 64, round * REQUESTS_OF_A_ROUND + n);
            ids.push(server.submit(&picture, json!({"width": 40})).await);
        }
        let (ended, _) = play_all(&server.storage, Task::Rebuild).await;
        assert_eq!(ended.summary.problems(), 0, "{ended:?}");
    }
    for id in &ids {
        let (status, answer) = server.wait(id).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    let ids: Vec<OperationId> = ids.iter().map(|id| id.parse().unwrap()).collect();
    let rows = dump(&server.storage, &ids).await;
    assert!(rows.iter().all(|(row, _)| row.attempts <= 1));
    assert_eq!(
        entries(&server.storage, Topic::Requests).await.len(),
        ids.len()
    );
    let (ended, _) = play_all(&server.storage, Task::Verify).await;
    assert_eq!(
        ended.summary.count(Outcome::Same),
        ids.len() as u64,
        "{ended:?}"
    );
}

/// With the claim check the table holds the pictures, so the log alone can't restore them.
async fn a_picture_that_was_only_in_the_table_is_told_of(server: &TestServer) {
    let picture = png(40, 30, 1);
    let deposited = operation(&picture);
    let storage = &server.storage;
    storage
        .store
        .deposit(&deposited, picture.into())
        .await
        .unwrap();
    let record = event(&deposited, PicturePayload::ClaimCheck).to_record();
    storage.log.append(Topic::Requests, record).await.unwrap();
    let (status, answer) = server.wait(&deposited.id.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    announced(storage, 1).await;

    let (verified, _) = play_all(storage, Task::Verify).await;
    assert_eq!(verified.summary.count(Outcome::Same), 1, "{verified:?}");
    let (kept, _) = play_all(storage, Task::Rebuild).await;
    assert_eq!(kept.summary.count(Outcome::Untouched), 1, "{kept:?}");
    let (lost, _folder) = without_table(server).await;
    let (_, witness) = play_all(&lost, Task::Rebuild).await;
    assert_eq!(witness.found(Outcome::Unplayable), [deposited.id]);
    assert!(witness.findings[0].details[0].contains("kept in the table"));
    assert!(lost.store.find(deposited.id).await.unwrap().is_none());
}

promises!(
    carried, Carried:
    a_lost_table_tells_the_same_story_again,
    what_is_gone_does_not_come_back,
    a_result_that_was_there_before_comes_back,
    a_time_that_is_over_stays_over,
    a_rebuild_that_was_killed_is_made_up_for,
    live_traffic_is_not_disturbed,
);
promises!(
    claim_check, ClaimCheck:
    a_lost_table_tells_the_same_story_again,
    what_is_gone_does_not_come_back,
    a_result_that_was_there_before_comes_back,
    live_traffic_is_not_disturbed,
    a_picture_that_was_only_in_the_table_is_told_of,
);
