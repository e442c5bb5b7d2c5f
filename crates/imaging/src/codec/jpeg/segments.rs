//! Reads and writes the segments of a JPEG file: a marker and its payload (ITU-T T.81, B.1.1).

/// The maximum payload of a segment in bytes, without the two bytes of its length.
pub(super) const MAX_PAYLOAD: usize = 65_533;

/// A marker with its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) payload: &'a [u8],
    /// What follows.
    pub(super) after: &'a [u8],
    /// Whether other bytes than fill bytes were skipped before the marker.
    pub(super) has_stray: bool,
}

impl<'a> Segment<'a> {
    /// Finds the next marker. Decoders skip stray bytes before a marker, and any number of 0xff may
    /// be fill bytes.
    ///
    /// # Errors
    ///
    /// If there is none, or if its payload is cut short or has an invalid length.
    pub(super) fn next(mut bytes: &'a [u8]) -> Result<Self, String> {
        let cut = || "it is cut short".to_owned();
        let mut has_stray = false;
        loop {
            let start = bytes
                .iter()
                .position(|byte| *byte == 0xff)
                .ok_or_else(cut)?;
            let fill = bytes[start..]
                .iter()
                .position(|byte| *byte != 0xff)
                .ok_or_else(cut)?;
            has_stray |= start > 0;
            let marker = bytes[start + fill];
            let rest = &bytes[start + fill + 1..];
            let found = |payload, after| Self {
                marker,
                payload,
                after,
                has_stray,
            };
            match marker {
                // Not a marker; a file may have millions of them.
                0x00 => {
                    has_stray = true;
                    bytes = rest;
                }
                // Markers without a payload.
                0x01 | 0xd0..=0xd9 => return Ok(found(&[], rest)),
                _ => {
                    let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    if length < 2 {
                        return Err(format!(
                            "marker 0x{marker:02x} has the invalid length {length}"
                        ));
                    }
                    let payload = rest.get(2..length).ok_or_else(cut)?;
                    return Ok(found(payload, &rest[length..]));
                }
            }
        }
    }
}

/// Returns the next marker, its payload, and what follows.
pub(super) fn segment(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), String> {
    Segment::next(bytes).map(|found| (found.marker, found.payload, found.after))
}

/// Bytes of coded data up to a marker; 0xff followed by zero is data.
pub(super) fn run_length(bytes: &[u8]) -> usize {
    let mut places = memchr::memchr_iter(0xff, bytes);
    let ends = |place: &usize| bytes.get(place + 1).is_some_and(|after| *after != 0);
    places.find(ends).unwrap_or(bytes.len())
}

/// Appends a marker with a payload of at most [`MAX_PAYLOAD`] bytes.
pub(super) fn put_segment(jpeg: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    jpeg.extend([0xff, marker]);
    jpeg.extend((payload.len() as u16 + 2).to_be_bytes());
    jpeg.extend(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millions_of_stuffed_bytes_are_passed_over() {
        let mut data = [0xff, 0].repeat(4_000_000);
        assert_eq!(segment(&data), Err("it is cut short".to_owned()));
        data.extend([0xff, 0xd9, 7]);
        assert_eq!(segment(&data), Ok((0xd9, &[][..], &[7][..])));
    }

    #[test]
    fn stray_bytes_are_told_from_fill_bytes() {
        for (bytes, expected) in [
            (&b"\xff\xd9"[..], false),
            (b"\xff\xff\xff\xd9", false),
            (b"\0\xff\xd9", true),
            (b"\xff\0\xff\xd9", true),
        ] {
            assert_eq!(
                Segment::next(bytes).unwrap().has_stray,
                expected,
                "{bytes:?}"
            );
        }
    }
}
