//! Animations: draws subframes on a canvas, and defines the traits by which codecs read and write
//! frames.

use crate::raster::{Layout, Raster, sample_count};

/// A complete frame: the whole canvas, as Rgba with 8 bits per sample.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) raster: Raster,
    pub(crate) delay_ms: u32,
}

/// Decodes an animation frame by frame.
pub(crate) trait Frames {
    /// The next frame; `None` after the last.
    fn next_frame(&mut self) -> Result<Option<Frame>, String>;

    /// How often the animation plays; 0 means forever. Call it after the first frame.
    fn plays(&self) -> u32;
}

/// Encodes an animation frame by frame.
pub(crate) trait FrameSink {
    /// Adds a frame of Rgba pixels with 8 bits per sample.
    fn add(&mut self, frame: Frame) -> Result<(), String>;

    /// Returns the finished file.
    fn finish(self: Box<Self>) -> Result<Vec<u8>, String>;
}

/// The canvas on which subframes are drawn (GIF89a, section 23; PNG third edition, 11.3.6).
#[derive(Debug)]
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    before_next: Undo,
}

/// What happens to a subframe before the next one is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposal {
    /// It stays.
    Keep,
    /// Its rectangle becomes transparent.
    Background,
    /// Its rectangle becomes what it was before.
    Previous,
}

/// How the canvas is changed before the next subframe is drawn.
#[derive(Debug)]
enum Undo {
    Nothing,
    Clear(FrameRect),
    Restore(Vec<u8>),
}

/// The position and size of a subframe on the canvas, in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameRect {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// The part of the canvas that a file stores for one frame.
#[derive(Debug)]
pub(crate) struct Subframe<'a> {
    pub(crate) rect: FrameRect,
    /// Rgba.
    pub(crate) pixels: &'a [u8],
    /// Whether transparent parts show the canvas below; otherwise they replace it.
    pub(crate) blends_over: bool,
    pub(crate) disposal: Disposal,
}

impl Canvas {
    /// Creates a transparent canvas.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self {
            width: width as usize,
            height: height as usize,
            pixels: vec![0; sample_count(width, height, 4)],
            before_next: Undo::Nothing,
        }
    }

    /// Draws one subframe, clipped to the canvas.
    pub(crate) fn draw(&mut self, subframe: &Subframe<'_>) {
        match std::mem::replace(&mut self.before_next, Undo::Nothing) {
            Undo::Nothing => {}
            Undo::Restore(pixels) => self.pixels = pixels,
            Undo::Clear(rect) => {
                for row in rect.top..rect.top + rect.height {
                    let start = (row * self.width + rect.left) * 4;
                    self.pixels[start..start + rect.width * 4].fill(0);
                }
            }
        }
        let rect = subframe.rect;
        let seen = FrameRect {
            width: rect.width.min(self.width.saturating_sub(rect.left)),
            height: rect.height.min(self.height.saturating_sub(rect.top)),
            ..rect
        };
        if seen.width == 0 || seen.height == 0 {
            return;
        }
        match subframe.disposal {
            Disposal::Keep => {}
            Disposal::Background => self.before_next = Undo::Clear(seen),
            Disposal::Previous => self.before_next = Undo::Restore(self.pixels.clone()),
        }
        for row in 0..seen.height {
            let source = &subframe.pixels[row * rect.width * 4..][..seen.width * 4];
            let start = ((rect.top + row) * self.width + rect.left) * 4;
            let target = &mut self.pixels[start..start + seen.width * 4];
            if subframe.blends_over {
                draw_over(source, target);
            } else {
                target.copy_from_slice(source);
            }
        }
    }

    /// Copies the current canvas.
    pub(crate) fn raster(&self) -> Raster {
        self.raster_of(self.pixels.clone())
    }

    /// Converts the finished canvas.
    pub(crate) fn into_raster(mut self) -> Raster {
        let pixels = std::mem::take(&mut self.pixels);
        self.raster_of(pixels)
    }

    fn raster_of(&self, pixels: Vec<u8>) -> Raster {
        Raster::from_u8(self.width as u32, self.height as u32, Layout::Rgba, pixels)
    }
}

/// The "over" operator, on straight (not premultiplied) alpha.
fn draw_over(source: &[u8], target: &mut [u8]) {
    let (source, _) = source.as_chunks::<4>();
    let (target, _) = target.as_chunks_mut::<4>();
    for (source, target) in source.iter().zip(target) {
        match source[3] {
            0 => {}
            255 => *target = *source,
            alpha => {
                let front = u32::from(alpha) * 255;
                let back = u32::from(target[3]) * u32::from(255 - alpha);
                let both = front + back;
                for channel in 0..3 {
                    let mixed =
                        u32::from(source[channel]) * front + u32::from(target[channel]) * back;
                    target[channel] = ((mixed + both / 2) / both) as u8;
                }
                target[3] = ((both + 127) / 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subframe(
        left: usize,
        color: [u8; 4],
        pixels: &mut Vec<u8>,
        disposal: Disposal,
    ) -> Subframe<'_> {
        *pixels = color.repeat(2);
        Subframe {
            rect: FrameRect {
                left,
                top: 0,
                width: 2,
                height: 1,
            },
            pixels,
            blends_over: true,
            disposal,
        }
    }

    #[test]
    fn subframes_are_kept_cleared_or_taken_back() {
        const RED: [u8; 4] = [255, 0, 0, 255];
        const BLUE: [u8; 4] = [0, 0, 255, 255];
        const NONE: [u8; 4] = [0; 4];
        for (disposal, expected) in [
            (Disposal::Keep, [RED, BLUE, BLUE]),
            (Disposal::Background, [NONE, BLUE, BLUE]),
            (Disposal::Previous, [NONE, BLUE, BLUE]),
        ] {
            let mut canvas = Canvas::new(3, 1);
            let mut pixels = Vec::new();
            canvas.draw(&subframe(0, RED, &mut pixels, disposal));
            canvas.draw(&subframe(1, BLUE, &mut pixels, Disposal::Keep));
            assert_eq!(canvas.raster().bytes(), expected.concat(), "{disposal:?}");
        }
    }

    #[test]
    fn what_stands_over_the_edge_is_not_seen() {
        let mut canvas = Canvas::new(3, 1);
        let mut pixels = Vec::new();
        canvas.draw(&subframe(
            2,
            [9, 9, 9, 255],
            &mut pixels,
            Disposal::Background,
        ));
        canvas.draw(&subframe(
            7,
            [8, 8, 8, 255],
            &mut pixels,
            Disposal::Background,
        ));
        assert_eq!(canvas.raster().bytes(), [0; 12]);
    }
}
