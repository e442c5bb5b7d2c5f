//! Resamples in linear light, row by row. Only the rows that contribute to one row of the result
//! are held in linear light.

use std::array;

use crate::geometry::Rect;
use crate::options::Filter;
use crate::raster::{Layout, Raster, Samples};
use crate::resample::Taps;

use super::transfer::{LIGHT_OF_U8, U8_OF_LIGHT};

/// Samples of a row that are summed at once: as many as the vector registers hold.
const TILE: usize = 32;

/// Resamples `part` of a picture to `size`, after averaging squares of `by` × `by` pixels; `by` is
/// 1, 2, 4 or 8. Pixels at the right and bottom edge are repeated to fill the last squares.
///
/// Returns `None` if the picture has alpha or not 8 bits, or if the filter is nearest-neighbour.
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
    let pass = match (raster.layout, by) {
        (Layout::Gray, 1) => run::<1, 1>,
        (Layout::Gray, 2) => run::<1, 2>,
        (Layout::Gray, 4) => run::<1, 4>,
        (Layout::Gray, 8) => run::<1, 8>,
        (Layout::Rgb, 1) => run::<3, 1>,
        (Layout::Rgb, 2) => run::<3, 2>,
        (Layout::Rgb, 4) => run::<3, 4>,
        (Layout::Rgb, 8) => run::<3, 8>,
        _ => return None,
    };
    let squares = |side: u32| side.div_ceil(by) as usize;
    let step = f64::from(by);
    let across = (part.x / step, part.width / step);
    let down = (part.y / step, part.height / step);
    let across = Taps::new(squares(raster.width), across, size.0, filter)?;
    let down = Taps::new(squares(raster.height), down, size.1, filter)?;
    let (width, height) = (raster.width as usize, raster.height as usize);
    let result = pass(samples, (width, height), &across, &down);
    Some(Raster::from_u8(size.0, size.1, raster.layout, result))
}

fn run<const CHANNELS: usize, const BY: usize>(
    samples: &[u8],
    (width, height): (usize, usize),
    across: &Taps,
    down: &Taps,
) -> Vec<u8> {
    // The sums of these values are means, from 0 to 1.
    let light: [f32; 256] = LIGHT_OF_U8.map(|light| f32::from(light) / 65_535.0 / (BY * BY) as f32);
    let columns = width.div_ceil(BY);
    // `Across` reads beyond the last pixel.
    let length = (columns * CHANNELS + 3).next_multiple_of(TILE);
    let mut ring = vec![vec![0.0; length]; down.count];
    let mut row = vec![0.0; length];
    let across = Across::new(across);
    let row_bytes = across.firsts.len() * CHANNELS;
    let mut result = vec![0; row_bytes * down.iter().len()];
    let mut next = 0;
    for (target, (first, weights)) in result.chunks_exact_mut(row_bytes).zip(down.iter()) {
        next = next.max(first);
        while next < first + down.count {
            let rows: [&[u8]; BY] = array::from_fn(|index| {
                let y = (next * BY + index).min(height - 1);
                &samples[y * width * CHANNELS..][..width * CHANNELS]
            });
            let slot = next % down.count;
            average::<CHANNELS, BY>(rows, &light, &mut ring[slot][..columns * CHANNELS]);
            next += 1;
        }
        let slots = (first..).map(|y| ring[y % down.count].as_slice());
        sum_rows(&slots.zip(weights).collect::<Vec<_>>(), &mut row);
        across.sum::<CHANNELS>(&row, target);
    }
    result
}

/// Averages a row of squares in linear light.
fn average<const CHANNELS: usize, const BY: usize>(
    rows: [&[u8]; BY],
    light: &[f32; 256],
    target: &mut [f32],
) {
    let (target, _) = target.as_chunks_mut::<CHANNELS>();
    let rows = rows.map(|row| row.as_chunks::<CHANNELS>().0);
    let add = |sums: &mut [f32; CHANNELS], pixel: &[u8; CHANNELS]| {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += light[usize::from(*value)];
        }
    };
    let whole = rows[0].len() / BY;
    let (squares, rest) = target.split_at_mut(whole);
    let rows_of_squares = rows.map(|row| &row.as_chunks::<BY>().0[..whole]);
    for (column, mean) in squares.iter_mut().enumerate() {
        // The sums of a square stay in registers.
        let mut sums = [0.0; CHANNELS];
        for row in rows_of_squares {
            for pixel in &row[column] {
                add(&mut sums, pixel);
            }
        }
        *mean = sums;
    }
    if let [mean] = rest {
        *mean = [0.0; CHANNELS];
        for row in rows {
            for x in whole * BY..(whole + 1) * BY {
                add(mean, &row[x.min(row.len() - 1)]);
            }
        }
    }
}

/// The sum of weighted rows, always in the same order, so that it is the same on every machine.
fn sum_rows(rows: &[(&[f32], &f32)], target: &mut [f32]) {
    for (index, target) in target.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
        let mut sums = [0.0; TILE];
        for (row, weight) in rows {
            let (tiles, _) = row.as_chunks::<TILE>();
            for (sum, value) in sums.iter_mut().zip(&tiles[index]) {
                *sum += value * *weight;
            }
        }
        *target = sums;
    }
}

/// The horizontal pass. Each weight is repeated as often as it is multiplied at once.
struct Across {
    count: usize,
    firsts: Vec<usize>,
    weights: Vec<[f32; 4]>,
}

impl Across {
    fn new(taps: &Taps) -> Self {
        let weights = taps.iter().flat_map(|(_, weights)| weights);
        Self {
            count: taps.count,
            firsts: taps.iter().map(|(first, _)| first).collect(),
            weights: weights.map(|weight| [*weight; 4]).collect(),
        }
    }

    /// Computes a row of the result. Four samples are summed per pixel, whatever its layout: that
    /// is one instruction.
    fn sum<const CHANNELS: usize>(&self, row: &[f32], target: &mut [u8]) {
        let coded: &[u8; 65_536] = &U8_OF_LIGHT;
        let (target, _) = target.as_chunks_mut::<CHANNELS>();
        let pixels = self
            .firsts
            .iter()
            .zip(self.weights.chunks_exact(self.count));
        for (target, (&first, weights)) in target.iter_mut().zip(pixels) {
            let samples = &row[first * CHANNELS..];
            let mut sums = [0.0; 4];
            for (index, weight) in weights.iter().enumerate() {
                let samples = &samples[index * CHANNELS..][..4];
                for ((sum, weight), sample) in sums.iter_mut().zip(weight).zip(samples) {
                    *sum += sample * weight;
                }
            }
            for (value, light) in target.iter_mut().zip(sums) {
                // Values below 0 and above 1 become black and white.
                *value = coded[usize::from((light * 65_535.0 + 0.5) as u16)];
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn pictures_with_alpha_are_left_to_others() {
        let raster = Raster::from_u8(1, 1, Layout::Rgba, vec![0, 1, 2, 3]);
        let none = resample(&raster, 1, whole(&raster), (1, 1), Filter::Box);
        assert_eq!(none, None);
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
