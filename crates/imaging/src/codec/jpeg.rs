//! JPEG by libjpeg-turbo.

use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp};

use crate::estimate::{self, ReducedDecoder};
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, Samples, sample_count};

use super::{EncodeOptions, Header};

mod baseline;
mod markers;
pub(super) mod planes;
mod reduced;

pub(crate) use markers::Coefficients;
pub(crate) use reduced::{FIRST_BYTES as JPEG_FIRST_BYTES, KEPT as JPEG_KEPT};

/// From this quality on colour is always stored in full resolution.
const FULL_COLOR_QUALITY: u8 = 90;
/// Scans of a progressive picture; files with thousands of them only exist to keep decoders busy.
const MAX_SCANS: u32 = 500;
/// Stray bytes before the end marker that some cameras write and that mean no damage.
const HARMLESS_STRAY_BYTES: u32 = 16;

/// Samples of a block, and coefficients.
const AREA: usize = 64;
/// The place in rows and columns of each coefficient, as they are stored (T.81, figure A.6).
const ZIGZAG: [u8; AREA] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits of the longest Huffman code.
const LONGEST_CODE: usize = 16;

/// Reads all markers before the first scan.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let markers = markers::read(bytes)?;
    let layout = match markers.components.len() {
        1 => Layout::Gray,
        3 => Layout::Rgb,
        4 => Layout::Cmyk,
        count => return Err(format!("it has {count} colour components, not 1, 3 or 4")),
    };
    if markers.bits != 8 {
        return Err(format!(
            "its samples have {} bits, and only 8 are read",
            markers.bits
        ));
    }
    let coefficients = markers.coefficients();
    let planar_bytes = markers.planar_bytes();
    let reducible = markers.reducible();
    let longest_run = markers.longest_run as u64;
    let metadata = Metadata {
        exif: markers.exif,
        xmp: markers.xmp,
        icc: markers.icc,
    };
    Ok(Header {
        width: markers.width,
        height: markers.height,
        frames: 1,
        layout,
        bits: 8,
        shrinks: !markers.lossless,
        planar_bytes,
        decoder_bytes: estimate::jpeg_decoder(&coefficients),
        reduced_decoder: reducible.map(|_| ReducedDecoder::new(&coefficients, longest_run)),
        orientation: metadata.orientation(),
        metadata,
    })
}

/// Decodes to Gray, Rgb or Cmyk; `shrink` is 1, 2, 4 or 8.
pub(super) fn decode(bytes: &[u8], header: &Header, shrink: u32) -> Result<Raster, String> {
    let mut decompressor = Decompressor::new().map_err(|error| error.to_string())?;
    let scaling = ScalingFactor::new(1, shrink as usize);
    let prepared = decompressor
        .set_scan_limit(MAX_SCANS)
        .and_then(|()| decompressor.set_scaling_factor(scaling));
    prepared.map_err(|error| error.to_string())?;
    let (width, height) = (
        header.width.div_ceil(shrink),
        header.height.div_ceil(shrink),
    );
    let channels = header.layout.channels();
    let mut pixels = vec![0; sample_count(width, height, channels)];
    let format = match header.layout {
        Layout::Gray => PixelFormat::GRAY,
        Layout::Cmyk => PixelFormat::CMYK,
        _ => PixelFormat::RGB,
    };
    let image = Image {
        pixels: pixels.as_mut_slice(),
        width: width as usize,
        pitch: width as usize * channels,
        height: height as usize,
        format,
    };
    if let Err(error) = decompressor.decompress(bytes, image) {
        let reason = error.to_string();
        if !is_harmless(&reason) {
            return Err(reason);
        }
    }
    // Adobe's programs store the light that passes instead of the ink.
    if header.layout == Layout::Cmyk && markers::read(bytes)?.adobe_transform.is_some() {
        for sample in &mut pixels {
            *sample = 255 - *sample;
        }
    }
    Ok(Raster::from_u8(width, height, header.layout, pixels))
}

/// Whether libjpeg's first warning is about a few stray bytes after complete picture data
/// (`JWRN_EXTRANEOUS_DATA` before the end marker 0xd9). Every other warning means lost data.
fn is_harmless(reason: &str) -> bool {
    let Some((_, rest)) = reason.split_once("Corrupt JPEG data: ") else {
        return false;
    };
    let Some(count) = rest.strip_suffix(" extraneous bytes before marker 0xd9") else {
        return false;
    };
    count
        .parse::<u32>()
        .is_ok_and(|count| count <= HARMLESS_STRAY_BYTES)
}

/// Encodes Gray or Rgb of 8 bits, with optimised Huffman tables.
pub(super) fn encode(raster: &Raster, options: &EncodeOptions<'_>) -> Result<Vec<u8>, String> {
    let (format, subsampling) = match raster.layout {
        Layout::Gray => (PixelFormat::GRAY, Subsamp::Gray),
        Layout::Rgb if options.full_color || options.quality >= FULL_COLOR_QUALITY => {
            (PixelFormat::RGB, Subsamp::None)
        }
        Layout::Rgb => (PixelFormat::RGB, Subsamp::Sub2x2),
        other => return Err(format!("{other:?} pixels do not fit into JPEG")),
    };
    let Samples::U8(pixels) = &raster.samples else {
        return Err("JPEG holds 8 bits a sample".to_owned());
    };
    let image = Image {
        pixels: pixels.as_slice(),
        width: raster.width as usize,
        pitch: raster.width as usize * raster.layout.channels(),
        height: raster.height as usize,
        format,
    };
    let compress = || {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(i32::from(options.quality))?;
        compressor.set_subsamp(subsampling)?;
        compressor.set_optimize(true)?;
        compressor.set_progressive(options.progressive)?;
        compressor.compress_to_vec(image)
    };
    let bytes = compress().map_err(|error: turbojpeg::Error| error.to_string())?;
    Ok(markers::with_metadata(bytes, options.metadata))
}
