//! Writing GIF: a palette for each frame, and only what changed since the frame before.

use std::borrow::Cow;

use gif::{DisposalMethod, Encoder, Frame as GifFrame, Repeat};

use crate::imaging::animation::{Frame, FrameSink};
use crate::imaging::codec::EncodeOptions;
use crate::imaging::quantize::{Alpha, quantize};
use crate::imaging::raster::Raster;

/// Encodes Rgba of 8 bits as one frame.
pub(in crate::imaging::codec) fn encode(
    raster: &Raster,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, String> {
    let mut sink = GifSink::new((raster.width, raster.height), 1, options)?;
    sink.add(Frame {
        raster: raster.clone(),
        delay_ms: 0,
    })?;
    Box::new(sink).finish()
}

/// An animation in the making.
pub(in crate::imaging::codec) struct GifSink {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    colors: u16,
    /// The pixels on the screen before the waiting frame; `None` while it is transparent.
    shown: Option<Vec<[u8; 4]>>,
    /// A frame is written when the next is known: only then it is clear whether it must leave.
    waiting: Option<(Vec<[u8; 4]>, u16)>,
}

impl GifSink {
    pub(in crate::imaging::codec) fn new(
        (width, height): (u32, u32),
        plays: u32,
        options: &EncodeOptions<'_>,
    ) -> Result<Self, String> {
        let side = |side: u32| {
            u16::try_from(side).map_err(|_| format!("{side} pixels are too many for a side"))
        };
        let (width, height) = (side(width)?, side(height)?);
        let mut encoder =
            Encoder::new(Vec::new(), width, height, &[]).map_err(|e| e.to_string())?;
        if plays != 1 {
            let repeat = match u16::try_from(plays) {
                Ok(plays) if plays > 1 => Repeat::Finite(plays - 1),
                _ => Repeat::Infinite,
            };
            encoder.set_repeat(repeat).map_err(|e| e.to_string())?;
        }
        Ok(Self {
            encoder,
            width,
            height,
            colors: options.palette.unwrap_or(256),
            shown: None,
            waiting: None,
        })
    }

    /// Writes a frame, given the one that follows.
    fn write(
        &mut self,
        frame: Vec<[u8; 4]>,
        delay: u16,
        next: Option<&[[u8; 4]]>,
    ) -> Result<(), String> {
        let must_leave = next.is_some_and(|next| {
            let mut pairs = frame.iter().zip(next);
            pairs.any(|(now, then)| now[3] != 0 && then[3] == 0)
        });
        // A pixel that already shows its colour is written as transparent, which packs better.
        let mut changed = frame.clone();
        if let Some(shown) = &self.shown {
            for (pixel, shown) in changed.iter_mut().zip(shown) {
                if pixel == shown {
                    *pixel = [0; 4];
                }
            }
        }
        let whole = (0, 0, self.width, self.height);
        // Leaving clears the frame's own place, so it has to be everywhere.
        let place = if must_leave || self.shown.is_none() {
            whole
        } else {
            self.bounds(&changed)
        };
        let (left, top, width, height) = place;
        let screen_width = usize::from(self.width);
        let part: Vec<u8> = changed
            .chunks_exact(screen_width)
            .skip(usize::from(top))
            .take(usize::from(height))
            .flat_map(|row| &row[usize::from(left)..usize::from(left + width)])
            .flatten()
            .copied()
            .collect();
        let size = (u32::from(width), u32::from(height));
        let indexed = quantize(&part, size, self.colors, Alpha::Binary);
        let transparent = indexed.palette.iter().position(|color| color[3] == 0);
        let gif_frame = GifFrame {
            delay,
            dispose: if must_leave {
                DisposalMethod::Background
            } else {
                DisposalMethod::Keep
            },
            transparent: transparent.map(|index| index as u8),
            left,
            top,
            width,
            height,
            palette: Some(
                indexed
                    .palette
                    .iter()
                    .flat_map(|&[r, g, b, _]| [r, g, b])
                    .collect(),
            ),
            buffer: Cow::Owned(indexed.indices),
            ..GifFrame::default()
        };
        self.encoder
            .write_frame(&gif_frame)
            .map_err(|error| error.to_string())?;
        self.shown = (!must_leave).then_some(frame);
        Ok(())
    }

    /// Left, top, width and height of what is not transparent, at least one pixel.
    fn bounds(&self, pixels: &[[u8; 4]]) -> (u16, u16, u16, u16) {
        let width = usize::from(self.width);
        let (mut left, mut right) = (width, 0);
        let (mut top, mut bottom) = (usize::from(self.height), 0);
        for (y, row) in pixels.chunks_exact(width).enumerate() {
            for (x, pixel) in row.iter().enumerate() {
                if pixel[3] != 0 {
                    left = left.min(x);
                    right = right.max(x + 1);
                    top = top.min(y);
                    bottom = bottom.max(y + 1);
                }
            }
        }
        if left >= right {
            return (0, 0, 1, 1);
        }
        (
            left as u16,
            top as u16,
            (right - left) as u16,
            (bottom - top) as u16,
        )
    }
}

impl FrameSink for GifSink {
    fn add(&mut self, frame: Frame) -> Result<(), String> {
        let pixels = frame.raster.bytes().as_chunks::<4>().0.iter();
        let pixels: Vec<[u8; 4]> = pixels
            .map(|&[r, g, b, a]| if a < 128 { [0; 4] } else { [r, g, b, 255] })
            .collect();
        let delay = (frame.delay_ms.saturating_add(5) / 10).min(u32::from(u16::MAX)) as u16;
        if let Some((before, delay)) = self.waiting.take() {
            self.write(before, delay, Some(&pixels))?;
        }
        self.waiting = Some((pixels, delay));
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, String> {
        if let Some((last, delay)) = self.waiting.take() {
            self.write(last, delay, None)?;
        }
        self.encoder.into_inner().map_err(|error| error.to_string())
    }
}
