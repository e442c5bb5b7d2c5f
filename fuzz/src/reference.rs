//! What base64 means, without regard to memory.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The most letters of a data: URL before its comma.
const MOST_HEAD: usize = 1024;

/// The bytes of a text in standard or URL-safe base64, padded or not, with white space anywhere, or
/// of a data: URL of it. `None` if it is none of these.
pub fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut data = text;
    if text.starts_with("data:") {
        let (head, rest) = text.split_once(',')?;
        let is_plain = head.bytes().all(|letter| {
            letter.is_ascii_graphic() || matches!(letter, b' ' | b'\t' | b'\n' | b'\r')
        });
        if !head.ends_with(";base64") || !is_plain || head.len() >= MOST_HEAD {
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
