//! Estimates the memory of the WebP decoder and encoder, in addition to the decoded picture.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::raster::pixel_count;

use super::ffi::{Features, THOROUGH_EFFORT};

/// Lossless pictures are also held as 32-bit colours; animations as two canvases.
pub(super) fn decoder_bytes(features: &Features, frames: u32) -> u64 {
    let pixels = pixel_count(features.width, features.height);
    let colors = if features.lossless { pixels * 4 } else { 0 };
    let canvases = if frames > 0 { pixels * 8 } else { 0 };
    colors + canvases
}

/// The memory of libwebp, by measurement.
pub(crate) fn encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    if options.lossless {
        return (14 << 20) + pixels.count * 26;
    }
    // Alpha is compressed losslessly, which needs the tables of the lossless coder.
    if pixels.has_alpha {
        let chosen = if options.effort >= THOROUGH_EFFORT {
            24
        } else {
            0
        };
        return (5 << 20) + pixels.count * (12 + chosen);
    }
    // Pictures as 32-bit colours, and planes of 16 bits in which the chroma is chosen.
    if options.effort >= THOROUGH_EFFORT {
        return (1 << 20) + pixels.count * 24;
    }
    // libwebp has no gray layout.
    let is_gray = pixels.bytes == 1;
    match options.is_high_quality() || is_gray {
        true => pixels.count * 8,
        false => pixels.count * 7,
    }
}

/// The planes, and the output as it grows.
pub(crate) fn planes_encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    match options.is_high_quality() {
        true => pixels.count * 5,
        false => pixels.count * 3,
    }
}
