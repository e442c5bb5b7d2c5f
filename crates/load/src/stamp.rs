//! Makes every request's picture unique, so that no service can answer from an earlier result: a
//! number goes into a comment that changes no pixel.
//!
//! Only the comment is made for each request. The bytes before and after it are shared, in base64
//! too: the comment begins and ends at a multiple of three bytes, so that base64 of the parts, joined,
//! is base64 of the whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Digits of the number: 16 hexadecimal ones.
const DIGITS: usize = 16;

/// A picture with a place for a number.
pub(crate) struct Stamped {
    before: Vec<u8>,
    /// The comment, with some bytes of the picture on both sides.
    comment: Vec<u8>,
    after: Vec<u8>,
    number_at: usize,
    /// Where the CRC of a PNG chunk goes, and where the bytes that it covers begin.
    crc: Option<(usize, usize)>,
    before_base64: String,
    after_base64: String,
}

/// A comment: its bytes, where it is inserted, and where its number and its CRC are.
struct Comment {
    bytes: Vec<u8>,
    at: usize,
    number_at: usize,
    crc: Option<(usize, usize)>,
}

impl Stamped {
    pub(crate) fn new(mut picture: Vec<u8>) -> Self {
        let comment = match &picture[..] {
            [0x89, b'P', b'N', b'G', ..] if picture.len() > 33 => png(),
            [0xFF, 0xD8, ..] => jpeg(),
            [b'R', b'I', b'F', b'F', ..] => webp(&mut picture),
            // Decoders of the other formats ignore what follows a picture.
            _ => trailer(picture.len()),
        };
        let Comment { bytes, at, .. } = comment;
        // Bytes before and after go into the changing part until both its ends are multiples of 3.
        let start = at - at % 3;
        let end = match (at + bytes.len()) % 3 {
            0 => at,
            over => picture.len().min(at + 3 - over),
        };
        let changing = [&picture[start..at], &bytes, &picture[at..end]].concat();
        let (before, after) = (&picture[..start], &picture[end..]);
        let within = at - start;
        Self {
            before_base64: STANDARD.encode(before),
            after_base64: STANDARD.encode(after),
            before: before.to_vec(),
            after: after.to_vec(),
            comment: changing,
            number_at: within + comment.number_at,
            crc: comment.crc.map(|(at, from)| (within + at, within + from)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.before.len() + self.comment.len() + self.after.len()
    }

    pub(crate) fn len_base64(&self) -> usize {
        self.len().div_ceil(3) * 4
    }

    /// The bytes before the comment and after it.
    pub(crate) fn around(&self) -> (&[u8], &[u8]) {
        (&self.before, &self.after)
    }

    pub(crate) fn around_base64(&self) -> (&str, &str) {
        (&self.before_base64, &self.after_base64)
    }

    /// The comment with a number.
    pub(crate) fn comment(&self, number: u64) -> Vec<u8> {
        let mut comment = self.comment.clone();
        let digits = format!("{number:016x}");
        comment[self.number_at..self.number_at + DIGITS].copy_from_slice(digits.as_bytes());
        if let Some((at, from)) = self.crc {
            let sum = crc32fast::hash(&comment[from..at]);
            comment[at..at + 4].copy_from_slice(&sum.to_be_bytes());
        }
        comment
    }

    pub(crate) fn comment_base64(&self, number: u64) -> String {
        STANDARD.encode(self.comment(number))
    }
}

/// A `tEXt` chunk after the header.
fn png() -> Comment {
    let text = [b"Comment\0" as &[u8], &[b'0'; DIGITS]].concat();
    let length = (text.len() as u32).to_be_bytes();
    Comment {
        bytes: [&length[..], b"tEXt", &text, &[0; 4]].concat(),
        at: 33,
        number_at: 16,
        crc: Some((8 + text.len(), 4)),
    }
}

/// A comment segment at the beginning.
fn jpeg() -> Comment {
    Comment {
        bytes: [&[0xFF, 0xFE, 0, 2 + DIGITS as u8][..], &[b'0'; DIGITS]].concat(),
        at: 2,
        number_at: 4,
        crc: None,
    }
}

/// An unknown chunk at the end, which decoders skip. The size in the header grows by it.
fn webp(picture: &mut Vec<u8>) -> Comment {
    if picture.len() % 2 == 1 {
        picture.push(0);
    }
    let chunk = [b"note" as &[u8], &[DIGITS as u8, 0, 0, 0], &[b'0'; DIGITS]].concat();
    let size = (picture.len() + chunk.len() - 8) as u32;
    picture[4..8].copy_from_slice(&size.to_le_bytes());
    Comment {
        bytes: chunk,
        at: picture.len(),
        number_at: 8,
        crc: None,
    }
}

fn trailer(at: usize) -> Comment {
    Comment {
        bytes: vec![b'0'; DIGITS],
        at,
        number_at: 0,
        crc: None,
    }
}

#[cfg(test)]
mod tests {
    use picresize_imaging::{Format, Limits, ResizeOptions, resize};

    use super::*;
    use crate::made::picture;

    #[test]
    fn a_stamp_changes_no_pixel_and_base64_fits_together() {
        for format in [Format::Png, Format::Jpeg, Format::Webp, Format::Gif] {
            let plain = picture((61, 47), format, 3).unwrap();
            let stamped = Stamped::new(plain.clone());
            let options = ResizeOptions {
                width: Some(20),
                ..ResizeOptions::default()
            };
            let result = |bytes: &[u8]| resize(bytes, &options, &Limits::default()).unwrap().bytes;
            let (before, after) = stamped.around();
            let whole = [before, &stamped.comment(0xABCD), after].concat();
            assert_eq!(whole.len(), stamped.len(), "{format}");
            assert_ne!(whole, [before, &stamped.comment(1), after].concat());
            assert_eq!(result(&whole), result(&plain), "{format}");
            let (before, after) = stamped.around_base64();
            let joined = [before, &stamped.comment_base64(0xABCD), after].concat();
            assert_eq!(joined, STANDARD.encode(&whole), "{format}");
            assert_eq!(joined.len(), stamped.len_base64(), "{format}");
        }
    }
}
