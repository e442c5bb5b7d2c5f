//! Estimates the memory of the AVIF decoder and encoder, in addition to the decoded picture.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::raster::pixel_count;

use super::obu::{Coded, Sequence};
use super::picture::Picture;

/// The slots of the decoder for earlier frames.
const SLOTS: u32 = 8;

/// A copy of the file; the decoded AV1 planes of colour and alpha, each padded to whole
/// superblocks; their 16-bit copies, and those of the whole if they are tiles; the frames that are
/// decoded before the shown one, and a copy for film grain; and the decoder's tables.
pub(super) fn decoder_bytes(
    picture: &Picture<'_>,
    color: &Coded,
    alpha: Option<&Coded>,
    file_bytes: usize,
) -> u64 {
    let mut bytes = (1 << 20) + file_bytes as u64;
    let alpha = picture.alpha.as_ref().zip(alpha);
    for (grid, coded) in [Some((&picture.color, color)), alpha].into_iter().flatten() {
        let sequence = &coded.sequence;
        let padded = |side: u32| u64::from(side).next_multiple_of(128) + 128;
        let in_planes = |pixels: u64| (pixels as f64 * planes(sequence)) as u64;
        let samples = in_planes(padded(sequence.width) * padded(sequence.height));
        let sample_bytes = u64::from(sequence.bits.div_ceil(8));
        let further = coded.frames.saturating_sub(1).min(SLOTS) + u32::from(sequence.has_grain);
        bytes += samples * (sample_bytes + 1 + sample_bytes * u64::from(further));
        if grid.tiles.len() > 1 {
            let (width, height) = grid.size((sequence.width, sequence.height));
            bytes += 2 * in_planes(pixel_count(width, height));
        }
    }
    bytes
}

/// The samples of all planes for each pixel.
fn planes(sequence: &Sequence) -> f64 {
    match (sequence.is_monochrome, sequence.halved) {
        (true, _) => 1.0,
        (false, (true, true)) => 1.5,
        (false, (false, false)) => 3.0,
        (false, _) => 2.0,
    }
}

/// By measurement; full colour takes most. Includes the decoder's tables, because the result is decoded
/// again for its perceptual hash.
pub(crate) fn encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    let colors = match options.full_color || options.is_high_quality() {
        true => 44,
        false => 24,
    };
    let alpha = if pixels.has_alpha { 12 } else { 0 };
    (3 << 20) + pixels.count * (colors + alpha)
}
