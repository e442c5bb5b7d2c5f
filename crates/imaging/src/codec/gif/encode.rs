//! Writes GIF: each frame has its own palette and stores only the pixels that changed visibly.

use std::borrow::Cow;

use gif::{DisposalMethod, Encoder, Frame as GifFrame, Repeat};

use crate::animation::{Frame, FrameSink};
use crate::codec::encode_options::EncodeOptions;
use crate::quantize::{Alpha, quantize};
use crate::raster::Raster;

/// Points of quality for each level by which a pixel may differ from the one that is shown.
const LEVELS_OF_QUALITY: u8 = 5;

/// Encodes 8-bit Rgba as a single frame.
pub(crate) fn encode(raster: Cow<'_, Raster>, options: &EncodeOptions) -> Result<Vec<u8>, String> {
    let mut sink = GifSink::new((raster.width, raster.height), 1, options)?;
    sink.push(raster, 0)?;
    Box::new(sink).finish()
}

/// An animation that is being written.
pub(crate) struct GifSink {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    colors: u16,
    /// The largest difference of a channel at which a pixel stays as it is shown.
    tolerance: u8,
    /// The pixels on the screen before the waiting frame; `None` if the screen is transparent.
    shown: Option<Vec<[u8; 4]>>,
    /// The frame that is not written yet. The next frame decides its disposal method.
    waiting: Option<(Vec<[u8; 4]>, u16)>,
}

impl GifSink {
    pub(crate) fn new(
        (width, height): (u32, u32),
        plays: u32,
        options: &EncodeOptions,
    ) -> Result<Self, String> {
        let side = |side: u32| {
            u16::try_from(side).map_err(|_| format!("a side of {side} pixels is too long for GIF"))
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
            tolerance: (100 - options.quality.min(100)) / LEVELS_OF_QUALITY,
            shown: None,
            waiting: None,
        })
    }

    /// Accepts a frame and writes the previous one.
    fn push(&mut self, raster: Cow<'_, Raster>, delay_ms: u32) -> Result<(), String> {
        let pixels = raster.bytes().as_chunks::<4>().0.iter();
        let pixels: Vec<[u8; 4]> = pixels
            .map(|&[r, g, b, a]| if a < 128 { [0; 4] } else { [r, g, b, 255] })
            .collect();
        drop(raster);
        let delay = (delay_ms.saturating_add(5) / 10).min(u32::from(u16::MAX)) as u16;
        if let Some((before, delay)) = self.waiting.take() {
            self.write(before, delay, Some(&pixels))?;
        }
        self.waiting = Some((pixels, delay));
        Ok(())
    }

    /// Writes a frame; `next` decides how it is disposed.
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
        // A pixel whose colour is already shown is written as transparent, which compresses better.
        let before = self.shown.take();
        let kept = |index: usize| {
            let shown = before.as_ref().map(|shown| shown[index]);
            shown.filter(|shown| is_near(*shown, frame[index], self.tolerance))
        };
        let changed = |index: usize| kept(index).map_or(frame[index], |_| [0; 4]);
        // Disposal clears only the frame's own rectangle, so the frame must cover the whole screen.
        let (left, top, width, height) = if must_leave || before.is_none() {
            (0, 0, self.width, self.height)
        } else {
            self.bounds(changed)
        };
        let (left_end, screen_width) = (usize::from(left), usize::from(self.width));
        let rows = usize::from(top)..usize::from(top) + usize::from(height);
        let places = |row: usize| {
            let start = row * screen_width + left_end;
            start..start + usize::from(width)
        };
        let (part, frame) = match next {
            // A single frame is not copied.
            None if before.is_none() => (frame, None),
            _ => (rows.flat_map(places).map(changed).collect(), Some(frame)),
        };
        if let Some(frame) = frame
            && !must_leave
        {
            self.shown = Some(match before {
                // What was kept stays as it was first shown, so that differences do not add up.
                Some(mut shown) => {
                    for (shown, pixel) in shown.iter_mut().zip(frame) {
                        if !is_near(*shown, pixel, self.tolerance) {
                            *shown = pixel;
                        }
                    }
                    shown
                }
                None => frame,
            });
        }
        let indexed = quantize(part, u32::from(width), self.colors, Alpha::Binary);
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
        Ok(())
    }

    /// Left, top, width and height of the non-transparent part, at least one pixel.
    fn bounds(&self, pixel: impl Fn(usize) -> [u8; 4]) -> (u16, u16, u16, u16) {
        let (width, height) = (usize::from(self.width), usize::from(self.height));
        let (mut left, mut right, mut top, mut bottom) = (width, 0, height, 0);
        for index in 0..width * height {
            if pixel(index)[3] != 0 {
                let (x, y) = (index % width, index / width);
                left = left.min(x);
                right = right.max(x + 1);
                top = top.min(y);
                bottom = bottom.max(y + 1);
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

/// Whether two pixels look the same.
fn is_near(shown: [u8; 4], pixel: [u8; 4], tolerance: u8) -> bool {
    let mut pairs = shown.into_iter().zip(pixel);
    shown[3] == pixel[3] && pairs.all(|(a, b)| a.abs_diff(b) <= tolerance)
}

impl FrameSink for GifSink {
    fn add(&mut self, frame: Frame) -> Result<(), String> {
        self.push(Cow::Owned(frame.raster), frame.delay_ms)
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>, String> {
        if let Some((last, delay)) = self.waiting.take() {
            self.write(last, delay, None)?;
        }
        self.encoder.into_inner().map_err(|error| error.to_string())
    }
}
