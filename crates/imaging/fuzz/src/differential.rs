//! The project's JPEG decoder, which decodes to one to four eighths, against libjpeg-turbo.
//!
//! If the first byte of an input is even, the others are a JPEG file. Damaged files may differ: the
//! project's decoder refuses more, and coefficients that no encoder writes overflow differently. So
//! it must only not crash, and agree on the size.
//!
//! If it is odd, a good JPEG is made from the input, and all samples are compared.
//!
//! - libjpeg-turbo has the same transforms to one and three eighths, in integers of 13 fractional
//!   bits. Each decoder is at most one level from the exact value: [`SAME_TRANSFORM`].
//! - It has others to two and four eighths. There, its samples at full size are transformed exactly,
//!   and the low frequencies back. A full-size sample is less than one level from the exact value.
//!   The absolute weights of the 64 samples in one result add up to 2.5, and the rounding of
//!   the project's decoder adds a half: [`OTHER_TRANSFORM`]. Clipped samples would be further away, so
//!   this picture has low contrast, and whole blocks.

use std::f64::consts::PI;

use libfuzzer_sys::Corpus;
use picresize_imaging::fuzzing::{DecodedPlanes, own_jpeg_planes, turbo_jpeg_planes};
use turbojpeg::Subsamp;

use crate::encode_jpeg;

const SAME_TRANSFORM: f64 = 2.0;
const OTHER_TRANSFORM: f64 = 3.0;
/// The largest size of an MCU in pixels, with four times as many luma samples per row.
const LARGEST_MCU: usize = 32;
const SAMPLINGS: [Subsamp; 6] = [
    Subsamp::None,
    Subsamp::Sub2x1,
    Subsamp::Sub2x2,
    Subsamp::Sub1x2,
    Subsamp::Sub4x1,
    Subsamp::Gray,
];

/// Runs one input.
///
/// # Panics
///
/// If the decoders disagree.
pub fn run(input: &[u8]) -> Corpus {
    match input.split_first() {
        Some((kind, file)) if kind % 2 == 0 => any_file(file),
        Some((kind, [width, height, seed @ ..])) => {
            good_file(kind / 2, (*width, *height), seed);
            Corpus::Keep
        }
        _ => Corpus::Reject,
    }
}

fn any_file(file: &[u8]) -> Corpus {
    // The header check limits the size for both decoders.
    let limits = crate::limits();
    let small = picresize_imaging::inspect(file, &limits)
        .is_ok_and(|source| u64::from(source.width()) * u64::from(source.height()) <= 1 << 18);
    if !small {
        return Corpus::Reject;
    }
    for eighths in 1..=4 {
        let Some(own) = own_jpeg_planes(file, eighths) else {
            return Corpus::Reject;
        };
        if let (Ok(own), Ok(Some(turbo))) = (own, turbo_jpeg_planes(file, eighths)) {
            assert_eq!(sizes(&own), sizes(&turbo), "{eighths}/8");
        }
    }
    Corpus::Keep
}

fn sizes(planes: &DecodedPlanes) -> Vec<(usize, usize)> {
    planes.iter().map(|plane| (plane.0, plane.1)).collect()
}

fn good_file(kind: u8, (width, height): (u8, u8), seed: &[u8]) {
    let subsamp = SAMPLINGS[usize::from(kind) % SAMPLINGS.len()];
    let is_progressive = kind / 6 % 2 == 1;
    let has_whole_blocks = kind / 12 % 2 == 1;
    let side = |byte: u8| match has_whole_blocks {
        true => LARGEST_MCU * (1 + usize::from(byte) % 3),
        false => 1 + usize::from(byte) % 100,
    };
    let size = (side(width), side(height));
    let rgb = picture(size, seed, has_whole_blocks);
    let file = encode_jpeg(&rgb, size, subsamp, is_progressive);
    let case = format!("{subsamp:?}, progressive: {is_progressive}, {size:?}");

    let own = |eighths| {
        own_jpeg_planes(&file, eighths)
            .expect("the kind is known")
            .unwrap_or_else(|error| panic!("{case}: {eighths}/8: {error}"))
    };
    let turbo = |eighths| {
        turbo_jpeg_planes(&file, eighths)
            .unwrap_or_else(|error| panic!("{case}: libjpeg-turbo, {eighths}/8: {error}"))
    };
    for eighths in [1, 3] {
        let own = own(eighths);
        let Some(turbo) = turbo(eighths) else {
            // The narrowest 4:1:1, which libjpeg-turbo cannot reduce so far.
            assert!(eighths == 1 && size.0 <= 8, "{case}: no planes");
            continue;
        };
        compare(&own, &as_floats(&turbo), SAME_TRANSFORM, &case);
    }
    if has_whole_blocks {
        let whole = turbo(8).expect("the picture has planes");
        for eighths in [2, 4] {
            let exact: Vec<_> = whole.iter().map(|plane| reduce(plane, eighths)).collect();
            compare(&own(eighths as u32), &exact, OTHER_TRANSFORM, &case);
        }
    }
}

