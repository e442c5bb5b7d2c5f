//! WebP by libwebp.

use crate::animation::Frames;
use crate::estimate;
use crate::metadata::Metadata;
use crate::planar::Planes;
use crate::raster::{Layout, Raster, Samples};

use super::{EncodeOptions, Header};

mod animation;
mod chunks;
mod ffi;
mod planes;

pub(super) use animation::{WebpFrames, WebpSink};

/// Reads the chunks before the picture data, and counts the frames.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let chunks = chunks::read(bytes)?;
    let features = ffi::features(bytes)?;
    let metadata = Metadata {
        exif: chunks.exif,
        xmp: chunks.xmp,
        icc: chunks.icc,
    };
    Ok(Header {
        width: features.width,
        height: features.height,
        frames: chunks.frames.max(1),
        layout: if features.has_alpha {
            Layout::Rgba
        } else {
            Layout::Rgb
        },
        bits: 8,
        shrinks: false,
        planar_bytes: (!features.lossless && !features.has_alpha).then_some(6),
        decoder_bytes: estimate::webp_decoder(
            features.width,
            features.height,
            features.lossless,
            chunks.frames,
        ),
        reduced_decoder: None,
        orientation: metadata.orientation(),
        metadata,
    })
}

/// Decodes to Rgb or Rgba of 8 bits; the first frame of an animation. `smooth` is for results in
/// which single pixels of the source are still seen.
pub(super) fn decode(bytes: &[u8], header: &Header, smooth: bool) -> Result<Raster, String> {
    if header.frames > 1 || chunks::read(bytes)?.frames > 0 {
        let first = WebpFrames::new(bytes, header)?.next_frame()?;
        return Ok(first.ok_or_else(|| "it has no frame".to_owned())?.raster);
    }
    let (width, height, layout) = (header.width, header.height, header.layout);
    let pixels = ffi::decode(bytes, layout, (width, height), smooth)?;
    Ok(Raster::from_u8(width, height, layout, pixels))
}

/// Encodes Rgb or Rgba of 8 bits.
pub(super) fn encode(raster: &Raster, options: &EncodeOptions<'_>) -> Result<Vec<u8>, String> {
    let Samples::U8(pixels) = &raster.samples else {
        return Err("WebP holds 8 bits a sample".to_owned());
    };
    let bytes = ffi::encode(
        pixels,
        raster.layout,
        (raster.width, raster.height),
        options.quality,
        options.lossless,
    )?;
    Ok(chunks::with_metadata(
        bytes,
        (raster.width, raster.height),
        raster.layout.has_alpha(),
        options.metadata,
    ))
}

/// Decodes the planes of brightness and colour; `None` when the picture is not stored so.
/// `smooth` is for results in which single pixels of the source are still seen.
pub(super) fn decode_planes(bytes: &[u8], smooth: bool) -> Result<Option<Planes>, String> {
    let features = ffi::features(bytes)?;
    if features.lossless || features.has_alpha {
        return Ok(None);
    }
    planes::decode(bytes, &features, smooth).map(Some)
}

/// Encodes planes whose colour has half the size.
pub(super) fn encode_planes(
    planes: &Planes,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, String> {
    let bytes = planes::encode(planes, options.quality)?;
    let size = (planes.width, planes.height);
    Ok(chunks::with_metadata(bytes, size, false, options.metadata))
}

pub(super) const PLANES_SAMPLING: (u32, u32) = planes::SAMPLING;
