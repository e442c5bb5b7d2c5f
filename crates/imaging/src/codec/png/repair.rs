//! Mends PNG files that other readers read, so that the decoders read them too: a missing end, a
//! transparent colour with more bits than the samples, and the variant of Apple's tools.

use std::borrow::Cow;

use libdeflater::Crc;

use crate::raster::{Layout, Raster, Samples};

use super::chunks::Chunks;

/// A file that the decoders read.
#[derive(Debug)]
pub(super) struct Mended<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether the samples are in Apple's order: blue first, and premultiplied with alpha.
    pub(super) is_apple: bool,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flaws {
    is_apple: bool,
    lacks_end: bool,
    has_wide_color: bool,
}

/// Mends a file. It is copied only if it needs to be.
pub(super) fn mended(bytes: &[u8]) -> Mended<'_> {
    let flaws = flaws(bytes);
    Mended {
        bytes: match flaws == Flaws::default() {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned(copy(bytes, flaws)),
        },
        is_apple: flaws.is_apple,
    }
}

fn flaws(bytes: &[u8]) -> Flaws {
    let mut flaws = Flaws {
        lacks_end: true,
        ..Flaws::default()
    };
    let (mut most, mut has_data) = (None, false);
    let Some(mut chunks) = Chunks::of(bytes) else {
        return Flaws::default();
    };
    for chunk in chunks.by_ref() {
        match chunk.name {
            b"CgBI" => flaws.is_apple = true,
            b"IHDR" => most = largest_sample(chunk.payload),
            b"tRNS" => flaws.has_wide_color |= narrowed(chunk.payload, most).is_some(),
            b"IDAT" => has_data = true,
            b"IEND" => {
                flaws.lacks_end = false;
                break;
            }
            _ => {}
        }
    }
    has_data |= chunks.rest().get(4..8) == Some(b"IDAT");
    // The decoder tells what is wrong with a file without any picture data.
    flaws.lacks_end &= has_data;
    flaws
}

/// The largest sample of grey or Rgb with at most 8 bits.
fn largest_sample(header: &[u8]) -> Option<u16> {
    match header.get(8..10)? {
        [depth @ 1..=8, 0 | 2] => Some((1 << depth) - 1),
        _ => None,
    }
}

/// A transparent colour with the low bits alone, which count (PNG third edition, 11.3.1.1); `None` if it
/// has no others.
fn narrowed(payload: &[u8], most: Option<u16>) -> Option<Vec<u8>> {
    let most = most?;
    let (values, _) = payload.as_chunks::<2>();
    let low = |value: &[u8; 2]| (u16::from_be_bytes(*value) & most).to_be_bytes();
    let narrow: Vec<u8> = values.iter().flat_map(low).collect();
    (narrow != payload).then_some(narrow)
}

fn copy(bytes: &[u8], flaws: Flaws) -> Vec<u8> {
    let Some(mut chunks) = Chunks::of(bytes) else {
        return bytes.to_vec();
    };
    let mut file = Vec::with_capacity(bytes.len() + 64);
    file.extend_from_slice(&bytes[..8]);
    let (mut most, mut has_data, mut ends_data) = (None, false, false);
    for chunk in chunks.by_ref() {
        let is_data = chunk.name == b"IDAT";
        if has_data && !is_data && !ends_data {
            ends_data = true;
            put_checksum_of_data(&mut file, flaws);
        }
        match chunk.name {
            b"CgBI" => {}
            b"tRNS" if flaws.has_wide_color => {
                let narrow = narrowed(chunk.payload, most);
                put(
                    &mut file,
                    chunk.name,
                    narrow.as_deref().unwrap_or(chunk.payload),
                );
            }
            b"IDAT" if flaws.is_apple && !has_data => {
                // The header of a zlib stream, which Apple's tools leave out.
                put(
                    &mut file,
                    chunk.name,
                    &[&[0x78, 0x01], chunk.payload].concat(),
                );
            }
            _ => file.extend_from_slice(chunk.whole),
        }
        if chunk.name == b"IHDR" {
            most = largest_sample(chunk.payload);
        }
        has_data |= is_data;
    }
    // Data whose end is missing: the decoder finds out whether all rows are there.
    if flaws.lacks_end
        && !ends_data
        && let Some(rest) = chunks.rest().get(4..)
        && let Some(data) = rest.strip_prefix(b"IDAT")
    {
        put(&mut file, b"IDAT", data);
        has_data = true;
    }
    if has_data && !ends_data {
        put_checksum_of_data(&mut file, flaws);
    }
    if flaws.lacks_end {
        put(&mut file, b"IEND", &[]);
    }
    file
}

/// The decoder reads a checksum of the data, but does not compare it.
fn put_checksum_of_data(file: &mut Vec<u8>, flaws: Flaws) {
    if flaws.is_apple {
        put(file, b"IDAT", &[0; 4]);
    }
}

fn put(file: &mut Vec<u8>, name: &[u8], payload: &[u8]) {
    file.extend((payload.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(name);
    file.extend_from_slice(payload);
    let mut checksum = Crc::new();
    checksum.update(&file[start..]);
    file.extend(checksum.sum().to_be_bytes());
}

/// Puts the samples of Apple's variant into the order of all others.
pub(super) fn from_apple(mut raster: Raster) -> Raster {
    fn swap<T>(samples: &mut [T], channels: usize) {
        samples
            .chunks_exact_mut(channels)
            .for_each(|pixel| pixel.swap(0, 2));
    }
    let channels = raster.layout.channels();
    if !matches!(raster.layout, Layout::Rgb | Layout::Rgba) {
        return raster;
    }
    match &mut raster.samples {
        Samples::U8(samples) => swap(samples, channels),
        Samples::U16(samples) => swap(samples, channels),
        Samples::F32(_) => {}
    }
    match raster.layout.has_alpha() {
        true => raster.with_straight_alpha(),
        false => raster,
    }
}
