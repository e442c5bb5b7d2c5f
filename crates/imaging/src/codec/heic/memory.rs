//! Estimates the memory of libheif, measured with version 1.15.

use crate::codec::header::Header;
use crate::raster::pixel_count;

use super::hevc::CodedPictures;

/// For the largest coded picture, which may be a tile: the HEVC decoder's memory and the steps of
/// the conversion to RGB. Then the RGB planes, or a 16-bit copy of the stored planes, and the pictures
/// between the tiles and the whole. The file is held twice.
pub(super) fn decoder_bytes(
    header: &Header,
    (width, height): (u32, u32),
    coded: CodedPictures,
    file_bytes: usize,
) -> u64 {
    let bytes = u64::from(header.bits / 8);
    let decoded = pixel_count(header.width, header.height) * u64::from(header.pixel_bytes());
    // Tiles are converted to RGB even if they are monochrome.
    let finest = usize::from(coded.chroma_format.max(u8::from(coded.is_tiled)));
    let alpha = u64::from(header.layout.has_alpha());
    let whole = pixel_count(width, height).max(coded.composed_pixels);
    let planes = whole * ([2, 3, 4, 6][finest].max(3 * bytes) + alpha * 2);
    let largest = pixel_count(coded.largest.0, coded.largest.1);
    let further_frames = u64::from(coded.frames.saturating_sub(1)) * 3;
    let working = largest * ([5, 9, 10, 11][finest] + alpha * 5 + further_frames) * bytes;
    let beside = match largest < whole {
        true => planes,
        false => 0,
    };
    let held = planes.max((beside + working).saturating_sub(decoded));
    let between = coded.between_pixels.saturating_mul((4 + alpha) * bytes);
    ((1 << 20) + held + 2 * file_bytes as u64).saturating_add(between)
}
