//! AVIF: `rav1d` decodes AV1, and `ravif` encodes. Before the decoder sees the data, the container
//! and the headers in the data are checked here.

use std::borrow::Cow;

use picresize_kernels::avif::{BitDepth, Settings};

use crate::codec::boxes::items::Items;
use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::codec::ycbcr::{self, Coding};
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, Samples};

mod memory;
mod obu;
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

/// Reads the container and the headers of the AV1 data.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    if bytes.get(8..12) == Some(b"avis") {
        return Err("it is animated AVIF, which is not supported".to_owned());
    }
    let items = Items::read(bytes)?;
    let data = Data::find(&items)?;
    let color = obu::read(&data.color)?;
    let alpha = data.alpha.as_deref().map(obu::read).transpose()?;
    let size = (color.sequence.width, color.sequence.height);
    if let Some(alpha) = &alpha {
        let (width, height) = (alpha.sequence.width, alpha.sequence.height);
        if (width, height) != size {
            return Err(format!(
                "its alpha channel has {width} × {height} pixels, but its colours have {} × {}",
                size.0, size.1
            ));
        }
    }
    let properties = properties::read(&items, limits)?;
    let layout = match (color.sequence.is_monochrome, alpha.is_some()) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let bits = if color.sequence.bits > 8 { 16 } else { 8 };
    let coding = properties.coding;
    let decoder_bytes = memory::decoder_bytes(&color, alpha.as_ref(), bytes.len());
    let header = Header {
        decoder_bytes,
        kept_bytes: decoder_bytes / 3,
        orientation: properties.orientation,
        metadata: Metadata {
            exif: properties.exif,
            xmp: None,
            icc: properties
                .icc
                .map(<[u8]>::to_vec)
                .or_else(|| coding?.profile()),
            ..Metadata::default()
        },
        ..Header::new(Format::Avif, size, layout, bits)
    };
    Ok(ParsedPicture::new(header, Avif { coding }))
}

/// The AV1 data of a picture.
struct Data<'a> {
    color: Cow<'a, [u8]>,
    alpha: Option<Cow<'a, [u8]>>,
    /// Whether the colours are multiplied by alpha.
    is_premultiplied: bool,
}

impl<'a> Data<'a> {
    fn find(items: &Items<'a>) -> Result<Self, String> {
        let primary = items.primary;
        let alpha = items
            .alpha_channels()
            .find(|(picture, _)| *picture == primary);
        let alpha = alpha.map(|(_, alpha)| alpha);
        Ok(Self {
            color: data_of(items, primary)?,
            alpha: alpha.map(|alpha| data_of(items, alpha)).transpose()?,
            is_premultiplied: alpha
                .is_some_and(|alpha| items.targets(b"prem", primary).any(|item| item == alpha)),
        })
    }
}

fn data_of<'a>(items: &Items<'a>, id: u32) -> Result<Cow<'a, [u8]>, String> {
    let item = items.get(id).ok_or("its picture is missing")?;
    if item.kind != *b"av01" {
        let kind = item.kind.escape_ascii();
        return Err(format!(
            "its picture is an item of kind {kind}; only av01 is supported in AVIF"
        ));
    }
    item.data()
        .ok_or_else(|| "the data of its picture is not in the file".to_owned())
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
        let items = Items::read(bytes)?;
        let data = Data::find(&items)?;
        let size = (header.width, header.height);
        let color = rav1d::decode(&data.color, size)?;
        let alpha = match &data.alpha {
            Some(item) => Some(rav1d::decode(item, size)?),
            None => None,
        };
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
            data.is_premultiplied,
        ))
    }
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
