//! Estimates the memory of the PNG decoder and encoder, in addition to the decoded picture.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::codec::header::Header;
use crate::raster::pixel_count;

/// A still picture is decoded in place; with 8 bits, its chunks are joined first. An animation
/// needs the canvas, a copy to restore it, the stored frame, and the frame as Rgba.
pub(super) fn decoder_bytes(header: &Header, file_bytes: usize) -> u64 {
    if header.frames > 1 {
        let pixel = 4 + 4 + 4 + u64::from(header.pixel_bytes());
        return pixel_count(header.width, header.height) * pixel;
    }
    match header.bits {
        8 => file_bytes as u64,
        _ => 0,
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
