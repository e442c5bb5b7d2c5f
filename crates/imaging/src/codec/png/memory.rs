//! The memory that PNG needs, beside the decoded picture and for encoding.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::codec::header::Header;
use crate::raster::pixel_count;

/// A still picture is decoded in place; of 8 bits, its chunks are put together before. Frames need
/// the canvas, what it is restored to, the frame as stored and the frame as Rgba.
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

/// What the compressor holds, and the allocator's losses while a row of bytes grows.
const COMPRESSOR_BYTES: u64 = 1 << 18;

/// The pixels, filtered, compressed, and in their file.
pub(crate) fn encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    let pixel = match options.palette {
        Some(_) => 14,
        None => u64::from(pixels.bytes) * 4,
    };
    COMPRESSOR_BYTES + pixels.count * pixel
}
