//! JPEG XL: decodes with `jxl-oxide`. Writing is not supported.
//!
//! The decoder gets the codestream only, up to the end of the first shown frame. Boxes beside the
//! codestream, some of which are compressed, and all later frames do not reach it.

use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, PixelFormat};

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, sample_count};

mod color;
mod container;
mod frames;
mod memory;

use frames::Frames;

/// A JPEG XL file whose frames were counted.
#[derive(Debug)]
struct Jxl {
    frames: Frames,
}

/// Bytes passed to the decoder at once.
const STEP: usize = 4096;

/// The longest chain of frames that is rendered on the caller's stack.
const SHORT_CHAIN: u32 = 8;
/// The stack for each further frame of a chain.
const STACK_PER_FRAME: usize = 64 << 10;

/// Reads the image header and the frame headers.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let codestream = container::codestream(bytes)?;
    let frames = frames::read(&codestream, limits)?;
    let header = describe(&open(&codestream[..frames.start], None)?)?;
    let header = Header {
        decoder_bytes: memory::decoder_bytes(&header, &frames),
        ..header
    };
    Ok(ParsedPicture::new(header, Jxl { frames }))
}

/// Passes what comes before the first frame to a new decoder.
fn open(before_frames: &[u8], limit: Option<usize>) -> Result<JxlImage, String> {
    let mut builder = JxlImage::builder();
    if let Some(limit) = limit {
        builder = builder.alloc_tracker(AllocTracker::with_limit(limit));
    }
    let mut waiting = builder.build_uninit();
    waiting
        .feed_bytes(before_frames)
        .map_err(|error| error.to_string())?;
    match waiting.try_init().map_err(|error| error.to_string())? {
        InitializeResult::NeedMoreData(_) => Err("it is cut short".to_owned()),
        InitializeResult::Initialized(mut image) => {
            color::request(&mut image)?;
            Ok(image)
        }
    }
}

fn describe(image: &JxlImage) -> Result<Header, String> {
    if !color::has_profile(&image.image_header().metadata.colour_encoding) {
        return Err("its colours are of an unknown kind, which is not supported".to_owned());
    }
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
    let bits = if depth > 8 || color::needs_depth(image) {
        16
    } else {
        8
    };
    let header = Header::new(Format::Jxl, (image.width(), image.height()), layout, bits);
    Ok(Header {
        // The decoder applies the orientation itself, so it stays upright here.
        metadata: Metadata {
            exif: None,
            xmp: None,
            icc: Some(color::profile(image)),
            ..Metadata::default()
        },
        ..header
    })
}

impl Decoder for Jxl {
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        if !self.frames.is_whole {
            return Err("it is cut short".to_owned());
        }
        let further = self.frames.chain.saturating_sub(SHORT_CHAIN) as usize;
        if further == 0 {
            return decode(bytes, header, &self.frames);
        }
        // The decoder renders the frames that a frame builds on by recursion.
        std::thread::scope(|scope| {
            let renderer = std::thread::Builder::new()
                .stack_size((2 << 20) + further * STACK_PER_FRAME)
                .spawn_scoped(scope, || decode(bytes, header, &self.frames))
                .map_err(|error| format!("its many frames need a thread: {error}"))?;
            renderer
                .join()
                .unwrap_or_else(|_| Err("the decoder failed".to_owned()))
        })
    }
}

/// Decodes the first shown frame, upright, in 8 or 16 bits.
fn decode(bytes: &[u8], header: &Header, frames: &Frames) -> Result<Raster, String> {
    let codestream = container::codestream(bytes)?;
    let (before, data) = codestream
        .get(..frames.end)
        .and_then(|codestream| codestream.split_at_checked(frames.start))
        .ok_or("it is cut short")?;
    let mut image = open(before, Some(memory::most_reserved(header)))?;
    for part in data.chunks(STEP) {
        image.feed_bytes(part).map_err(|error| error.to_string())?;
    }
    if image.num_loaded_keyframes() == 0 {
        return Err("its first frame is not complete".to_owned());
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
