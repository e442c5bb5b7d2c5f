//! Estimates the processor time of a plan from its header, options and sizes, before anything is
//! decoded: pixels × nanoseconds per pixel, added up over the steps of the pipeline.
//!
//! The constants were measured with an optimised build, on one core of a Xeon at about 2.5 GHz, with
//! photographs, drawings, gradients and noise of 2 to 50 megapixels, and rounded up. Noise takes up
//! to three times as long as a photograph to encode, and flat colour less than half, which a header
//! does not show. For photographs and noise, the estimate is within a factor of three for work above
//! two seconds; for flat colour it is further above. Measured for a photograph of 2.8 megapixels at
//! its own size, and estimated:
//!
//! | result | measured | estimated |
//! |---|--:|--:|
//! | JPEG | 0.07 s | 0.2 s |
//! | PNG | 0.12 s | 0.3 s |
//! | GIF | 0.23 s | 0.4 s |
//! | WebP | 0.12 s | 0.3 s |
//! | WebP, `lossless` | 2.0 s | 2.9 s |
//! | WebP, `max_bytes` | 0.7 s | 1.8 s |
//! | AVIF | 0.9 s | 1.4 s |
//! | AVIF, quality 100 | 2.2 s | 3.5 s |
//! | AVIF, `max_bytes` | 7.9 s | 12.0 s |

use std::time::Duration;

use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::estimate::Task;
use crate::format::Format;
use crate::options::Filter;
use crate::raster::pixel_count;
use crate::shrink_on_load::ShrinkOnLoad;

/// Decoding JPEG to at most half its size, in nanoseconds per pixel of the source.
const JPEG_REDUCED: u64 = 4;
/// Applying a colour profile, per decoded pixel.
const PROFILE: u64 = 40;
/// Converting to linear light and back, per decoded pixel and per resampled pixel.
const LIGHT: u64 = 4;
/// A pass of the resampler, per pixel that it reads or writes.
const RESAMPLING: u64 = 8;
/// Sharpening, per pixel of the result.
const SHARPENING: u64 = 30;
/// Placing the picture on the canvas and converting its layout, per pixel of the result.
const COMPOSING: u64 = 5;
/// Scoring a result against the picture that was encoded, per pixel.
const SCORING: u64 = 400;
/// Encoding transparency, per pixel of a lossy result.
const ALPHA: u64 = 100;
/// Choosing and dithering a palette, per pixel of the result.
const PALETTE: u64 = 60;
/// What the encoder of animated WebP adds, in percent: it tries several ways to store a frame.
const ANIMATED_WEBP_PERCENT: u64 = 150;

/// Estimates a resize of `frames` frames.
pub(crate) fn estimate(
    header: &Header,
    load: &ShrinkOnLoad,
    task: &Task<'_>,
    frames: u32,
) -> Duration {
    let is_animated = frames > 1;
    let pixels = pixel_count(header.width, header.height) * decoding(header, load);
    let source = pixels + rendering(header, load, task);
    let (width, height) = task.geometry.canvas;
    let result = pixel_count(width, height);
    let encode = |quality| {
        let encoding = EncodeOptions {
            quality,
            ..*task.encode
        };
        result * encoding_pixel(header, task.format, &encoding, result, is_animated)
    };
    let highest = task.encode.quality;
    let mut frame = source + encode(highest);
    if task.options.max_bytes.is_some() && task.encode.has_quality(task.format) {
        // The lowest quality is tried too, and then a bisection, whose average is in the middle.
        let steps = u64::from(u8::BITS - highest.saturating_sub(2).leading_zeros());
        let again = if is_animated { source } else { 0 };
        frame += again + encode(1) + steps * (again + encode(highest / 2));
    }
    let mut once = 0;
    if let Some(tries) = task.encode.tries(task.format) {
        // All tries but one are for a single frame; each is decoded and scored.
        let decode = result * 100;
        once = u64::from(tries) * (encode(highest) + decode + result * SCORING);
    }
    Duration::from_nanos(once.saturating_add(frame.saturating_mul(u64::from(frames))))
}

