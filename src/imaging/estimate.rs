//! How much memory a picture takes, known before it is decoded. Every formula stands here.

use image::ColorType;

use crate::operation::Format;

use super::SourceInfo;
use super::codec::Coefficients;
use super::geometry::Geometry;
use super::raster::Layout;

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

/// What the `image` crate's decoders hold: floats before they are scaled, a palette picture's
/// bytes, a strip or tile.
pub(crate) fn image_rs_decoder(format: Format, width: u32, height: u32, color: ColorType) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    match format {
        Format::Tiff if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) => {
            pixels * u64::from(color.bytes_per_pixel())
        }
        Format::Tiff => pixels * u64::from(color.bytes_per_pixel()) / 2,
        Format::Ico => pixels * 4,
        _ => pixels,
    }
}

/// The canvas, what it is restored to, and the largest frame as the decoder hands it over.
pub(crate) fn gif_decoder(width: u32, height: u32, largest_frame: u64, restores: bool) -> u64 {
    let canvas = u64::from(width) * u64::from(height) * 4;
    let restored = if restores { canvas } else { 0 };
    canvas + restored + largest_frame * 5
}

/// A still picture is decoded in place. Frames need the canvas, what it is restored to, the frame
/// as stored and the frame as Rgba.
pub(crate) fn png_decoder(width: u32, height: u32, layout: Layout, bits: u8, frames: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    if frames == 1 {
        return 0;
    }
    pixels * (4 + 4 + 4 + layout.channels() as u64 * u64::from(bits / 8))
}

/// Lossless pictures are held as 32-bit colours beside the result; animations as two canvases.
pub(crate) fn webp_decoder(width: u32, height: u32, lossless: bool, frames: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    let colors = if lossless { pixels * 4 } else { 0 };
    let canvases = if frames > 0 { pixels * 8 } else { 0 };
    colors + canvases
}

/// Floating-point planes, in two stages of the decoder and its tables.
pub(crate) fn jxl_decoder(width: u32, height: u32, layout: Layout) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    (8 << 20) + pixels * 4 * 4 * (layout.channels() as u64).max(3)
}

/// The planes of colour and alpha as AV1 has them (each padded to whole superblocks), the
/// decoder's state for each block, and its tables.
pub(crate) fn avif_decoder(width: u32, height: u32, bits: u8, planes_in_pixel: f64) -> u64 {
    let padded = |side: u32| u64::from(side).next_multiple_of(128) + 128;
    let samples = (padded(width) * padded(height)) as f64 * planes_in_pixel;
    (6 << 20) + (samples * f64::from(bits.div_ceil(8)) * 1.6) as u64
}
