//! Resamples in linear light, row by row, in fixed point. Only the rows that contribute to one row
//! of the result are held in linear light.
//!
//! Both passes multiply pairs of samples by pairs of weights and add up each pair, which is one
//! instruction for eight samples. So the vertical pass reads rows in pairs, and its results are
//! stored so that the horizontal pass finds a pair of columns of four rows at once.

use std::array;

use wide::{i16x8, i32x4};

use crate::geometry::Rect;
use crate::options::Filter;
use crate::raster::{Layout, Raster, Samples};
use crate::resample::Taps;

use super::transfer::{FixedPoint, Levels, WHITE};

/// The fraction bits of a weight.
const WEIGHT_BITS: u32 = 14;
/// Rows of the result that are summed at once.
const ROWS: usize = 4;
/// Samples of a row that the vertical pass sums at once.
const TILE: usize = 16;

/// Resamples `part` of a picture to `size`, after averaging squares of `by` × `by` pixels; `by` is
/// 1, 2, 4 or 8. Pixels at the right and bottom edge are repeated to fill the last squares. Alpha is
/// premultiplied for that.
///
/// Returns `None` if the picture has not 8 bits, or if the filter is nearest-neighbour.
pub(crate) fn resample(
    raster: &Raster,
    by: u32,
    part: Rect,
    size: (u32, u32),
    filter: Filter,
) -> Option<Raster> {
    let Samples::U8(samples) = &raster.samples else {
        return None;
    };
    let pass = match raster.layout {
        Layout::Gray => resample_samples::<1>,
        Layout::GrayAlpha => resample_samples::<2>,
        Layout::Rgb => resample_samples::<3>,
        Layout::Rgba => resample_samples::<4>,
        Layout::Cmyk => return None,
    };
    let tables = FixedPoint::of(Levels::Full);
    let from = (raster.width, raster.height);
    let result = pass(tables, samples, from, by, part, size, filter)?;
    Some(Raster::from_u8(size.0, size.1, raster.layout, result))
}

/// As [`resample`], for a luma plane.
pub(crate) fn resample_luma(
    levels: Levels,
    samples: &[u8],
    from: (u32, u32),
    by: u32,
    part: Rect,
    size: (u32, u32),
    filter: Filter,
) -> Option<Vec<u8>> {
    let tables = FixedPoint::of(levels);
    resample_samples::<1>(tables, samples, from, by, part, size, filter)
}

/// As [`resample`], for samples of a number of channels; the last of two or four is alpha.
fn resample_samples<const CHANNELS: usize>(
    tables: &FixedPoint,
    samples: &[u8],
    (width, height): (u32, u32),
    by: u32,
    part: Rect,
    size: (u32, u32),
    filter: Filter,
) -> Option<Vec<u8>> {
    let pass = match by {
        1 => run::<CHANNELS, 1>,
        2 => run::<CHANNELS, 2>,
        4 => run::<CHANNELS, 4>,
        _ => run::<CHANNELS, 8>,
    };
    let squares = |side: u32| side.div_ceil(by) as usize;
    let step = f64::from(by);
    let across = (part.x / step, part.width / step);
    let down = (part.y / step, part.height / step);
    let across = Taps::new(squares(width), across, size.0, filter)?;
    let down = Taps::new(squares(height), down, size.1, filter)?;
    let size = (width as usize, height as usize);
    let (across, down) = (Pairs::new(&across), Pairs::new(&down));
    Some(pass(tables, samples, size, &across, &down))
}

