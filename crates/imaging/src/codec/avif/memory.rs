//! Estimates the memory of the AVIF decoder and encoder, in addition to the decoded picture.

use avif_parse::AV1Metadata;

use crate::codec::encode_options::EncodedPixels;

/// A copy of the file; the decoded AV1 planes of colour and alpha, each padded to whole
/// superblocks; their 16-bit copies; and the decoder's tables.
pub(super) fn decoder_bytes(info: &AV1Metadata, has_alpha: bool, file_bytes: usize) -> u64 {
    let color_planes = match (info.monochrome, info.chroma_subsampling) {
        (true, _) => 1.0,
        (false, (true, true)) => 1.5,
        (false, (false, false)) => 3.0,
        (false, _) => 2.0,
    };
    let planes = color_planes + if has_alpha { 1.0 } else { 0.0 };
    let padded = |side: u32| u64::from(side).next_multiple_of(128) + 128;
    let (width, height) = (info.max_frame_width.get(), info.max_frame_height.get());
    let samples = (padded(width) * padded(height)) as f64 * planes;
    let planes_bytes = (samples * f64::from(info.bit_depth.div_ceil(8) + 1)) as u64;
    (1 << 20) + planes_bytes + file_bytes as u64
}

/// Includes the decoder's tables, because the result is decoded again for its perceptual hash.
pub(crate) fn encoder_bytes(pixels: EncodedPixels) -> u64 {
    (7 << 20) + pixels.count * 44
}
