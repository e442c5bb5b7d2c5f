//! GIF by the `gif` crate.

use gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};

use crate::animation::{After, Canvas, Frame, Frames, Patch, Place};
use crate::estimate;
use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::{Layout, Raster};

use super::Header;

mod blocks;
mod encode;

pub(super) use encode::{GifSink, encode};

/// Walks over all blocks: the screen's size and how many frames there are.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let blocks = blocks::read(bytes)?;
    let (width, height) = (u32::from(blocks.width), u32::from(blocks.height));
    let metadata = Metadata {
        icc: blocks.icc,
        xmp: None,
        exif: None,
    };
    Ok(Header {
        width,
        height,
        frames: blocks.frames,
        layout: Layout::Rgba,
        bits: 8,
        shrinks: false,
        planar_bytes: None,
        decoder_bytes: estimate::gif_decoder(width, height, blocks.largest_frame, blocks.restores),
        reduced_decoder: None,
        orientation: Orientation::default(),
        metadata,
    })
}

/// Decodes the first frame to Rgba.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let mut frames = GifFrames::new(bytes, header)?;
    match frames.draw_next()? {
        Some(_delay) => Ok(frames.canvas.into_raster()),
        None => Err("it has no frame".to_owned()),
    }
}

/// The frames of an animation.
pub(super) struct GifFrames<'a> {
    decoder: Decoder<&'a [u8]>,
    canvas: Canvas,
}

impl<'a> GifFrames<'a> {
    pub(super) fn new(bytes: &'a [u8], header: &Header) -> Result<Self, String> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        // The estimate has bounded the memory before.
        options.set_memory_limit(MemoryLimit::Unlimited);
        Ok(Self {
            decoder: options.read_info(bytes).map_err(|e| e.to_string())?,
            canvas: Canvas::new(header.width, header.height),
        })
    }

    /// Draws the next frame, and tells for how many hundredths of a second it is shown.
    fn draw_next(&mut self) -> Result<Option<u16>, String> {
        let frame = self.decoder.read_next_frame().map_err(|e| e.to_string())?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        self.canvas.draw(&Patch {
            place: Place {
                left: usize::from(frame.left),
                top: usize::from(frame.top),
                width: usize::from(frame.width),
                height: usize::from(frame.height),
            },
            pixels: &frame.buffer,
            over: true,
            after: match frame.dispose {
                DisposalMethod::Any | DisposalMethod::Keep => After::Keep,
                DisposalMethod::Background => After::Clear,
                DisposalMethod::Previous => After::Restore,
            },
        });
        Ok(Some(frame.delay))
    }
}

impl Frames for GifFrames<'_> {
    fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        let delay = self.draw_next()?;
        Ok(delay.map(|delay| Frame {
            raster: self.canvas.raster(),
            delay_ms: u32::from(delay) * 10,
        }))
    }

    fn plays(&self) -> u32 {
        // The file tells how often to repeat after the first time.
        match self.decoder.repeat() {
            Repeat::Infinite => 0,
            Repeat::Finite(repeats) => u32::from(repeats) + 1,
        }
    }
}
