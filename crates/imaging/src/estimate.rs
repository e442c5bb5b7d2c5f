//! Estimates how much memory a picture needs before it is decoded, by adding up the stages of the
//! pipeline. Each codec states its own memory.

use crate::codec;
use crate::codec::decoder::ParsedPicture;
use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::codec::header::Header;
use crate::color;
use crate::format::Format;
use crate::geometry::Geometry;
use crate::options::{ColorPolicy, Filter, ResizeOptions};
use crate::planes::Eighths;
use crate::raster::pixel_count;
use crate::shrink_on_load::{ShrinkOnLoad, halves_color, halvings_in_light};

/// The memory of a codec's tables, handles and rows for a picture of any size. Code is not
/// included: it is in memory once for all pictures.
pub(crate) const FLOOR: u64 = 1 << 19;

/// The tables that convert 16-bit samples to linear light and back.
const TABLES_OF_U16: u64 = 1 << 19;
/// The memory per pixel while two pictures are scored: what the metric holds at its finest scale,
/// which is a dozen planes of three floats, and the pictures themselves.
pub(crate) const SCORE_BYTES: u64 = 192;

/// The properties of a result on which its memory depends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task<'a> {
    pub(crate) options: &'a ResizeOptions,
    pub(crate) geometry: &'a Geometry,
    pub(crate) format: Format,
    pub(crate) encode: &'a EncodeOptions,
}

/// Decoded pixels.
#[derive(Clone, Copy, Debug)]
struct Decoded {
    width: u32,
    height: u32,
    pixel_bytes: u32,
    has_alpha: bool,
    has_8_bits: bool,
}

/// A still picture. Each step frees the memory of the previous one, so the largest step counts.
pub(crate) fn still(source: &ParsedPicture, load: &ShrinkOnLoad, task: &Task<'_>) -> u64 {
    let header = source.header();
    if let Some(eighths) = load.planes
        && let Some(bytes) = header.planar_bytes
        // Applying a profile requires interleaved pixels.
        && header.metadata.icc.is_none()
    {
        return planar(source, eighths, bytes, task);
    }
    let (width, height) = header.viewed_size();
    let decoded = Decoded {
        width: width.div_ceil(load.pixels),
        height: height.div_ceil(load.pixels),
        pixel_bytes: header.pixel_bytes(),
        has_alpha: header.layout.has_alpha(),
        has_8_bits: header.bits == 8,
    };
    let decoding = header.decoder_bytes + decoded.bytes();
    let encoding = codec::encoder_bytes(task.format, task.encode, task.result(decoded));
    let encoding = encoding + scoring(task);
    let working = working(decoded, load.pixels, task);
    let tables = if decoded.has_8_bits { 0 } else { TABLES_OF_U16 };
    FLOOR
        + tables
        + metadata(header, task)
        + decoding.max(header.kept_bytes + working.max(encoding))
}

/// Scoring the results of several qualities, which are kept meanwhile.
fn scoring(task: &Task<'_>) -> u64 {
    const KEPT: u64 = 8;
    match task.encode.likeness {
        Some(_) => {
            pixel_count(task.geometry.canvas.0, task.geometry.canvas.1) * (SCORE_BYTES + KEPT)
        }
        None => 0,
    }
}

/// A still picture that is resampled plane by plane; four of its pixels take `bytes` in planes.
fn planar(source: &ParsedPicture, eighths: Eighths, bytes: u32, task: &Task<'_>) -> u64 {
    let header = source.header();
    let (full_width, full_height) = header.viewed_size();
    let size = |eighths: u32| {
        let side = |pixels: u32| (pixels * eighths).div_ceil(8);
        (side(full_width), side(full_height))
    };
    let (width, height) = size(eighths.brightness);
    let color_size = size(eighths.color);
    let color = pixel_count(color_size.0, color_size.1) * u64::from(bytes.saturating_sub(4)) / 4;
    let decoded = pixel_count(width, height) + color;
    // A chroma plane is copied to repeat its edge.
    let copied = color / 2;
    let scaled = task.geometry.scaled;
    let between = pixel_count(scaled.0, height).max(pixel_count(scaled.1, width));
    let result = pixel_count(scaled.0, scaled.1);
    let result_planes = match halves_color(task.encode) {
        true => result * 2,
        false => result * 3,
    };
    let decoding = source.planes_decoder_bytes(eighths) + decoded;
    let shrunk = 8.0 / f64::from(eighths.brightness);
    let light = in_light((width, height), 1, shrunk, task);
    let working = decoded + copied + between.max(light) + result_planes;
    let pixels = EncodedPixels {
        count: result,
        bytes: header.pixel_bytes(),
        has_alpha: header.layout.has_alpha(),
    };
    let encoding = codec::planes_encoder_bytes(task.format, task.encode, pixels);
    FLOOR + metadata(header, task) + decoding.max(working).max(encoding)
}

