//! Reads the segments before the first scan of a JPEG file (ITU-T T.81, annex B).

use crate::limits::Limits;
use crate::metadata::{self, Metadata, iptc};

use super::frame::{Component, Frame, is_start_of_frame};
use super::metadata::{EXIF, ICC, IPTC, JFIF_BYTES, XMP, adobe_transform, is_jfif};
use super::profile;
use super::segments::{Segment, run_length, segment};
use super::spec::{MAX_SCANNED_PIXELS, MAX_SCANS};

/// The segments before the first scan.
#[derive(Clone, Debug)]
pub(super) struct Markers {
    pub(super) frame: Frame,
    /// Whether Huffman tables are present. Motion JPEG omits them and uses those of the standard
    /// (T.81, annex K.3).
    has_huffman_tables: bool,
    is_jfif: bool,
    /// The colour transform in Adobe's marker. With that marker, CMYK is stored inverted.
    pub(super) adobe_transform: Option<u8>,
    /// Components of the first scan; fewer than all if the picture has several scans.
    first_scan_components: usize,
    /// The maximum length in bytes of coded data between two markers.
    pub(super) longest_run: usize,
    /// The memory in which libjpeg-turbo saves the segments that may have a profile.
    pub(super) saved_bytes: u64,
    /// Whether the file has a flaw that costs no pixel, but that libjpeg-turbo refuses or warns of:
    /// `repair` mends it.
    pub(super) is_flawed: bool,
    /// Whether there is an end marker after the first scan.
    pub(super) has_end: bool,
    /// Whether restart markers may split the coded data.
    pub(super) has_restarts: bool,
}

impl Markers {
    /// Bytes of four pixels in planes; `None` for CMYK, which has no luma.
    pub(super) fn planar_bytes(&self) -> Option<u32> {
        let components = &self.frame.components;
        let largest = components.iter().map(Component::area).max()?;
        let all: usize = components.iter().map(Component::area).sum();
        (components.len() != 4).then(|| (4 * all).div_ceil(largest) as u32)
    }

    /// Whether the end of the data can only be found by a decoder that reads all of it.
    pub(super) fn must_be_read_whole(&self) -> bool {
        self.frame.is_progressive && !self.has_end
    }

    /// Whether the chroma subsampling is one of those that libjpeg-turbo decodes to planes.
    pub(super) fn has_common_sampling(&self) -> bool {
        match self.frame.components.as_slice() {
            [brightness, blue, red] => {
                let most = (brightness.across, brightness.down);
                [blue, red].iter().all(|c| (c.across, c.down) == (1, 1))
                    && matches!(most, (1, 1) | (2, 1 | 2) | (1, 2) | (4, 1) | (1, 4))
            }
            _ => true,
        }
    }

    /// Whether the coefficients of the whole picture are held at once: the file has several scans.
    pub(super) fn has_several_scans(&self) -> bool {
        self.frame.is_progressive || self.first_scan_components < self.frame.components.len()
    }

