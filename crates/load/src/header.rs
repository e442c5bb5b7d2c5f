//! The size of a result, read from its first bytes without decoding it.

/// Pixels across and down of a PNG, JPEG, WebP or GIF; `None` if it is none of these or is cut off.
pub(crate) fn size(picture: &[u8]) -> Option<(u32, u32)> {
    match picture {
        [0x89, b'P', b'N', b'G', ..] => Some((big(picture, 16)?, big(picture, 20)?)),
        [0xFF, 0xD8, ..] => jpeg(picture),
        [b'G', b'I', b'F', ..] => Some((little(picture, 6, 2)?, little(picture, 8, 2)?)),
        [b'R', b'I', b'F', b'F', ..] if picture.get(8..12)? == b"WEBP" => webp(picture),
        _ => None,
    }
}

fn big(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn little(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + length)?.iter().rev();
    Some(bytes.fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The frame header is the first marker from C0 to CF that is not a table (C4, C8, CC).
fn jpeg(picture: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let [0xFF, marker, high, low] = *picture.get(at..at + 4)? else {
            return None;
        };
        if matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            let both = big(picture, at + 5)?;
            return Some((both & 0xFFFF, both >> 16));
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

fn webp(picture: &[u8]) -> Option<(u32, u32)> {
    match picture.get(12..16)? {
        b"VP8X" => Some((little(picture, 24, 3)? + 1, little(picture, 27, 3)? + 1)),
        b"VP8L" => {
            let bits = little(picture, 21, 4)?;
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        b"VP8 " => {
            let size = |at| Some(little(picture, at, 2)? & 0x3FFF);
            Some((size(26)?, size(28)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use picresize_imaging::Format;

    use super::*;
    use crate::made::picture;

    #[test]
    fn sizes_are_read_and_what_is_cut_off_has_none() {
        for format in [Format::Png, Format::Jpeg, Format::Webp, Format::Gif] {
            let bytes = picture((61, 47), format, 1).unwrap();
            assert_eq!(size(&bytes), Some((61, 47)), "{format}");
            assert_eq!(size(&bytes[..7]), None, "{format}");
        }
        assert_eq!(size(b"<svg/>"), None);
    }
}
