//! Tests the range of a replay: its start, its end, one operation, and continuing a stopped replay.

use super::*;

async fn a_range_is_all_that_is_played(server: &TestServer) {
    let ids = resized(server, 4).await;
    ranges_are_all_that_is_played(server, ids[1]).await;
}

/// Checks ranges of the whole log, which contains `one`.
pub(super) async fn ranges_are_all_that_is_played(server: &TestServer, one: OperationId) {
    let requests = entries(&server.storage, Topic::Requests).await;
    let id_of = |entry: &Entry| entry.record.key.parse::<OperationId>().unwrap();
    let played = async |range: Range| {
        let (_, witness) = play(&server.storage, Task::Verify, &range).await;
        let mut found: Vec<_> = witness
            .findings
            .iter()
            .filter_map(|it| it.identifier)
            .collect();
        found.sort();
        found
    };
    let last = requests.last().unwrap();
    let from = |from| Range {
        from,
        ..Range::default()
    };
    let mut of_last: Vec<_> = requests
        .iter()
        .filter(|entry| {
            entry.position.partition == last.position.partition
                && entry.position.offset >= last.position.offset
        })
        .map(id_of)
        .collect();
    of_last.sort();
    assert_eq!(
        played(from(Start::Positions(vec![last.position]))).await,
        of_last
    );
    let time = last.appended_at;
    let mut since: Vec<_> = requests
        .iter()
        .filter(|it| it.appended_at >= time)
        .map(id_of)
        .collect();
    since.sort();
    assert_eq!(played(from(Start::Time(time))).await, since);
    let before = Range {
        to: Some(time),
        ..Range::default()
    };
    assert_eq!(played(before).await.len() + since.len(), requests.len());
    let only = Range {
        id: Some(one),
        ..Range::default()
    };
    assert_eq!(played(only).await, [one]);
}

async fn what_was_stopped_goes_on(server: &TestServer) {
    let ids = resized(server, 12).await;
    let before = dump(&server.storage, &ids).await;
    let (storage, _folder) = without_results(server).await;
    assert_eq!(rebuilt_in_parts(&storage).await, 12);
    assert_eq!(dump(&storage, &ids).await, before);
}

/// Rebuilds, stops after every third finding, and continues from there; returns how many rows were
/// rebuilt in all.
pub(super) async fn rebuilt_in_parts(storage: &Storage) -> u64 {
    let mut from = Start::Beginning;
    let mut rebuilt = 0;
    let mut runs = 0;
    loop {
        runs += 1;
        let mut witness = Witness {
            most: 3,
            ..Witness::default()
        };
        let range = Range {
            from,
            ..Range::default()
        };
        let ended = play_as(&mut witness, storage, Task::Rebuild, &range).await;
        assert!(ended.error.is_none(), "{ended:?}");
        rebuilt += ended.summary.count(Outcome::Rebuilt);
        match ended.continue_from {
            Some(positions) => from = Start::Positions(positions),
            None => break,
        }
    }
    assert!(runs > 1, "it was never stopped");
    rebuilt
}

promises!(carried, Carried: a_range_is_all_that_is_played, what_was_stopped_goes_on);
