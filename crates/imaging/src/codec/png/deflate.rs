//! Inflates and deflates a whole picture in one call, which libdeflate does about twice as fast as
//! a streaming decoder. This path decodes pictures with 8 bits and no palette, interlacing or
//! animation, which covers nearly all photographs.

use std::borrow::Cow;

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use crate::raster::Layout;

use super::chunks::Chunks;
use super::filter;

/// Compression levels of libdeflate, 1 to 12.
const FAST: i32 = 1;
const THOROUGH: i32 = 6;
/// The levels from some efforts on, at which photographs are compressed thoroughly, too.
const LEVELS: [(u8, i32); 3] = [(9, 12), (7, 9), (5, THOROUGH)];
/// A picture that compresses to less than a fifth is not a photograph. Compressing it again takes
/// little time and saves much space.
const GRAPHIC: usize = 5;

/// Decodes an 8-bit PNG of this size and layout. Returns `None` if it is of another kind or has any
/// error: then the general decoder reports the error.
pub(super) fn decode(bytes: &[u8], (width, height): (u32, u32), layout: Layout) -> Option<Vec<u8>> {
    let data = picture_data(bytes, layout)?;
    let row_bytes = width as usize * layout.channels();
    let mut rows = vec![0; (row_bytes + 1) * height as usize];
    let inflated = Decompressor::new().zlib_decompress(&data, &mut rows).ok()?;
    if inflated != rows.len() {
        return None;
    }
    drop(data);
    filter::undo(rows, row_bytes, layout.channels())
}

/// The compressed data of all `IDAT` chunks, with their checksums verified.
fn picture_data(bytes: &[u8], layout: Layout) -> Option<Cow<'_, [u8]>> {
    let color_type = match layout {
        Layout::Gray => 0,
        Layout::Rgb => 2,
        Layout::GrayAlpha => 4,
        Layout::Rgba => 6,
        Layout::Cmyk => return None,
    };
    let mut chunks = Chunks::of(bytes)?;
    let mut parts = None;
    let (mut count, mut total) = (0_usize, 0);
    loop {
        let before = chunks.clone();
        let chunk = chunks.next()?;
        if !chunk.is_intact() {
            return None;
        }
        match chunk.name {
            // Depth, colour type, compression, filter and interlace methods.
            b"IHDR" if chunk.payload.get(8..) != Some(&[8, color_type, 0, 0, 0]) => return None,
            b"acTL" | b"tRNS" => return None,
            b"IDAT" => {
                parts.get_or_insert(before);
                count += 1;
                total += chunk.payload.len();
            }
            _ if parts.is_some() => break,
            _ => {}
        }
    }
    // A file may have millions of them.
    let mut parts = parts?.take(count).map(|chunk| chunk.payload);
    if count == 1 {
        return parts.next().map(Cow::Borrowed);
    }
    let mut data = Vec::with_capacity(total);
    parts.for_each(|part| data.extend_from_slice(part));
    Some(Cow::Owned(data))
}

/// The compressed picture for an `IDAT` chunk. `pixel_bytes` is the size of one pixel.
pub(super) fn compress(
    samples: &[u8],
    row_bytes: usize,
    pixel_bytes: usize,
    effort: u8,
) -> Vec<u8> {
    let filtered = filter::apply(samples, row_bytes, pixel_bytes);
    let fast = deflate(&filtered, FAST);
    let wanted = LEVELS.iter().find(|(from, _)| effort >= *from);
    let is_graphic = fast.len() * GRAPHIC <= samples.len();
    let level = match wanted {
        Some((_, level)) => *level,
        None if is_graphic => THOROUGH,
        None => return fast,
    };
    let mut all = vec![fast, deflate(&filtered, level)];
    if is_graphic {
        all.push(deflate(&filter::none(samples, row_bytes), level));
    }
    all.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

fn deflate(rows: &[u8], level: i32) -> Vec<u8> {
    // A valid level always gives a compressor, and the bound is always sufficient.
    let level = CompressionLvl::new(level).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut compressed = vec![0; compressor.zlib_compress_bound(rows.len())];
    let length = compressor
        .zlib_compress(rows, &mut compressed)
        .unwrap_or_default();
    compressed.truncate(length);
    compressed
}
