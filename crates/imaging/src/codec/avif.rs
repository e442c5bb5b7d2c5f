//! AVIF: `rav1d` decodes AV1, and `maroontree` encodes. Before the decoder sees the data, the container
//! and the headers in the data are checked here.

use picresize_kernels::avif::{BitDepth, Settings};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::codec::ycbcr::{self, Coding, Window};
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, Samples, pixel_count};

mod grid;
mod memory;
mod obu;
mod picture;
mod properties;
mod quality;
mod rav1d;

pub(super) use memory::encoder_bytes;
use obu::Coded;
use picture::{Grid, Picture};

/// An AVIF file whose container was read.
#[derive(Debug)]
struct Avif {
    /// The size of the coded picture, before it is cropped.
    coded_size: (u32, u32),
    /// The pixels of the largest tile.
    tile_pixels: u64,
    /// The part that is shown.
    window: Window,
    coding: Coding,
}

/// Reads the container and the headers of the AV1 data.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let items = picture::items(bytes)?;
    let picture = Picture::find(&items)?;
    let color = picture.color.coded(limits)?;
    let alpha = picture.alpha.as_ref();
    let alpha = alpha.map(|alpha| alpha.coded(limits)).transpose()?;
    let size_of = |grid: &Grid<'_>, coded: &Coded| {
        let tile = (coded.sequence.width, coded.sequence.height);
        grid.size(tile)
    };
    let size = size_of(&picture.color, &color);
    if let (Some(grid), Some(alpha)) = (&picture.alpha, &alpha) {
        let (width, height) = size_of(grid, alpha);
        if (width, height) != size {
            return Err(format!(
                "its alpha channel has {width} × {height} pixels, but its colours have {} × {}",
                size.0, size.1
            ));
        }
    }
    let properties = properties::read(&items, &picture, limits)?;
    let layout = match (color.sequence.is_monochrome, alpha.is_some()) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let bits = if color.sequence.bits > 8 { 16 } else { 8 };
    // The container takes precedence over the stream.
    let coding = properties.coding.unwrap_or(color.sequence.coding);
    let window = properties.window(size);
    let decoder_bytes = memory::decoder_bytes(&picture, &color, alpha.as_ref(), bytes.len());
    let is_gray = color.sequence.is_monochrome;
    let header = Header {
        decoder_bytes,
        kept_bytes: decoder_bytes / 3,
        orientation: properties.orientation,
        metadata: Metadata {
            exif: properties.exif,
            xmp: properties.xmp,
            icc: properties
                .icc
                .map(<[u8]>::to_vec)
                .or_else(|| coding.profile(is_gray)),
            ..Metadata::default()
        },
        ..Header::new(Format::Avif, (window.width, window.height), layout, bits)
    };
    Ok(ParsedPicture::new(
        header,
        Avif {
            coded_size: size,
            tile_pixels: [Some(&color), alpha.as_ref()]
                .into_iter()
                .flatten()
                .map(|coded| pixel_count(coded.sequence.width, coded.sequence.height))
                .max()
                .unwrap_or_default(),
            window,
            coding,
        },
    ))
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
        let items = picture::items(bytes)?;
        let picture = Picture::find(&items)?;
        let mut color = grid::decode(&picture.color, self.coded_size, self.tile_pixels)?;
        color.coding = self.coding;
        let alpha = match &picture.alpha {
            Some(alpha) => Some(grid::decode(alpha, self.coded_size, self.tile_pixels)?),
            None => None,
        };
        let is_as_deep = (color.bits > 8) == (header.bits > 8);
        if alpha.is_some() != header.layout.has_alpha() || !is_as_deep {
            return Err("its planes differ from its header".to_owned());
        }
        Ok(ycbcr::to_raster(
            &color,
            alpha.as_ref(),
            header.layout,
            self.window,
            picture.is_premultiplied,
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
    // As in JPEG, what is nearly lossless keeps all of its chroma. Photographs of a lower quality have
    // fewer bytes at the same likeness without.
    let full_color = options.full_color || options.is_high_quality();
    let settings = Settings {
        quality: quality::of_encoder(options.quality),
        bit_depth: BitDepth::Eight,
        full_color,
        is_thorough: options.is_thorough(pixel_count(raster.width, raster.height)),
        exif: metadata.exif.as_deref(),
    };
    let size = (raster.width as usize, raster.height as usize);
    match raster.layout {
        Layout::Rgba => settings.encode_rgba(samples, size),
        Layout::Rgb => settings.encode_rgb(samples, size),
        other => Err(format!("{other:?} pixels cannot be stored in AVIF")),
    }
}
