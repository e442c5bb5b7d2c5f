//! Converts YCbCr planes, as AVIF and HEIC store them, to interleaved pixels.

use crate::color::Cicp;
use crate::raster::{Layout, Raster, f32_to_u8, sample_count};

/// The matrix coefficients of planes that are red, green and blue; green takes the place of luma.
pub(super) const IDENTITY: u16 = 0;

/// How colours are coded (ITU-T H.273 code points).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) primaries: u16,
    pub(super) transfer: u16,
    pub(super) matrix: u16,
    pub(super) full_range: bool,
}

impl Default for Coding {
    /// Unspecified.
    fn default() -> Self {
        Self {
            primaries: 2,
            transfer: 2,
            matrix: 2,
            full_range: true,
        }
    }
}

impl Coding {
    /// An ICC profile of the decoded pixels, unless the colours are sRGB.
    pub(super) fn profile(self, is_gray: bool) -> Option<Vec<u8>> {
        let cicp = Cicp {
            primaries: self.primaries,
            transfer: self.transfer,
            narrow_bits: None,
        };
        cicp.profile(is_gray)
    }
}

/// One plane, with rows without padding.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Vec<u16>,
}

/// A decoded picture: luma only, or luma and two chroma planes.
#[derive(Clone, Debug)]
pub(super) struct YcbcrPlanes {
    /// 8, 10 or 12.
    pub(super) bits: u8,
    pub(super) planes: Vec<Plane>,
    pub(super) coding: Coding,
}

impl YcbcrPlanes {
    pub(super) fn size(&self) -> (u32, u32) {
        (self.planes[0].width, self.planes[0].height)
    }

    /// Luma of a row, from 0 to 1.
    fn light_row(&self, y: u32, full_range: bool) -> Vec<f32> {
        let (zero, span) = self.luma_range(full_range);
        let plane = &self.planes[0];
        let start = y as usize * plane.width as usize;
        plane.samples[start..start + plane.width as usize]
            .iter()
            .map(|&sample| (f32::from(sample) - zero) / span)
            .collect()
    }

    /// The sample value of black, and the distance from it to white.
    fn luma_range(&self, full_range: bool) -> (f32, f32) {
        let scale = f32::from(1_u16 << (self.bits - 8));
        if full_range {
            (0.0, f32::from((1_u16 << self.bits) - 1))
        } else {
            (16.0 * scale, 219.0 * scale)
        }
    }

    /// The chroma value, -0.5 to 0.5, at a luma sample. It is interpolated linearly in both
    /// directions, with chroma sited in the centre as in JPEG.
    fn difference(&self, index: usize, x: u32, y: u32, full_range: bool) -> f32 {
        let plane = &self.planes[index];
        let (width, height) = self.size();
        let (x0, x1, along_x) = neighbours(x, width, plane.width);
        let (y0, y1, along_y) = neighbours(y, height, plane.height);
        let at = |x: u32, y: u32| {
            f32::from(plane.samples[y as usize * plane.width as usize + x as usize])
        };
        let above = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * along_x;
        let below = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * along_x;
        let value = above + (below - above) * along_y;
        let scale = f32::from(1_u16 << (self.bits - 8));
        let span = if full_range {
            f32::from((1_u16 << self.bits) - 1)
        } else {
            224.0 * scale
        };
        (value - 128.0 * scale) / span
    }
}

/// The samples on both sides of a position, and its distance from the first one.
fn neighbours(place: u32, full: u32, side: u32) -> (u32, u32, f32) {
    if side == full {
        return (place, place, 0.0);
    }
    let near = (place / 2).min(side - 1);
    if place.is_multiple_of(2) {
        (near.saturating_sub(1), near, 0.75)
    } else {
        (near, (near + 1).min(side - 1), 0.25)
    }
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Window {
    /// A whole picture.
    pub(super) fn whole((width, height): (u32, u32)) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }
}

/// Joins colour and alpha in a part of the picture.
pub(super) fn to_raster(
    color: &YcbcrPlanes,
    alpha: Option<&YcbcrPlanes>,
    layout: Layout,
    window: Window,
    premultiplied: bool,
) -> Raster {
    let (width, height) = (window.width, window.height);
    // 10 and 12 bits become 16.
    if color.bits == 8 {
        let samples = join(color, alpha, layout, window, premultiplied, f32_to_u8);
        Raster::from_u8(width, height, layout, samples)
    } else {
        let to_u16 = |value| (value * 65_535.0 + 0.5) as u16;
        let samples = join(color, alpha, layout, window, premultiplied, to_u16);
        Raster::from_u16(width, height, layout, samples)
    }
}

/// The samples of all pixels; `sample` converts each from the range 0 to 1.
fn join<T>(
    color: &YcbcrPlanes,
    alpha: Option<&YcbcrPlanes>,
    layout: Layout,
    window: Window,
    premultiplied: bool,
    sample: impl Fn(f32) -> T,
) -> Vec<T> {
    let Window {
        left,
        top,
        width,
        height,
    } = window;
    let coding = color.coding;
    let mut samples = Vec::with_capacity(sample_count(width, height, layout.channels()));
    for y in top..top + height {
        let luma = color.light_row(y, coding.full_range);
        let alphas = alpha.map(|alpha| alpha.light_row(y, alpha.coding.full_range));
        for (x, &luma) in (left..left + width).zip(&luma[left as usize..]) {
            let mut pixel = if color.planes.len() < 3 {
                [luma; 3]
            } else {
                let blue = color.difference(1, x, y, coding.full_range);
                let red = color.difference(2, x, y, coding.full_range);
                rgb(luma, blue, red, coding)
            };
            let alpha = alphas
                .as_ref()
                .map(|alphas| alphas[x as usize].clamp(0.0, 1.0));
            if let Some(alpha) = alpha.filter(|alpha| premultiplied && *alpha > 0.0) {
                pixel = pixel.map(|value| value / alpha);
            }
            let colors = if matches!(layout, Layout::Gray | Layout::GrayAlpha) {
                &pixel[..1]
            } else {
                &pixel[..]
            };
            samples.extend(colors.iter().copied().chain(alpha).map(&sample));
        }
    }
    samples
}

/// Converts YCbCr to RGB (H.273, 8.3).
fn rgb(luma: f32, blue: f32, red: f32, coding: Coding) -> [f32; 3] {
    const YCGCO: u16 = 8;
    let (kr, kb) = match coding.matrix {
        IDENTITY => return [red + 0.5, luma, blue + 0.5],
        YCGCO => {
            let without = luma - blue;
            return [without + red, luma + blue, without - red];
        }
        1 => (0.2126, 0.0722),
        4 => (0.30, 0.11),
        7 => (0.212, 0.087),
        9 | 10 => (0.2627, 0.0593),
        // BT.601, which MIAF also prescribes for unspecified matrices.
        _ => (0.299, 0.114),
    };
    let kg = 1.0 - kr - kb;
    let r = luma + 2.0 * (1.0 - kr) * red;
    let b = luma + 2.0 * (1.0 - kb) * blue;
    [r, (luma - kr * r - kb * b) / kg, b]
}
