//! Joins JPEG data with tables that are in another place, as in TIFF.

use super::segments::{put_segment, segment};

/// A JPEG file of tables and of a picture that uses them. `transform` is the colour transform of
/// Adobe's marker, so that no decoder has to guess it.
///
/// # Errors
///
/// If it is cut short before the first scan.
pub(super) fn joined(
    picture: &[u8],
    tables: Option<&[u8]>,
    transform: u8,
) -> Result<Vec<u8>, String> {
    let tables = tables.unwrap_or_default();
    let mut jpeg = Vec::with_capacity(picture.len() + tables.len() + 32);
    jpeg.extend([0xff, 0xd8]);
    put_segment(
        &mut jpeg,
        0xee,
        &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
    );
    let mut rest = tables.get(2..).unwrap_or_default();
    while let Ok((marker, payload, after)) = segment(rest) {
        rest = after;
        if matches!(marker, 0xc4 | 0xcc | 0xdb | 0xdd) {
            put_segment(&mut jpeg, marker, payload);
        }
    }
    let mut rest = picture.get(2..).unwrap_or_default();
    loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            0xd0..=0xd9 | 0x01 | 0xe0..=0xef | 0xfe => {}
            _ => put_segment(&mut jpeg, marker, payload),
        }
        if marker == 0xda {
            jpeg.extend_from_slice(rest);
            return Ok(jpeg);
        }
    }
}
