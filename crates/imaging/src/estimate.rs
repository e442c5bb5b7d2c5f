//! How much memory a picture takes, known before it is decoded. Every formula stands here.

use image::ColorType;

use crate::{Filter, Format, Profile, ResizeRequest};

use super::codec::{self, Coefficients};
use super::geometry::Geometry;
use super::planar::Eighths;
use super::raster::Layout;
use super::{SourceInfo, pipeline, planar};

/// What a codec's tables, handles and rows take, whatever the size. Its code is not counted: it is in
/// memory once for all pictures.
const FLOOR: u64 = 1 << 19;

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

/// What decides how much the project's own decoder of small JPEGs holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedDecoder {
    /// Bytes of the longest run of data without a marker, which is held at once.
    longest_run: u64,
    /// Blocks of which coefficients are kept: all of a progressive picture's.
    brightness_blocks: u64,
    color_blocks: u64,
}

impl ReducedDecoder {
    pub(crate) fn new(coefficients: &Coefficients, longest_run: u64) -> Self {
        // Of each block `jpeg_decoder` counts 64 coefficients of two bytes.
        let blocks = match coefficients.whole_picture {
            true => jpeg_decoder(coefficients) / 128,
            false => 0,
        };
        let samples = |&(across, down): &(u8, u8)| u64::from(across) * u64::from(down);
        let all: u64 = coefficients.sampling.iter().map(samples).sum();
        let brightness = coefficients.sampling.first().map_or(1, samples);
        let brightness_blocks = blocks * brightness / all.max(1);
        Self {
            longest_run,
            brightness_blocks,
            color_blocks: blocks - brightness_blocks,
        }
    }

    /// A run of data, and of each block the coefficients that are needed and a word for those that
    /// are not.
    fn bytes(&self, eighths: Eighths) -> u64 {
        let blocks = self.brightness_blocks + self.color_blocks;
        // One sample a block is its first coefficient, and no other scans are read.
        if eighths.brightness == 1 && blocks > 0 {
            let first = blocks * codec::JPEG_FIRST_BYTES as u64;
            return self.longest_run.min(first) + blocks * 2;
        }
        let block = |eighths: u32| 2 * codec::JPEG_KEPT[eighths as usize - 1] as u64 + 8;
        self.longest_run
            + self.brightness_blocks * block(eighths.brightness)
            + self.color_blocks * block(eighths.color)
    }
}

/// A still picture. Each step frees what the one before needed, so the largest step decides.
pub(crate) fn still(
    source: &SourceInfo,
    shrink: u32,
    geometry: &Geometry,
    request: &ResizeRequest,
    format: Format,
) -> u64 {
    if let Some(bytes) = source.planar_bytes
        && planar::suffices(source.format, format, request, geometry)
    {
        let eighths = pipeline::eighths_on_load(source.shrinks, geometry, request);
        let size = |eighths: u32| {
            let side = |pixels: u32| (pixels * eighths).div_ceil(8);
            (side(source.width), side(source.height))
        };
        let color = size(eighths.color);
        let planes = Planes {
            size: size(eighths.brightness),
            color: area(color.0, color.1) * u64::from(bytes.saturating_sub(4)) / 4,
            decoder: plane_decoder(source, eighths),
        };
        return planar(source, &planes, geometry, request);
    }
    let width = source.width.div_ceil(shrink);
    let height = source.height.div_ceil(shrink);
    let decoded = area(width, height) * u64::from(source.pixel_bytes);
    let decoding = source.decoder_bytes + decoded;
    let result = area(geometry.canvas.0, geometry.canvas.1);
    let encoding = encoder(format, request, result, source);
    let working = working(source, (width, height), shrink, geometry, request);
    // Of what these decoders have freed, the allocator keeps a part.
    let kept = match source.format {
        Format::Avif | Format::Heic => source.decoder_bytes / 3,
        _ => 0,
    };
    FLOOR + decoding.max(kept + working.max(encoding))
}

/// Decoded planes.
struct Planes {
    size: (u32, u32),
    /// Bytes of both planes of colour.
    color: u64,
    /// Bytes the decoder holds beside them.
    decoder: u64,
}

/// What a decoder holds beside planes of such a size.
fn plane_decoder(source: &SourceInfo, eighths: Eighths) -> u64 {
    match &source.reduced_decoder {
        Some(decoder) if eighths.brightness <= 4 => decoder.bytes(eighths),
        _ => source.decoder_bytes,
    }
}

