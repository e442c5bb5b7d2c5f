//! Estimates the memory of the PNG decoder and encoder, in addition to the decoded picture.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::codec::header::Header;
use crate::raster::pixel_count;

/// A still picture is decoded in place; with 8 bits, its chunks are joined first. An animation
/// needs the canvas, a copy to restore it, the stored frame, and the frame as Rgba. The `png` crate
/// holds a few rows, and the EXIF chunk twice.
pub(super) fn decoder_bytes(header: &Header, file_bytes: usize, exif_bytes: usize) -> u64 {
    let pixel_bytes = u64::from(header.pixel_bytes());
    let reader = u64::from(header.width) * pixel_bytes * 4 + exif_bytes as u64 * 2;
    if header.frames > 1 {
        let pixel = 4 + 4 + 4 + pixel_bytes;
        let pixels = pixel_count(header.width, header.height);
        return pixels.saturating_mul(pixel).saturating_add(reader);
    }
    match header.bits {
        8 => (file_bytes as u64).max(reader),
        _ => reader,
    }
}

/// The compressor's state, and what the allocator loses while a vector of bytes grows.
const COMPRESSOR_BYTES: u64 = 1 << 18;

/// The pixels, the filtered rows, the compressed data, and the file.
pub(crate) fn encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    let pixel = match options.palette {
        Some(_) => 14,
        None => u64::from(pixels.bytes) * 4,
    };
    COMPRESSOR_BYTES + pixels.count * pixel
}
