//! Estimates the memory of the GIF decoder and encoder, in addition to the decoded picture.

use crate::codec::encode_options::EncodedPixels;
use crate::codec::header::Header;
use crate::raster::pixel_count;

use super::blocks::Blocks;

/// A copy of the canvas if a frame is restored to it, and the largest frame: as the decoder returns
/// it and as it is drawn.
pub(super) fn decoder_bytes(blocks: &Blocks) -> u64 {
    let canvas = pixel_count(blocks.width, blocks.height) * 4;
    let restored = if blocks.restores { canvas } else { 0 };
    restored + blocks.largest_frame * 5
}

/// Includes the canvas. It is the decoded picture if only the first frame is needed.
pub(super) fn frames_decoder_bytes(header: &Header) -> u64 {
    header.decoder_bytes + pixel_count(header.width, header.height) * 4
}

/// The pixels twice, their palette indices, and the compressed data.
pub(crate) fn encoder_bytes(pixels: EncodedPixels) -> u64 {
    pixels.count * 11
}
