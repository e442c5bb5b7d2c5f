//! Writes metadata into the application segments of a JPEG file.

use std::ops::Range;

use crate::metadata::{Metadata, iptc};

use super::segments::{MAX_PAYLOAD, put_segment, segment};

/// The signatures of APP0 with JFIF, of APP1 with EXIF and with XMP, and of APP2 with a part of an
/// ICC profile.
const JFIF: &[u8] = b"JFIF\0";
pub(super) const EXIF: &[u8] = b"Exif\0\0";
pub(super) const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
pub(super) const ICC: &[u8] = b"ICC_PROFILE\0";
/// The signature of APP13 with Photoshop's resources, one of which is IPTC.
pub(super) const IPTC: &[u8] = b"Photoshop 3.0\0";
/// The place of the version in a JFIF header.
pub(super) const JFIF_BYTES: Range<usize> = 5..7;

/// Whether this is a JFIF header: a shorter one does not count.
pub(super) fn is_jfif(payload: &[u8]) -> bool {
    payload.len() >= 14 && payload.starts_with(JFIF)
}

/// The colour transform in Adobe's marker; `None` if it is another one, or too short.
pub(super) fn adobe_transform(payload: &[u8]) -> Option<u8> {
    payload.strip_prefix(b"Adobe")?.get(6).copied()
}

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
    if let Some(iptc) = &metadata.iptc {
        put(0xed, &[IPTC, &iptc::resource(iptc)]);
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
