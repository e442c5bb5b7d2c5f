//! The codecs behind one door: headers, decoding and encoding by format.
//!
//! Each codec has a file of its own with plain functions. Their errors are sentences; what kind
//! of error it is (header, body, encoding) is known here.

use std::borrow::Cow;

use crate::Format;

use super::ImagingError;
use super::animation::{FrameSink, Frames};
use super::estimate::ReducedDecoder;
use super::metadata::Metadata;
use super::orientation::Orientation;
use super::planar::{Eighths, Planes};
use super::raster::{Layout, Raster};

mod avif;
mod boxes;
mod gif;
mod heic;
mod image_rs;
mod jpeg;
mod jxl;
mod png;
mod webp;
mod ycbcr;

pub(crate) use heic::Coded as HeicCoded;
pub(crate) use jpeg::{Coefficients, JPEG_FIRST_BYTES, JPEG_KEPT};

/// What a header tells, in the stored orientation.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 1 for a still picture.
    pub(crate) frames: u32,
    /// Of the decoded picture.
    pub(crate) layout: Layout,
    /// Bits of a decoded sample: 8 or 16.
    pub(crate) bits: u8,
    /// Whether the decoder can shrink while it decodes: pixels by 2, 4 and 8, planes to 1, 2, 3 and
    /// 4 eighths.
    pub(crate) shrinks: bool,
    /// Bytes that four pixels take in planes of brightness and colour; `None` when the picture is
    /// not stored so.
    pub(crate) planar_bytes: Option<u32>,
    /// Bytes the decoder holds beside the decoded picture, however much it shrinks.
    pub(crate) decoder_bytes: u64,
    /// What the same depends on beside planes of one to four eighths of the size, when they have
    /// a decoder of their own.
    pub(crate) reduced_decoder: Option<ReducedDecoder>,
    pub(crate) orientation: Orientation,
    pub(crate) metadata: Metadata,
}

/// How a result is to be written.
#[derive(Clone, Debug)]
pub(crate) struct EncodeOptions<'a> {
    /// 1 to 100.
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    pub(crate) lossless: bool,
    /// Most colours of a palette.
    pub(crate) palette: Option<u16>,
    /// Whether JPEG keeps colour in full resolution at every quality.
    pub(crate) full_color: bool,
    /// What goes along with the pixels.
    pub(crate) metadata: &'a Metadata,
}

/// Reads a header.
pub(crate) fn header(format: Format, bytes: &[u8]) -> Result<Header, ImagingError> {
    let header = match format {
        Format::Jpeg => jpeg::header(bytes),
        Format::Png => png::header(bytes),
        Format::Webp => webp::header(bytes),
        Format::Gif => gif::header(bytes),
        Format::Bmp | Format::Tiff | Format::Ico => image_rs::header(format, bytes),
        Format::Avif => avif::header(bytes),
        Format::Jxl => jxl::header(bytes),
        Format::Heic => heic::header(bytes),
    };
    let header = header.map_err(|reason| ImagingError::Header { format, reason })?;
    if header.width == 0 || header.height == 0 {
        return Err(ImagingError::Header {
            format,
            reason: format!(
                "its size is {} × {} pixels, and both must be at least 1",
                header.width, header.height
            ),
        });
    }
    Ok(header)
}

/// Decodes the picture, or the first frame of an animation, shrunk by `shrink`, which is 1 unless
/// [`Header::shrinks`]. With `smooth` false, edges of blocks and of colour may stay, which a result
/// of a third of the size or less doesn't show.
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    header: &Header,
    shrink: u32,
    smooth: bool,
) -> Result<Raster, ImagingError> {
    match format {
        Format::Jpeg => jpeg::decode(bytes, header, shrink),
        Format::Png => png::decode(bytes, header),
        Format::Webp => webp::decode(bytes, header, smooth),
        Format::Gif => gif::decode(bytes, header),
        Format::Bmp | Format::Tiff | Format::Ico => image_rs::decode(format, bytes, header),
        Format::Avif => avif::decode(bytes, header),
        Format::Jxl => jxl::decode(bytes, header),
        Format::Heic => heic::decode(bytes, header),
    }
    .map_err(|reason| ImagingError::Body { format, reason })
}