fn run<const CHANNELS: usize, const BY: usize>(
    tables: &FixedPoint,
    samples: &[u8],
    (width, height): (usize, usize),
    across: &Pairs,
    down: &Pairs,
) -> Vec<u8> {
    let columns = width.div_ceil(BY);
    let mut rows = Rows::<CHANNELS, BY>::new(tables, samples, (width, height), down.count);
    let mut row = vec![0; rows.length()];
    // Pairs of columns of four rows, channel by channel. The last pairs may only be padding.
    let pairs = columns.div_ceil(2) + 1;
    let mut four = vec![[[0_i16; 2]; ROWS]; CHANNELS * pairs];
    let row_bytes = across.firsts.len() * CHANNELS;
    let mut pixels = vec![[[0; CHANNELS]; ROWS]; across.firsts.len()];
    let mut result = vec![0; row_bytes * down.firsts.len()];
    let mut down = down.iter();
    for targets in result.chunks_mut(ROWS * row_bytes) {
        for (lane, (first, weights)) in down.by_ref().take(ROWS).enumerate() {
            rows.sum(first, weights, &mut row);
            let (used, _) = row[..columns * CHANNELS].as_chunks::<CHANNELS>();
            for (channel, four) in four.chunks_exact_mut(pairs).enumerate() {
                let (whole, rest) = used.as_chunks::<2>();
                for (pair, [a, b]) in four.iter_mut().zip(whole) {
                    pair[lane] = [a[channel], b[channel]];
                }
                if let [last] = rest {
                    four[whole.len()][lane] = [last[channel], 0];
                }
            }
        }
        for ((first, weights), pixels) in across.iter().zip(&mut pixels) {
            let mut sums = [[0; ROWS]; CHANNELS];
            for (channel, sums) in sums.iter_mut().enumerate() {
                let four = &four[channel * pairs + first..][..across.count];
                let mut sum = i32x4::splat(1 << (WEIGHT_BITS - 1));
                for (pair, weights) in four.iter().zip(weights) {
                    let pair: i16x8 = bytemuck::cast(*pair);
                    sum += pair.dot(bytemuck::cast(*weights));
                }
                let sum = sum >> WEIGHT_BITS as i32;
                let both = i16x8::from_i32x8_saturate(bytemuck::cast([sum, sum]));
                let within = both.max(i16x8::ZERO).min(i16x8::splat(WHITE as i16));
                let [low, _]: [[i16; ROWS]; 2] = bytemuck::cast(within);
                *sums = low;
            }
            for (lane, pixel) in pixels.iter_mut().enumerate() {
                *pixel = coded(sums.map(|channel| i32::from(channel[lane])), &tables.coded);
            }
        }
        for (lane, target) in targets.chunks_exact_mut(row_bytes).enumerate() {
            let (target, _) = target.as_chunks_mut::<CHANNELS>();
            for (target, pixels) in target.iter_mut().zip(&pixels) {
                *target = pixels[lane];
            }
        }
    }
    result
}

/// The gamma-encoded samples of a pixel in linear light, whose values are from 0 to [`WHITE`].
#[inline(always)]
fn coded<const CHANNELS: usize>(
    mut pixel: [i32; CHANNELS],
    table: &[u8; WHITE + 1],
) -> [u8; CHANNELS] {
    let has_alpha = CHANNELS.is_multiple_of(2);
    let alpha = pixel[CHANNELS - 1];
    if has_alpha {
        for value in &mut pixel[..CHANNELS - 1] {
            *value = (*value * WHITE as i32 / alpha.max(1)).min(WHITE as i32);
        }
    }
    let mut coded = pixel.map(|value| table[value as usize]);
    if has_alpha {
        coded[CHANNELS - 1] = ((alpha * 255 + WHITE as i32 / 2) / WHITE as i32) as u8;
    }
    coded
}

/// Weights in pairs, for pairs of samples that begin at an even one. Each pair is repeated as often
/// as it is multiplied at once.
struct Pairs {
    /// The number of pairs per result.
    count: usize,
    /// The first pair of samples of each result.
    firsts: Vec<usize>,
    weights: Vec<[[i16; 2]; ROWS]>,
}

impl Pairs {
    fn new(taps: &Taps) -> Self {
        let count = taps.count / 2 + 1;
        let mut pairs = Self {
            count,
            firsts: Vec::with_capacity(taps.iter().len()),
            weights: Vec::with_capacity(taps.iter().len() * count),
        };
        let one = 1 << WEIGHT_BITS;
        let mut fixed = vec![0_i16; 2 * count];
        for (first, weights) in taps.iter() {
            fixed.fill(0);
            let place = &mut fixed[first % 2..][..taps.count];
            for (fixed, weight) in place.iter_mut().zip(weights) {
                *fixed = (weight * one as f32).round_ties_even() as i16;
            }
            // The largest weight takes up what rounding has lost, so that flat parts stay as they
            // are.
            let sum: i32 = place.iter().copied().map(i32::from).sum();
            if let Some(largest) = place.iter_mut().max_by_key(|weight| **weight) {
                *largest += (one - sum) as i16;
            }
            pairs.firsts.push(first / 2);
            let (both, _) = fixed.as_chunks::<2>();
            pairs.weights.extend(both.iter().map(|pair| [*pair; ROWS]));
        }
        pairs
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[[[i16; 2]; ROWS]])> {
        let weights = self.weights.chunks_exact(self.count);
        self.firsts.iter().copied().zip(weights)
    }
}

