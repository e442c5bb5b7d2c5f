//! The markers of a JPEG file (ITU-T T.81, annex B) and the metadata they carry.

use crate::metadata::Metadata;

const JFIF: &[u8] = b"JFIF\0";
const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
/// Most bytes of a segment beside the two of its own length.
const MAX_SEGMENT: usize = 65_533;

/// One colour component of the frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub(super) across: u8,
    /// Vertical sampling factor, 1 to 4.
    pub(super) down: u8,
}

/// All that stands before the first scan.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u8,
    pub(super) components: Vec<Component>,
    pub(super) progressive: bool,
    pub(super) lossless: bool,
    /// The codes are Huffman's, not arithmetic.
    huffman: bool,
    /// There are Huffman tables. Motion JPEG leaves them out and means the standard's own (T.81,
    /// annex K.3).
    huffman_tables: bool,
    jfif: bool,
    /// How Adobe's programs say that colours are stored. With that marker, inks are stored
    /// inverted.
    pub(super) adobe_transform: Option<u8>,
    /// Components of the first scan; fewer than all when each has a scan of its own.
    pub(super) first_scan_components: usize,
    /// Bytes of the longest run of data without a marker, at most.
    pub(super) longest_run: usize,
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
    pub(super) icc: Option<Vec<u8>>,
}

/// What decides how many coefficients libjpeg keeps.
#[derive(Clone, Debug)]
pub(crate) struct Coefficients {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Sampling factors of each component, across and down.
    pub(crate) sampling: Vec<(u8, u8)>,
    /// Whether all coefficients of the picture are held at once: the file has several scans.
    pub(crate) whole_picture: bool,
}

impl Markers {
    /// Bytes of four pixels in the picture's planes; `None` for ink, which has no brightness.
    pub(super) fn planar_bytes(&self) -> Option<u32> {
        let area = |of: &Component| u32::from(of.across) * u32::from(of.down);
        let largest = self.components.iter().map(area).max()?;
        let all: u32 = self.components.iter().map(area).sum();
        (self.components.len() != 4).then(|| (4 * all).div_ceil(largest))
    }

    /// How many brightness samples, across and down, share one colour sample, in a picture that
    /// `reduced` reads: Huffman codes, brightness and colour by the rules that libjpeg goes by, or
    /// brightness alone, which is the inner `None`.
    pub(super) fn reducible(&self) -> Option<Option<(u32, u32)>> {
        if !self.huffman || !self.huffman_tables || self.bits != 8 {
            return None;
        }
        // Several scans are read of progressive pictures only.
        if !self.progressive && self.first_scan_components < self.components.len() {
            return None;
        }
        match self.components.as_slice() {
            [_] => Some(None),
            [brightness, blue, red] => {
                let is_rgb = match self.adobe_transform {
                    _ if self.jfif => false,
                    Some(transform) => transform == 0,
                    None => self.components.iter().map(|c| c.id).eq(*b"RGB"),
                };
                let is_known = !is_rgb
                    && [blue, red].iter().all(|c| (c.across, c.down) == (1, 1))
                    && matches!((brightness.across, brightness.down), (1 | 2 | 4, 1 | 2 | 4));
                is_known.then_some(Some((brightness.across.into(), brightness.down.into())))
            }
            _ => None,
        }
    }

    pub(super) fn coefficients(&self) -> Coefficients {
        Coefficients {
            width: self.width,
            height: self.height,
            sampling: self
                .components
                .iter()
                .map(|component| (component.across, component.down))
                .collect(),
            whole_picture: self.progressive || self.first_scan_components < self.components.len(),
        }
    }
}

/// Walks the markers up to the first scan, and on when more of them may part the data.
///
/// # Errors
///
/// What is missing, cut short or out of range.
pub(super) fn read(bytes: &[u8]) -> Result<Markers, String> {
    let mut markers = Markers::default();
    let mut icc_parts = Vec::new();
    let mut restarts = false;
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            // Every start of frame; 0xc4, 0xc8 and 0xcc are other things.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                frame_header(marker, payload, &mut markers)?;
            }
            0xc4 => markers.huffman_tables = true,
            0xda => {
                if markers.components.is_empty() {
                    return Err("the first scan comes before the frame header".to_owned());
                }
                markers.first_scan_components = usize::from(*payload.first().unwrap_or(&0));
                break;
            }
            0xd9 => return Err("it ends before any picture data".to_owned()),
            0xe1 => {
                if let Some(exif) = payload.strip_prefix(EXIF) {
                    markers.exif.get_or_insert_with(|| exif.to_vec());
                } else if let Some(xmp) = payload.strip_prefix(XMP) {
                    markers.xmp.get_or_insert_with(|| xmp.to_vec());
                }
            }
            0xdd => restarts = true,
            0xe0 => markers.jfif |= payload.starts_with(JFIF),
            0xee if payload.starts_with(b"Adobe") => {
                markers.adobe_transform = Some(payload.get(11).copied().unwrap_or_default());
            }
            0xe2 => {
                if let Some([number, _count, part @ ..]) = payload.strip_prefix(ICC) {
                    icc_parts.push((*number, part));
                }
            }
            _ => {}
        }
    }
    markers.longest_run = match markers.progressive || restarts {
        true => longest_run(rest),
        false => rest.len(),
    };
    icc_parts.sort_by_key(|(number, _)| *number);
    if !icc_parts.is_empty() {
        let parts: Vec<_> = icc_parts.into_iter().map(|(_, part)| part).collect();
        markers.icc = Some(parts.concat());
    }
    Ok(markers)
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

