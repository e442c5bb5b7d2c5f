//! What the fuzz targets share: a limit of memory, and what requests must be read as.

mod memory;
mod reference;

use picresize::api::fuzzing::{self, Pairs};
use picresize::operation::ResizeOptions;

pub use memory::bounded;
pub use reference::{decoded, has_short_head};

/// The most bytes of an answer that refuses a request.
const MOST_ANSWER_BYTES: usize = 64 << 10;
/// What a request may hold beside its body: its fields, and the answer that names those that are
/// wrong.
const FIELDS_BYTES: usize = 512 << 10;

/// Reads a request in memory that is proportional to it. `None` if it cannot be sent, or is refused.
///
/// # Panics
///
/// If it takes more memory, or the answer is too long.
pub fn read(content_type: &str, query: &str, body: &[u8]) -> Option<(Pairs, Vec<u8>)> {
    let length = query.len() + body.len();
    let read = bounded(length, 4, FIELDS_BYTES, || {
        fuzzing::read_request(content_type, query, body.to_vec())
    });
    match read? {
        Ok((pairs, picture)) => Some((pairs, picture.to_vec())),
        Err(answer) => {
            check_answer(&answer);
            None
        }
    }
}

/// Reads a look-up in the same way.
///
/// # Panics
///
/// If the answer is too long.
pub fn read_look_up(content_type: &str, query: &str, body: &[u8]) {
    let read = fuzzing::read_look_up(content_type, query, body.to_vec());
    if let Some(Err(answer)) = read {
        check_answer(&answer);
    }
}

fn check_answer(answer: &[u8]) {
    assert!(
        answer.starts_with(b"HTTP/1.1 4"),
        "it is the client's fault"
    );
    assert!(answer.len() <= MOST_ANSWER_BYTES, "{}", answer.len());
}

/// Reads the options of a resize. If they can be read, so can their own text form, as the same.
///
/// # Panics
///
/// If it cannot.
pub fn check_options(pairs: &Pairs) {
    let pairs = pairs.iter().map(|(key, value)| (key, value));
    if let Ok(options) = ResizeOptions::from_pairs(pairs) {
        let again = ResizeOptions::from_pairs(options.pairs());
        assert_eq!(again.as_ref(), Ok(&options));
    }
}
