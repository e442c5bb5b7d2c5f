//! A picture whose header was read: what its codec offers to do with it, and the memory that takes.

use std::fmt;

use crate::animation::Frames;
use crate::codec::header::Header;
use crate::error::ImagingError;
use crate::planes::{Eighths, Planes};
use crate::raster::Raster;

/// The decoding side of a codec, which keeps what it needs of a header that it has read.
///
/// Every method is given the bytes and the header that belong to it. With other bytes the result
/// has no meaning, or is an error.
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
        Err(format!("{} animations are not read", header.format))
    }

    /// Bytes that the decoder holds beside planes of such a size.
    fn planes_decoder_bytes(&self, header: &Header, _eighths: Eighths) -> u64 {
        header.decoder_bytes
    }

    /// Bytes that the decoder holds while it gives frame after frame.
    fn frames_decoder_bytes(&self, header: &Header) -> u64 {
        header.decoder_bytes
    }
}

/// A header, and the decoder that read it.
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

    /// Decodes the picture, or the first frame of an animation, shrunk by `shrink`, which is 1
    /// unless [`Header::shrinks`]. With `smooth` false, edges of blocks and of colour may stay,
    /// which a result of a third of the size or less doesn't show.
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

    /// Decodes the planes of brightness and colour that a lossy codec stores, at so many eighths of
    /// the size, which are 8 unless [`Header::shrinks`]; colour may have more than is asked for.
    /// `None` when the picture is not stored in such planes. With `smooth` false, edges of blocks
    /// may stay.
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

    /// The frames of an animated picture, one after the other.
    pub(crate) fn frames<'a>(&self, bytes: &'a [u8]) -> Result<Box<dyn Frames + 'a>, ImagingError> {
        self.decoder
            .frames(bytes, &self.header)
            .map_err(|reason| self.damaged(reason))
    }

    /// Bytes that the decoder holds beside planes of such a size.
    pub(crate) fn planes_decoder_bytes(&self, eighths: Eighths) -> u64 {
        self.decoder.planes_decoder_bytes(&self.header, eighths)
    }

    /// Bytes that the decoder holds while it gives frame after frame.
    pub(crate) fn frames_decoder_bytes(&self) -> u64 {
        self.decoder.frames_decoder_bytes(&self.header)
    }

    /// The error of a picture whose header was good.
    pub(crate) fn damaged(&self, reason: String) -> ImagingError {
        ImagingError::Body {
            format: self.header.format,
            reason,
        }
    }
}
