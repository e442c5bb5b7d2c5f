//! The files of `reports` in the folder of pictures: what users have reported as wrong in resizers,
//! with the right values.

use super::pictures::{Pixels, pixels};
use super::support::corpus;

mod bitmaps;
mod classic;
mod hdr;

/// The bytes of a file, or `None` if the folder is missing.
fn report(name: &str) -> Option<Vec<u8>> {
    let path = corpus()?.join("reports").join(name);
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")))
}

/// The mean colour of each quarter of a picture that is resized, in the order of reading, premultiplied
/// with alpha.
fn quarters(bytes: &[u8], options: &str) -> [[f64; 4]; 4] {
    let Pixels(width, height, pixels) = Pixels::of(pixels(bytes, options));
    let mut sums = [[0.0; 4]; 4];
    let (half_width, half_height) = (width / 2, height / 2);
    for (index, pixel) in (0..).zip(pixels) {
        let (x, y) = (index % width, index / width);
        // The middle of an odd side belongs to neither half.
        let is_right = x >= width - half_width;
        let is_low = y >= height - half_height;
        if (x >= half_width && !is_right) || (y >= half_height && !is_low) {
            continue;
        }
        let alpha = f64::from(pixel[3]);
        let sum = &mut sums[usize::from(is_low) * 2 + usize::from(is_right)];
        for (sum, value) in sum.iter_mut().zip(pixel).take(3) {
            *sum += f64::from(value) * alpha / 255.0;
        }
        sum[3] += alpha;
    }
    let count = f64::from(half_width) * f64::from(half_height);
    sums.map(|sum| sum.map(|value| value / count))
}

/// What is wrong with a picture, if its quarters differ from the expected ones by more than `most` of
/// 255 on average.
fn fault(name: &str, options: &str, expected: [[u8; 4]; 4], most: f64) -> Option<String> {
    let bytes = report(name)?;
    let found = quarters(&bytes, options);
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    let sum: f64 = pairs.map(|(a, b)| (a - f64::from(*b)).abs()).sum();
    (sum / 16.0 > most).then(|| format!("{name} {options}: {found:.0?}, not {expected:?}"))
}