/// The next marker, its payload and what follows.
pub(super) fn segment(mut bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), String> {
    let cut = || "it is cut short".to_owned();
    loop {
        // Decoders skip bytes between segments up to the next marker; any number of 0xff may fill.
        let start = bytes
            .iter()
            .position(|byte| *byte == 0xff)
            .ok_or_else(cut)?;
        let fill = bytes[start..]
            .iter()
            .position(|byte| *byte != 0xff)
            .ok_or_else(cut)?;
        let marker = bytes[start + fill];
        let rest = &bytes[start + fill + 1..];
        match marker {
            // No marker; a file may have millions of them.
            0x00 => bytes = rest,
            // Markers without a payload.
            0x01 | 0xd0..=0xd9 => return Ok((marker, &[], rest)),
            _ => {
                let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
                let length = usize::from(u16::from_be_bytes(*length));
                if length < 2 {
                    return Err(format!("marker 0x{marker:02x} has the length {length}"));
                }
                let payload = rest.get(2..length).ok_or_else(cut)?;
                return Ok((marker, payload, &rest[length..]));
            }
        }
    }
}

/// Appends a marker with its payload of at most [`MAX_SEGMENT`] bytes.
pub(super) fn put_segment(jpeg: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    jpeg.extend([0xff, marker]);
    jpeg.extend((payload.len() as u16 + 2).to_be_bytes());
    jpeg.extend(payload);
}

/// Reads a start of frame (T.81, B.2.2).
fn frame_header(marker: u8, payload: &[u8], markers: &mut Markers) -> Result<(), String> {
    let [bits, h0, h1, w0, w1, count, components @ ..] = payload else {
        return Err("the frame header is cut short".to_owned());
    };
    if !markers.components.is_empty() {
        return Err("it has two frame headers".to_owned());
    }
    markers.bits = *bits;
    markers.height = u32::from(u16::from_be_bytes([*h0, *h1]));
    markers.width = u32::from(u16::from_be_bytes([*w0, *w1]));
    markers.progressive = matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
    markers.huffman = matches!(marker, 0xc0..=0xc2);
    markers.lossless = matches!(marker, 0xc3 | 0xc7 | 0xcb | 0xcf);
    let (components, _) = components.as_chunks::<3>();
    if components.len() < usize::from(*count) || *count == 0 {
        return Err("the frame header is cut short".to_owned());
    }
    for &[id, factors, _] in &components[..usize::from(*count)] {
        let component = Component {
            id,
            across: factors >> 4,
            down: factors & 15,
        };
        if !(1..=4).contains(&component.across) || !(1..=4).contains(&component.down) {
            return Err(format!(
                "a sampling factor of {} × {} is not between 1 and 4",
                component.across, component.down
            ));
        }
        markers.components.push(component);
    }
    Ok(())
}

/// Puts metadata behind the JFIF header of an encoded picture.
pub(super) fn with_metadata(jpeg: Vec<u8>, metadata: &Metadata) -> Vec<u8> {
    let mut segments = Vec::new();
    let mut put = |marker: u8, parts: &[&[u8]]| {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        // A block that is too long for its one segment is left out rather than broken.
        if length <= MAX_SEGMENT {
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
        let parts = icc.chunks(MAX_SEGMENT - ICC.len() - 2);
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

    #[test]
    fn millions_of_stuffed_bytes_are_passed_over() {
        let mut data = [0xff, 0].repeat(4_000_000);
        assert_eq!(segment(&data), Err("it is cut short".to_owned()));
        data.extend([0xff, 0xd9, 7]);
        assert_eq!(segment(&data), Ok((0xd9, &[][..], &[7][..])));
    }
}
