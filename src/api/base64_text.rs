//! Decodes base64 in the memory that it was received in.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, DecodeSliceError, alphabet};

/// The letters that are decoded at once: a multiple of four.
const BLOCK: usize = 4096;
/// The most letters of a data: URL before its comma.
const MOST_HEAD: usize = 1024;

/// The letters `-` and `_`, if they are escaped.
const ESCAPED_URL_SAFE: [&str; 4] = ["\\u002d", "\\u002D", "\\u005f", "\\u005F"];

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Replaces a JSON body by the bytes whose base64 the JSON string at `text` has. The text is
/// standard or URL-safe base64 (RFC 4648), padded or not, with or without line breaks; or a `data:`
/// URL of it (RFC 2397).
///
/// # Errors
///
/// What is wrong with the text.
pub(super) fn decode(body: &mut Vec<u8>, text: Range<usize>) -> Result<(), String> {
    // Without the quotes.
    let text = text.start + 1..text.end - 1;
    let mut letters = Letters {
        next: text.start,
        end: text.end,
    };
    if starts_with_data(body, letters) {
        letters.skip_head(body)?;
    }
    let engine = match is_url_safe(&body[letters.next..letters.end]) {
        true => URL_SAFE,
        false => STANDARD,
    };
    let (mut written, mut read) = (0, 0);
    let mut block = [0; BLOCK];
    // A space behind a letter, and not at the end of a line.
    let (mut is_in_line, mut has_space) = (false, false);
    loop {
        let mut length = 0;
        while length < BLOCK
            && let Some(letter) = letters.next(body)?
        {
            match letter {
                b' ' => has_space = is_in_line,
                _ if letter.is_ascii_whitespace() => (is_in_line, has_space) = (false, false),
                _ if has_space => return Err(spaced(read + length)),
                _ => {
                    is_in_line = true;
                    block[length] = letter;
                    length += 1;
                }
            }
        }
        if length == 0 {
            break;
        }
        // Padding ends the text, so it must not be at the end of a block that is not the last.
        if length == BLOCK && block[BLOCK - 1] == b'=' && !letters.is_at_end(body)? {
            let at = block.iter().position(|letter| *letter == b'=');
            return Err(foreign('=', read + at.unwrap_or_default()));
        }
        // Three quarters of what was read, so nothing unread is overwritten.
        let target = &mut body[written..letters.next];
        let decoded = engine.decode_slice(&block[..length], target);
        written += decoded.map_err(|error| refused(&error, &block[..length], read))?;
        read += length;
    }
    body.truncate(written);
    body.shrink_to_fit();
    Ok(())
}

fn spaced(at: usize) -> String {
    format!(
        "is not base64: it has a space before letter {}; perhaps a \"+\" became a space on the way, so \
         send it as %2B in a form, or use URL-safe base64",
        at + 1
    )
}

/// Whether the text has a letter that only URL-safe base64 has.
fn is_url_safe(text: &[u8]) -> bool {
    let is_in = |escape: &&str| memchr::memmem::find(text, escape.as_bytes()).is_some();
    memchr::memchr2(b'-', b'_', text).is_some()
        || memchr::memchr(b'\\', text).is_some() && ESCAPED_URL_SAFE.iter().any(is_in)
}

fn starts_with_data(body: &[u8], mut letters: Letters) -> bool {
    b"data:"
        .iter()
        .all(|expected| letters.next(body) == Ok(Some(*expected)))
}

/// The letters of a JSON string from one place to its end.
#[derive(Clone, Copy)]
struct Letters {
    next: usize,
    end: usize,
}