/// A still picture that is resized plane by plane.
fn planar(
    source: &SourceInfo,
    planes: &Planes,
    geometry: &Geometry,
    request: &ResizeRequest,
) -> u64 {
    let (width, height) = planes.size;
    let decoded = area(width, height) + planes.color;
    // A colour plane is copied to repeat its edge.
    let copied = planes.color / 2;
    let between = area(geometry.scaled.0, height).max(area(geometry.scaled.1, width));
    let result = area(geometry.scaled.0, geometry.scaled.1);
    let result_planes = match pipeline::halves_color(request) {
        true => result * 2,
        false => result * 3,
    };
    let working = decoded + copied + between + result_planes;
    let encoding = match source.format {
        // Planes, up to half as many tokens of four bytes as they have samples, and the output.
        Format::Jpeg if request.progressive != Some(true) && pipeline::halves_color(request) => {
            result * 6
        }
        // Planes, and the output as it grows.
        Format::Webp if is_high(request) => result * 5,
        Format::Webp => result * 3,
        format => encoder(format, request, result, source),
    };
    FLOOR + (planes.decoder + decoded).max(working).max(encoding)
}

/// An animation: the decoder's canvas, a frame at work, and the frames that are written.
pub(crate) fn animation(
    source: &SourceInfo,
    geometry: &Geometry,
    request: &ResizeRequest,
    format: Format,
) -> u64 {
    // Frames come as Rgba.
    let source = SourceInfo {
        pixel_bytes: 4,
        has_alpha: true,
        ..source.clone()
    };
    let size = (source.width, source.height);
    let frame = working(&source, size, 1, geometry, request);
    // The others count their canvas as the decoder's, which has it for the first frame, too.
    let canvas = match source.format {
        Format::Gif => area(size.0, size.1) * 4,
        _ => 0,
    };
    let result = area(geometry.canvas.0, geometry.canvas.1);
    let written = result * u64::from(source.frames) / 2;
    let encoding = encoder(format, request, result, &source);
    FLOOR + source.decoder_bytes + canvas + frame + encoding + written
}

/// What is decoded for a perceptual hash, and its brightness.
pub(crate) fn fingerprint(source: &SourceInfo) -> u64 {
    let shrink = super::fingerprint::shrink_on_load(source);
    let pixels = area(
        source.width.div_ceil(shrink),
        source.height.div_ceil(shrink),
    );
    let decoded = match source.planar_bytes {
        Some(bytes) => pixels * u64::from(bytes) / 4,
        // With the brightness, or before that samples of 16 bits in 8.
        None => pixels * u64::from(source.pixel_bytes + (source.pixel_bytes / 2).max(1)),
    };
    FLOOR + plane_decoder(source, Eighths::both(8 / shrink)) + decoded
}

/// From the decoded pixels to the result's: in linear light samples are twice as wide, for alpha
/// a premultiplied copy is made, and the resampler keeps its picture between the two passes.
fn working(
    source: &SourceInfo,
    (width, height): (u32, u32),
    shrink: u32,
    geometry: &Geometry,
    request: &ResizeRequest,
) -> u64 {
    let plain = u64::from(source.pixel_bytes);
    let pixel = match request.profile {
        Profile::Fast => plain,
        Profile::Fine => plain * 2,
    };
    let pixels = area(width, height);
    let scaled = area(geometry.scaled.0, geometry.scaled.1) * pixel;
    let is_opaque_u8 = matches!(plain, 1 | 3) && !source.has_alpha;
    let resampling = match request.profile {
        Profile::Fine if is_opaque_u8 && request.filter != Filter::Nearest => {
            let by = pipeline::halvings_in_light(shrink, geometry, request);
            pixels * plain + in_light((width, height), plain, (shrink, by), geometry) + scaled
        }
        profile => {
            let converting = match profile {
                Profile::Fast => 0,
                Profile::Fine => pixels * (plain + pixel),
            };
            let copies = if source.has_alpha { 2 } else { 1 };
            let between =
                area(geometry.scaled.0, height).max(area(geometry.scaled.1, width)) * pixel;
            converting.max(pixels * pixel * copies + between + scaled)
        }
    };
    let result = area(geometry.canvas.0, geometry.canvas.1);
    // Transparent pictures and those on a canvas become Rgba on the way.
    let composed = if source.has_alpha || geometry.canvas != geometry.scaled {
        result * 8
    } else {
        scaled
    };
    resampling.max(scaled + composed)
}