/// Encodes a still picture. The layout must be one that the format can hold. A picture that is
/// handed over is freed as soon as it is not needed.
pub(crate) fn encode(
    format: Format,
    raster: Cow<'_, Raster>,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::encode(&raster, options),
        Format::Png => png::encode(raster, options),
        Format::Webp => webp::encode(&raster, options),
        Format::Gif => gif::encode(raster, options),
        Format::Avif => avif::encode(&raster, options),
        other => Err(format!("{other} is read, but not written")),
    }
    .map_err(|reason| ImagingError::Encode { format, reason })
}

/// Whether a format can be written as an animation.
pub(crate) fn writes_animations(format: Format) -> bool {
    matches!(format, Format::Gif | Format::Webp)
}

/// The frames of an animated picture, one after the other.
pub(crate) fn frames<'a>(
    format: Format,
    bytes: &'a [u8],
    header: &Header,
) -> Result<Box<dyn Frames + 'a>, ImagingError> {
    match format {
        Format::Gif => gif::GifFrames::new(bytes, header).map(|frames| Box::new(frames) as _),
        Format::Png => png::PngFrames::new(bytes, header).map(|frames| Box::new(frames) as _),
        Format::Webp => webp::WebpFrames::new(bytes, header).map(|frames| Box::new(frames) as _),
        other => Err(format!("{other} animations are not read")),
    }
    .map_err(|reason| ImagingError::Body { format, reason })
}

/// Begins an animation that plays `plays` times, 0 meaning for ever.
pub(crate) fn frame_sink(
    format: Format,
    size: (u32, u32),
    plays: u32,
    options: &EncodeOptions<'_>,
) -> Result<Box<dyn FrameSink>, String> {
    match format {
        Format::Gif => gif::GifSink::new(size, plays, options).map(|sink| Box::new(sink) as _),
        Format::Webp => webp::WebpSink::new(size, plays, options).map(|sink| Box::new(sink) as _),
        other => Err(format!("{other} animations are not written")),
    }
}

/// Decodes the planes of brightness and colour that a lossy codec stores, at so many eighths of
/// the size, which are 8 unless [`Header::shrinks`]; colour may have more than is asked for. `None`
/// when the picture is not stored so. With `smooth` false, edges of blocks may stay.
pub(crate) fn decode_planes(
    format: Format,
    bytes: &[u8],
    eighths: Eighths,
    smooth: bool,
) -> Result<Option<Planes>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::planes::decode(bytes, eighths),
        Format::Webp => webp::decode_planes(bytes, smooth),
        _ => Ok(None),
    }
    .map_err(|reason| ImagingError::Body { format, reason })
}

/// Brightness samples, across and down, that share a colour sample in a result.
pub(crate) fn planes_sampling(format: Format, quality: u8) -> (u32, u32) {
    match format {
        Format::Jpeg => jpeg::planes::result_sampling(quality),
        _ => webp::PLANES_SAMPLING,
    }
}

/// Encodes planes whose colour is sampled as [`planes_sampling`] says.
pub(crate) fn encode_planes(
    format: Format,
    planes: &Planes,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::planes::encode(planes, options),
        Format::Webp => webp::encode_planes(planes, options),
        _ => Err("it has no planes of brightness and colour".to_owned()),
    }
    .map_err(|reason| ImagingError::Encode { format, reason })
}

/// The largest side a format can hold, in pixels.
pub(crate) fn max_side(format: Format) -> u32 {
    match format {
        // JPEG_MAX_DIMENSION of libjpeg-turbo.
        Format::Jpeg => 65_500,
        // 14 bits (RFC 9649, section 2.5).
        Format::Webp => 16_383,
        // 16 bits (GIF89a specification, section 18).
        Format::Gif => 65_535,
        // Limit of the AV1 sequence header's 16-bit sizes.
        Format::Avif => 65_535,
        _ => i32::MAX as u32,
    }
}