/// The rows of a picture in linear light, two by two, from top to bottom. Those that the kernel
/// covers are kept.
struct Rows<'a, const CHANNELS: usize, const BY: usize> {
    light: &'a [i16; 256],
    samples: &'a [u8],
    width: usize,
    height: usize,
    /// Pairs of rows: each sample is followed by the one below it.
    kept: Vec<Vec<[i16; 2]>>,
    next: usize,
}

impl<'a, const CHANNELS: usize, const BY: usize> Rows<'a, CHANNELS, BY> {
    fn new(
        tables: &'a FixedPoint,
        samples: &'a [u8],
        (width, height): (usize, usize),
        kept: usize,
    ) -> Self {
        let length = (width.div_ceil(BY) * CHANNELS).next_multiple_of(TILE);
        Self {
            light: &tables.light,
            samples,
            width,
            height,
            kept: vec![vec![[0; 2]; length]; kept],
            next: 0,
        }
    }

    /// Samples of a row of sums, with padding.
    fn length(&self) -> usize {
        self.kept.first().map_or(0, Vec::len)
    }

    /// The weighted sum of the pairs of rows from `first` on. No later call has a lower `first`.
    fn sum(&mut self, first: usize, weights: &[[[i16; 2]; ROWS]], target: &mut [i16]) {
        let kept = self.kept.len();
        self.next = self.next.max(first);
        while self.next < first + kept {
            self.read();
            self.next += 1;
        }
        let pairs: Vec<&[[i16; 2]]> = (first..first + kept)
            .map(|pair| self.kept[pair % kept].as_slice())
            .collect();
        let half = i32x4::splat(1 << (WEIGHT_BITS - 1));
        for (index, target) in target.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            let mut sums = [half; TILE / 4];
            for (pair, weights) in pairs.iter().zip(weights) {
                let weights: i16x8 = bytemuck::cast(*weights);
                let tile: &[[i16; 2]; TILE] = &pair.as_chunks().0[index];
                let eights: [i16x8; TILE / 4] = bytemuck::cast(*tile);
                for (sum, eight) in sums.iter_mut().zip(eights) {
                    *sum += eight.dot(weights);
                }
            }
            let [a, b, c, d] = sums.map(|sum| sum >> WEIGHT_BITS as i32);
            let packed =
                |low: i32x4, high: i32x4| i16x8::from_i32x8_saturate(bytemuck::cast([low, high]));
            *target = bytemuck::cast([packed(a, b), packed(c, d)]);
        }
    }

    /// Converts the next pair of rows to linear light, square by square.
    fn read(&mut self) {
        let slot = self.next % self.kept.len();
        let used = self.width.div_ceil(BY) * CHANNELS;
        let target = &mut self.kept[slot][..used];
        let light = self.light;
        let row = |y: usize| {
            let row = &self.samples[y.min(self.height - 1) * self.width * CHANNELS..];
            &row[..self.width * CHANNELS]
        };
        if BY == 1 && !CHANNELS.is_multiple_of(2) {
            let rows = row(2 * self.next).iter().zip(row(2 * self.next + 1));
            for (target, (upper, lower)) in target.iter_mut().zip(rows) {
                *target = [light[usize::from(*upper)], light[usize::from(*lower)]];
            }
            return;
        }
        let (target, _) = target.as_chunks_mut::<CHANNELS>();
        for half in 0..2 {
            let top = (2 * self.next + half) * BY;
            let rows: [_; BY] = array::from_fn(|index| row(top + index).as_chunks::<CHANNELS>().0);
            let (whole, last) = (self.width / BY, self.width - 1);
            for (column, target) in target.iter_mut().enumerate() {
                let mut sums = [0_i32; CHANNELS];
                for row in rows {
                    if column < whole {
                        for pixel in &row[column * BY..][..BY] {
                            add(pixel, light, &mut sums);
                        }
                    } else {
                        for x in column * BY..(column + 1) * BY {
                            add(&row[x.min(last)], light, &mut sums);
                        }
                    }
                }
                let area = (BY * BY) as i32;
                for (target, sum) in target.iter_mut().zip(sums) {
                    target[half] = ((sum + area / 2) / area) as i16;
                }
            }
        }
    }
}

