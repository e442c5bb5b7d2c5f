//! The codecs behind one door: headers, decoding and encoding by format.
//!
//! Each codec has a file of its own with plain functions. Their errors are sentences; what kind
//! of error it is (header, body, encoding) is known here.

use crate::operation::Format;

use super::ImagingError;
use super::metadata::Metadata;
use super::raster::{Layout, Raster};

mod gif;
mod jpeg;
mod png;
mod webp;

pub(crate) use jpeg::Coefficients;

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
    /// Whether the decoder can shrink while it decodes, by 2, 4 and 8.
    pub(crate) shrinks: bool,
    /// Bytes the decoder holds beside the decoded picture, however much it shrinks.
    pub(crate) decoder_bytes: u64,
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
        _ => Err("not written yet".to_owned()),
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
/// [`Header::shrinks`].
pub(crate) fn decode(
    format: Format,
    bytes: &[u8],
    header: &Header,
    shrink: u32,
) -> Result<Raster, ImagingError> {
    match format {
        Format::Jpeg => jpeg::decode(bytes, header, shrink),
        Format::Png => png::decode(bytes, header),
        Format::Webp => webp::decode(bytes, header),
        Format::Gif => gif::decode(bytes, header),
        _ => Err("not written yet".to_owned()),
    }
    .map_err(|reason| ImagingError::Body { format, reason })
}

/// Encodes a still picture. The layout must be one that the format can hold.
pub(crate) fn encode(
    format: Format,
    raster: &Raster,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, ImagingError> {
    match format {
        Format::Jpeg => jpeg::encode(raster, options),
        Format::Png => png::encode(raster, options),
        Format::Webp => webp::encode(raster, options),
        Format::Gif => gif::encode(raster, options),
        _ => Err("not written yet".to_owned()),
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
