//! Mends flaws that cost no pixel, so that every decoder reads the same files.
//!
//! libjpeg-turbo refuses some of these, and warns of others in the words of real damage: stray bytes
//! in the header, a second start of the picture, an unknown version of JFIF or colour transform of
//! Adobe, a profile in parts that do not fit, the wrong range of coefficients in a sequential
//! picture, a height that comes late, and a missing end marker.

use super::frame::{Frame, is_start_of_frame};
use super::markers::{Markers, known_transform};
use super::metadata::{JFIF_BYTES, adobe_transform, is_jfif};
use super::reduced::scan::Scan;
use super::segments::{put_segment, run_length, segment};
use super::spec::AREA;

/// The place of the height in a frame header.
const HEIGHT: std::ops::Range<usize> = 1..3;
/// The place of the colour transform in Adobe's marker.
const TRANSFORM: usize = 11;

/// Copies a flawed picture without its flaws, and without metadata.
///
/// # Errors
///
/// If its end is missing and scans with it.
pub(super) fn mended(bytes: &[u8], markers: &Markers) -> Result<Vec<u8>, String> {
    let frame = &markers.frame;
    if frame.is_arithmetic && !markers.has_end {
        // Its decoder takes whatever follows for data, and finds nothing missing.
        return Err("it is cut short".to_owned());
    }
    let mut jpeg = Vec::with_capacity(bytes.len() + 2);
    jpeg.extend([0xff, 0xd8]);
    let mut scans = Vec::new();
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            0xd0..=0xd8 | 0x01 | 0xfe => {}
            0xe0 if is_jfif(payload) => {
                let mut header = payload.to_vec();
                header[JFIF_BYTES].copy_from_slice(&[1, 2]);
                put_segment(&mut jpeg, marker, &header);
            }
            0xee if adobe_transform(payload).is_some() => {
                let mut adobe = payload.to_vec();
                adobe[TRANSFORM] = known_transform(frame, adobe[TRANSFORM]);
                put_segment(&mut jpeg, marker, &adobe);
            }
            0xe0..=0xef => {}
            0xda => {
                put_scan(&mut jpeg, frame, payload);
                scans.extend(Scan::read(payload, frame));
                break;
            }
            _ if is_start_of_frame(marker) => {
                let mut header = payload.to_vec();
                // It was read from 16 bits.
                header[HEIGHT].copy_from_slice(&(frame.height as u16).to_be_bytes());
                put_segment(&mut jpeg, marker, &header);
            }
            _ => put_segment(&mut jpeg, marker, payload),
        }
    }
    if !markers.has_several_scans() {
        jpeg.extend_from_slice(rest);
    } else {
        put_scans(&mut jpeg, frame, rest, &mut scans);
        if !markers.has_end && !is_complete(frame, &scans) {
            return Err("it is cut short".to_owned());
        }
    }
    if !markers.has_end {
        jpeg.extend([0xff, 0xd9]);
    }
    Ok(jpeg)
}

/// Writes a scan header. In a sequential picture, all coefficients are in one scan; some cameras
/// write another range.
fn put_scan(jpeg: &mut Vec<u8>, frame: &Frame, payload: &[u8]) {
    let mut payload = payload.to_vec();
    let is_sequential = !frame.is_progressive && !frame.is_lossless;
    if is_sequential && let Some(range) = payload.last_chunk_mut() {
        *range = [0, AREA as u8 - 1, 0];
    }
    put_segment(jpeg, 0xda, &payload);
}

/// Copies the data of the first scan and everything after it.
fn put_scans(jpeg: &mut Vec<u8>, frame: &Frame, mut rest: &[u8], scans: &mut Vec<Scan>) {
    loop {
        let (data, after) = rest.split_at(run_length(rest));
        jpeg.extend_from_slice(data);
        rest = after;
        // Tables may come between scans.
        loop {
            let Ok((marker, payload, after)) = segment(rest) else {
                jpeg.extend_from_slice(rest);
                return;
            };
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            match marker {
                0xda => {
                    put_scan(jpeg, frame, payload);
                    scans.extend(Scan::read(payload, frame));
                    break;
                }
                0xd0..=0xd7 => {
                    jpeg.extend_from_slice(whole);
                    break;
                }
                0xd9 => {
                    jpeg.extend_from_slice(whole);
                    return;
                }
                _ => jpeg.extend_from_slice(whole),
            }
        }
    }
}

/// Whether these scans have all bits of all coefficients.
fn is_complete(frame: &Frame, scans: &[Scan]) -> bool {
    let mut lowest = vec![[u32::MAX; AREA]; frame.components.len()];
    for scan in scans {
        let (range, low) = match frame.is_progressive {
            true => (scan.first..(scan.last + 1).min(AREA), scan.low),
            false => (0..AREA, 0),
        };
        for part in &scan.parts {
            if let Some(bits) = lowest[part.component].get_mut(range.clone()) {
                bits.fill(low);
            }
        }
    }
    lowest.iter().flatten().all(|low| *low == 0)
}
