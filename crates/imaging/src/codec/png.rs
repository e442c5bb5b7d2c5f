//! PNG and APNG: decodes with the `png` crate.

use std::borrow::Cow;
use std::io::Cursor;

use png::{BitDepth, BlendOp, ColorType, Decoder, DisposeOp, Reader, Transformations};

use crate::animation::{Canvas, Disposal, Frame, FrameRect, Frames, Subframe};
use crate::codec::decoder::{Decoder as PictureDecoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::raster::{Layout, Raster, sample_count};

mod chunks;
mod deflate;
mod encode;
mod filter;
mod memory;
mod raw_profile;
mod repair;
mod wavefront;

pub(super) use encode::encode;
pub(super) use memory::encoder_bytes;

type Source<'a> = Cursor<Cow<'a, [u8]>>;

/// Reads all chunks but the picture data. Gamma and chromaticities without a profile are
/// ignored, as other resizers do.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let header = picture(Format::Png, bytes)?;
    let (metadata, orientation) = chunks::metadata(bytes, limits)?;
    let header = Header {
        orientation,
        metadata,
        ..header
    };
    Ok(ParsedPicture::new(header, Png))
}

/// Reads everything but the metadata, of a PNG file or of one inside of another format's.
pub(super) fn picture(format: Format, bytes: &[u8]) -> Result<Header, String> {
    let mended = repair::mended(bytes);
    let copied = match mended.bytes {
        Cow::Borrowed(_) => 0,
        Cow::Owned(_) => bytes.len() as u64,
    };
    let reader = open(mended.bytes, Transformations::EXPAND)?;
    let (color, depth) = reader.output_color_type();
    let layout = layout(color)?;
    let bits = if depth == BitDepth::Sixteen { 16 } else { 8 };
    let info = reader.info();
    let frames = info
        .animation_control
        .map_or(1, |control| control.num_frames.max(1));
    let exif_bytes = info.exif_metadata.as_ref().map_or(0, |exif| exif.len());
    let header = Header {
        frames,
        ..Header::new(format, (info.width, info.height), layout, bits)
    };
    Ok(Header {
        decoder_bytes: memory::decoder_bytes(&header, bytes.len(), exif_bytes)
            .saturating_add(copied),
        ..header
    })
}

/// A PNG file.
#[derive(Debug)]
struct Png;

impl PictureDecoder for Png {
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        decode(bytes, header)
    }

    fn frames<'a>(&self, bytes: &'a [u8], header: &Header) -> Result<Box<dyn Frames + 'a>, String> {
        Ok(Box::new(PngFrames::new(bytes, header)?))
    }
}

/// Decodes the default picture to any layout except Cmyk, with 8 or 16 bits. Palettes and smaller
/// bit depths are expanded.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let mended = repair::mended(bytes);
    let raster = decode_mended(&mended.bytes, header)?;
    Ok(match mended.is_apple {
        true => repair::from_apple(raster),
        false => raster,
    })
}

fn decode_mended(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let (width, height, layout) = (header.width, header.height, header.layout);
    if header.bits == 8
        && let Some(samples) = deflate::decode(bytes, (width, height), layout)
    {
        return Ok(Raster::from_u8(width, height, layout, samples));
    }
    let mut reader = open(Cow::Borrowed(bytes), Transformations::EXPAND)?;
    let count = sample_count(width, height, layout.channels());
    if header.bits == 8 {
        let mut samples = vec![0; count];
        reader.next_frame(&mut samples).map_err(|e| e.to_string())?;
        return Ok(Raster::from_u8(width, height, layout, samples));
    }
    let mut samples = vec![0_u16; count];
    reader
        .next_frame(bytemuck::cast_slice_mut(&mut samples))
        .map_err(|e| e.to_string())?;
    for sample in &mut samples {
        *sample = u16::from_be(*sample);
    }
    Ok(Raster::from_u16(width, height, layout, samples))
}

fn open(
    bytes: Cow<'_, [u8]>,
    transformations: Transformations,
) -> Result<Reader<Source<'_>>, String> {
    // The chunks before the pixels take no more than the file has, and the room for the first rows
    // is fixed. The pixels are decoded later, after the estimate has limited their memory.
    let limits = png::Limits {
        bytes: isize::MAX as usize,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(transformations);
    // `chunks` reads them within the limit.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.read_info().map_err(|error| error.to_string())
}

fn layout(color: ColorType) -> Result<Layout, String> {
    match color {
        ColorType::Grayscale => Ok(Layout::Gray),
        ColorType::GrayscaleAlpha => Ok(Layout::GrayAlpha),
        ColorType::Rgb => Ok(Layout::Rgb),
        ColorType::Rgba => Ok(Layout::Rgba),
        ColorType::Indexed => Err("its palette could not be expanded".to_owned()),
    }
}

/// The frames of an animation, with 8 bits per sample.
struct PngFrames<'a> {
    reader: Reader<Source<'a>>,
    canvas: Canvas,
    left: u32,
    plays: u32,
}

impl<'a> PngFrames<'a> {
    fn new(bytes: &'a [u8], header: &Header) -> Result<Self, String> {
        let mended = repair::mended(bytes).bytes;
        let mut reader = open(mended, Transformations::EXPAND | Transformations::STRIP_16)?;
        let control = reader.info().animation_control;
        let control = control.ok_or_else(|| "it has no frames".to_owned())?;
        // The default picture may not belong to the animation.
        if reader.info().frame_control.is_none() {
            reader.next_frame_info().map_err(|e| e.to_string())?;
        }
        Ok(Self {
            reader,
            canvas: Canvas::new(header.width, header.height),
            left: control.num_frames,
            plays: control.num_plays,
        })
    }
}

impl Frames for PngFrames<'_> {
    fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (color, _) = self.reader.output_color_type();
        let layout = layout(color)?;
        let size = self.reader.output_buffer_size();
        let mut pixels = vec![0; size.ok_or_else(|| "a frame is too large".to_owned())?];
        let output = self.reader.next_frame(&mut pixels);
        let output = output.map_err(|error| error.to_string())?;
        let control = self.reader.info().frame_control;
        let control = control.ok_or_else(|| "a frame has no control chunk".to_owned())?;
        pixels.truncate(output.buffer_size());
        let raster = Raster::from_u8(output.width, output.height, layout, pixels).into_rgba8();
        self.canvas.draw(&Subframe {
            rect: FrameRect {
                left: control.x_offset as usize,
                top: control.y_offset as usize,
                width: output.width as usize,
                height: output.height as usize,
            },
            pixels: raster.bytes(),
            blends_over: control.blend_op == BlendOp::Over,
            disposal: match control.dispose_op {
                DisposeOp::None => Disposal::Keep,
                DisposeOp::Background => Disposal::Background,
                DisposeOp::Previous => Disposal::Previous,
            },
        });
        // A denominator of 0 means hundredths (PNG third edition, 11.3.6.2).
        let denominator = match control.delay_den {
            0 => 100,
            other => u32::from(other),
        };
        Ok(Some(Frame {
            raster: self.canvas.raster(),
            delay_ms: u32::from(control.delay_num) * 1000 / denominator,
        }))
    }

    fn plays(&self) -> u32 {
        self.plays
    }
}
