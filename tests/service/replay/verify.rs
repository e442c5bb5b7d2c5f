//! Tests that verify finds all differences from the log, and nothing else.

use picresize::imaging::{ENGINE_VERSION, Quality};
use picresize::picture_store::FinishedPicture;

use super::*;

const OPERATIONS: u32 = 200;

/// Changes the request or the bytes in the row of a done operation.
async fn alter(
    storage: &Storage,
    row: &Operation,
    request: &ResizeOptions,
    bytes: Bytes,
    engine_version: &'static str,
) {
    let picture = FinishedPicture {
        facts: row.result.clone().unwrap(),
        bytes,
        fingerprint: row.fingerprint,
        engine: engine_version,
    };
    let at = row.finished_at.unwrap();
    let replaced = storage.store.replace(row.id, request, picture, at).await;
    assert!(replaced.unwrap());
}

async fn two_altered_rows_are_found(server: &TestServer) {
    let storage = &server.storage;
    let ids = resized(server, OPERATIONS).await;
    let rows = dump(storage, &ids).await;
    let (clean, _) = play_all(storage, Task::Verify).await;
    assert_eq!(
        clean.summary.count(Outcome::Same),
        u64::from(OPERATIONS),
        "{clean:?}"
    );

    let (row, bytes) = &rows[2];
    let mut bytes = bytes.clone().unwrap().to_vec();
    bytes[40] ^= 1;
    alter(storage, row, &row.request, bytes.into(), ENGINE_VERSION).await;
    let (row, bytes) = &rows[5];
    let mut request = row.request.clone();
    request.quality = Some(Quality::Fixed(33));
    alter(
        storage,
        row,
        &request,
        bytes.clone().unwrap(),
        ENGINE_VERSION,
    )
    .await;
    let (row, bytes) = &rows[6];
    alter(storage, row, &row.request, bytes.clone().unwrap(), "0").await;

    let before = dump(storage, &ids).await;
    let (ended, witness) = play_all(storage, Task::Verify).await;
    assert_eq!(dump(storage, &ids).await, before);
    assert_eq!(
        ended.summary.problems(),
        2,
        "{witness:?}",
        witness = witness.findings
    );
    assert_eq!(witness.found(Outcome::Different), [ids[2], ids[5]]);
    assert_eq!(witness.found(Outcome::SameOfOtherEngine), [ids[6]]);
    for (id, words) in [(ids[2], "stored bytes"), (ids[5], "option quality")] {
        let mut findings = witness.findings.iter();
        let finding = findings.find(|it| it.identifier == Some(id)).unwrap();
        assert!(finding.details[0].contains(words), "{finding:?}");
        assert_eq!(finding.details.len(), 1, "{finding:?}");
    }

    // Damaged bytes are made again. Other options are kept, because a replay may have stored them.
    let (rebuilt, witness) = play_all(storage, Task::Rebuild).await;
    assert_eq!(witness.found(Outcome::Repaired), [ids[2]], "{rebuilt:?}");
    assert_eq!(dump(storage, &ids[2..3]).await, rows[2..3]);
    let (_, witness) = play_all(storage, Task::Verify).await;
    assert_eq!(witness.found(Outcome::Different), [ids[5]]);
}

async fn a_missing_row_is_a_difference(server: &TestServer) {
    let ids = resized(server, 2).await;
    let (storage, _folder) = without_table(server).await;
    let (ended, witness) = play_all(&storage, Task::Verify).await;
    assert_eq!(witness.found(Outcome::Missing).len(), ids.len());
    assert_eq!(ended.summary.problems(), 2);
}

promises!(carried, Carried: two_altered_rows_are_found, a_missing_row_is_a_difference);
promises!(claim_check, ClaimCheck: two_altered_rows_are_found, a_missing_row_is_a_difference);
