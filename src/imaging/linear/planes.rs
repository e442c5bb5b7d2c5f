//! Planes of brightness and colour to light, without a picture of whole pixels in between.
//!
//! Squares of pixels are averaged, each of which holds whole colour samples, so that there is
//! nothing to interpolate between those.

use wide::{i16x8, u8x16};

use crate::imaging::planar::Planes;
use crate::imaging::raster::{Layout, Raster};

use super::averaging;

/// How planes stand for sRGB samples (ITU-R BT.601-7, section 2.5).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coding {
    /// Brightness takes all 256 levels (JFIF 1.02).
    Full,
    /// Brightness goes from 16 to 235, colour from 16 to 240 (RFC 6386, section 9.2).
    Limited,
}

/// What is taken off brightness, and what the differences are multiplied by.
struct Matrix {
    black: i16,
    /// In 14 bits behind the point.
    brightness: i16,
    /// In 13 bits behind the point.
    red_of_cr: i16,
    green_of_cb: i16,
    green_of_cr: i16,
    blue_of_cb: i16,
}

impl Coding {
    const fn matrix(self) -> Matrix {
        match self {
            Self::Full => Matrix {
                black: 0,
                brightness: 16_384,
                red_of_cr: 11_485,
                green_of_cb: -2_819,
                green_of_cr: -5_850,
                blue_of_cb: 14_516,
            },
            Self::Limited => Matrix {
                black: 16,
                brightness: 19_077,
                red_of_cr: 13_075,
                green_of_cb: -3_209,
                green_of_cr: -6_660,
                blue_of_cb: 16_525,
            },
        }
    }
}

/// Light with each `by` × `by` pixels averaged into one; `by` is 2, 4 or 8. Pixels at the right and
/// bottom end are repeated to fill the last squares. `None` when squares hold colour samples in
/// part.
pub(crate) fn to_light_shrunk(planes: Planes, coding: Coding, by: u32) -> Option<Raster> {
    let average = averaging::<1>(by)?;
    let (width, height) = (planes.width as usize, planes.height as usize);
    let size = (planes.width.div_ceil(by), planes.height.div_ceil(by));
    let Some((across, down)) = planes.color else {
        let light = average(&planes.samples, width, height);
        return Some(Raster::from_u16(size.0, size.1, Layout::Gray, light));
    };
    if by % across != 0 || by % down != 0 {
        return None;
    }
    let (across, down, by) = (across as usize, down as usize, by as usize);
    let [brightness, cb, cr] = planes.split();
    let stride = planes.size_of(0).0 as usize;
    let matrix = coding.matrix();
    let mut stretched = [vec![0; stride], vec![0; stride]];
    let mut strips = [const { Vec::new() }; 3];
    strips.fill(vec![0; width * by]);
    let mut light = Vec::with_capacity(size.0 as usize * size.1 as usize);
    for top in (0..height).step_by(by) {
        let rows = by.min(height - top);
        for row in 0..rows {
            let y = top + row;
            if row % down == 0 {
                for (plane, stretched) in [cb, cr].into_iter().zip(&mut stretched) {
                    let samples = &plane[y / down * (stride / across)..][..stride / across];
                    stretch(samples, across, stretched);
                }
            }
            let [cb, cr] = stretched.each_ref().map(|row| &row[..width]);
            let target = strips
                .each_mut()
                .map(|strip| &mut strip[row * width..][..width]);
            colors(
                &matrix,
                [&brightness[y * stride..][..width], cb, cr],
                target,
            );
        }
        let averages = |strip: &Vec<u8>| average(&strip[..rows * width], width, rows);
        let [red, green, blue] = strips.each_ref().map(averages);
        let pixels = red.into_iter().zip(green).zip(blue);
        light.extend(pixels.map(|((red, green), blue)| [red, green, blue]));
    }
    Some(Raster::from_u16(
        size.0,
        size.1,
        Layout::Rgb,
        light.into_flattened(),
    ))
}

/// Repeats each sample.
fn stretch(samples: &[u8], times: usize, target: &mut [u8]) {
    match times {
        1 => target.copy_from_slice(samples),
        2 => {
            for (pair, sample) in target.as_chunks_mut::<2>().0.iter_mut().zip(samples) {
                *pair = [*sample; 2];
            }
        }
        _ => {
            for (samples, sample) in target.chunks_exact_mut(times).zip(samples) {
                samples.fill(*sample);
            }
        }
    }
}

