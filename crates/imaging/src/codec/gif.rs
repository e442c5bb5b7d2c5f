//! GIF: decodes LZW with the `weezl` crate, and encodes with the `gif` crate.

use weezl::{BitOrder, LzwStatus, decode::Decoder as Lzw};

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

use blocks::{Block, Control, Image};
use encode::GifSink;
pub(super) use encode::encode;
pub(super) use memory::encoder_bytes;

/// A GIF file.
#[derive(Debug)]
struct Gif {
    /// How often the animation plays; 0 means forever.
    plays: u32,
}

/// Walks over all blocks to find the screen size and the number of frames.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let blocks = blocks::read(bytes, limits)?;
    let header = Header {
        frames: blocks.frames,
        decoder_bytes: memory::decoder_bytes(&blocks),
        metadata: Metadata {
            icc: blocks.icc,
            ..Metadata::default()
        },
        ..Header::new(Format::Gif, (blocks.width, blocks.height), Layout::Rgba, 8)
    };
    let plays = blocks.plays;
    Ok(ParsedPicture::new(header, Gif { plays }))
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
        let mut frames = GifFrames::new(bytes, header, self.plays)?;
        match frames.draw_next()? {
            Some(_delay) => Ok(frames.canvas.into_raster()),
            None => Err("it has no frame".to_owned()),
        }
    }

    fn frames<'a>(&self, bytes: &'a [u8], header: &Header) -> Result<Box<dyn Frames + 'a>, String> {
        Ok(Box::new(GifFrames::new(bytes, header, self.plays)?))
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
    /// The blocks that were not read yet.
    rest: &'a [u8],
    palette: Option<&'a [u8]>,
    canvas: Canvas,
    plays: u32,
}

impl<'a> GifFrames<'a> {
    fn new(bytes: &'a [u8], header: &Header, plays: u32) -> Result<Self, String> {
        let (screen, rest) = blocks::screen(bytes).ok_or("it is cut short")?;
        Ok(Self {
            rest,
            palette: screen.palette,
            canvas: Canvas::new(header.width, header.height),
            plays,
        })
    }

    /// Draws the next frame. Returns its delay in hundredths of a second.
    fn draw_next(&mut self) -> Result<Option<u16>, String> {
        let mut control = Control::default();
        let frame = loop {
            let Some((block, after)) = blocks::block(self.rest) else {
                // An extension that is cut short, not the end.
                return match self.rest {
                    [0x21 | 0x2c, ..] => Err("it is cut short".to_owned()),
                    _ => Ok(None),
                };
            };
            self.rest = after;
            match block {
                Block::Control(found) => control = found,
                Block::Frame(frame) => break frame,
                Block::Application(..) | Block::Other => {}
            }
        };
        let indices = indices(&frame)?;
        let pixels = self.colors(&frame, &indices, control.transparent);
        drop(indices);
        self.canvas.draw(&Subframe {
            rect: FrameRect {
                left: frame.left.into(),
                top: frame.top.into(),
                width: frame.width.into(),
                height: frame.height.into(),
            },
            pixels: &pixels,
            blends_over: true,
            disposal: match control.disposal {
                2 => Disposal::Background,
                3 => Disposal::Previous,
                _ => Disposal::Keep,
            },
        });
        Ok(Some(control.delay))
    }

    /// The pixels as Rgba, in rows from the top.
    fn colors(&self, frame: &Image<'_>, indices: &[u8], transparent: Option<u8>) -> Vec<u8> {
        let palette = frame.palette.or(self.palette);
        // A colour that is missing is transparent; without any palette, readers show grey.
        let mut colors = [[0; 4]; 256];
        for (index, color) in (0..=255).zip(&mut colors) {
            let start = usize::from(index) * 3;
            *color = match palette.map(|palette| palette.get(start..start + 3)) {
                Some(Some(&[r, g, b])) if transparent == Some(index) => [r, g, b, 0],
                Some(Some(&[r, g, b])) => [r, g, b, 255],
                Some(_) => [0; 4],
                None if transparent == Some(index) => [0; 4],
                None => [index, index, index, 255],
            };
        }
        let (width, height) = (usize::from(frame.width), usize::from(frame.height));
        let mut pixels = vec![0; width * height * 4];
        let row_bytes = (width * 4).max(1);
        let rows = indices.chunks_exact(width.max(1));
        for (row, y) in rows.zip(order(height, frame.is_interlaced)) {
            let target = pixels[y * row_bytes..].as_chunks_mut::<4>().0;
            for (index, pixel) in row.iter().zip(target) {
                *pixel = colors[usize::from(*index)];
            }
        }
        pixels
    }
}

/// The rows in the order in which they are stored (GIF89a specification, appendix E).
fn order(height: usize, is_interlaced: bool) -> impl Iterator<Item = usize> {
    let passes = match is_interlaced {
        true => [(0, 8), (4, 8), (2, 4), (1, 2)],
        false => [(0, 1), (height, 1), (height, 1), (height, 1)],
    };
    let rows = move |(start, step)| (start..height).step_by(step);
    passes.into_iter().flat_map(rows)
}

/// Decodes the indices of a frame. If its data ends early although no byte is missing, the rest is the
/// first colour.
fn indices(frame: &Image<'_>) -> Result<Vec<u8>, String> {
    let count = usize::from(frame.width) * usize::from(frame.height);
    let mut indices = vec![0; count];
    if count == 0 {
        return Ok(indices);
    }
    if !(1..=11).contains(&frame.code_bits) {
        return Err(format!("a frame has codes of {} bits", frame.code_bits));
    }
    let mut lzw = Lzw::new(BitOrder::Lsb, frame.code_bits);
    let mut written = 0;
    for mut block in blocks::sub_blocks_of(frame.data) {
        // The decoder may have read all bytes and still hold indices.
        loop {
            if written == count {
                return Ok(indices);
            }
            let result = lzw.decode_bytes(block, &mut indices[written..]);
            written += result.consumed_out;
            block = &block[result.consumed_in..];
            match result.status.map_err(|error| error.to_string())? {
                LzwStatus::Done => return Ok(indices),
                LzwStatus::Ok if result.consumed_in + result.consumed_out > 0 => {}
                LzwStatus::Ok | LzwStatus::NoProgress => break,
            }
        }
    }
    match written < count && frame.is_cut {
        true => Err("it is cut short".to_owned()),
        false => Ok(indices),
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
        self.plays
    }
}
