//! AVIF: `avif-parse` reads the container, `rav1d` decodes AV1, and `ravif` encodes.

use avif_parse::{AV1Metadata, AvifData};
use picresize_kernels::avif::{BitDepth, Settings};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::codec::ycbcr::{self, Coding};
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, Samples};

mod memory;
mod properties;
mod rav1d;

pub(super) use memory::encoder_bytes;

/// The encoder's effort, 1 (slow) to 10 (fast).
const SPEED: u8 = 8;

/// An AVIF file whose container was read.
#[derive(Debug)]
struct Avif {
    /// The colour coding that the container declares.
    coding: Option<Coding>,
}

/// Reads the container and the sequence header.
pub(super) fn parse(bytes: &[u8], _limits: &Limits) -> Result<ParsedPicture, String> {
    let (data, info) = open(bytes)?;
    let properties = properties::read(bytes);
    let has_alpha = data.alpha_item.is_some();
    let layout = match (info.monochrome, has_alpha) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let size = (info.max_frame_width.get(), info.max_frame_height.get());
    let bits = if info.bit_depth > 8 { 16 } else { 8 };
    let coding = properties.coding;
    let decoder_bytes = memory::decoder_bytes(&info, has_alpha, bytes.len());
    let header = Header {
        decoder_bytes,
        kept_bytes: decoder_bytes / 3,
        orientation: properties.orientation,
        metadata: Metadata {
            exif: properties.exif,
            xmp: None,
            icc: properties.icc.or_else(|| coding?.profile()),
        },
        ..Header::new(Format::Avif, size, layout, bits)
    };
    Ok(ParsedPicture::new(header, Avif { coding }))
}

impl Decoder for Avif {
    /// Decodes to any layout except Cmyk. Samples of more than 8 bits become 16-bit.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let (data, _) = open(bytes)?;
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
        if alpha.is_some() != header.layout.has_alpha() {
            return Err("its planes differ from its header".to_owned());
        }
        Ok(ycbcr::to_raster(
            &color,
            alpha.as_ref(),
            header.layout,
            self.coding,
            data.premultiplied_alpha,
        ))
    }
}

fn open(mut bytes: &[u8]) -> Result<(AvifData, AV1Metadata), String> {
    let data = AvifData::from_reader(&mut bytes).map_err(|error| error.to_string())?;
    let info = data.primary_item_metadata();
    let info = info.map_err(|error| error.to_string())?;
    Ok((data, info))
}

/// Encodes 8-bit Rgb or Rgba on one thread, so that the result does not depend on the machine.
pub(super) fn encode(
    raster: &Raster,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let Samples::U8(samples) = &raster.samples else {
        return Err("AVIF is written with 8 bits per sample".to_owned());
    };
    let settings = Settings {
        quality: f32::from(options.quality),
        bit_depth: BitDepth::Eight,
        speed: SPEED,
        exif: metadata.exif.as_deref(),
    };
    let size = (raster.width as usize, raster.height as usize);
    match raster.layout {
        Layout::Rgba => settings.encode_rgba(samples, size),
        Layout::Rgb => settings.encode_rgb(samples, size),
        other => Err(format!("{other:?} pixels cannot be stored in AVIF")),
    }
}
