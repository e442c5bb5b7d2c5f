//! Tests that dead letters are re-queued once.

use picresize::event::Failed;
use picresize::imaging::ENGINE_VERSION;

use super::*;

/// The reason of the dead letters.
const GIVEN_UP: &str = "the picture ended the process that worked on it twice";

pub(super) async fn letters(storage: &Storage, list: bool, id: Option<OperationId>) -> Witness {
    let mut witness = Witness::default();
    let stop = witness.stop.clone();
    let range = Range {
        id,
        ..Range::default()
    };
    let settings = Settings::default();
    let ended = replay::dead_letters(storage, &settings, &range, list, &mut witness, &stop);
    let ended = ended.await.unwrap();
    assert!(
        ended.error.is_none() && ended.continue_from.is_none(),
        "{ended:?}"
    );
    witness
}

/// An operation that failed because of a fault of the worker, with its dead letter.
pub(super) async fn given_up(server: &TestServer, seed: u32) -> OperationId {
    let picture = png(40, 30, seed);
    let operation = operation(&picture);
    let (store, log, now) = (&server.storage.store, &server.storage.log, Timestamp::now());
    store.begin(&operation, "gone", now).await.unwrap();
    let failed = store.fail(operation.id, GIVEN_UP, ENGINE_VERSION, now);
    failed.await.unwrap();
    let body = EventBody::Failed(Failed {
        reason: GIVEN_UP.to_owned(),
        retryable: false,
        worker: "gone".to_owned(),
        engine: ENGINE_VERSION.to_owned(),
    });
    let announced = Event::new(operation.id, now, body).to_record();
    log.append(Topic::Events, announced).await.unwrap();
    let record = event(&operation, PicturePayload::Carried(picture.into())).to_record();
    let letter = record.clone().set_aside(GIVEN_UP);
    log.append(Topic::DeadLetters, letter).await.unwrap();
    log.append(Topic::Requests, record).await.unwrap();
    let (status, _) = server.wait(&operation.id.to_string()).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    // The worker skips the request, because its operation has failed.
    let (group, deadline) = (&server.settings.worker.group, Instant::now() + PATIENCE);
    let now = Timestamp::now() + Duration::from_secs(1);
    while !log.has_finished(Topic::Requests, group, now).await.unwrap() {
        assert!(Instant::now() < deadline, "the request was never skipped");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    operation.id
}

async fn what_was_given_up_gets_another_chance(server: &TestServer) {
    let storage = &server.storage;
    let (first, second) = (given_up(server, 1).await, given_up(server, 2).await);
    announced(storage, 2).await;

    let listed = letters(storage, true, None).await;
    assert_eq!(listed.found(Outcome::Waiting), [first, second]);
    let reason = &listed.findings[0].letter.as_ref().unwrap().reason;
    assert_eq!(reason, GIVEN_UP);
    assert_eq!(entries(storage, Topic::Requests).await.len(), 2);

    let one = letters(storage, false, Some(second)).await;
    assert_eq!(one.found(Outcome::PutBack), [second]);
    let (status, answer) = server.wait(&second.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let all = letters(storage, false, None).await;
    assert_eq!(all.found(Outcome::PutBack), [first]);
    assert_eq!(all.found(Outcome::PutBackBefore), [second]);
    let (status, answer) = server.wait(&first.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = letters(storage, false, None).await;
    assert_eq!(again.found(Outcome::PutBackBefore), [first, second]);
    assert_eq!(entries(storage, Topic::Requests).await.len(), 4);

    announced(storage, 4).await;
    let ids = [first, second];
    let before = dump(storage, &ids).await;
    let (fresh, _folder) = without_table(server).await;
    let (ended, _) = play_all(&fresh, Task::Rebuild).await;
    assert_eq!(ended.summary.count(Outcome::Rebuilt), 2, "{ended:?}");
    for ((row, bytes), (told, original)) in dump(&fresh, &ids).await.iter().zip(&before) {
        assert_eq!((row.status, bytes), (Status::Done, original));
        assert_eq!((row.attempts, row.finished_at), (1, told.finished_at));
    }
}

async fn what_could_not_be_read_goes_back_once_it_can(server: &TestServer) {
    let storage = &server.storage;
    let picture = png(40, 30, 1);
    let readable = operation(&picture);
    // As an older version leaves them: one that this version can read, and one that none can.
    let mut record = event(&readable, PicturePayload::Carried(picture.into())).to_record();
    let reason = ("picresize-reason".to_owned(), b"too new".to_vec());
    record.headers.push(reason);
    let log = &storage.log;
    log.append(Topic::DeadLetters, record.clone())
        .await
        .unwrap();
    record.headers.retain(|(name, _)| name != "ce_type");
    log.append(Topic::DeadLetters, record).await.unwrap();

    let put_back = letters(storage, false, None).await;
    assert_eq!(put_back.found(Outcome::PutBack), [readable.id]);
    let last = put_back.findings.last().unwrap();
    assert_eq!(last.outcome, Outcome::Unreadable);
    let (status, answer) = server.wait(&readable.id.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = letters(storage, false, None).await;
    assert_eq!(again.found(Outcome::PutBackBefore), [readable.id]);
    let requests = entries(storage, Topic::Requests).await;
    assert_eq!(requests.len(), 1);
    let headers = &requests[0].record.headers;
    assert!(headers.iter().all(|(name, _)| name != "picresize-reason"));
}

promises!(
    carried, Carried:
    what_was_given_up_gets_another_chance,
    what_could_not_be_read_goes_back_once_it_can,
);
