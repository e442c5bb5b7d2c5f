//! The inverse DCT of a block to 4, 3, 2 or 1 samples per side.
//!
//! A smaller result is the inverse transform of that size over the lowest frequencies, which is an
//! ideal low-pass filter. The transforms are separable. Their constant factors are merged into the
//! quantization table (Arai, Agui and Nakajima, "A fast DCT-SQ scheme for images", 1988).
//! Floating-point arithmetic without contraction gives the same bits on every machine.

use std::f64::consts::PI;

use wide::{f32x4, i16x8, i32x4, u8x16};

use crate::codec::jpeg::spec::{AREA, ZIGZAG};

const MAX_STEP: u16 = 8191;
/// The factors of the coefficients.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    /// The factor of each required coefficient, in four columns.
    factors: [f32; 16],
}

/// The index of coefficients that are not required.
const UNUSED: u8 = 16;

/// The last coefficient, in zigzag order, that a block of `N` × `N` samples requires.
pub(super) const fn last<const N: usize>() -> usize {
    [0, 0, 4, 12, 24][N]
}

/// The indices of the coefficients in a block of `N` × `N` samples.
#[inline(always)]
pub(super) const fn places<const N: usize>() -> &'static [u8; 256] {
    const { &places_of(N as u8) }
}

const fn places_of(side: u8) -> [u8; 256] {
    let mut places = [UNUSED; 256];
    let mut index = 0;
    while index < AREA {
        let (row, column) = (ZIGZAG[index] / 8, ZIGZAG[index] % 8);
        if row < side && column < side {
            places[index] = row * 4 + column;
        }
        index += 1;
    }
    places
}

impl Scale {
    /// For blocks of `N` × `N` samples and a quantization table in zigzag order.
    pub(super) fn new<const N: usize>(quantization: &[u16; AREA]) -> Self {
        let mut factors = [0.0; 16];
        for (place, step) in ZIGZAG.into_iter().zip(quantization) {
            let (row, column) = (usize::from(place) / 8, usize::from(place) % 8);
            if row < N && column < N {
                // Larger steps exceed all samples. They are clamped so that no sum leaves the range
                // of 32 bits.
                let step = f64::from((*step).min(MAX_STEP));
                let factor = factor(N, row) * factor(N, column);
                factors[row * 4 + column] = (step * factor) as f32;
            }
        }
        Self { factors }
    }
}

/// The constant factors omitted below, for one direction: the cosine of a frequency, and the
/// normalisation of a transform of eight.
fn factor(side: usize, frequency: usize) -> f64 {
    let normal = if frequency == 0 {
        0.125_f64.sqrt()
    } else {
        0.5
    };
    match (side, frequency) {
        (_, 0) => normal,
        (4, 2) => normal * (PI / 4.0).cos(),
        (4, _) => normal * (PI / 8.0).cos(),
        (3, 1) => normal * (PI / 6.0).cos(),
        (3, _) => normal * (PI / 3.0).cos(),
        (2, _) => normal * (PI / 4.0).cos(),
        _ => 0.0,
    }
}

/// Rows of samples, as many and as long as a side of the block; the others are meaningless.
pub(super) type Samples = [[u8; 4]; 4];

/// The samples of a block with only a DC coefficient.
#[inline(always)]
pub(super) fn flat(scale: &Scale, first: i32) -> Samples {
    let value = first as f32 * scale.factors[0];
    [[(value + 128.5) as u8; 4]; 4]
}

/// The zigzag index of a position in the first four rows and columns.
#[inline(always)]
pub(super) const fn index_at(row: usize, column: usize) -> usize {
    [[0, 1, 5, 6], [2, 4, 7, 13], [3, 8, 12, 17], [9, 11, 18, 24]][row][column]
}

