//! BMP, and BMP in ICO for `ico`: decodes with the `image` crate.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::ico::IcoDecoder;
use image::metadata::Orientation as Turn;
use image::{ColorType, ImageDecoder};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::orientation::Orientation;
use crate::raster::{Layout, Raster, pixel_count, sample_count};

/// A BMP file, or an ICO with a BMP.
#[derive(Debug)]
struct ImageRs;

/// A header as the `image` crate reads it.
pub(super) struct Picture {
    /// Without metadata and the decoder's memory.
    pub(super) header: Header,
    /// The samples before floats are scaled.
    pub(super) color: ColorType,
}

/// Reads the header of a BMP.
pub(super) fn parse(bytes: &[u8]) -> Result<ParsedPicture, String> {
    let Picture { header, .. } = header(Format::Bmp, bytes)?;
    // The bytes of a palette picture, and a row.
    let pixels = pixel_count(header.width, header.height);
    let header = Header {
        decoder_bytes: pixels.saturating_add(u64::from(header.width) * 4),
        ..header
    };
    Ok(ParsedPicture::new(header, ImageRs))
}

/// Reads the header of an ICO whose best picture is a BMP.
pub(super) fn parse_ico_with_bmp(bytes: &[u8]) -> Result<ParsedPicture, String> {
    let Picture { header, .. } = header(Format::Ico, bytes)?;
    let header = Header {
        decoder_bytes: pixel_count(header.width, header.height).saturating_mul(4),
        ..header
    };
    Ok(ParsedPicture::new(header, ImageRs))
}

/// Reads a header, without metadata.
pub(super) fn header(format: Format, bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = open(format, bytes)?;
    let color = decoder.color_type();
    let (layout, bits) = shape(color)?;
    let orientation = decoder.orientation().map_or(1, Turn::to_exif);
    let header = Header {
        orientation: Orientation::from_exif(u32::from(orientation)),
        ..Header::new(format, decoder.dimensions(), layout, bits)
    };
    Ok(Picture { header, color })
}

impl Decoder for ImageRs {
    /// Decodes to any layout except Cmyk, with 8 bits.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        decode(bytes, header, header.decoder_bytes)
    }
}

/// Decodes with no more than `most` bytes of the decoder's own memory to any layout except Cmyk, with 8
/// or 16 bits. Floats range from 0 to 1.
pub(super) fn decode(bytes: &[u8], header: &Header, most: u64) -> Result<Raster, String> {
    let mut decoder = open(header.format, bytes)?;
    let color = decoder.color_type();
    let (layout, _) = shape(color)?;
    let (width, height) = decoder.dimensions();
    if (width, height) != (header.width, header.height) {
        return Err("its size differs from its header".to_owned());
    }
    let mut limits = image::Limits::no_limits();
    let decoded = pixel_count(width, height) * u64::from(color.bytes_per_pixel());
    limits.max_alloc = Some(most.saturating_add(decoded));
    decoder
        .set_limits(limits)
        .map_err(|error| error.to_string())?;
    let count = sample_count(width, height, layout.channels());
    match color.bytes_per_pixel() as usize / layout.channels() {
        1 => {
            let mut samples = vec![0_u8; count];
            read(decoder, &mut samples)?;
            Ok(Raster::from_u8(width, height, layout, samples))
        }
        2 => {
            let mut samples = vec![0_u16; count];
            read(decoder, bytemuck::cast_slice_mut(&mut samples))?;
            Ok(Raster::from_u16(width, height, layout, samples))
        }
        _ => {
            let mut samples = vec![0_f32; count];
            read(decoder, bytemuck::cast_slice_mut(&mut samples))?;
            let scaled = samples.iter().map(|value| (value * 65_535.0 + 0.5) as u16);
            Ok(Raster::from_u16(width, height, layout, scaled.collect()))
        }
    }
}

fn read(decoder: Box<dyn ImageDecoder + '_>, samples: &mut [u8]) -> Result<(), String> {
    decoder
        .read_image_boxed(samples)
        .map_err(|error| error.to_string())
}

fn open(format: Format, bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>, String> {
    let reader = Cursor::new(bytes);
    let decoder: Result<Box<dyn ImageDecoder>, _> = match format {
        Format::Bmp => BmpDecoder::new(reader).map(|decoder| Box::new(decoder) as _),
        _ => IcoDecoder::new(reader).map(|decoder| Box::new(decoder) as _),
    };
    decoder.map_err(|error| error.to_string())
}

/// The layout and bits per sample after decoding.
fn shape(color: ColorType) -> Result<(Layout, u8), String> {
    Ok(match color {
        ColorType::L8 => (Layout::Gray, 8),
        ColorType::La8 => (Layout::GrayAlpha, 8),
        ColorType::Rgb8 => (Layout::Rgb, 8),
        ColorType::Rgba8 => (Layout::Rgba, 8),
        ColorType::L16 => (Layout::Gray, 16),
        ColorType::La16 => (Layout::GrayAlpha, 16),
        ColorType::Rgb16 | ColorType::Rgb32F => (Layout::Rgb, 16),
        ColorType::Rgba16 | ColorType::Rgba32F => (Layout::Rgba, 16),
        other => return Err(format!("pixels of the type {other:?} are not supported")),
    })
}
