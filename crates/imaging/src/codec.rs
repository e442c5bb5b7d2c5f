//! Dispatches to the codecs: reads headers and encodes results in each format.
//!
//! Each codec has a file or folder of its own with plain functions. Their errors are sentences.
//! This file and `decoder` add the kind of error: header, body or encoding.

use std::borrow::Cow;

use crate::animation::FrameSink;
use crate::error::ImagingError;
use crate::format::Format;
use crate::limits::Limits;
use crate::linear::Levels;
use crate::metadata::Metadata;
use crate::planes::Planes;
use crate::raster::Raster;

#[cfg(feature = "avif")]
mod avif;
#[cfg(any(feature = "avif", feature = "heic"))]
mod bits;
mod bmp;
#[cfg(any(feature = "avif", feature = "heic"))]
mod boxes;
pub(crate) mod decoder;
pub(crate) mod encode_options;
mod gif;
pub(crate) mod header;
#[cfg(feature = "heic")]
mod heic;
mod ico;
mod jpeg;
#[cfg(feature = "jxl")]
mod jxl;
mod png;
mod tiff;
mod webp;
#[cfg(any(feature = "avif", feature = "heic"))]
mod ycbcr;

use decoder::ParsedPicture;
use encode_options::{EncodeOptions, EncodedPixels};
#[cfg(feature = "fuzzing")]
pub(crate) use jpeg::differential;

/// Reads the header of a picture.
pub(crate) fn parse(
    format: Format,
    bytes: &[u8],
    limits: &Limits,
) -> Result<ParsedPicture, ImagingError> {
    let parsed = match format {
        Format::Jpeg => jpeg::parse(bytes, limits),
        Format::Png => png::parse(bytes, limits),
        Format::Webp => webp::parse(bytes, limits),
        Format::Gif => gif::parse(bytes, limits),
        Format::Bmp => bmp::parse(bytes, limits),
        Format::Tiff => tiff::parse(bytes, limits),
        Format::Ico => ico::parse(bytes),
        #[cfg(feature = "avif")]
        Format::Avif => avif::parse(bytes, limits),
        #[cfg(feature = "jxl")]
        Format::Jxl => jxl::parse(bytes, limits),
        #[cfg(feature = "heic")]
        Format::Heic => heic::parse(bytes, limits),
        #[cfg(not(all(feature = "avif", feature = "jxl", feature = "heic")))]
        other => Err(other.not_built()),
    };
    let parsed = parsed.map_err(|reason| ImagingError::Header { format, reason })?;
    let (width, height) = (parsed.header().width, parsed.header().height);
    if width == 0 || height == 0 {
        return Err(ImagingError::Header {
            format,
            reason: format!("its size is {width} × {height} pixels; both sides must be at least 1"),
        });
    }
    Ok(parsed)
}

/// Loads the library that a format needs, if it is loaded when the program runs.
pub(crate) fn preload(format: Format) {
    #[cfg(feature = "heic")]
    if format == Format::Heic {
        heic::preload();
    }
    #[cfg(not(feature = "heic"))]
    let _ = format;
}

/// Encodes a still picture. The format must support the layout. An owned picture is freed as soon
/// as it is not needed.
pub(crate) fn encode(
    format: Format,
    raster: Cow<'_, Raster>,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::encode(raster, options, metadata),
        Format::Png => png::encode(raster, options, metadata),
        Format::Webp => webp::encode(&raster, options, metadata),
        Format::Gif => gif::encode(raster, options),
        #[cfg(feature = "avif")]
        Format::Avif => avif::encode(&raster, options, metadata),
        other => Err(other.not_writable()),
    }
    .map_err(|reason| ImagingError::Encode { format, reason })
}

/// The bytes of the pixels passed to an encoder, plus the encoder's own memory.
pub(crate) fn encoder_bytes(format: Format, options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    match format {
        Format::Jpeg => jpeg::encoder_bytes(options, pixels),
        Format::Webp => webp::encoder_bytes(options, pixels),
        Format::Gif => gif::encoder_bytes(pixels),
        #[cfg(feature = "avif")]
        Format::Avif => avif::encoder_bytes(options, pixels),
        _ => png::encoder_bytes(options, pixels),
    }
}

/// Whether a format can be written as an animation.
pub(crate) fn writes_animations(format: Format) -> bool {
    matches!(format, Format::Gif | Format::Webp)
}

/// Starts an animation that plays `plays` times; 0 means forever.
pub(crate) fn frame_sink(
    format: Format,
    size: (u32, u32),
    plays: u32,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Box<dyn FrameSink>, String> {
    match format {
        Format::Gif => gif::frame_sink(size, plays, options),
        Format::Webp => webp::frame_sink(size, plays, options, metadata),
        other => Err(format!("animated {other} cannot be written")),
    }
}

/// The chroma subsampling of a result: luma samples, across and down, per chroma sample.
pub(crate) fn planes_sampling(format: Format, options: &EncodeOptions) -> (u32, u32) {
    match format {
        Format::Jpeg => jpeg::planes_sampling(options),
        _ => webp::PLANES_SAMPLING,
    }
}

/// The range of luma in planes.
pub(crate) fn planes_levels(format: Format) -> Levels {
    match format {
        Format::Webp => Levels::Video,
        _ => Levels::Full,
    }
}

/// Encodes planes with the chroma subsampling that [`planes_sampling`] returns.
pub(crate) fn encode_planes(
    format: Format,
    planes: &Planes,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::encode_planes(planes, options, metadata),
        Format::Webp => webp::encode_planes(planes, options, metadata),
        _ => Err("this format does not store luma and chroma planes".to_owned()),
    }
    .map_err(|reason| ImagingError::Encode { format, reason })
}

/// The bytes of the planes passed to an encoder, plus the encoder's own memory.
pub(crate) fn planes_encoder_bytes(
    format: Format,
    options: &EncodeOptions,
    pixels: EncodedPixels,
) -> u64 {
    match format {
        Format::Jpeg => jpeg::planes_encoder_bytes(options, pixels),
        Format::Webp => webp::planes_encoder_bytes(options, pixels),
        _ => encoder_bytes(format, options, pixels),
    }
}

/// The longest side that a format supports, in pixels.
pub(crate) fn max_side(format: Format) -> u32 {
    match format {
        // JPEG_MAX_DIMENSION of libjpeg-turbo.
        Format::Jpeg => 65_500,
        // 14 bits (RFC 9649, section 2.5).
        Format::Webp => 16_383,
        // 16 bits (GIF89a specification, section 18).
        Format::Gif => 65_535,
        // The encoder's limit.
        Format::Avif => 16_383,
        _ => i32::MAX as u32,
    }
}
