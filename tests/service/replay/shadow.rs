//! Tests shadow replays: other options compared with the stored results.

use super::*;

pub(super) fn shadow(overrides: &[(&'static str, &str)], promote: bool) -> Task {
    let pairs = overrides.iter();
    Task::Shadow {
        overrides: pairs
            .map(|(key, text)| (*key, (*text).to_owned()))
            .collect(),
        promote,
    }
}

async fn a_shadow_touches_nothing_until_it_is_promoted(server: &TestServer) {
    let storage = &server.storage;
    let ids = resized(server, 6).await;
    let before = dump(storage, &ids).await;
    let options = [
        ("format", "jpeg"),
        ("quality", "40"),
        ("filter", "bilinear"),
    ];

    let (ended, witness) = play_all(storage, shadow(&options, false)).await;
    assert_eq!(dump(storage, &ids).await, before);
    assert_eq!(witness.found(Outcome::Compared).len(), 6);
    let compared = ended.summary.comparison.unwrap();
    assert_eq!((compared.before.scored, compared.after.scored), (6, 6));
    assert_eq!(compared.after.timed, 6);
    assert!(compared.after.bytes < compared.before.bytes);
    let score = |sums: &replay::Sums| sums.ssimulacra2_mean.unwrap();
    assert!(score(&compared.after) < score(&compared.before));

    let (ended, _) = play_all(storage, shadow(&options, true)).await;
    assert_eq!(ended.summary.count(Outcome::Promoted), 6);
    for (row, bytes) in dump(storage, &ids).await {
        let result = row.result.unwrap();
        assert_eq!(result.format, Format::Jpeg);
        assert_eq!(
            row.request.quality,
            Some(picresize::imaging::Quality::Fixed(40))
        );
        assert_eq!(result.digest, Digest::of(&bytes.unwrap()));
    }
    let (again, _) = play_all(storage, shadow(&options, true)).await;
    assert_eq!(again.summary.count(Outcome::Untouched), 6, "{again:?}");
    let (rebuilt, _) = play_all(storage, Task::Rebuild).await;
    assert_eq!(rebuilt.summary.count(Outcome::Untouched), 6);
}

async fn options_that_do_not_go_with_a_picture_are_told_of(server: &TestServer) {
    let ids = resized(server, 1).await;
    let (ended, witness) = play_all(&server.storage, shadow(&[("width", "99999")], false)).await;
    assert_eq!(witness.found(Outcome::Refused), ids, "{ended:?}");
    assert_eq!(ended.summary.problems(), 1);
}

promises!(
    carried, Carried:
    a_shadow_touches_nothing_until_it_is_promoted,
    options_that_do_not_go_with_a_picture_are_told_of,
);
promises!(claim_check, ClaimCheck: a_shadow_touches_nothing_until_it_is_promoted);