/// Transforms a block to `N` × `N` samples; `N` is 2, 3 or 4. `at` returns its coefficients by row
/// and column.
#[inline(always)]
pub(super) fn inverse<const N: usize>(scale: &Scale, at: impl Fn(usize, usize) -> i16) -> Samples {
    let row = |row: usize| {
        let value = |column| {
            if column < N {
                at(row, column).into()
            } else {
                0
            }
        };
        let values: [i32; 4] = std::array::from_fn(value);
        let factors: [f32; 4] = std::array::from_fn(|column| scale.factors[row * 4 + column]);
        i32x4::new(values).round_float() * f32x4::new(factors)
    };
    let zero = f32x4::ZERO;
    let middle = f32x4::new([128.0, 0.0, 0.0, 0.0]);
    let columns = match N {
        2 => two([row(0) + middle, row(1), zero, zero]),
        3 => three([row(0) + middle, row(1), row(2), zero]),
        _ => four([row(0) + middle, row(1), row(2), row(3)]),
    };
    let columns = f32x4::transpose(columns);
    let columns = match N {
        2 => two(columns),
        3 => three(columns),
        _ => four(columns),
    };
    let [a, b, c, d] = columns.map(f32x4::fast_round_int);
    let left = i16x8::from_i32x8_saturate(bytemuck::cast([a, b]));
    let right = i16x8::from_i32x8_saturate(bytemuck::cast([c, d]));
    bytemuck::cast(transposed(u8x16::narrow_i16x8(left, right)))
}

/// Transposes four rows of four bytes.
#[inline(always)]
fn transposed(columns: u8x16) -> u8x16 {
    let upper = |all: u8x16| {
        let [_, upper]: [u64; 2] = bytemuck::cast(all);
        bytemuck::cast([upper, 0])
    };
    let halves = u8x16::unpack_low(columns, upper(columns));
    u8x16::unpack_low(halves, upper(halves))
}

/// The transform to two values in every lane.
#[inline(always)]
fn two([a, b, c, d]: [f32x4; 4]) -> [f32x4; 4] {
    [a + b, a - b, c, d]
}

/// The transform to three values in every lane.
#[inline(always)]
fn three([a, b, c, d]: [f32x4; 4]) -> [f32x4; 4] {
    let sum = a + c;
    [sum + b, a - (c + c), sum - b, d]
}

/// The transform to four values in every lane; the factors include cos(π/8) for the odd
/// frequencies.
#[inline(always)]
fn four([a, b, c, d]: [f32x4; 4]) -> [f32x4; 4] {
    let tangent = f32x4::splat(0.414_213_56); // tan(π/8)
    let (even, even_less) = (a + c, a - c);
    let (odd, odd_less) = (b + d * tangent, b * tangent - d);
    [
        even + odd,
        even_less + odd_less,
        even_less - odd_less,
        even - odd,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transform by its definition.
    fn slow<const N: usize>(coefficients: &[[f64; 8]; 8]) -> [[f64; N]; N] {
        let norm = |u: usize| if u == 0 { 0.5_f64.sqrt() } else { 1.0 };
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let mut sum = 0.0;
                for (v, row) in coefficients.iter().enumerate().take(N) {
                    for (u, f) in row.iter().enumerate().take(N) {
                        let cos = |x: usize, u: usize| {
                            ((2 * x + 1) as f64 * u as f64 * PI / (2.0 * N as f64)).cos()
                        };
                        sum += norm(u) * norm(v) * f * cos(x, u) * cos(y, v) / 4.0;
                    }
                }
                (sum + 128.0).clamp(0.0, 255.0)
            })
        })
    }

    fn check<const N: usize>() {
        let mut state = 7_u32;
        for _ in 0..200 {
            let quant: [u16; 64] = std::array::from_fn(|k| 2 + k as u16);
            let scale = Scale::new::<N>(&quant);
            let mut block = [0; 17];
            let mut full = [[0.0; 8]; 8];
            for k in 0..64 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let value = (state >> 24) as i32 % 9 - 4;
                let value = if k == 0 {
                    value * 10
                } else if k % 3 == 0 {
                    value
                } else {
                    0
                };
                let z = usize::from(ZIGZAG[k]);
                full[z / 8][z % 8] = f64::from(value) * f64::from(quant[k]);
                block[usize::from(places::<N>()[k])] = value as i16;
            }
            let a = inverse::<N>(&scale, |row, column| block[row * 4 + column]);
            let b = slow::<N>(&full);
            for y in 0..N {
                for x in 0..N {
                    assert!(
                        (f64::from(a[y][x]) - b[y][x]).abs() < 0.51,
                        "{N} {y} {x} {} {}",
                        a[y][x],
                        b[y][x]
                    );
                }
            }
        }
    }

    #[test]
    fn transforms_are_those_of_the_definition() {
        check::<4>();
        check::<3>();
        check::<2>();
    }
}
