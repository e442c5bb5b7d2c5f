//! JPEG XL: decodes with `jxl-oxide`. Writing is not supported.

use jxl_oxide::frame::Encoding;
use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, PixelFormat};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, pixel_count, sample_count};

/// A JPEG XL file.
#[derive(Debug)]
struct Jxl;

/// Bytes passed to the decoder at once until the header is complete.
const STEP: usize = 4096;

/// Reads the image header and, if needed, the frame headers.
pub(super) fn parse(bytes: &[u8], _limits: &Limits) -> Result<ParsedPicture, String> {
    let mut waiting = JxlImage::builder().build_uninit();
    let mut rest = bytes;
    loop {
        // The decoder may leave an incomplete box at the end of a part for the next call.
        let part = &rest[..rest.len().min(STEP)];
        let taken = waiting.feed_bytes(part).map_err(|e| e.to_string())?;
        rest = &rest[taken..];
        match waiting.try_init().map_err(|e| e.to_string())? {
            InitializeResult::NeedMoreData(_) if taken == 0 => {
                return Err("it is cut short".to_owned());
            }
            InitializeResult::NeedMoreData(more) => waiting = more,
            InitializeResult::Initialized(mut image) => {
                let is_float = is_float(&mut image, rest)?;
                return Ok(ParsedPicture::new(describe(&image, is_float)?, Jxl));
            }
        }
    }
}

/// Whether the decoder computes in floating point: it does for lossy pictures and recompressed
/// JPEGs, not for lossless pictures. `rest` is the data not fed to the image yet.
fn is_float(image: &mut JxlImage, rest: &[u8]) -> Result<bool, String> {
    if image.image_header().metadata.xyb_encoded {
        return Ok(true);
    }
    image.feed_bytes(rest).map_err(|e| e.to_string())?;
    let mut frames = (0..image.num_loaded_frames()).filter_map(|index| image.frame(index));
    Ok(!image.is_loading_done() || frames.any(|frame| frame.header().encoding == Encoding::VarDct))
}

fn describe(image: &JxlImage, is_float: bool) -> Result<Header, String> {
    let layout = match image.pixel_format() {
        PixelFormat::Gray => Layout::Gray,
        PixelFormat::Graya => Layout::GrayAlpha,
        PixelFormat::Rgb => Layout::Rgb,
        PixelFormat::Rgba => Layout::Rgba,
        PixelFormat::Cmyk | PixelFormat::Cmyka => {
            return Err("its pixels are CMYK, which is not supported".to_owned());
        }
    };
    let depth = image.image_header().metadata.bit_depth.bits_per_sample();
    let bits = if depth > 8 { 16 } else { 8 };
    let header = Header::new(Format::Jxl, (image.width(), image.height()), layout, bits);
    Ok(Header {
        decoder_bytes: decoder_bytes(&header, is_float),
        // The decoder applies the orientation itself, so it stays upright here.
        metadata: Metadata {
            exif: None,
            xmp: None,
            icc: Some(image.rendered_icc()),
        },
        ..header
    })
}

/// Floating-point planes, always of three colours, in two stages of the decoder. For lossless
/// pictures, integers of twice a sample's width and a part of the transforms.
fn decoder_bytes(header: &Header, is_float: bool) -> u64 {
    let pixels = pixel_count(header.width, header.height);
    match is_float {
        true if header.layout.has_alpha() => pixels * 31,
        true => pixels * 26,
        false => pixels * u64::from(header.pixel_bytes()) * 3,
    }
}

impl Decoder for Jxl {
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        decode(bytes, header)
    }
}

/// Decodes the first frame, upright, in 8 or 16 bits.
fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let image = JxlImage::builder()
        .alloc_tracker(AllocTracker::with_limit(most_reserved(header)))
        .read(bytes)
        .map_err(|error| error.to_string())?;
    if !image.is_loading_done() {
        return Err("it is cut short".to_owned());
    }
    let render = image.render_frame(0).map_err(|error| error.to_string())?;
    let mut stream = render.stream();
    let (width, height, layout) = (stream.width(), stream.height(), header.layout);
    if (width, height) != (header.width, header.height)
        || stream.channels() as usize != layout.channels()
    {
        return Err("its frame differs from its header".to_owned());
    }
    let count = sample_count(width, height, layout.channels());
    if header.bits == 16 {
        let mut samples = vec![0_u16; count];
        stream.write_to_buffer(&mut samples);
        Ok(Raster::from_u16(width, height, layout, samples))
    } else {
        let mut samples = vec![0_u8; count];
        stream.write_to_buffer(&mut samples);
        Ok(Raster::from_u8(width, height, layout, samples))
    }
}

/// The maximum that the decoder may allocate, of which it uses a part: four copies with four bytes
/// per sample.
fn most_reserved(header: &Header) -> usize {
    sample_count(header.width, header.height, header.layout.channels().max(3)) * 4 * 4
}
