//! Reads how the pictures of a HEIC file are coded, from their HEVC configurations and their data (ISO/IEC
//! 14496-15, 8.3.3.1; sequence parameter sets: ITU-T H.265, 7.3.2.2).

use std::borrow::Cow;

use crate::codec::bits::Bits;
use crate::codec::boxes::derivation::{self, Work};
use crate::codec::boxes::items::{Item, Items};
use crate::raster::pixel_count;

/// The most frames in the data of one picture. Cameras write one.
const MOST_FRAMES: u32 = 4;

/// Properties of all coded pictures that are decoded: the picture or its tiles, and alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodedPictures {
    /// The highest chroma format among them: 0 is monochrome, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub(super) chroma_format: u8,
    /// The size of the picture with the most pixels.
    pub(super) largest: (u32, u32),
    /// The most frames in the data of one picture, at least 1.
    pub(super) frames: u32,
    /// Whether the picture is derived from others, such as tiles.
    pub(super) is_tiled: bool,
    /// Pixels of the picture that is composed, if it is derived.
    pub(super) composed_pixels: u64,
    /// Pixels of the derived pictures beside that one.
    pub(super) between_pixels: u64,
}

/// Reads the configurations and the data. Damaged ones are left out; the pictures are checked
/// elsewhere.
pub(super) fn coded(items: &Items<'_>) -> Result<CodedPictures, String> {
    let work = derivation::work(items, |item| {
        let sizes = Coded::of(items, item).sizes;
        let pixels = sizes.iter().map(|size| pixel_count(size.0, size.1));
        pixels.max().unwrap_or_default()
    })?;
    let Work {
        is_derived,
        composed_pixels,
        between_pixels,
        ..
    } = work;
    let mut sizes = Vec::new();
    let mut chroma_format = None;
    let mut frames = 1;
    for id in &work.coded {
        let Some(item) = items.get(*id) else {
            continue;
        };
        let coded = Coded::of(items, item);
        if coded.frames > MOST_FRAMES {
            return Err(format!(
                "its picture {id} has {} frames; the limit is {MOST_FRAMES}",
                coded.frames
            ));
        }
        frames = frames.max(coded.frames);
        chroma_format = chroma_format.max(coded.chroma_format);
        sizes.extend(coded.sizes);
        sizes.extend(items.size_of(*id));
    }
    Ok(CodedPictures {
        chroma_format: chroma_format.unwrap_or(3),
        largest: sizes
            .into_iter()
            .max_by_key(|&(width, height)| pixel_count(width, height))
            .unwrap_or_default(),
        frames,
        is_tiled: is_derived,
        composed_pixels,
        between_pixels,
    })
}

const SEQUENCE_PARAMETER_SET: u8 = 33;

/// How one picture is coded.
#[derive(Default)]
struct Coded {
    chroma_format: Option<u8>,
    /// The sizes in all sequence parameter sets, in the configuration and in the data.
    sizes: Vec<(u32, u32)>,
    frames: u32,
}

impl Coded {
    fn of(items: &Items<'_>, item: &Item<'_>) -> Self {
        let mut coded = Self::default();
        let mut length_size = None;
        for (name, configuration) in items.properties_of(item.id) {
            if name != b"hvcC" {
                continue;
            }
            let head = configuration.get(16).zip(configuration.get(21));
            let Some((chroma_format, lengths)) = head else {
                continue;
            };
            coded.chroma_format = coded.chroma_format.max(Some(chroma_format & 3));
            length_size = Some(usize::from(lengths & 3) + 1);
            for (kind, unit) in units(configuration) {
                coded.add(kind, unit);
            }
        }
        if let Some(length_size) = length_size
            && let Some(data) = item.data()
        {
            coded.add_data(&data, length_size);
        }
        coded
    }

    /// Adds the units of the picture's data, each after its length.
    fn add_data(&mut self, mut data: &[u8], length_size: usize) {
        while let Some((length, rest)) = data.split_at_checked(length_size) {
            let length = length.iter();
            let length = length.fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (unit, rest) = rest.split_at(length.min(rest.len()));
            if let Some(first) = unit.first() {
                self.add(first >> 1 & 0x3f, unit);
            }
            data = rest;
        }
    }

    fn add(&mut self, kind: u8, unit: &[u8]) {
        if kind == SEQUENCE_PARAMETER_SET {
            self.sizes.extend(size(unit));
        }
        // The first segment of a frame begins with a set bit.
        if kind < 32 && unit.get(2).is_some_and(|byte| byte & 0x80 != 0) {
            self.frames += 1;
        }
    }
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
    let mut bits = unescaped(unit.get(2..)?);
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
    bits.exp_golomb()?;
    let chroma_format = bits.exp_golomb()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    Some((bits.exp_golomb()?, bits.exp_golomb()?))
}

/// A reader of a unit, without the emulation prevention bytes (H.265, 7.3.1.1). The start of a
/// sequence parameter set up to the picture's size is much shorter than this.
fn unescaped(unit: &[u8]) -> Bits<'static> {
    const MOST_BYTES: usize = 512;
    let unit = &unit[..unit.len().min(MOST_BYTES)];
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
    Bits::new(Cow::<'static, [u8]>::Owned(bytes))
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
        let properties = [
            boxed(b"ipco", &boxed(b"hvcC", &configuration)),
            boxed(b"ipma", &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0x81]),
        ];
        let entry = boxed(b"infe", b"\x02\0\0\0\0\x01\0\0hvc1\0");
        let meta = [
            vec![0; 4],
            boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
            boxed(b"iloc", &[0; 8]),
            boxed(b"iinf", &[&[0, 0, 0, 0, 0, 1], entry.as_slice()].concat()),
            boxed(b"iprp", &properties.concat()),
        ];
        [
            boxed(b"ftyp", b"heic\0\0\0\0"),
            boxed(b"meta", &meta.concat()),
        ]
        .concat()
    }

    #[test]
    fn size_and_colour_are_found() {
        for chroma_format in [0, 1, 3] {
            let expected = CodedPictures {
                chroma_format,
                largest: (1200, 1800),
                frames: 1,
                is_tiled: false,
                composed_pixels: 0,
                between_pixels: 0,
            };
            let file = file(chroma_format);
            let items = Items::read(&file).unwrap();
            assert_eq!(coded(&items).unwrap(), expected);
        }
    }

    /// No truncated file gives a made-up size.
    #[test]
    fn what_is_cut_off_is_left_out() {
        let whole = file(1);
        for length in 0..whole.len() {
            let found = Items::read(&whole[..length]).map(|items| coded(&items));
            assert!(found.is_err(), "{length} bytes");
        }
        assert_eq!(size(&[0x42, 0x01]), None);
        assert_eq!(size(&[0; 200]), None);
    }
}
