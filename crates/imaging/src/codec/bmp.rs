//! BMP: the project's own reader.
//!
//! A BMP is a bitmap (`bitmap`) after a file header that says where its pixels start. An embedded
//! profile is used. The chromaticities and gammas of a calibrated colour space are ignored, and so are
//! linked profiles: the first are hardly ever set on purpose, and the second are in files that only
//! the sender has.

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::{self, Metadata};
use crate::raster::{Layout, Raster};

mod bitmap;
mod dib;
mod masks;
mod rle;
mod rows;

pub(super) use bitmap::Bitmap;

/// The bytes of the file header.
const FILE_HEADER: usize = 14;

/// A BMP file.
#[derive(Debug)]
struct Bmp {
    bitmap: Bitmap,
}

/// Reads the header, the palette and the profile.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let pixels = bytes
        .get(10..FILE_HEADER)
        .and_then(|four| four.first_chunk());
    let pixels = pixels.ok_or("it is cut short: its file header is not complete")?;
    let bitmap = Bitmap::read(bytes, FILE_HEADER, u32::from_le_bytes(*pixels) as usize)?;
    let layout = match bitmap.has_alpha() {
        true => Layout::Rgba,
        false => Layout::Rgb,
    };
    let icc = bitmap.profile(bytes);
    let header = Header {
        metadata: Metadata {
            icc: icc
                .map(|icc| metadata::stored_profile(icc, limits))
                .transpose()?,
            ..Metadata::default()
        },
        ..Header::new(Format::Bmp, (bitmap.width, bitmap.height), layout, 8)
    };
    Ok(ParsedPicture::new(header, Bmp { bitmap }))
}

impl Decoder for Bmp {
    /// Decodes to 8-bit Rgb, or to Rgba if the pixels have an alpha channel.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let samples = match header.layout {
            Layout::Rgba => self.bitmap.decode::<4>(bytes)?,
            _ => self.bitmap.decode::<3>(bytes)?,
        };
        let (width, height) = (header.width, header.height);
        Ok(Raster::from_u8(width, height, header.layout, samples))
    }
}