/// An animation: the decoder's canvas, one frame in progress, and the encoded frames.
pub(crate) fn animation(source: &ParsedPicture, task: &Task<'_>) -> u64 {
    let header = source.header();
    let (width, height) = header.viewed_size();
    // Frames come as Rgba.
    let frame = Decoded {
        width,
        height,
        pixel_bytes: 4,
        has_alpha: true,
        has_8_bits: true,
    };
    let result = task.result(frame);
    let written = result.count * u64::from(header.frames) / 2;
    let encoding = codec::encoder_bytes(task.format, task.encode, result) + scoring(task);
    let others = FLOOR + metadata(header, task) + encoding + written;
    others + source.frames_decoder_bytes() + working(frame, 1, task)
}

/// The metadata of the result, and the profile while it is applied.
fn metadata(header: &Header, task: &Task<'_>) -> u64 {
    let profile = match task.options.color {
        ColorPolicy::Srgb => color::profile_bytes(header.metadata.icc.as_deref()),
        ColorPolicy::Keep => 0,
    };
    profile + header.metadata.kept_bytes(task.options)
}

impl Decoded {
    fn bytes(self) -> u64 {
        pixel_count(self.width, self.height) * u64::from(self.pixel_bytes)
    }
}

impl Task<'_> {
    /// The pixels of the result, in the layout that was decoded.
    fn result(&self, decoded: Decoded) -> EncodedPixels {
        let (width, height) = self.geometry.canvas;
        EncodedPixels {
            count: pixel_count(width, height),
            bytes: decoded.pixel_bytes,
            has_alpha: decoded.has_alpha,
        }
    }
}

/// From the decoded pixels, shrunk by `shrink`, to those of the result. Samples of 16 bits are twice
/// as wide in linear light, alpha needs a premultiplied copy then, and the resampler holds an
/// intermediate picture between its two passes.
fn working(decoded: Decoded, shrink: u32, task: &Task<'_>) -> u64 {
    let (options, geometry) = (task.options, task.geometry);
    let (width, height) = (decoded.width, decoded.height);
    let plain = u64::from(decoded.pixel_bytes);
    let pixel = match options.filter {
        Filter::Nearest => plain,
        _ if decoded.has_8_bits => plain,
        _ => plain * 2,
    };
    let pixels = pixel_count(width, height);
    let (scaled_width, scaled_height) = geometry.scaled;
    let scaled = pixel_count(scaled_width, scaled_height) * pixel;
    let resampling = if decoded.has_8_bits && options.filter != Filter::Nearest {
        let light = in_light((width, height), plain, f64::from(shrink), task);
        pixels * plain + light + scaled
    } else {
        let converting = pixels * (plain + pixel);
        let copies = if decoded.has_alpha { 2 } else { 1 };
        let between =
            pixel_count(scaled_width, height).max(pixel_count(scaled_height, width)) * pixel;
        converting.max(pixels * pixel * copies + between + scaled)
    };
    // Transparent pictures and those on a canvas are converted to Rgba.
    let composed = if decoded.has_alpha || geometry.canvas != geometry.scaled {
        pixel_count(geometry.canvas.0, geometry.canvas.1) * 8
    } else {
        scaled
    };
    resampling.max(scaled + composed)
}

/// The memory of resampling in linear light in addition to both pictures, if they were shrunk by
/// `shrunk` before: as many rows of floats as the longest kernel covers, and the column weights.
/// Those are seven weights of 20 bytes per source or result column, whichever are more.
fn in_light(
    (width, height): (u32, u32),
    channels: u64,
    shrunk: f64,
    Task {
        geometry, options, ..
    }: &Task<'_>,
) -> u64 {
    let by = halvings_in_light(geometry.shrink() / shrunk, options.filter);
    let along_x = geometry.crop.width / f64::from(geometry.scaled.0);
    let along_y = geometry.crop.height / f64::from(geometry.scaled.1);
    let remains = along_x.max(along_y) / (shrunk * f64::from(by));
    let rows = (6.0 * remains.max(1.0)).ceil() as u64 + 1;
    let (columns, all) = (width.div_ceil(by), height.div_ceil(by));
    // Includes the row that is being summed, and four of them for planes.
    let rows = (rows.min(u64::from(all)) + 5) * u64::from(columns) * channels * 4;
    let longest = columns.max(geometry.scaled.0).max(geometry.scaled.1);
    rows + u64::from(longest) * 7 * 20
}