/// Adds a pixel in linear light, premultiplied by its alpha.
#[inline(always)]
fn add<const CHANNELS: usize>(
    pixel: &[u8; CHANNELS],
    light: &[i16; 256],
    sums: &mut [i32; CHANNELS],
) {
    let alpha = i32::from(pixel[CHANNELS - 1]);
    let has_alpha = CHANNELS.is_multiple_of(2);
    for (channel, (sum, value)) in sums.iter_mut().zip(pixel).enumerate() {
        let light = i32::from(light[usize::from(*value)]);
        *sum += match (has_alpha, channel + 1 == CHANNELS) {
            (false, _) => light,
            (true, false) => (light * alpha + 127) / 255,
            (true, true) => (alpha * WHITE as i32 + 127) / 255,
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::linear::transfer::{LIGHT_OF_U8, U8_OF_LIGHT};

    use super::*;

    fn whole(raster: &Raster) -> Rect {
        Rect {
            x: 0.0,
            y: 0.0,
            width: f64::from(raster.width),
            height: f64::from(raster.height),
        }
    }

    #[test]
    fn squares_are_averaged_in_light() {
        // A checkerboard of black and white has half the light of white; the last column and row
        // are repeated.
        let raster = Raster::from_u8(3, 3, Layout::Gray, vec![0, 255, 0, 255, 0, 0, 0, 0, 255]);
        let part = Rect {
            width: 4.0,
            height: 4.0,
            ..whole(&raster)
        };
        let shrunk = resample(&raster, 2, part, (2, 2), Filter::Box).expect("gray has no alpha");
        assert_eq!(shrunk.samples, Samples::U8(vec![188, 0, 0, 255]));
    }

    #[test]
    fn transparent_pixels_weigh_nothing() {
        let pixels = [
            [255, 0, 0, 255],
            [0, 255, 0, 0],
            [0, 0, 255, 255],
            [9, 9, 9, 255],
        ];
        let raster = Raster::from_u8(2, 2, Layout::Rgba, pixels.concat());
        let shrunk = resample(&raster, 1, whole(&raster), (1, 1), Filter::Box);
        let shrunk = shrunk.expect("it has 8 bits");
        // A third of the light of each of the opaque pixels, and three quarters of the alpha.
        assert_eq!(shrunk.samples, Samples::U8(vec![156, 3, 156, 191]));
    }

    /// All values survive, at both levels and in flat parts.
    #[test]
    fn flat_parts_stay_as_they_are() {
        for levels in [Levels::Full, Levels::Video] {
            let values = if levels == Levels::Full {
                0..=255
            } else {
                16..=235
            };
            for value in values {
                let samples = vec![value; 40 * 40];
                let part = Rect {
                    x: 3.3,
                    y: 0.7,
                    width: 31.0,
                    height: 35.5,
                };
                for (by, size) in [(1, (13, 9)), (2, (5, 50)), (4, (3, 3))] {
                    let filter = Filter::Lanczos3;
                    let result = resample_luma(levels, &samples, (40, 40), by, part, size, filter);
                    let result = result.expect("it has weights");
                    assert!(
                        result.iter().all(|found| *found == value),
                        "{value}: {result:?}"
                    );
                }
            }
        }
    }

    /// Compares with a sum in double precision over all pixels.
    #[test]
    fn every_pixel_is_the_weighted_mean_of_light() {
        let (width, height) = (37_usize, 29_usize);
        let value = |x: usize, y: usize, channel: usize| (x * 31 + y * 57 + channel * 91) as u8;
        let samples = (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3));
        let raster = Raster::from_u8(width as u32, height as u32, Layout::Rgb, samples.collect());
        for size in [(11, 7), (80, 61), (37, 5), (1, 40)] {
            let part = Rect {
                x: 2.5,
                y: 1.25,
                width: 30.0,
                height: 27.0,
            };
            let result = resample(&raster, 1, part, size, Filter::Lanczos3);
            let result = result.expect("it has no alpha");
            let Samples::U8(result) = result.samples else {
                panic!("it has 8 bits")
            };
            let taps = |length, from, span, results| {
                Taps::new(length, (from, span), results, Filter::Lanczos3).expect("weights")
            };
            let across = taps(width, part.x, part.width, size.0);
            let down = taps(height, part.y, part.height, size.1);
            let mut expected = Vec::new();
            for (top, rows) in down.iter() {
                for (left, columns) in across.iter() {
                    expected.extend((0..3).map(|channel| {
                        let mut sum = 0.0;
                        for (y, row) in (top..).zip(rows) {
                            for (x, column) in (left..).zip(columns) {
                                let light = LIGHT_OF_U8[usize::from(value(x, y, channel))];
                                sum += f64::from(light) * f64::from(*row) * f64::from(*column);
                            }
                        }
                        U8_OF_LIGHT[sum.round().clamp(0.0, 65_535.0) as usize]
                    }));
                }
            }
            let apart = result
                .iter()
                .zip(&expected)
                .filter(|(a, b)| a.abs_diff(**b) > 1);
            assert_eq!(apart.count(), 0, "at {size:?}");
        }
    }
}