/// What resampling in linear light holds beside both pictures, each `by` × `by` pixels averaged: as
/// many rows of floats as the longest filter reaches over, and the weights of the columns: seven of
/// 20 bytes for each of the source or the result, whichever has more.
fn in_light(
    (width, height): (u32, u32),
    channels: u64,
    (shrink, by): (u32, u32),
    geometry: &Geometry,
) -> u64 {
    let along_x = geometry.crop.width / f64::from(geometry.scaled.0);
    let along_y = geometry.crop.height / f64::from(geometry.scaled.1);
    let remains = along_x.max(along_y) / f64::from(shrink * by);
    let rows = (6.0 * remains.max(1.0)).ceil() as u64 + 1;
    let (columns, all) = (width.div_ceil(by), height.div_ceil(by));
    // With the row that is summed.
    let rows = (rows.min(u64::from(all)) + 1) * u64::from(columns) * channels * 4;
    let longest = columns.max(geometry.scaled.0).max(geometry.scaled.1);
    rows + u64::from(longest) * 7 * 20
}

/// Whether a lossy result may have a quality at which much of it is noise.
fn is_high(request: &ResizeRequest) -> bool {
    let quality = request.quality.or(request.max_bytes.map(|_| 100));
    quality.is_some_and(|quality| quality >= 90)
}

/// The result's pixels and what an encoder holds beside them.
fn encoder(format: Format, request: &ResizeRequest, pixels: u64, source: &SourceInfo) -> u64 {
    match format {
        // Coefficients of the whole picture for optimised tables, and the output twice: as
        // libjpeg grows it, and as it is handed over. Full-size colour doubles them.
        Format::Jpeg if is_high(request) || request.profile == Profile::Fine => pixels * 12,
        Format::Jpeg => pixels * 8,
        Format::Webp if request.lossless == Some(true) => (14 << 20) + pixels * 26,
        // Transparency is packed losslessly, which takes the lossless coder's tables.
        Format::Webp if source.has_alpha => (5 << 20) + pixels * 12,
        Format::Webp if is_high(request) => pixels * 8,
        // It has no gray of its own.
        Format::Webp if source.pixel_bytes == 1 => pixels * 8,
        Format::Webp => pixels * 7,
        // With the decoder's tables, which reads the result again for its hash.
        Format::Avif => (7 << 20) + pixels * 44,
        // The pixels twice, as indices, and packed.
        Format::Gif => pixels * 11,
        _ if request.palette.is_some() => pixels * 14,
        // The pixels, filtered, compressed, and in their file.
        _ => pixels * u64::from(source.pixel_bytes) * 4,
    }
}

fn area(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
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

/// What the canvas is restored to, and the largest frame as the decoder hands it over, with what it
/// makes it of.
pub(crate) fn gif_decoder(width: u32, height: u32, largest_frame: u64, restores: bool) -> u64 {
    let restored = if restores { area(width, height) * 4 } else { 0 };
    restored + largest_frame * 5
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

/// Floating-point planes, always of three colours, in two stages of the decoder; of lossless
/// pictures integers of twice a sample's width, and transforms in part.
pub(crate) fn jxl_decoder(width: u32, height: u32, layout: Layout, bits: u8, float: bool) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    match float {
        true if layout.has_alpha() => pixels * 31,
        true => pixels * 26,
        false => pixels * layout.channels() as u64 * u64::from(bits / 8) * 3,
    }
}

/// What libheif holds, by measurement of 1.15: for the largest coded picture, which may be the
/// whole or a tile of it, HEVC's decoder and the steps of the conversion to red, green and blue;
/// then the planes of those, or a copy in 16 bits of those that are stored.
pub(crate) fn heic_decoder(
    (width, height): (u32, u32),
    coded: &codec::HeicCoded,
    has_alpha: bool,
    bits: u8,
    decoded: u64,
) -> u64 {
    let bytes = u64::from(bits / 8);
    // Tiles become red, green and blue even where there is no colour.
    let finest = usize::from(coded.chroma_format.max(u8::from(coded.is_tiled)));
    let alpha = u64::from(has_alpha);
    let planes = area(width, height) * ([2, 3, 4, 6][finest].max(3 * bytes) + alpha * 2);
    let largest = area(coded.largest.0, coded.largest.1);
    let working = largest * ([5, 9, 10, 11][finest] + alpha * 5) * bytes;
    let beside = match largest < area(width, height) {
        true => planes,
        false => 0,
    };
    (1 << 20) + planes.max((beside + working).saturating_sub(decoded))
}

/// The planes of colour and alpha as AV1 has them (each padded to whole superblocks), copies in 16
/// bits, and the decoder's tables.
pub(crate) fn avif_decoder(width: u32, height: u32, bits: u8, planes_in_pixel: f64) -> u64 {
    let padded = |side: u32| u64::from(side).next_multiple_of(128) + 128;
    let samples = (padded(width) * padded(height)) as f64 * planes_in_pixel;
    (1 << 20) + (samples * f64::from(bits.div_ceil(8) + 1)) as u64
}
