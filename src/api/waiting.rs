//! Finds an operation, at once or when it has ended: `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use jiff::Timestamp;
use tokio::time::Instant;

use super::problem::Problem;
use super::state::ApiState;
use crate::operation::{Operation, OperationId, Tenant};

/// The longest wait. A client that asks for more gets this.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long the row of an accepted operation may be missing: the table was away, and the process that
/// accepted it has ended.
const MAX_UNSETTLED: Duration = Duration::from_secs(600);
/// The pauses between two looks at an operation that another process may end.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How long the client wants to wait, by its `Prefer` header or by `wait` in the query; `None` if it
/// does not say so in a way that makes sense. Then it is answered at once, as the standard asks.
pub(super) fn preferred_wait(headers: &HeaderMap, uri: &Uri) -> Option<Duration> {
    in_header(headers).or_else(|| {
        let mut fields = uri.query().unwrap_or_default().split('&');
        let seconds = fields.find_map(|field| field.strip_prefix("wait="))?;
        Some(Duration::from_secs(seconds.parse().ok()?).min(MAX_WAIT))
    })
}

/// Takes `wait` out of a query, which has the options of a request beside it.
pub(super) fn without_wait(uri: &Uri) -> Option<Uri> {
    let (path, query) = (uri.path(), uri.query()?);
    let fields: Vec<_> = query.split('&').collect();
    let kept: Vec<_> = fields
        .iter()
        .filter(|field| !field.starts_with("wait="))
        .copied()
        .collect();
    if kept.len() == fields.len() {
        return None;
    }
    format!("{path}?{}", kept.join("&")).parse().ok()
}

/// Says that the client's wish was granted.
pub(super) fn applied(response: &mut Response, wait: Duration) {
    let value = format!("wait={}", wait.as_secs());
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert("preference-applied", value);
    }
}

fn in_header(headers: &HeaderMap) -> Option<Duration> {
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

/// An operation that the table has, or whose row is on its way there.
async fn look(
    state: &ApiState,
    tenant: &Tenant,
    id: OperationId,
) -> Result<Option<Operation>, Problem> {
    // Before the table, because the row goes from here to there.
    let waiting = state.rows.find(id);
    // Without the table, it is not known whether the operation was erased meanwhile.
    let found = state.store.find(id).await?.or(waiting);
    // That of another tenant is as good as none.
    match found.filter(|operation| operation.tenant == *tenant) {
        Some(operation) if operation.status.is_gone() => Err(Problem::gone(&operation)),
        found => Ok(found),
    }
}

/// An operation, unless its pictures were removed.
pub(super) async fn find(
    state: &ApiState,
    tenant: &Tenant,
    id: OperationId,
) -> Result<Operation, Problem> {
    let found = look(state, tenant, id).await?;
    found.ok_or_else(|| not_there(state, id))
}

/// Why the table does not have an operation.
pub(super) fn not_there(state: &ApiState, id: OperationId) -> Problem {
    if may_be_accepted(state, id) {
        Problem::unsettled(id)
    } else {
        Problem::unknown(id)
    }
}

/// Whether an operation is so young that another process may have accepted it, and could not add its
/// row yet.
fn may_be_accepted(state: &ApiState, id: OperationId) -> bool {
    let age = id.age(Timestamp::now());
    state.is_shared && age.is_some_and(|age| age < MAX_UNSETTLED)
}

/// An operation as soon as it has ended, or as it is after `wait`. `None` if the table does not have
/// it yet.
pub(super) async fn find_ended(
    state: &ApiState,
    tenant: &Tenant,
    id: OperationId,
    wait: Option<Duration>,
) -> Result<Option<Operation>, Problem> {
    let deadline = Instant::now() + wait.unwrap_or_default();
    let mut pause = FIRST_PAUSE;
    loop {
        // Before the look, so that an end after it is not missed.
        let ending = wait.map(|_| state.store.ending(id));
        let operation = look(state, tenant, id).await?;
        if operation.is_none() && !may_be_accepted(state, id) {
            return Err(Problem::unknown(id));
        }
        let has_ended = operation
            .as_ref()
            .is_some_and(|found| found.status.is_final());
        let Some(ending) = ending.filter(|_| !has_ended) else {
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
    fn a_wait_may_be_in_the_query() {
        let wait = |uri: &str| {
            let wait = preferred_wait(&HeaderMap::new(), &uri.parse().unwrap());
            wait.map(|wait| wait.as_secs())
        };
        assert_eq!(wait("/api/?width=3&wait=7"), Some(7));
        assert_eq!(wait("/api/?wait=700"), Some(60));
        assert_eq!(
            (wait("/api/?wait=x"), wait("/api/"), wait("/api/?await=3")),
            (None, None, None)
        );
        let uri: Uri = "/api/?width=3&wait=7&fit=fill".parse().unwrap();
        assert_eq!(without_wait(&uri).unwrap(), "/api/?width=3&fit=fill");
        assert_eq!(without_wait(&"/api/?width=3".parse().unwrap()), None);
    }

    #[test]
    fn a_wait_is_a_number_of_seconds() {
        let wait = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", axum::http::HeaderValue::from_static(value));
            }
            in_header(&headers).map(|wait| wait.as_secs())
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
