//! PNG by the `png` crate.

use std::io::Cursor;

use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Limits, Transformations};

use crate::imaging::metadata::Metadata;
use crate::imaging::raster::{Layout, Raster, Samples, sample_count};

use super::{EncodeOptions, Header};

/// Reads all chunks before the picture data.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let reader = decoder(bytes).read_info().map_err(|e| e.to_string())?;
    let (color, depth) = reader.output_color_type();
    let info = reader.info();
    Ok(Header {
        width: info.width,
        height: info.height,
        frames: 1,
        layout: layout(color)?,
        bits: if depth == BitDepth::Sixteen { 16 } else { 8 },
        shrinks: false,
        decoder_bytes: 0,
        metadata: Metadata {
            exif: info.exif_metadata.as_ref().map(|exif| exif.to_vec()),
            xmp: None,
            icc: info.icc_profile.as_ref().map(|icc| icc.to_vec()),
        },
    })
}

/// Decodes to any layout but Cmyk, in 8 or 16 bits. Palettes and fewer bits are expanded.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let mut reader = decoder(bytes).read_info().map_err(|e| e.to_string())?;
    let (width, height, layout) = (header.width, header.height, header.layout);
    let count = sample_count(width, height, layout.channels());
    let mut pixels = vec![0; count * usize::from(header.bits / 8)];
    reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    if header.bits == 8 {
        return Ok(Raster::from_u8(width, height, layout, pixels));
    }
    let (pairs, _) = pixels.as_chunks::<2>();
    let samples = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    Ok(Raster::from_u16(width, height, layout, samples))
}

fn decoder(bytes: &[u8]) -> Decoder<Cursor<&[u8]>> {
    // Memory is bounded by the estimate before anything is decoded; this bounds metadata.
    let limits = Limits {
        bytes: isize::MAX as usize,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder
}

fn layout(color: ColorType) -> Result<Layout, String> {
    match color {
        ColorType::Grayscale => Ok(Layout::Gray),
        ColorType::GrayscaleAlpha => Ok(Layout::GrayAlpha),
        ColorType::Rgb => Ok(Layout::Rgb),
        ColorType::Rgba => Ok(Layout::Rgba),
        ColorType::Indexed => Err("its palette could not be expanded".to_owned()),
    }
}

/// Encodes any layout but Cmyk, in 8 or 16 bits.
pub(super) fn encode(raster: &Raster, options: &EncodeOptions<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, raster.width, raster.height);
    encoder.set_color(match raster.layout {
        Layout::Gray => ColorType::Grayscale,
        Layout::GrayAlpha => ColorType::GrayscaleAlpha,
        Layout::Rgb => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
        Layout::Cmyk => return Err("Cmyk pixels do not fit into PNG".to_owned()),
    });
    encoder.set_compression(Compression::Balanced);
    let _ = options;
    let written = match &raster.samples {
        Samples::U8(samples) => {
            encoder.set_depth(BitDepth::Eight);
            encoder
                .write_header()
                .and_then(|mut writer| writer.write_image_data(samples))
        }
        Samples::U16(samples) => {
            encoder.set_depth(BitDepth::Sixteen);
            let big_endian: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
            encoder
                .write_header()
                .and_then(|mut writer| writer.write_image_data(&big_endian))
        }
        Samples::F32(_) => return Err("PNG holds 8 or 16 bits a sample".to_owned()),
    };
    written.map_err(|error| error.to_string())?;
    Ok(bytes)
}
