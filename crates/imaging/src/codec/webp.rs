//! WebP: decodes and encodes with libwebp.

use crate::animation::{FrameSink, Frames};
use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::planes::{Eighths, Planes};
use crate::raster::{Layout, Raster, Samples};

mod animation;
mod chunks;
mod ffi;
mod memory;
mod planes;

use animation::{WebpFrames, WebpSink};
use ffi::Features;
pub(super) use memory::{encoder_bytes, planes_encoder_bytes};

/// A WebP file whose chunks were read.
#[derive(Debug)]
struct Webp {
    features: Features,
    is_animated: bool,
}

/// Reads the chunks before the picture data, and counts the frames.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let chunks = chunks::read(bytes)?;
    let frames = chunks.frames;
    let features = ffi::features(bytes)?;
    let layout = match features.has_alpha {
        true => Layout::Rgba,
        false => Layout::Rgb,
    };
    let header = Header {
        frames: frames.max(1),
        planar_bytes: features.has_planes().then_some(6),
        decoder_bytes: memory::decoder_bytes(&features, frames),
        orientation: chunks.orientation(),
        metadata: chunks.metadata(limits)?,
        ..Header::new(Format::Webp, (features.width, features.height), layout, 8)
    };
    let is_animated = frames > 0;
    let webp = Webp {
        features,
        is_animated,
    };
    Ok(ParsedPicture::new(header, webp))
}

impl Decoder for Webp {
    /// Decodes to 8-bit Rgb or Rgba; for an animation, the first frame. `smooth` is needed for
    /// results in which single pixels of the source remain visible.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        smooth: bool,
    ) -> Result<Raster, String> {
        if self.is_animated {
            let first = WebpFrames::new(bytes, header)?.next_frame()?;
            return Ok(first.ok_or_else(|| "it has no frame".to_owned())?.raster);
        }
        let (width, height, layout) = (header.width, header.height, header.layout);
        let pixels = ffi::decode(bytes, layout, (width, height), smooth)?;
        Ok(Raster::from_u8(width, height, layout, pixels))
    }

    /// `smooth` is needed for results in which single pixels of the source remain visible.
    fn decode_planes(
        &self,
        bytes: &[u8],
        _eighths: Eighths,
        smooth: bool,
    ) -> Result<Option<Planes>, String> {
        match self.features.has_planes() {
            true => planes::decode(bytes, &self.features, smooth).map(Some),
            false => Ok(None),
        }
    }

    fn frames<'a>(&self, bytes: &'a [u8], header: &Header) -> Result<Box<dyn Frames + 'a>, String> {
        Ok(Box::new(WebpFrames::new(bytes, header)?))
    }
}

/// Starts an animation.
pub(super) fn frame_sink(
    size: (u32, u32),
    plays: u32,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Box<dyn FrameSink>, String> {
    Ok(Box::new(WebpSink::new(size, plays, options, metadata)?))
}

/// Encodes 8-bit Rgb or Rgba.
pub(super) fn encode(
    raster: &Raster,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let Samples::U8(pixels) = &raster.samples else {
        return Err("WebP has 8 bits per sample".to_owned());
    };
    let bytes = ffi::encode(
        pixels,
        raster.layout,
        (raster.width, raster.height),
        options,
    )?;
    Ok(chunks::with_metadata(
        bytes,
        (raster.width, raster.height),
        raster.layout.has_alpha(),
        metadata,
    ))
}

/// Encodes planes whose chroma has half the size.
pub(super) fn encode_planes(
    planes: &Planes,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let bytes = planes::encode(planes, options)?;
    let size = (planes.width, planes.height);
    Ok(chunks::with_metadata(bytes, size, false, metadata))
}

/// The chroma subsampling of a result: luma samples per chroma sample.
pub(super) const PLANES_SAMPLING: (u32, u32) = planes::SAMPLING;
