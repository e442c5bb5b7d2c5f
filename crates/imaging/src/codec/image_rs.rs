//! Decodes TIFF with the `image` crate.

use std::io::Cursor;

use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation as Turn;
use image::{ColorType, ImageDecoder};

use crate::codec::header::Header;
use crate::format::Format;
use crate::orientation::Orientation;
use crate::raster::{Layout, Raster, pixel_count, sample_count};

/// A header as the `image` crate reads it.
pub(super) struct Picture {
    /// Without metadata and the decoder's memory.
    pub(super) header: Header,
    /// The samples before floats are scaled.
    pub(super) color: ColorType,
}

/// Reads a header, without metadata.
pub(super) fn header(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = open(bytes)?;
    let color = decoder.color_type();
    let (layout, bits) = shape(color)?;
    let orientation = decoder.orientation().map_or(1, Turn::to_exif);
    let header = Header {
        orientation: Orientation::from_exif(u32::from(orientation)),
        ..Header::new(Format::Tiff, decoder.dimensions(), layout, bits)
    };
    Ok(Picture { header, color })
}

/// Decodes with no more than `most` bytes of the decoder's own memory to any layout except Cmyk, with 8
/// or 16 bits. Floats range from 0 to 1.
pub(super) fn decode(bytes: &[u8], header: &Header, most: u64) -> Result<Raster, String> {
    let mut decoder = open(bytes)?;
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

fn open(bytes: &[u8]) -> Result<Box<dyn ImageDecoder + '_>, String> {
    let decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    Ok(Box::new(decoder))
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