/// Converts a row of brightness and colour to one of red, green and blue.
fn colors(matrix: &Matrix, row: [&[u8]; 3], target: [&mut [u8]; 3]) {
    const LANES: usize = 16;
    let [brightness, cb, cr] = row.map(<[u8]>::as_chunks::<LANES>);
    let [red, green, blue] = target.map(<[u8]>::as_chunks_mut::<LANES>);
    let sources = brightness.0.iter().zip(cb.0).zip(cr.0);
    let targets = red.0.iter_mut().zip(green.0).zip(blue.0);
    for (((y, cb), cr), ((red, green), blue)) in sources.zip(targets) {
        [*red, *green, *blue] = convert(matrix, [*y, *cb, *cr]);
    }
    let rest = [brightness.1, cb.1, cr.1].map(|samples| {
        let mut filled = [0; LANES];
        filled[..samples.len()].copy_from_slice(samples);
        filled
    });
    let rest = convert(matrix, rest);
    for (target, samples) in [red.1, green.1, blue.1].into_iter().zip(rest) {
        let count = target.len();
        target.copy_from_slice(&samples[..count]);
    }
}

#[inline(always)]
fn convert(matrix: &Matrix, samples: [[u8; 16]; 3]) -> [[u8; 16]; 3] {
    let samples = samples.map(u8x16::new);
    let low = convert_half(matrix, samples.map(i16x8::from_u8x16_low));
    let high = convert_half(matrix, samples.map(i16x8::from_u8x16_high));
    std::array::from_fn(|color| u8x16::narrow_i16x8(low[color], high[color]).to_array())
}

/// In fixed point with 5 bits behind it: products keep their upper 16 bits.
#[inline(always)]
fn convert_half(matrix: &Matrix, [brightness, cb, cr]: [i16x8; 3]) -> [i16x8; 3] {
    let product = |value: i16x8, factor: i16| value.mul_keep_high(i16x8::splat(factor));
    let half = i16x8::splat(16);
    let middle = i16x8::splat(128);
    let brightness: i16x8 = (brightness - i16x8::splat(matrix.black)) << 7;
    let gray = product(brightness, matrix.brightness) + half;
    let (cb, cr): (i16x8, i16x8) = ((cb - middle) << 8, (cr - middle) << 8);
    let red = gray + product(cr, matrix.red_of_cr);
    let green = gray + product(cb, matrix.green_of_cb) + product(cr, matrix.green_of_cr);
    let blue = gray + product(cb, matrix.blue_of_cb);
    [red >> 5, green >> 5, blue >> 5]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::linear;

    /// The definition, in floating point.
    fn color_of(coding: Coding, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let (cb, cr) = (f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        let (y, cb, cr) = match coding {
            Coding::Full => (f64::from(y), cb, cr),
            Coding::Limited => (
                (f64::from(y) - 16.0) * 255.0 / 219.0,
                cb * 255.0 / 224.0,
                cr * 255.0 / 224.0,
            ),
        };
        let green = y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587;
        [y + 1.402 * cr, green, y + 1.772 * cb].map(|value| value.round() as u8)
    }

    #[test]
    fn colors_are_those_of_the_definition() {
        let mut state = 5_u32;
        for coding in [Coding::Full, Coding::Limited] {
            for _ in 0..200 {
                let samples: [[u8; 16]; 3] = std::array::from_fn(|_| {
                    std::array::from_fn(|_| {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        (state >> 24) as u8
                    })
                });
                let found = convert(&coding.matrix(), samples);
                for lane in 0..16 {
                    let expected = color_of(coding, samples.map(|plane| plane[lane]));
                    let found = found.map(|plane| plane[lane]);
                    let most = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max();
                    assert!(most <= Some(1), "{coding:?}: {found:?}, not {expected:?}");
                }
            }
        }
    }

    /// Odd sizes, every sampling that squares of two hold whole, and one that they do not.
    #[test]
    fn light_is_that_of_whole_pixels() {
        for color in [(1, 1), (2, 1), (2, 2), (1, 2)] {
            let mut planes = Planes::new(37, 5, Some(color));
            for (index, sample) in planes.samples.iter_mut().enumerate() {
                *sample = (60 + index * 7 % 120) as u8;
            }
            let (width, height) = (planes.width as usize, planes.height as usize);
            let (across, down) = (color.0 as usize, color.1 as usize);
            let [y, cb, cr] = planes.split();
            let stride = planes.size_of(0).0 as usize;
            let pixel = |at: usize| {
                let (column, row) = (at % width, at / width);
                let of_color = row / down * (stride / across) + column / across;
                color_of(
                    Coding::Full,
                    [y[row * stride + column], cb[of_color], cr[of_color]],
                )
            };
            let pixels = (0..width * height).flat_map(pixel).collect();
            let raster = Raster::from_u8(37, 5, Layout::Rgb, pixels);
            let expected = linear::to_light_shrunk(raster, 2).expect("it is opaque");
            let found = to_light_shrunk(planes, Coding::Full, 2).expect("squares are whole");
            let coded = |light| linear::from_light(light).into_rgba8();
            let (found, expected) = (coded(found), coded(expected));
            let pairs = found.bytes().iter().zip(expected.bytes());
            let most = pairs.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(most <= Some(1), "{color:?}: {most:?}");
        }
        let planes = Planes::new(64, 4, Some((4, 1)));
        assert_eq!(to_light_shrunk(planes, Coding::Full, 2), None);
    }
}
