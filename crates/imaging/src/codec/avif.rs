//! AVIF: `avif-parse` for the container, `rav1d` for the AV1 inside, `ravif` to write.

use avif_parse::{AV1Metadata, AvifData};
use ravif::{BitDepth, Encoder, Img, RGB8, RGBA8};

use crate::estimate;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, Samples};

use super::ycbcr::{self, Coding};
use super::{EncodeOptions, Header};

mod properties;
mod rav1d;

/// The encoder's effort, 1 (slow) to 10 (fast).
const SPEED: u8 = 8;

/// Reads the container and the sequence header.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let (data, info) = open(bytes)?;
    let properties = properties::read(bytes);
    let layout = match (info.monochrome, data.alpha_item.is_some()) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let (width, height) = (info.max_frame_width.get(), info.max_frame_height.get());
    let planes_in_pixel = match (info.monochrome, info.chroma_subsampling) {
        (true, _) => 1.0,
        (false, (true, true)) => 1.5,
        (false, (false, false)) => 3.0,
        (false, _) => 2.0,
    } + if data.alpha_item.is_some() { 1.0 } else { 0.0 };
    let icc = properties.icc.or_else(|| properties.coding?.profile());
    Ok(Header {
        width,
        height,
        frames: 1,
        layout,
        bits: if info.bit_depth > 8 { 16 } else { 8 },
        shrinks: false,
        planar_bytes: None,
        decoder_bytes: estimate::avif_decoder(width, height, info.bit_depth, planes_in_pixel)
            + bytes.len() as u64,
        reduced_decoder: None,
        orientation: properties.orientation,
        metadata: Metadata {
            exif: properties.exif,
            xmp: None,
            icc,
        },
    })
}

/// Decodes to any layout but Cmyk; more than 8 bits become 16.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let (data, _) = open(bytes)?;
    let coding: Option<Coding> = properties::read(bytes).coding;
    let color = rav1d::decode(&data.primary_item)?;
    let alpha = match &data.alpha_item {
        Some(item) => Some(rav1d::decode(item)?),
        None => None,
    };
    let size = (header.width, header.height);
    for picture in [Some(&color), alpha.as_ref()].into_iter().flatten() {
        if picture.size() != size {
            return Err("its planes differ in size".to_owned());
        }
    }
    let premultiplied = data.premultiplied_alpha;
    Ok(ycbcr::to_raster(
        &color,
        alpha.as_ref(),
        header.layout,
        coding,
        premultiplied,
    ))
}

fn open(mut bytes: &[u8]) -> Result<(AvifData, AV1Metadata), String> {
    let data = AvifData::from_reader(&mut bytes).map_err(|error| error.to_string())?;
    let info = data.primary_item_metadata();
    let info = info.map_err(|error| error.to_string())?;
    Ok((data, info))
}

/// Encodes Rgb or Rgba of 8 bits, on one thread: the result must not depend on the machine.
pub(super) fn encode(raster: &Raster, options: &EncodeOptions<'_>) -> Result<Vec<u8>, String> {
    let Samples::U8(samples) = &raster.samples else {
        return Err("AVIF is written with 8 bits a sample".to_owned());
    };
    let mut encoder = Encoder::new()
        .with_quality(f32::from(options.quality))
        .with_alpha_quality(f32::from(options.quality))
        .with_bit_depth(BitDepth::Eight)
        .with_speed(SPEED)
        .with_num_threads(Some(1));
    if let Some(exif) = &options.metadata.exif {
        encoder = encoder.with_exif(exif.as_slice());
    }
    let (width, height) = (raster.width as usize, raster.height as usize);
    let encoded = match raster.layout {
        Layout::Rgba => {
            let (pixels, _) = samples.as_chunks::<4>();
            let pixels: Vec<RGBA8> = pixels.iter().map(|&p| RGBA8::from(p)).collect();
            encoder.encode_rgba(Img::new(&pixels, width, height))
        }
        Layout::Rgb => {
            let (pixels, _) = samples.as_chunks::<3>();
            let pixels: Vec<RGB8> = pixels.iter().map(|&p| RGB8::from(p)).collect();
            encoder.encode_rgb(Img::new(&pixels, width, height))
        }
        other => return Err(format!("{other:?} pixels do not fit into AVIF")),
    };
    Ok(encoded.map_err(|error| error.to_string())?.avif_file)
}
