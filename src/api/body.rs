//! Receives a request's body, within the limits of size, time and memory.

use axum::body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::activity::{Activity, SHORT_PAUSE};
use super::budget::Reservation;
use super::problem::{Kind, Problem};
use super::state::ApiState;

/// The first step in which memory is reserved. Each further step doubles it.
const FIRST_STEP: u64 = 64 << 10;
/// A client that holds more memory may only pause for a short time while others wait for some.
const MUCH: u64 = 1 << 20;

/// A body, and the memory that is reserved for it.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub(super) bytes: Vec<u8>,
    pub(super) memory: Reservation,
}

/// Receives a whole body. `announced` is its length, if the client names it.
pub(super) async fn receive(
    mut body: Body,
    announced: Option<u64>,
    activity: Option<&Activity>,
    state: &ApiState,
) -> Result<ReceivedBody, Problem> {
    let limit = state.max_body_bytes;
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let most = announced.unwrap_or(limit);
    let mut received = ReceivedBody {
        bytes: Vec::new(),
        memory: state.uploads.open(most),
    };
    let mut reserved = 0;
    // Waiting for memory is not the client's fault, so it moves the deadline.
    let mut deadline = Instant::now() + state.body_timeout;
    let note = |waits| {
        if let Some(activity) = activity {
            activity.waits_for_body(waits);
        }
    };
    loop {
        note(true);
        let frame = next_frame(&mut body, reserved, deadline, state).await;
        note(false);
        let Some(frame) = frame? else {
            break;
        };
        let length = (received.bytes.len() + frame.len()) as u64;
        if length > limit {
            return Err(too_large(limit));
        }
        if length > reserved {
            let waiting = Instant::now();
            reserved = length
                .max(reserved * 2)
                .max(FIRST_STEP)
                .min(most.max(length));
            let granted = received.memory.grow(reserved).await;
            granted.map_err(Problem::and_close)?;
            deadline += waiting.elapsed();
            let more = reserved - received.bytes.len() as u64;
            received.bytes.reserve_exact(more as usize);
        }
        received.bytes.extend_from_slice(&frame);
    }
    received.bytes.shrink_to_fit();
    received.memory.shrink(received.bytes.len() as u64);
    Ok(received)
}

/// The next bytes of the body; `None` at its end.
async fn next_frame(
    body: &mut Body,
    reserved: u64,
    deadline: Instant,
    state: &ApiState,
) -> Result<Option<bytes::Bytes>, Problem> {
    let paused = Instant::now();
    loop {
        let check = deadline
            .min(paused + state.body_pause)
            .min(Instant::now() + SHORT_PAUSE);
        if let Ok(frame) = tokio::time::timeout_at(check, body.frame()).await {
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| {
                let detail = format!("the body was cut off: {error}");
                Problem::new(Kind::UnreadableBody, detail).and_close()
            })?;
            match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers
                _ => continue,
            }
        }
        let pause = paused.elapsed();
        let detail = if Instant::now() >= deadline {
            let seconds = state.body_timeout.as_secs();
            format!("the whole body must arrive within {seconds} s")
        } else if pause >= state.body_pause {
            let seconds = state.body_pause.as_secs();
            format!("no byte of the body arrived for {seconds} s")
        } else if pause >= SHORT_PAUSE && reserved > MUCH && state.uploads.is_exhausted() {
            let seconds = SHORT_PAUSE.as_secs();
            format!("no byte of the body arrived for {seconds} s, while others wait for memory")
        } else {
            continue;
        };
        return Err(Problem::new(Kind::BodyTimeout, detail).and_close());
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("the body has more bytes than the limit of {limit}"),
    )
    .and_close()
}
