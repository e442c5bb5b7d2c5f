//! The memory that GIF needs, beside the decoded picture and for encoding.

use crate::codec::encode_options::EncodedPixels;
use crate::codec::header::Header;
use crate::raster::pixel_count;

use super::blocks::Blocks;

/// What the canvas is restored to, and the largest frame as the decoder hands it over, with what it
/// makes it of.
pub(super) fn decoder_bytes(blocks: &Blocks) -> u64 {
    let canvas = pixel_count(blocks.width.into(), blocks.height.into()) * 4;
    let restored = if blocks.restores { canvas } else { 0 };
    restored + blocks.largest_frame * 5
}

/// With the canvas, which is the decoded picture when only the first frame is wanted.
pub(super) fn frames_decoder_bytes(header: &Header) -> u64 {
    header.decoder_bytes + pixel_count(header.width, header.height) * 4
}

/// The pixels twice, as indices, and packed.
pub(crate) fn encoder_bytes(pixels: EncodedPixels) -> u64 {
    pixels.count * 11
}
