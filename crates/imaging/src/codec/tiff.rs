//! TIFF: checks the first directory before the `image` crate reads it, and decodes with that crate.
//!
//! The crate trusts sizes in the file: it makes a row as wide as a tile, a list as long as a field
//! says, and a JPEG as large as its own header says. What it reads is checked here first.

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::codec::image_rs;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::{self, Metadata};
use crate::raster::{Raster, pixel_count};

mod directory;
mod strips;

use directory::{Directory, tag};
use strips::Strips;

/// A TIFF file.
#[derive(Debug)]
struct Tiff {
    /// Whether the colours are premultiplied with alpha: ExtraSamples is 1.
    is_premultiplied: bool,
    /// The bytes of the longest strip or tile, as the file says.
    longest: u64,
}

/// Reads the header of the first page.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let directory = Directory::read(bytes)?;
    directory.check()?;
    let picture = image_rs::header(Format::Tiff, bytes)?;
    let (header, color) = (picture.header, picture.color);
    let pixels = pixel_count(header.width, header.height);
    let strips = Strips::read(&directory, (header.width, header.height))?;
    let decoded = pixels.saturating_mul(color.bytes_per_pixel().into());
    strips.check(decoded)?;
    // The `image` crate decodes to a buffer of its own, and copies it. Inks are four, and floats are
    // twice as wide as the samples to which they are scaled.
    let buffer = match directory.number(tag::PHOTOMETRIC) {
        Some(tag::SEPARATED) => decoded.saturating_add(decoded / 3),
        _ => decoded,
    };
    let scaled = decoded.saturating_sub(pixels.saturating_mul(header.pixel_bytes().into()));
    let icc = match directory.bytes(tag::ICC) {
        Some(icc) => Some(metadata::stored_profile(icc, limits)?),
        None => None,
    };
    let xmp = directory.bytes(tag::XMP);
    let header = Header {
        decoder_bytes: buffer
            .saturating_add(scaled)
            .saturating_add(strips.decoder_bytes()),
        metadata: Metadata {
            exif: None,
            xmp: xmp.and_then(|xmp| metadata::block(xmp, limits)),
            icc,
            iptc: None,
        },
        ..header
    };
    let tiff = Tiff {
        // Not in BigTIFF: there it would change the results of this engine version.
        is_premultiplied: !directory.is_big_tiff()
            && directory.number(tag::EXTRA_SAMPLES) == Some(1),
        longest: strips.longest,
    };
    Ok(ParsedPicture::new(header, tiff))
}

impl Decoder for Tiff {
    /// Decodes to any layout except Cmyk, with 8 or 16 bits. Floating-point samples range from 0 to 1.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        // The length of a strip costs no memory of its own: its bytes lie in the file.
        let most = header.decoder_bytes.saturating_add(self.longest);
        let raster = image_rs::decode(bytes, header, most)?;
        Ok(if self.is_premultiplied && raster.layout.has_alpha() {
            raster.with_straight_alpha()
        } else {
            raster
        })
    }
}
