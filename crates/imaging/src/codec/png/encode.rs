//! Encodes PNG, with or without a palette.

use std::borrow::Cow;

use png::{BitDepth, ColorType, Encoder, Info, chunk};

use crate::codec::encode_options::EncodeOptions;
use crate::metadata::{Metadata, iptc};
use crate::quantize::{Alpha, quantize};
use crate::raster::{Layout, Raster, Samples};

use super::{deflate, raw_profile};

/// Encodes any layout except Cmyk, with 8 or 16 bits, or with a palette.
pub(crate) fn encode(
    raster: Cow<'_, Raster>,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    if let Some(colors) = options.palette {
        return with_palette(raster, colors, options.effort, metadata);
    }
    let mut info = info(&raster, metadata);
    info.color_type = match raster.layout {
        Layout::Gray => ColorType::Grayscale,
        Layout::GrayAlpha => ColorType::GrayscaleAlpha,
        Layout::Rgb => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
        Layout::Cmyk => return Err("Cmyk pixels cannot be stored in PNG".to_owned()),
    };
    match &raster.samples {
        Samples::U8(samples) => {
            info.bit_depth = BitDepth::Eight;
            write(info, samples, options.effort, metadata)
        }
        Samples::U16(samples) => {
            info.bit_depth = BitDepth::Sixteen;
            let big_endian: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
            drop(raster);
            write(info, &big_endian, options.effort, metadata)
        }
        Samples::F32(_) => Err("PNG has 8 or 16 bits per sample".to_owned()),
    }
}

fn with_palette(
    raster: Cow<'_, Raster>,
    colors: u16,
    effort: u8,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let mut info = info(&raster, metadata);
    let width = raster.width;
    let rgba = raster.into_owned().into_rgba8();
    let pixels = rgba.bytes().as_chunks().0.to_vec();
    drop(rgba);
    let indexed = quantize(pixels, width, colors, Alpha::Levels);
    info.color_type = ColorType::Indexed;
    let colors = indexed.palette.iter();
    let palette: Vec<u8> = colors.flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    info.palette = Some(palette.into());
    if indexed.palette.iter().any(|color| color[3] != 255) {
        let alphas: Vec<u8> = indexed.palette.iter().map(|color| color[3]).collect();
        info.trns = Some(alphas.into());
    }
    let bits = match indexed.palette.len() {
        0..=2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        _ => 8,
    };
    info.bit_depth = BitDepth::from_u8(bits).ok_or("the palette is too large")?;
    let packed = pack(&indexed.indices, width as usize, usize::from(bits));
    write(info, &packed, effort, metadata)
}

/// Packs indices into rows of whole bytes, the first pixel in the highest bits (PNG, 7.2).
fn pack(indices: &[u8], width: usize, bits: usize) -> Vec<u8> {
    if bits == 8 {
        return indices.to_vec();
    }
    let per_byte = 8 / bits;
    let rows = indices.chunks_exact(width);
    rows.flat_map(|row| row.chunks(per_byte))
        .map(|pixels| {
            let joined = pixels.iter().fold(0, |byte, index| (byte << bits) | index);
            joined << (bits * (per_byte - pixels.len()))
        })
        .collect()
}

fn info<'a>(raster: &Raster, metadata: &'a Metadata) -> Info<'a> {
    let mut info = Info::with_size(raster.width, raster.height);
    let icc = metadata.icc.as_deref();
    info.icc_profile = icc.map(Cow::Borrowed);
    let exif = metadata.exif.as_deref();
    info.exif_metadata = exif.map(Cow::Borrowed);
    info
}

fn write(info: Info<'_>, rows: &[u8], effort: u8, metadata: &Metadata) -> Result<Vec<u8>, String> {
    let pixel_bytes = info.bytes_per_pixel();
    let data = deflate::compress(rows, info.raw_row_length() - 1, pixel_bytes, effort);
    let mut bytes = Vec::new();
    let compose = || {
        let mut encoder = Encoder::with_info(&mut bytes, info)?;
        if let Some(xmp) = &metadata.xmp {
            let text = String::from_utf8_lossy(xmp).into_owned();
            encoder.add_itxt_chunk("XML:com.adobe.xmp".to_owned(), text)?;
        }
        if let Some(iptc) = &metadata.iptc {
            let text = raw_profile::write("iptc", &iptc::resource(iptc));
            encoder.add_ztxt_chunk("Raw profile type iptc".to_owned(), text)?;
        }
        let mut writer = encoder.write_header()?;
        writer.write_chunk(chunk::IDAT, &data)?;
        writer.finish()
    };
    compose().map_err(|error: png::EncodingError| error.to_string())?;
    Ok(bytes)
}
