//! TIFF: reads the first page.
//!
//! A TIFF is a directory of fields and strips or tiles of samples in very many kinds. What is not
//! read is refused at the door by its name. `kind` has the meaning of the fields, `strips` the places,
//! `unpack` the compressions, `samples` the numbers and `pixels` the colours.

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::{self, Metadata, iptc};
use crate::orientation::Orientation;
use crate::raster::{Raster, Samples, pixel_count};

mod directory;
mod exif;
mod fax;
mod jpeg_strip;
mod kind;
mod old_jpeg;
mod pixels;
mod samples;
mod strips;
mod unpack;
mod ycbcr;

use directory::{Directory, tag};
use kind::{Alpha, Compression, Kind};
use pixels::Pixels;
use samples::Sample;
use strips::{Strip, Strips};

/// A TIFF file.
#[derive(Debug)]
struct Tiff {
    kind: Kind,
    strips: Strips,
}

/// Reads the header of the first page.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let directory = Directory::read(bytes)?;
    directory.check()?;
    let kind = Kind::read(&directory)?;
    let header = Header::new(
        Format::Tiff,
        (kind.width, kind.height),
        kind.layout(),
        kind.decoded_bits(),
    );
    let strips = Strips::read(&directory, &kind)?;
    let decoded = pixel_count(kind.width, kind.height).saturating_mul(header.pixel_bytes().into());
    strips.check(decoded)?;
    let orientation = directory.number(tag::ORIENTATION).unwrap_or(1);
    let header = Header {
        decoder_bytes: strips.decoder_bytes(&kind),
        orientation: Orientation::from_exif(u32::try_from(orientation).unwrap_or(1)),
        metadata: metadata_of(&directory, limits)?,
        ..header
    };
    Ok(ParsedPicture::new(header, Tiff { kind, strips }))
}

/// The metadata in the fields.
fn metadata_of(directory: &Directory<'_>, limits: &Limits) -> Result<Metadata, String> {
    let icc = match directory.bytes(tag::ICC) {
        Some(icc) => Some(metadata::stored_profile(icc, limits)?),
        None => None,
    };
    let kept = |bytes| metadata::block(bytes, limits);
    let photoshop = || iptc::of_resources(directory.bytes(tag::PHOTOSHOP)?);
    Ok(Metadata {
        exif: exif::block(directory, limits),
        xmp: directory.bytes(tag::XMP).and_then(kept),
        icc,
        iptc: directory
            .bytes(tag::IPTC)
            .and_then(kept)
            .or_else(photoshop)
            .filter(|iptc| iptc.len() as u64 <= limits.max_metadata_bytes),
    })
}

impl Decoder for Tiff {
    /// Decodes to any layout, with 8 or 16 bits.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let directory = Directory::read(bytes)?;
        let samples = match header.bits {
            8 => Samples::U8(self.samples(&directory)?),
            _ => Samples::U16(self.samples(&directory)?),
        };
        let raster = Raster {
            width: header.width,
            height: header.height,
            layout: header.layout,
            samples,
        };
        Ok(match self.kind.alpha {
            Alpha::Premultiplied => raster.with_straight_alpha(),
            _ => raster,
        })
    }
}

impl Tiff {
    fn samples<T: Sample>(&self, directory: &Directory<'_>) -> Result<Vec<T>, String> {
        let mut pixels = Pixels::<T>::new(&self.kind);
        let tables = directory.bytes(tag::JPEG_TABLES);
        let is_ycbcr = self.kind.compression == Compression::Jpeg
            && directory.number(tag::PHOTOMETRIC) == Some(tag::YCBCR);
        if self.kind.compression == Compression::OldJpeg
            && let Some(jpeg) = old_jpeg::whole(directory, &self.kind)
        {
            let strip = Strip::whole(jpeg, &self.kind);
            let size = (strip.shape.width, strip.shape.rows);
            let rows = jpeg_strip::decode(jpeg, None, &self.kind, is_ycbcr, size)?;
            pixels.put(&strip, rows.into());
            return Ok(pixels.finish());
        }
        for strip in self.strips.all(directory, self.kind.height) {
            let strip = strip?;
            let rows = unpack::unpack(strip.data, &self.kind, strip.shape)?;
            let rows = match self.kind.compression {
                Compression::Jpeg => {
                    let size = (strip.shape.width, strip.shape.rows);
                    jpeg_strip::decode(&rows, tables, &self.kind, is_ycbcr, size)?.into()
                }
                Compression::OldJpeg => {
                    let jpeg = old_jpeg::of_strip(directory, &self.kind, &strip)?;
                    let size = (strip.shape.width, strip.shape.rows);
                    jpeg_strip::decode(&jpeg, None, &self.kind, is_ycbcr, size)?.into()
                }
                _ => rows,
            };
            pixels.put(&strip, rows);
        }
        Ok(pixels.finish())
    }
}
