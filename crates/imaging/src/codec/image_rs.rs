//! BMP, TIFF and ICO: decodes with the `image` crate. Writing them is not supported.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::ico::IcoDecoder;
use image::codecs::tiff::TiffDecoder;
use image::metadata::Orientation as Turn;
use image::{ColorType, ImageDecoder};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::{Layout, Raster, pixel_count, sample_count};

/// A BMP, TIFF or ICO file.
#[derive(Debug)]
struct ImageRs;

/// Reads the header of a BMP, of the first page of a TIFF, or of the best picture in an ICO.
pub(super) fn parse(
    format: Format,
    bytes: &[u8],
    _limits: &Limits,
) -> Result<ParsedPicture, String> {
    let mut decoder = open(format, bytes)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let (layout, bits) = shape(color)?;
    let orientation = decoder.orientation().map_or(1, Turn::to_exif);
    let metadata = Metadata {
        exif: decoder.exif_metadata().ok().flatten(),
        xmp: decoder.xmp_metadata().ok().flatten(),
        icc: decoder.icc_profile().ok().flatten(),
    };
    let header = Header {
        decoder_bytes: decoder_bytes(format, pixel_count(width, height), color),
        orientation: Orientation::from_exif(u32::from(orientation)),
        metadata,
        ..Header::new(format, (width, height), layout, bits)
    };
    Ok(ParsedPicture::new(header, ImageRs))
}

/// The memory of the `image` crate's decoders: floats before they are scaled, the bytes of a
/// palette picture, a strip or a tile.
fn decoder_bytes(format: Format, pixels: u64, color: ColorType) -> u64 {
    let pixel_bytes = u64::from(color.bytes_per_pixel());
    match format {
        Format::Tiff if matches!(color, ColorType::Rgb32F | ColorType::Rgba32F) => {
            pixels * pixel_bytes
        }
        Format::Tiff => pixels * pixel_bytes / 2,
        Format::Ico => pixels * 4,
        _ => pixels,
    }
}

impl Decoder for ImageRs {
    /// Decodes to any layout except Cmyk, with 8 or 16 bits. Floating-point samples (TIFF) range
    /// from 0 to 1.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let raster = samples(bytes, header)?;
        // TIFF may store premultiplied alpha: ExtraSamples is 1.
        const EXTRA_SAMPLES: u16 = 338;
        let premultiplied =
            header.format == Format::Tiff && tiff_short(bytes, EXTRA_SAMPLES) == Some(1);
        Ok(if premultiplied && raster.layout.has_alpha() {
            raster.with_straight_alpha()
        } else {
            raster
        })
    }
}

fn samples(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let mut decoder = open(header.format, bytes)?;
    // The estimate has already limited the memory.
    decoder
        .set_limits(image::Limits::no_limits())
        .map_err(|error| error.to_string())?;
    let color = decoder.color_type();
    let (layout, _) = shape(color)?;
    let (width, height) = decoder.dimensions();
    if (width, height) != (header.width, header.height) {
        return Err("its size differs from its header".to_owned());
    }
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
        Format::Ico => IcoDecoder::new(reader).map(|decoder| Box::new(decoder) as _),
        _ => TiffDecoder::new(reader).map(|decoder| Box::new(decoder) as _),
    };
    decoder.map_err(|error| error.to_string())
}

/// The first 16-bit value of a field in the first directory of a TIFF (TIFF 6.0, section 2).
fn tiff_short(bytes: &[u8], tag: u16) -> Option<u16> {
    let little = bytes.starts_with(b"II");
    let short = |at: usize| {
        let (two, _) = bytes.get(at..)?.split_first_chunk()?;
        Some(if little {
            u16::from_le_bytes(*two)
        } else {
            u16::from_be_bytes(*two)
        })
    };
    let (four, _) = bytes.get(4..)?.split_first_chunk()?;
    let directory = if little {
        u32::from_le_bytes(*four)
    } else {
        u32::from_be_bytes(*four)
    } as usize;
    let count = usize::from(short(directory)?);
    (0..count)
        .map(|index| directory + 2 + 12 * index)
        .find(|&entry| short(entry) == Some(tag))
        .and_then(|entry| short(entry + 8))
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
