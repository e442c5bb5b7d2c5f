//! Reads and writes the segments of a JPEG file: a marker and its payload (ITU-T T.81, B.1.1).

/// The maximum payload of a segment in bytes, without the two bytes of its length.
pub(super) const MAX_PAYLOAD: usize = 65_533;

/// Returns the next marker, its payload, and what follows.
pub(super) fn segment(mut bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), String> {
    let cut = || "it is cut short".to_owned();
    loop {
        // Decoders skip stray bytes before a marker; any number of 0xff may be fill bytes.
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
            // Not a marker; a file may have millions of them.
            0x00 => bytes = rest,
            // Markers without a payload.
            0x01 | 0xd0..=0xd9 => return Ok((marker, &[], rest)),
            _ => {
                let (length, _) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
                let length = usize::from(u16::from_be_bytes(*length));
                if length < 2 {
                    return Err(format!(
                        "marker 0x{marker:02x} has the invalid length {length}"
                    ));
                }
                let payload = rest.get(2..length).ok_or_else(cut)?;
                return Ok((marker, payload, &rest[length..]));
            }
        }
    }
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
}
