//! What base64 means, without regard to memory.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A longer head of a data: URL may be refused: the limit counts letters as they are written.
const SHORT_HEAD: usize = 500;

/// The bytes of a text in standard or URL-safe base64, padded or not, with white space anywhere, or
/// of a data: URL of it. `None` if it is none of these.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut data = text;
    if text.starts_with("data:") {
        let (head, rest) = text.split_once(',')?;
        if !head.ends_with(";base64") {
            return None;
        }
        data = rest;
    }
    let letters: String = data.split(|c: char| c.is_ascii_whitespace()).collect();
    let alphabet = if letters.contains(['-', '_']) {
        URL_SAFE
    } else {
        STANDARD
    };
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, lenient).decode(letters).ok()
}

/// Whether a text has no head of a data: URL that may be too long.
pub fn has_short_head(text: &str) -> bool {
    let head = text.split(',').next().unwrap_or_default();
    !text.starts_with("data:") || head.len() <= SHORT_HEAD
}
