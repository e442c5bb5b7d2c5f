//! GIF by the `gif` crate, with compositing of frames.

use gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, Encoder, Frame, MemoryLimit};

use crate::imaging::metadata::Metadata;
use crate::imaging::raster::{Layout, Raster, sample_count};

use super::{EncodeOptions, Header};

mod blocks;

/// Walks over all blocks: the screen's size and how many frames there are.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let blocks = blocks::read(bytes)?;
    Ok(Header {
        width: u32::from(blocks.width),
        height: u32::from(blocks.height),
        frames: blocks.frames,
        layout: Layout::Rgba,
        bits: 8,
        shrinks: false,
        decoder_bytes: 0,
        metadata: Metadata::default(),
    })
}

/// Decodes the first frame to Rgba.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let mut frames = Frames::new(bytes, header)?;
    frames
        .next_canvas()?
        .ok_or_else(|| "it has no frame".to_owned())?;
    Ok(Raster::from_u8(
        header.width,
        header.height,
        Layout::Rgba,
        frames.canvas,
    ))
}

/// The frames of an animation, each drawn on what the ones before left (GIF89a, section 23).
struct Frames<'a> {
    decoder: Decoder<&'a [u8]>,
    width: usize,
    height: usize,
    canvas: Vec<u8>,
    /// What the screen becomes before the next frame is drawn.
    disposal: Disposal,
}

enum Disposal {
    Keep,
    /// Left, top, width and height of the part that becomes transparent.
    Clear([usize; 4]),
    Restore(Vec<u8>),
}

impl<'a> Frames<'a> {
    fn new(bytes: &'a [u8], header: &Header) -> Result<Self, String> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        // The estimate has bounded the memory before.
        options.set_memory_limit(MemoryLimit::Unlimited);
        let decoder = options.read_info(bytes).map_err(|e| e.to_string())?;
        Ok(Self {
            decoder,
            width: header.width as usize,
            height: header.height as usize,
            canvas: vec![0; sample_count(header.width, header.height, 4)],
            disposal: Disposal::Keep,
        })
    }

    /// Draws the next frame; `None` after the last. Gives its delay in hundredths of a second.
    fn next_canvas(&mut self) -> Result<Option<u16>, String> {
        let Some(frame) = self.decoder.read_next_frame().map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        match std::mem::replace(&mut self.disposal, Disposal::Keep) {
            Disposal::Keep => {}
            Disposal::Restore(canvas) => self.canvas = canvas,
            Disposal::Clear([left, top, width, height]) => {
                for row in top..top + height {
                    let start = (row * self.width + left) * 4;
                    self.canvas[start..start + width * 4].fill(0);
                }
            }
        }
        let (left, top) = (usize::from(frame.left), usize::from(frame.top));
        let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
        // What stands over the screen's edge is not seen.
        let width = frame_width.min(self.width.saturating_sub(left));
        let height = frame_height.min(self.height.saturating_sub(top));
        match frame.dispose {
            DisposalMethod::Any | DisposalMethod::Keep => {}
            DisposalMethod::Background => {
                if width > 0 {
                    self.disposal = Disposal::Clear([left, top, width, height]);
                }
            }
            DisposalMethod::Previous => self.disposal = Disposal::Restore(self.canvas.clone()),
        }
        for row in 0..height {
            let source = &frame.buffer[row * frame_width * 4..][..width * 4];
            let target = &mut self.canvas[((top + row) * self.width + left) * 4..][..width * 4];
            for (pixel, target) in source.chunks_exact(4).zip(target.chunks_exact_mut(4)) {
                if pixel[3] != 0 {
                    target.copy_from_slice(pixel);
                }
            }
        }
        Ok(Some(frame.delay))
    }
}

/// Encodes Rgba of 8 bits as one frame.
pub(super) fn encode(raster: &Raster, _options: &EncodeOptions<'_>) -> Result<Vec<u8>, String> {
    let (Ok(width), Ok(height)) = (u16::try_from(raster.width), u16::try_from(raster.height))
    else {
        return Err(format!(
            "{} × {} pixels are too many",
            raster.width, raster.height
        ));
    };
    let mut bytes = Vec::new();
    let mut encoder =
        Encoder::new(&mut bytes, width, height, &[]).map_err(|error| error.to_string())?;
    let mut pixels = raster.bytes().to_vec();
    let frame = Frame::from_rgba_speed(width, height, &mut pixels, 10);
    encoder
        .write_frame(&frame)
        .map_err(|error| error.to_string())?;
    drop(encoder);
    Ok(bytes)
}
