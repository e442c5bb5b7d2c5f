//! Writes metadata into the application segments of a JPEG file.

use crate::metadata::Metadata;

use super::segments::{MAX_PAYLOAD, put_segment, segment};

/// The signatures of APP0 with JFIF, of APP1 with EXIF and with XMP, and of APP2 with a part of an
/// ICC profile.
pub(super) const JFIF: &[u8] = b"JFIF\0";
pub(super) const EXIF: &[u8] = b"Exif\0\0";
pub(super) const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
pub(super) const ICC: &[u8] = b"ICC_PROFILE\0";

/// Inserts metadata after the JFIF header of an encoded picture.
pub(super) fn with_metadata(jpeg: Vec<u8>, metadata: &Metadata) -> Vec<u8> {
    let mut segments = Vec::new();
    let mut put = |marker: u8, parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // A block that is too long for a single segment is left out.
        if length <= MAX_PAYLOAD {
            put_segment(&mut segments, marker, &parts.concat());
        }
    };
    if let Some(exif) = &metadata.exif {
        put(0xe1, &[EXIF, exif]);
    }
    if let Some(xmp) = &metadata.xmp {
        put(0xe1, &[XMP, xmp]);
    }
    if let Some(icc) = &metadata.icc {
        let parts = icc.chunks(MAX_PAYLOAD - ICC.len() - 2);
        let count = parts.len();
        if count <= 255 {
            for (number, part) in (1..=count as u8).zip(parts) {
                put(0xe2, &[ICC, &[number, count as u8], part]);
            }
        }
    }
    if segments.is_empty() {
        return jpeg;
    }
    let after_jfif = match segment(&jpeg[2..]) {
        Ok((0xe0, payload, _)) => 2 + 2 + 2 + payload.len(),
        _ => 2,
    };
    [&jpeg[..after_jfif], &segments, &jpeg[after_jfif..]].concat()
}
