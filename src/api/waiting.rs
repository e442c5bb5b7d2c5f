//! Finds an operation, at once or when it has ended: `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::Instant;

use super::problem::{Kind, Problem};
use super::state::ApiState;
use crate::operation::{Operation, OperationId};

/// The longest wait. A client that asks for more gets this.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The pauses between two looks at an operation that another process may end.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How long the client wants to wait; `None` if it does not say so in a way that makes sense. Then
/// it is answered at once, as the standard asks.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").into_iter();
    let mut preferences = preferences
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| {
            // A preference may have parameters, which `wait` has not.
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().trim_matches('"').parse().ok())
        });
    // If it is given several times, the first one counts.
    let seconds = preferences.next()??;
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// An operation, unless its pictures were removed.
pub(super) async fn find(state: &ApiState, id: OperationId) -> Result<Operation, Problem> {
    // Looked for first, because the row goes from there to the table.
    let waiting = state.rows.find(id);
    let found = match (state.store.find(id).await, waiting) {
        (Ok(found), waiting) => found.or(waiting),
        (Err(_), Some(waiting)) => Some(waiting),
        (Err(error), None) => {
            state.rows.table_failed();
            return Err(error.into());
        }
    };
    match found {
        None => Err(missing(state, id)),
        Some(operation) if operation.status.is_gone() => Err(Problem::gone(&operation)),
        Some(operation) => Ok(operation),
    }
}

/// The answer about an operation that the table does not have. Another server may have accepted it.
pub(super) fn missing(state: &ApiState, id: OperationId) -> Problem {
    if state.is_shared && state.rows.may_come(id) {
        let detail =
            format!("it is not known yet whether there is an operation {id}; please try again");
        return Problem::new(Kind::Unavailable, detail);
    }
    Problem::unknown(id)
}

/// An operation as soon as it has ended, or as it is after `wait`.
pub(super) async fn find_ended(
    state: &ApiState,
    id: OperationId,
    wait: Option<Duration>,
) -> Result<Operation, Problem> {
    let deadline = Instant::now() + wait.unwrap_or_default();
    let mut pause = FIRST_PAUSE;
    loop {
        // Before the look, so that an end after it is not missed.
        let ending = wait.map(|_| state.store.ending(id));
        let operation = find(state, id).await?;
        let Some(ending) = ending.filter(|_| !operation.status.is_final()) else {
            return Ok(operation);
        };
        let now = Instant::now();
        if now >= deadline {
            return Ok(operation);
        }
        let next_look = match state.is_shared {
            true => deadline.min(now + pause),
            false => deadline.min(now + MAX_PAUSE),
        };
        tokio::select! {
            () = ending => {}
            () = tokio::time::sleep_until(next_look) => {}
            // Nobody waits for a server that stops.
            () = state.stop.cancelled() => return Ok(operation),
        }
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_of_seconds() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", axum::http::HeaderValue::from_static(value));
            }
            preferred_wait(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(&["wait=10"]), Some(10));
        assert_eq!(wait(&["respond-async, Wait = \"5\""]), Some(5));
        assert_eq!(wait(&["return=minimal", "wait=7, wait=9"]), Some(7));
        assert_eq!(wait(&["wait=100000"]), Some(60));
        for other in ["", "wait", "wait=", "wait=-1", "wait=soon", "waiting=3"] {
            assert_eq!(wait(&[other]), None, "{other}");
        }
    }
}
