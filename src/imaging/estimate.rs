//! How much memory a picture takes, known before it is decoded. Every formula stands here.

use super::SourceInfo;
use super::codec::Coefficients;
use super::geometry::Geometry;

/// What a codec's tables, handles and rows take, whatever the size.
pub(crate) const FLOOR: u64 = 1 << 20;

/// libjpeg: two bytes for each coefficient of the whole picture when the file has several scans,
/// rows of blocks otherwise.
pub(crate) fn jpeg_decoder(coefficients: &Coefficients) -> u64 {
    let most = |of: fn(&(u8, u8)) -> u8| coefficients.sampling.iter().map(of).max().unwrap_or(1);
    let (across, down) = (u64::from(most(|s| s.0)), u64::from(most(|s| s.1)));
    let mcus_across = u64::from(coefficients.width).div_ceil(8 * across);
    let mcus_down = u64::from(coefficients.height).div_ceil(8 * down);
    let blocks_of_mcu: u64 = coefficients
        .sampling
        .iter()
        .map(|s| u64::from(s.0) * u64::from(s.1))
        .sum();
    let rows = if coefficients.whole_picture {
        mcus_down
    } else {
        // The colour converter's and upsampler's context rows.
        3
    };
    mcus_across * rows * blocks_of_mcu * 64 * 2
}

/// A still picture from decoding to encoding: the decoded picture, what the resampler keeps
/// between its two passes, and the result in the shapes it goes through.
pub(crate) fn still(source: &SourceInfo, shrink: u32, geometry: &Geometry) -> u64 {
    let pixel = u64::from(source.pixel_bytes);
    let shrink = u64::from(shrink);
    let width = u64::from(source.width).div_ceil(shrink);
    let height = u64::from(source.height).div_ceil(shrink);
    let decoded = width * height * pixel;
    let (scaled_width, scaled_height) = geometry.scaled;
    let scaled = u64::from(scaled_width) * u64::from(scaled_height);
    let between = u64::from(scaled_width) * height.max(width) * pixel;
    let canvas = u64::from(geometry.canvas.0) * u64::from(geometry.canvas.1);
    FLOOR + source.decoder_bytes + decoded + between + scaled * pixel + canvas * 8
}
