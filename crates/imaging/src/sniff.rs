//! Detects the format of a picture by its first bytes, never by a name.

use crate::error::ImagingError;
use crate::format::Format;

/// Detects the format of a picture.
///
/// # Errors
///
/// [`ImagingError::NotAPicture`], with what the bytes seem to be instead.
pub fn sniff(bytes: &[u8]) -> Result<Format, ImagingError> {
    if let Some(format) = picture(bytes) {
        return Ok(format);
    }
    let readable = Format::ALL
        .into_iter()
        .filter(|format| format.is_readable());
    let names: Vec<_> = readable.map(Format::name).collect();
    Err(ImagingError::NotAPicture(format!(
        "{}; send one of {}",
        what_else(bytes),
        names.join(", ")
    )))
}

fn picture(bytes: &[u8]) -> Option<Format> {
    let at = |offset: usize, expected: &[u8]| {
        bytes
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(expected))
    };
    if at(0, b"\xff\xd8") && is_jpeg(&bytes[2..]) {
        return Some(Format::Jpeg);
    }
    if at(0, b"\x89PNG\r\n\x1a\n") {
        return Some(Format::Png);
    }
    if at(0, b"RIFF") && at(8, b"WEBP") {
        return Some(Format::Webp);
    }
    if at(0, b"GIF87a") || at(0, b"GIF89a") {
        return Some(Format::Gif);
    }
    if at(0, b"BM") && bytes.len() >= 6 && !is_text(&bytes[..bytes.len().min(64)]) {
        return Some(Format::Bmp);
    }
    if at(0, b"II*\0") || at(0, b"MM\0*") || at(0, b"II+\0") || at(0, b"MM\0+") {
        return Some(Format::Tiff);
    }
    // The third byte is 1 in an icon and 2 in a cursor. A TGA begins like a cursor without pictures.
    if (at(0, b"\0\0\x01\0") || at(0, b"\0\0\x02\0"))
        && bytes.get(4..6).is_some_and(|count| count != [0, 0])
    {
        return Some(Format::Ico);
    }
    if at(0, b"\xff\x0a") || at(0, b"\0\0\0\x0cJXL \r\n\x87\n") {
        return Some(Format::Jxl);
    }
    // Both are HEIF, and a file of one may also list the brand of the other.
    let is_any = |wanted: &[&[u8; 4]]| brands(bytes).any(|brand| wanted.contains(&brand));
    if is_any(&[b"avif", b"avis"]) {
        return Some(Format::Avif);
    }
    is_any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]).then_some(Format::Heic)
}

/// Whether a segment of JPEG follows the start of a picture, at once or after a few stray bytes.
fn is_jpeg(after: &[u8]) -> bool {
    let start = &after[..after.len().min(4096)];
    let is_segment = |pair: &[u8]| matches!(pair, [0xff, 0xc0..=0xfe]);
    after.starts_with(b"\xff") || start.windows(2).any(is_segment)
}

/// What bytes of an unsupported format seem to be.
fn what_else(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "the picture is empty".to_owned();
    }
    let start = &bytes[..bytes.len().min(1024)];
    if brands(bytes).any(|brand| matches!(brand, b"mif1" | b"msf1")) {
        return "this is a HEIF file that is neither AVIF nor HEIC; it is not supported".to_owned();
    }
    if is_text(start) {
        let text = String::from_utf8_lossy(start).to_ascii_lowercase();
        if text.contains("<svg") {
            return "this is SVG, a vector format that is not supported".to_owned();
        }
        return "this is text, not a picture".to_owned();
    }
    for (magic, name) in [
        (&b"%PDF"[..], "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"8BPS", "a Photoshop document"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    ] {
        if bytes.starts_with(magic) {
            return format!("this is {name}, which is not supported");
        }
    }
    let hex: Vec<_> = start.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!(
        "the first bytes ({}) are not those of a known picture format",
        hex.join(" ")
    )
}

/// The major and the compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3).
fn brands(bytes: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    let size = match bytes {
        [a, b, c, d, b'f', b't', b'y', b'p', ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        _ => 0,
    };
    let end = size.min(bytes.len());
    let (words, _) = bytes[..end].as_chunks::<4>();
    words
        .iter()
        .enumerate()
        .filter(|(index, _)| *index == 2 || *index >= 4)
        .map(|(_, brand)| brand)
}

fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        // The cut may have split a character.
        Err(error) if error.valid_up_to() + 4 > bytes.len() && error.valid_up_to() > 0 => {
            return is_text(&bytes[..error.valid_up_to()]);
        }
        Err(_) => return false,
    };
    text.chars()
        .all(|letter| !letter.is_control() || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        sniff(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_picture_is_named() {
        assert!(refusal(b"").starts_with("the picture is empty"));
        assert!(refusal(b"Dear reader,\n").starts_with("this is text"));
        assert!(refusal("Grüße, ".repeat(400).as_bytes()).starts_with("this is text"));
        assert!(
            refusal(b"<?xml version=\"1.0\"?><svg></svg>").contains("this is SVG, a vector format")
        );
        assert!(refusal(b"BMW is a car maker").starts_with("this is text"));
        assert!(refusal(b"%PDF-1.7\0\x01").contains("a PDF document"));
        assert!(refusal(&[1, 2, 3]).contains("the first bytes (01 02 03)"));
        assert!(refusal(b"\0\0\0\x14ftypmif1\0\0\0\0mif1").contains("neither AVIF nor HEIC"));
        assert!(refusal(b"x").contains("send one of jpeg, png"));
    }

    #[test]
    fn avif_and_heic_are_told_by_their_brands() {
        for (brands, format) in [
            (b"mif1\0\0\0\0mif1avif", Format::Avif),
            (b"avif\0\0\0\0mif1miaf", Format::Avif),
            (b"heic\0\0\0\0mif1miaf", Format::Heic),
            (b"mif1\0\0\0\0mif1heic", Format::Heic),
            (b"msf1\0\0\0\0msf1hevc", Format::Heic),
        ] {
            let bytes = [b"\0\0\0\x18ftyp", brands.as_slice()].concat();
            assert_eq!(sniff(&bytes).unwrap(), format, "{bytes:?}");
        }
    }
}