    /// The chroma subsampling, luma samples across and down per chroma sample, if `reduced` can
    /// decode the picture: Huffman codes, and YCbCr by libjpeg's rules. The inner `None` means luma
    /// only.
    pub(super) fn reducible(&self) -> Option<Option<(u32, u32)>> {
        let frame = &self.frame;
        if !frame.is_huffman || !self.has_huffman_tables || frame.bits != 8 {
            return None;
        }
        // Several scans are supported for progressive pictures only.
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

/// Walks over the markers up to the first scan, and further if markers may split the coded data.
/// Returns the metadata separately, because only the header needs it.
///
/// # Errors
///
/// If something is missing, cut short or out of range, or if the profile is above the limit.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<(Markers, Metadata), String> {
    let mut found = Metadata::default();
    let mut icc_parts = Vec::new();
    let mut icc_bytes = 0;
    let mut frame = None;
    let (mut has_huffman_tables, mut has_jfif, mut adobe) = (false, false, None);
    let (mut restarts, mut is_flawed) = (false, false);
    let mut rest = bytes.get(2..).unwrap_or_default();
    let (mut frame, first_scan) = loop {
        let segment = Segment::next(rest)?;
        let payload = segment.payload;
        rest = segment.after;
        is_flawed |= segment.has_stray;
        match segment.marker {
            marker if is_start_of_frame(marker) => {
                if frame.is_some() {
                    return Err("it has two frame headers".to_owned());
                }
                frame = Some(Frame::read(marker, payload)?);
            }
            0xc4 => has_huffman_tables = true,
            0xda => {
                let frame = frame.ok_or("the first scan comes before the frame header")?;
                break (frame, payload);
            }
            // A second start of the picture.
            0xd8 => is_flawed = true,
            0xd9 => return Err("it ends before any picture data".to_owned()),
            0xe1 => {
                if let Some(exif) = payload.strip_prefix(EXIF) {
                    found.exif.get_or_insert_with(|| exif.to_vec());
                } else if let Some(xmp) = payload.strip_prefix(XMP) {
                    found.xmp.get_or_insert_with(|| xmp.to_vec());
                }
            }
            0xdd => restarts = true,
            0xe0 if is_jfif(payload) => {
                has_jfif = true;
                is_flawed |= payload[JFIF_BYTES.start] != 1;
            }
            0xee => adobe = adobe_transform(payload).or(adobe),
            0xed => {
                if let Some(blocks) = payload.strip_prefix(IPTC)
                    && found.iptc.is_none()
                {
                    found.iptc = iptc::of_resources(blocks);
                }
            }
            0xe2 => {
                if let Some([number, count, part @ ..]) = payload.strip_prefix(ICC) {
                    icc_bytes += part.len();
                    metadata::check_stored_profile(icc_bytes, limits)?;
                    icc_parts.push(profile::Part {
                        number: *number,
                        count: *count,
                        bytes: part,
                    });
                }
            }
            _ => {}
        }
    };
    found.icc = profile::join(&icc_parts);
    is_flawed |= found.icc.is_none() && !icc_parts.is_empty();
    is_flawed |= adobe.is_some_and(|transform| transform != known_transform(&frame, transform));
    let first_scan_components = usize::from(*first_scan.first().unwrap_or(&0));
    let is_whole = matches!(first_scan, [.., 0, 63, 0]);
    is_flawed |= !frame.is_progressive && !frame.is_lossless && !is_whole;
    if frame.height == 0 {
        frame.height = late_height(rest);
        is_flawed = true;
    }
    let has_end = memchr::memmem::rfind(rest, b"\xff\xd9").is_some();
    is_flawed |= !has_end;
    let has_several_scans = frame.is_progressive || first_scan_components < frame.components.len();
    restarts |= has_several_scans && memchr::memmem::find(rest, b"\xff\xdd").is_some();
    let longest_run = match has_several_scans || restarts {
        true => {
            let (longest, scans) = runs(rest);
            if has_several_scans {
                check_scans(&frame, scans)?;
            }
            longest
        }
        false => rest.len(),
    };
    let markers = Markers {
        frame,
        has_huffman_tables,
        is_jfif: has_jfif,
        adobe_transform: adobe,
        first_scan_components,
        longest_run,
        saved_bytes: saved_bytes(bytes),
        is_flawed,
        has_end,
        has_restarts: restarts,
    };
    Ok((markers, found))
}

/// A colour transform of Adobe's marker that libjpeg knows: for others it assumes YCbCr or YCCK.
pub(super) fn known_transform(frame: &Frame, transform: u8) -> u8 {
    match (frame.components.len(), transform) {
        (_, 0) => 0,
        (4, _) => 2,
        _ => 1,
    }
}

/// The height of a picture whose frame header has none: it is defined after the first scan (T.81,
/// B.2.5). 0 if it is not.
fn late_height(rest: &[u8]) -> usize {
    let place = memchr::memmem::find(rest, b"\xff\xdc\0\x04");
    let height = place.and_then(|place| rest.get(place + 4..)?.first_chunk());
    height.map_or(0, |height| usize::from(u16::from_be_bytes(*height)))
}

/// libjpeg-turbo saves every APP2 segment up to the end of the picture, with what it needs to find it,
/// and joins the profile. In coded data no 0xff is followed by 0xe2.
fn saved_bytes(bytes: &[u8]) -> u64 {
    const SEGMENT_BYTES: u64 = 160;
    let places = memchr::memmem::find_iter(bytes, b"\xff\xe2");
    let length = |place: usize| {
        let two = bytes.get(place + 2..).and_then(|rest| rest.first_chunk());
        two.map_or(0, |two| u64::from(u16::from_be_bytes(*two)))
    };
    places.map(|place| SEGMENT_BYTES + 2 * length(place)).sum()
}

/// Refuses a picture whose scans take far more time than its pixels. An empty scan needs only a few
/// bytes, and a decoder passes over all blocks for each.
fn check_scans(frame: &Frame, scans: u32) -> Result<(), String> {
    let pixels = frame.width as u64 * frame.height as u64;
    let most = (MAX_SCANNED_PIXELS / pixels.max(1)).min(MAX_SCANS.into());
    if u64::from(scans) > most {
        return Err(format!(
            "it has {scans} scans; the limit for a picture of this size is {most}"
        ));
    }
    Ok(())
}

/// The longest run of coded data, and the number of scans, given what follows the header of the first
/// one.
fn runs(mut rest: &[u8]) -> (usize, u32) {
    let (mut longest, mut scans) = (0, 1);
    loop {
        let run = run_length(rest);
        longest = longest.max(run);
        rest = &rest[run..];
        // Tables may come between scans.
        loop {
            match segment(rest) {
                Ok((0xd9, ..)) | Err(_) => return (longest, scans),
                Ok((marker, _, after)) => {
                    rest = after;
                    scans += u32::from(marker == 0xda);
                    if matches!(marker, 0xda | 0xd0..=0xd7) {
                        break;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_is_found_over_restarts_and_scans() {
        let mut data = vec![1, 0xff, 0, 2];
        assert_eq!(runs(&data), (4, 1));
        // A restart marker, a fill byte before it, and six bytes.
        data.extend([0xff, 0xff, 0xd0, 1, 2, 3, 4, 5, 6]);
        // A table, and a scan with five bytes.
        data.extend([0xff, 0xc4, 0, 4, 0xff, 0, 0xff, 0xda, 0, 2, 1, 2, 3, 4, 5]);
        data.extend([0xff, 0xd9, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(runs(&data), (6, 2));
    }
}