/// Decoding, per pixel of the source.
fn decoding(header: &Header, load: &ShrinkOnLoad) -> u64 {
    let per_pixel = match header.format {
        Format::Jpeg if load.planes.is_some_and(|eighths| eighths.brightness < 8) => JPEG_REDUCED,
        Format::Jpeg => 15,
        Format::Png => 25,
        Format::Webp => 30,
        Format::Gif => 25,
        Format::Bmp => 10,
        Format::Tiff | Format::Ico => 40,
        Format::Avif | Format::Heic => 100,
        Format::Jxl => 250,
    };
    per_pixel * u64::from(header.bits / 8)
}

/// All steps between decoding and encoding, for one frame.
fn rendering(header: &Header, load: &ShrinkOnLoad, task: &Task<'_>) -> u64 {
    let side = |pixels: u32| match load.planes {
        Some(eighths) => (u64::from(pixels) * u64::from(eighths.brightness)).div_ceil(8),
        None => u64::from(pixels.div_ceil(load.pixels)),
    };
    let (viewed_width, viewed_height) = header.viewed_size();
    let (width, height) = (side(viewed_width), side(viewed_height));
    let (scaled_width, scaled_height) = task.geometry.scaled;
    let decoded = width * height;
    let scaled = pixel_count(scaled_width, scaled_height);
    let between = (width * u64::from(scaled_height)).max(height * u64::from(scaled_width));
    let canvas = pixel_count(task.geometry.canvas.0, task.geometry.canvas.1);
    let mut time = RESAMPLING * (decoded + between + scaled) + COMPOSING * canvas;
    if header.metadata.icc.is_some() {
        time += PROFILE * decoded;
    }
    if task.options.filter != Filter::Nearest {
        time += LIGHT * (decoded + scaled);
    }
    if task.options.sharpen.unwrap_or(0) > 0 {
        time += SHARPENING * canvas;
    }
    time
}

/// Encoding, per pixel of a result of `result` pixels.
fn encoding_pixel(
    header: &Header,
    format: Format,
    encoding: &EncodeOptions,
    result: u64,
    is_animated: bool,
) -> u64 {
    // The band of a quality: bits, and with them time, grow fast towards 100.
    let band = |middle: u64, high: u64, highest: u64| match encoding.quality {
        ..=70 => middle,
        71..=90 => high,
        _ => highest,
    };
    let alpha = if header.layout.has_alpha() { ALPHA } else { 0 };
    match format {
        Format::Jpeg if encoding.progressive == Some(true) || encoding.effort > 5 => {
            band(60, 80, 160)
        }
        Format::Jpeg => band(15, 15, 50),
        Format::Webp => {
            let effort = if encoding.effort >= 7 { 3 } else { 1 };
            let once = match encoding.lossless {
                true => 1000 * effort,
                false => band(60, 60, 120) * effort + alpha,
            };
            match is_animated {
                true => once * ANIMATED_WEBP_PERCENT / 100,
                false => once,
            }
        }
        Format::Gif => 40 + PALETTE,
        Format::Avif => avif_pixel(encoding, result, band(420, 500, 1200)) + 2 * alpha,
        _ if encoding.palette.is_some() => 40 + PALETTE,
        _ => {
            let deflate = match encoding.effort {
                ..=4 => 50,
                5..=6 => 150,
                7..=8 => 400,
                _ => 1500,
            };
            deflate * u64::from(header.bits / 8)
        }
    }
}

/// Encoding AVIF, with what each adds to plain encoding: full colour has twice the samples, and a
/// longer search takes four times as long.
fn avif_pixel(encoding: &EncodeOptions, pixels: u64, plain: u64) -> u64 {
    let colors = match encoding.full_color {
        true => plain * 3 / 2,
        false => plain,
    };
    match encoding.is_thorough(pixels) {
        true => colors * 4,
        false => colors,
    }
}
