//! What stands before the first scan of a JPEG file (ITU-T T.81, annex B).

use crate::metadata::Metadata;

use super::frame::{Component, Frame, is_start_of_frame};
use super::metadata::{EXIF, ICC, JFIF, XMP};
use super::segments::segment;

/// All that stands before the first scan.
#[derive(Clone, Debug)]
pub(super) struct Markers {
    pub(super) frame: Frame,
    /// There are Huffman tables. Motion JPEG leaves them out and means the standard's own (T.81,
    /// annex K.3).
    has_huffman_tables: bool,
    is_jfif: bool,
    /// How Adobe's programs say that colours are stored. With that marker, inks are stored
    /// inverted.
    pub(super) adobe_transform: Option<u8>,
    /// Components of the first scan; fewer than all when each has a scan of its own.
    first_scan_components: usize,
    /// Bytes of the longest run of data without a marker, at most.
    pub(super) longest_run: usize,
}

impl Markers {
    /// Bytes of four pixels in the picture's planes; `None` for ink, which has no brightness.
    pub(super) fn planar_bytes(&self) -> Option<u32> {
        let components = &self.frame.components;
        let largest = components.iter().map(Component::area).max()?;
        let all: usize = components.iter().map(Component::area).sum();
        (components.len() != 4).then(|| (4 * all).div_ceil(largest) as u32)
    }

    /// Whether all coefficients of the picture are held at once: the file has several scans.
    pub(super) fn has_several_scans(&self) -> bool {
        self.frame.is_progressive || self.first_scan_components < self.frame.components.len()
    }

    /// How many brightness samples, across and down, share one colour sample, in a picture that
    /// `reduced` reads: Huffman codes, brightness and colour by the rules that libjpeg goes by, or
    /// brightness alone, which is the inner `None`.
    pub(super) fn reducible(&self) -> Option<Option<(u32, u32)>> {
        let frame = &self.frame;
        if !frame.is_huffman || !self.has_huffman_tables || frame.bits != 8 {
            return None;
        }
        // Several scans are read of progressive pictures only.
        if !frame.is_progressive && self.has_several_scans() {
            return None;
        }
        match frame.components.as_slice() {
            [_] => Some(None),
            [brightness, blue, red] => {
                let is_rgb = match self.adobe_transform {
                    _ if self.is_jfif => false,
                    Some(transform) => transform == 0,
                    None => frame.components.iter().map(|c| c.id).eq(*b"RGB"),
                };
                let is_known = !is_rgb
                    && [blue, red].iter().all(|c| (c.across, c.down) == (1, 1))
                    && matches!((brightness.across, brightness.down), (1 | 2 | 4, 1 | 2 | 4));
                is_known.then_some(Some((brightness.across as u32, brightness.down as u32)))
            }
            _ => None,
        }
    }
}

/// Walks the markers up to the first scan, and on when more of them may part the data. Gives the
/// metadata apart, which only the header needs.
///
/// # Errors
///
/// What is missing, cut short or out of range.
pub(super) fn read(bytes: &[u8]) -> Result<(Markers, Metadata), String> {
    let mut metadata = Metadata::default();
    let mut icc_parts = Vec::new();
    let mut frame = None;
    let (mut has_huffman_tables, mut is_jfif, mut adobe_transform) = (false, false, None);
    let mut restarts = false;
    let mut rest = bytes.get(2..).unwrap_or_default();
    let (frame, first_scan_components) = loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            _ if is_start_of_frame(marker) => {
                if frame.is_some() {
                    return Err("it has two frame headers".to_owned());
                }
                frame = Some(Frame::read(marker, payload)?);
            }
            0xc4 => has_huffman_tables = true,
            0xda => {
                let frame = frame.ok_or("the first scan comes before the frame header")?;
                break (frame, usize::from(*payload.first().unwrap_or(&0)));
            }
            0xd9 => return Err("it ends before any picture data".to_owned()),
            0xe1 => {
                if let Some(exif) = payload.strip_prefix(EXIF) {
                    metadata.exif.get_or_insert_with(|| exif.to_vec());
                } else if let Some(xmp) = payload.strip_prefix(XMP) {
                    metadata.xmp.get_or_insert_with(|| xmp.to_vec());
                }
            }
            0xdd => restarts = true,
            0xe0 => is_jfif |= payload.starts_with(JFIF),
            0xee if payload.starts_with(b"Adobe") => {
                adobe_transform = Some(payload.get(11).copied().unwrap_or_default());
            }
            0xe2 => {
                if let Some([number, _count, part @ ..]) = payload.strip_prefix(ICC) {
                    icc_parts.push((*number, part));
                }
            }
            _ => {}
        }
    };
    icc_parts.sort_by_key(|(number, _)| *number);
    if !icc_parts.is_empty() {
        let parts: Vec<_> = icc_parts.into_iter().map(|(_, part)| part).collect();
        metadata.icc = Some(parts.concat());
    }
    let longest_run = match frame.is_progressive || restarts {
        true => longest_run(rest),
        false => rest.len(),
    };
    let markers = Markers {
        frame,
        has_huffman_tables,
        is_jfif,
        adobe_transform,
        first_scan_components,
        longest_run,
    };
    Ok((markers, metadata))
}

/// The longest run of a scan's data up to a marker, given what follows the first scan's header.
fn longest_run(mut rest: &[u8]) -> usize {
    let mut longest = 0;
    loop {
        let run = run_length(rest);
        longest = longest.max(run);
        rest = &rest[run..];
        // Tables may stand between scans.
        loop {
            match segment(rest) {
                Ok((0xd9, ..)) | Err(_) => return longest,
                Ok((marker, _, after)) => {
                    rest = after;
                    if matches!(marker, 0xda | 0xd0..=0xd7) {
                        break;
                    }
                }
            }
        }
    }
}

/// Bytes up to a marker; 0xff before zero is data.
fn run_length(bytes: &[u8]) -> usize {
    let mut places = memchr::memchr_iter(0xff, bytes);
    let ends = |place: &usize| bytes.get(place + 1).is_some_and(|after| *after != 0);
    places.find(ends).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_found_over_restarts_and_scans() {
        let mut data = vec![1, 0xff, 0, 2];
        assert_eq!(longest_run(&data), 4);
        // A restart, fill before it, and six bytes.
        data.extend([0xff, 0xff, 0xd0, 1, 2, 3, 4, 5, 6]);
        // A table, and a scan with five bytes.
        data.extend([0xff, 0xc4, 0, 4, 0xff, 0, 0xff, 0xda, 0, 2, 1, 2, 3, 4, 5]);
        data.extend([0xff, 0xd9, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(longest_run(&data), 6);
    }
}
