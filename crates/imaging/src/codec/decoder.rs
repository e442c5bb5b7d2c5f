//! The decoding side of a codec: a parsed header, the operations on the picture, and the memory
//! they need.

use std::fmt;

use crate::animation::Frames;
use crate::codec::header::Header;
use crate::error::ImagingError;
use crate::planes::{Eighths, Planes};
use crate::raster::Raster;

/// A codec's decoder, which keeps what it needs from the header it has read.
///
/// Every method takes the bytes and the header that belong together. Other bytes give a meaningless
/// result or an error.
pub(crate) trait Decoder: fmt::Debug + Send + Sync {
    /// See [`ParsedPicture::decode`].
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        shrink: u32,
        smooth: bool,
    ) -> Result<Raster, String>;

    /// See [`ParsedPicture::decode_planes`].
    fn decode_planes(
        &self,
        _bytes: &[u8],
        _eighths: Eighths,
        _smooth: bool,
    ) -> Result<Option<Planes>, String> {
        Ok(None)
    }

    /// See [`ParsedPicture::frames`].
    fn frames<'a>(
        &self,
        _bytes: &'a [u8],
        header: &Header,
    ) -> Result<Box<dyn Frames + 'a>, String> {
        Err(format!("animated {} cannot be read", header.format))
    }

    /// The decoder's memory in bytes, in addition to planes of this size.
    fn planes_decoder_bytes(&self, header: &Header, _eighths: Eighths) -> u64 {
        header.decoder_bytes
    }

    /// The decoder's memory in bytes while it decodes frames.
    fn frames_decoder_bytes(&self, header: &Header) -> u64 {
        header.decoder_bytes
    }
}

/// A parsed header and its decoder.
#[derive(Debug)]
pub(crate) struct ParsedPicture {
    header: Header,
    decoder: Box<dyn Decoder>,
}

impl ParsedPicture {
    pub(crate) fn new(header: Header, decoder: impl Decoder + 'static) -> Self {
        Self {
            header,
            decoder: Box::new(decoder),
        }
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Decodes the picture, or the first frame of an animation, shrunk by `shrink`. `shrink` is 1
    /// unless [`Header::shrinks`]. With `smooth` false, block edges and chroma edges may remain;
    /// they are not visible in a result of a third of the size or less.
    pub(crate) fn decode(
        &self,
        bytes: &[u8],
        shrink: u32,
        smooth: bool,
    ) -> Result<Raster, ImagingError> {
        self.decoder
            .decode(bytes, &self.header, shrink, smooth)
            .map_err(|reason| self.damaged(reason))
    }

    /// Decodes the luma and chroma planes of a lossy codec to a number of eighths of the full size.
    /// That number is 8 unless [`Header::shrinks`]. Chroma may have more samples than requested.
    /// Returns `None` if the picture is not stored in such planes. With `smooth` false, block edges
    /// may remain.
    pub(crate) fn decode_planes(
        &self,
        bytes: &[u8],
        eighths: Eighths,
        smooth: bool,
    ) -> Result<Option<Planes>, ImagingError> {
        self.decoder
            .decode_planes(bytes, eighths, smooth)
            .map_err(|reason| self.damaged(reason))
    }

    /// The frames of an animated picture, in order.
    pub(crate) fn frames<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Frames + 'a>, ImagingError> {
        self.decoder
            .frames(bytes, &self.header)
            .map_err(|reason| self.damaged(reason))
    }

    /// The decoder's memory in bytes, in addition to planes of this size.
    pub(crate) fn planes_decoder_bytes(&self, eighths: Eighths) -> u64 {
        self.decoder.planes_decoder_bytes(&self.header, eighths)
    }

    /// The decoder's memory in bytes while it decodes frames.
    pub(crate) fn frames_decoder_bytes(&self) -> u64 {
        self.decoder.frames_decoder_bytes(&self.header)
    }

    /// The error for a picture with a valid header but damaged data.
    pub(crate) fn damaged(&self, reason: String) -> ImagingError {
        ImagingError::Body {
            format: self.header.format,
            reason,
        }
    }
}
