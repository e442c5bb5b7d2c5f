//! Reads from the HEVC configurations of a HEIC file how its pictures are coded (ISO/IEC 14496-15,
//! 8.3.3.1; sequence parameter sets: ITU-T H.265, 7.3.2.2).

use crate::codec::boxes::{boxes, find};

/// Properties of all coded pictures in a file: the picture or its tiles, alpha, thumbnails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodedPictures {
    /// The highest chroma format among them: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub(super) chroma_format: u8,
    /// The size of the picture with the most pixels.
    pub(super) largest: (u32, u32),
    /// Whether a picture is assembled from tiles.
    pub(super) is_tiled: bool,
}

/// Reads the configurations. Damaged ones are left out; the pictures are checked elsewhere.
pub(super) fn coded(file: &[u8]) -> CodedPictures {
    let meta = find(file, b"meta").and_then(|meta| meta.get(4..));
    let meta = meta.unwrap_or_default();
    let properties = find(meta, b"iprp").and_then(|iprp| find(iprp, b"ipco"));
    let properties = properties.unwrap_or_default();
    let items = find(meta, b"iinf").unwrap_or_default();
    let configurations: Vec<&[u8]> = boxes(properties)
        .filter_map(|(name, payload)| (name == b"hvcC").then_some(payload))
        .collect();
    let chroma_formats = configurations
        .iter()
        .filter_map(|payload| payload.get(16).map(|byte| byte & 3));
    let sizes = configurations.iter().flat_map(|payload| sizes(payload));
    CodedPictures {
        chroma_format: chroma_formats.max().unwrap_or(3),
        largest: sizes
            .max_by_key(|&(width, height)| u64::from(width) * u64::from(height))
            .unwrap_or_default(),
        is_tiled: items.windows(4).any(|kind| kind == b"grid"),
    }
}

/// The sizes in the sequence parameter sets of a configuration.
fn sizes(configuration: &[u8]) -> Vec<(u32, u32)> {
    let mut sizes = Vec::new();
    for (kind, unit) in units(configuration) {
        const SEQUENCE_PARAMETER_SET: u8 = 33;
        if kind == SEQUENCE_PARAMETER_SET {
            sizes.extend(size(unit));
        }
    }
    sizes
}

/// The types and payloads of all complete units in the arrays of a configuration.
fn units(configuration: &[u8]) -> Vec<(u8, &[u8])> {
    let mut units = Vec::new();
    let mut rest = configuration.get(23..).unwrap_or_default();
    while let Some((&[kind, high, low], mut after)) = rest.split_first_chunk::<3>() {
        for _ in 0..u16::from_be_bytes([high, low]) {
            let Some((&length, data)) = after.split_first_chunk::<2>() else {
                return units;
            };
            let length = usize::from(u16::from_be_bytes(length));
            let Some((unit, data)) = data.split_at_checked(length) else {
                return units;
            };
            units.push((kind & 0x3f, unit));
            after = data;
        }
        rest = after;
    }
    units
}

/// Width and height in a sequence parameter set.
fn size(unit: &[u8]) -> Option<(u32, u32)> {
    let mut bits = Bits::new(unit.get(2..)?);
    bits.take(4)?;
    let sub_layers = bits.take(3)?;
    bits.take(1)?;
    // Profile and level, general and for each sub-layer.
    bits.skip(88 + 8)?;
    let own: Vec<_> = (0..sub_layers)
        .map(|_| Some((bits.take(1)?, bits.take(1)?)))
        .collect::<Option<_>>()?;
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (profile, level) in own {
        bits.skip(88 * profile + 8 * level)?;
    }
    bits.number()?;
    let chroma_format = bits.number()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    Some((bits.number()?, bits.number()?))
}

/// Reads bits, the most significant bit of a byte first.
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    /// Creates a reader of a unit, without the emulation prevention bytes (H.265, 7.3.1.1).
    fn new(unit: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(unit.len());
        let mut zeros = 0;
        for &byte in unit {
            if zeros >= 2 && byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            bytes.push(byte);
        }
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Reads an Exp-Golomb code (H.265, 9.2) of up to 31 bits.
    fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
        }
        let rest = (zeros < 32).then(|| self.take(zeros))??;
        Some((1 << zeros) - 1 + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let size = (8 + payload.len() as u32).to_be_bytes();
        [&size, name, payload].concat()
    }

    /// A file with one configuration whose parameter set declares 1200 × 1800 pixels.
    fn file(chroma_format: u8) -> Vec<u8> {
        let unit = [
            0x42, 0x01, 0x01, 0x03, 0x70, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x78, 0xa0, 0x02, 0x58, 0x80, 0x1c, 0x25, 0x96, 0xea, 0x49, 0x29,
        ];
        let mut configuration = vec![0; 23];
        configuration[16] = 0xfc | chroma_format;
        configuration.extend([33, 0, 1, 0, unit.len() as u8]);
        configuration.extend(unit);
        let properties = boxed(b"ipco", &boxed(b"hvcC", &configuration));
        let meta = [&[0; 4][..], &boxed(b"iprp", &properties)].concat();
        [boxed(b"ftyp", b"heic\0\0\0\0"), boxed(b"meta", &meta)].concat()
    }

    #[test]
    fn size_and_colour_are_found() {
        for chroma_format in [0, 1, 3] {
            let expected = CodedPictures {
                chroma_format,
                largest: (1200, 1800),
                is_tiled: false,
            };
            assert_eq!(coded(&file(chroma_format)), expected);
        }
    }

    /// No truncated file gives a made-up size.
    #[test]
    fn what_is_cut_off_is_left_out() {
        let whole = file(1);
        for length in 0..whole.len() {
            let found = coded(&whole[..length]).largest;
            assert_eq!(found, (0, 0), "{length} bytes");
        }
        assert_eq!(size(&[0x42, 0x01]), None);
        assert_eq!(size(&[0; 200]), None);
    }
}