/// Rgb pixels: the bytes of the seed again and again, each row beginning with another.
fn picture((width, height): (usize, usize), seed: &[u8], has_low_contrast: bool) -> Vec<u8> {
    let seed = if seed.is_empty() { &[90] } else { seed };
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width * 3 {
            let value = seed[(y * 89 + x) % seed.len()];
            rgb.push(if has_low_contrast {
                96 + value / 4
            } else {
                value
            });
        }
    }
    rgb
}

fn compare(own: &DecodedPlanes, expected: &[(usize, usize, Vec<f64>)], most: f64, case: &str) {
    assert_eq!(own.len(), expected.len(), "{case}: planes");
    for (index, (own, expected)) in own.iter().zip(expected).enumerate() {
        assert_eq!(
            (own.0, own.1),
            (expected.0, expected.1),
            "{case}: plane {index}"
        );
        for (at, (found, exact)) in own.2.iter().zip(&expected.2).enumerate() {
            let apart = (f64::from(*found) - exact).abs();
            let (x, y) = (at % own.0, at / own.0);
            assert!(
                apart <= most,
                "{case}: plane {index} of {} × {} has {found} at {x}, {y}; expected {exact}",
                own.0,
                own.1
            );
        }
    }
}

fn as_floats(planes: &DecodedPlanes) -> Vec<(usize, usize, Vec<f64>)> {
    let floats = |samples: &[u8]| samples.iter().copied().map(f64::from).collect();
    planes
        .iter()
        .map(|(width, height, samples)| (*width, *height, floats(samples)))
        .collect()
}

/// Each block of 8 × 8 samples to `side` × `side`: the inverse transform of that size over the
/// lowest frequencies.
fn reduce(
    (width, height, samples): &(usize, usize, Vec<u8>),
    side: usize,
) -> (usize, usize, Vec<f64>) {
    let (columns, rows) = (width / 8, height / 8);
    let mut reduced = vec![0.0; columns * rows * side * side];
    for row in 0..rows {
        for column in 0..columns {
            let mut frequencies = [[0.0; 8]; 8];
            for (v, line) in frequencies.iter_mut().enumerate().take(side) {
                for (u, frequency) in line.iter_mut().enumerate().take(side) {
                    for y in 0..8 {
                        for x in 0..8 {
                            let sample = samples[(row * 8 + y) * width + column * 8 + x];
                            *frequency += f64::from(sample) * wave(8, u, x) * wave(8, v, y);
                        }
                    }
                }
            }
            for y in 0..side {
                for x in 0..side {
                    let mut sum = 0.0;
                    for (v, line) in frequencies.iter().enumerate().take(side) {
                        for (u, frequency) in line.iter().enumerate().take(side) {
                            sum += frequency * wave(side, u, x) * wave(side, v, y);
                        }
                    }
                    // Both transforms are orthonormal, so the mean grows with the side.
                    let sample = sum * side as f64 / 8.0;
                    let at = (row * side + y) * columns * side + column * side + x;
                    reduced[at] = sample.clamp(0.0, 255.0);
                }
            }
        }
    }
    (columns * side, rows * side, reduced)
}

/// A basis function of the orthonormal DCT-II.
fn wave(side: usize, frequency: usize, at: usize) -> f64 {
    let scale = if frequency == 0 { 1.0 } else { 2.0 };
    let angle = PI * (2 * at + 1) as f64 * frequency as f64 / (2 * side) as f64;
    (scale / side as f64).sqrt() * angle.cos()
}