impl Letters {
    /// The next byte, of which an escape stands for one.
    fn next(&mut self, body: &[u8]) -> Result<Option<u8>, String> {
        if self.next >= self.end {
            return Ok(None);
        }
        let byte = body[self.next];
        self.next += 1;
        if byte != b'\\' {
            return Ok(Some(byte));
        }
        // The JSON was read before, so an escape is complete.
        let letter = body[self.next];
        self.next += 1;
        Ok(Some(match letter {
            b'b' => b'\x08',
            b'f' => b'\x0c',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let digits = &body[self.next..self.next + 4];
                self.next += 4;
                let code = std::str::from_utf8(digits).ok();
                let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
                let letter = code.and_then(char::from_u32);
                let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
                return match u8::try_from(letter) {
                    Ok(byte) if byte.is_ascii() => Ok(Some(byte)),
                    _ => Err(format!("is not base64: it has the letter {letter:?}")),
                };
            }
            other => other,
        }))
    }

    fn is_at_end(mut self, body: &[u8]) -> Result<bool, String> {
        while let Some(letter) = self.next(body)? {
            if !letter.is_ascii_whitespace() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Skips the head of a data: URL.
    fn skip_head(&mut self, body: &[u8]) -> Result<(), String> {
        let mut head = Vec::new();
        while head.len() < MOST_HEAD {
            match self.next(body) {
                Ok(Some(b',')) if head.ends_with(b";base64") => return Ok(()),
                Ok(Some(b',')) => return Err("is a data: URL that is not in base64".to_owned()),
                Ok(Some(letter)) => head.push(letter),
                Ok(None) => break,
                // An escaped letter that base64 does not have, such as in a file's name.
                Err(_) => head.push(b'?'),
            }
        }
        Err("is a data: URL without a comma".to_owned())
    }
}

fn refused(error: &DecodeSliceError, block: &[u8], read: usize) -> String {
    match *error {
        DecodeSliceError::DecodeError(DecodeError::InvalidByte(offset, _)) => {
            let letters = String::from_utf8_lossy(block.get(offset..).unwrap_or_default());
            let letter = letters.chars().next();
            foreign(letter.unwrap_or(char::REPLACEMENT_CHARACTER), read + offset)
        }
        DecodeSliceError::DecodeError(DecodeError::InvalidLength(length)) => {
            let letters = read + length;
            format!("is not base64: {letters} letters are not a whole number of bytes")
        }
        _ => format!("is not base64: {error}"),
    }
}

fn foreign(letter: char, position: usize) -> String {
    format!("is not base64: {letter:?} at position {position}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the JSON string `text`, within an object.
    fn decoded(text: &str) -> Result<Vec<u8>, String> {
        let mut body = format!("{{\"image\": \"{text}\"}}").into_bytes();
        let range = 10..body.len() - 1;
        decode(&mut body, range).map(|()| body)
    }

    #[test]
    fn base64_is_read_in_every_usual_form() {
        for text in [
            "+/8A",
            "-_8A",
            "data:image/png;base64,+/8A",
            "data:image\\/png;base64,+\\/8A",
            "+/\\r\\n\\f8A",
            "\\u002b/8\\u0041",
            "\\u002d\\u005f8A",
            "data:image/png;name=é\\u00e9;base64,+/8A",
            "\\u002D\\u005F8A",
        ] {
            assert_eq!(decoded(text).unwrap(), [0xfb, 0xff, 0], "{text}");
        }
        assert_eq!(decoded("+/8=").unwrap(), [0xfb, 0xff]);
        assert_eq!(decoded("+/8").unwrap(), [0xfb, 0xff]);
        assert_eq!(decoded("").unwrap(), [0; 0]);
    }

    #[test]
    fn long_texts_are_decoded_in_blocks() {
        for length in (3 * BLOCK / 4 - 3..3 * BLOCK / 4 + 3).chain([100_000, 100_001]) {
            let bytes: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
            for engine in [STANDARD, URL_SAFE] {
                let text = engine.encode(&bytes);
                assert_eq!(decoded(&text).unwrap(), bytes);
                let mut lines = text.clone();
                lines.insert_str(1000, "\\n\\n");
                assert_eq!(decoded(&lines).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn a_foreign_letter_is_named() {
        let message = decoded("AAA§AAAA").unwrap_err();
        assert_eq!(message, "is not base64: '§' at position 3");
        let message = decoded(&format!("{}A§A", "A".repeat(BLOCK))).unwrap_err();
        assert_eq!(message, "is not base64: '§' at position 4097");
        for wrong in [
            "data:image/png,xx",
            "data:image/png;base64",
            "A",
            "AA=A",
            "\\u00e9",
            "+-AA",
            "\\bAAAA",
        ] {
            assert!(decoded(wrong).is_err(), "{wrong}");
        }
        let padded_within = format!("{}AA==AAAA", "A".repeat(BLOCK - 4));
        assert!(decoded(&padded_within).is_err());
    }
}
