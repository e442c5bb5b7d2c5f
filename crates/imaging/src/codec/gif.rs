//! GIF: decodes with the `gif` crate.

use gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};

use crate::animation::{Canvas, Disposal, Frame, FrameRect, FrameSink, Frames, Subframe};
use crate::codec::decoder::{Decoder as PictureDecoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster};

mod blocks;
mod encode;
mod memory;

use encode::GifSink;
pub(super) use encode::encode;
pub(super) use memory::encoder_bytes;

/// A GIF file.
#[derive(Debug)]
struct Gif;

/// Walks over all blocks to find the screen size and the number of frames.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let blocks = blocks::read(bytes, limits)?;
    let size = (u32::from(blocks.width), u32::from(blocks.height));
    let header = Header {
        frames: blocks.frames,
        decoder_bytes: memory::decoder_bytes(&blocks),
        metadata: Metadata {
            icc: blocks.icc,
            ..Metadata::default()
        },
        ..Header::new(Format::Gif, size, Layout::Rgba, 8)
    };
    Ok(ParsedPicture::new(header, Gif))
}

impl PictureDecoder for Gif {
    /// Decodes the first frame to Rgba.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let mut frames = GifFrames::new(bytes, header)?;
        match frames.draw_next()? {
            Some(_delay) => Ok(frames.canvas.into_raster()),
            None => Err("it has no frame".to_owned()),
        }
    }

    fn frames<'a>(&self, bytes: &'a [u8], header: &Header) -> Result<Box<dyn Frames + 'a>, String> {
        Ok(Box::new(GifFrames::new(bytes, header)?))
    }

    fn frames_decoder_bytes(&self, header: &Header) -> u64 {
        memory::frames_decoder_bytes(header)
    }
}

/// Starts an animation.
pub(super) fn frame_sink(
    size: (u32, u32),
    plays: u32,
    options: &EncodeOptions,
) -> Result<Box<dyn FrameSink>, String> {
    Ok(Box::new(GifSink::new(size, plays, options)?))
}

/// The frames of an animation.
struct GifFrames<'a> {
    decoder: Decoder<&'a [u8]>,
    canvas: Canvas,
}

impl<'a> GifFrames<'a> {
    fn new(bytes: &'a [u8], header: &Header) -> Result<Self, String> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        // The estimate has already limited the memory.
        options.set_memory_limit(MemoryLimit::Unlimited);
        Ok(Self {
            decoder: options.read_info(bytes).map_err(|e| e.to_string())?,
            canvas: Canvas::new(header.width, header.height),
        })
    }

    /// Draws the next frame. Returns its delay in hundredths of a second.
    fn draw_next(&mut self) -> Result<Option<u16>, String> {
        let frame = self.decoder.read_next_frame().map_err(|e| e.to_string())?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        self.canvas.draw(&Subframe {
            rect: FrameRect {
                left: usize::from(frame.left),
                top: usize::from(frame.top),
                width: usize::from(frame.width),
                height: usize::from(frame.height),
            },
            pixels: &frame.buffer,
            blends_over: true,
            disposal: match frame.dispose {
                DisposalMethod::Any | DisposalMethod::Keep => Disposal::Keep,
                DisposalMethod::Background => Disposal::Background,
                DisposalMethod::Previous => Disposal::Previous,
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
        // The file gives the number of repetitions after the first play.
        match self.decoder.repeat() {
            Repeat::Infinite => 0,
            Repeat::Finite(repeats) => u32::from(repeats) + 1,
        }
    }
}
