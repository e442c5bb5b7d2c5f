//! Smart cropping: finds the most eye-catching part of a picture.
//!
//! The measure is simple. On a small copy, each pixel scores for the strength of the edge it lies
//! on (Sobel, on luma), for its saturation, and for a hue of skin. The window with the highest sum
//! wins; among equals, the one nearest to the middle. smartcrop.js and libvips's "attention" use
//! the same kind of saliency.

use crate::raster::{Layout, Raster};

/// The longest side of the copy that is measured: enough to see where things are.
pub(crate) const COPY_SIDE: u32 = 96;

const EDGE_WEIGHT: u64 = 4;
const COLOR_WEIGHT: u64 = 2;
const SKIN_WEIGHT: u64 = 6;

/// The relative position (0 to 1) of the best window that shows `share_x` of the width and
/// `share_y` of the height. `copy` (8-bit Rgba) is a small copy of the picture.
pub(crate) fn crop_position(copy: &Raster, share_x: f64, share_y: f64) -> (f64, f64) {
    debug_assert_eq!(copy.layout, Layout::Rgba);
    let (width, height) = (copy.width as usize, copy.height as usize);
    let scores = scores(copy);
    let columns: Vec<u64> = (0..width)
        .map(|x| scores.iter().skip(x).step_by(width).sum())
        .collect();
    let rows: Vec<u64> = (0..height)
        .map(|y| scores[y * width..][..width].iter().sum())
        .collect();
    (best(&columns, share_x), best(&rows, share_y))
}

/// The relative position of the window with the highest sum.
fn best(sums: &[u64], share: f64) -> f64 {
    let window = ((sums.len() as f64 * share).round() as usize).clamp(1, sums.len());
    let room = sums.len() - window;
    if room == 0 {
        return 0.5;
    }
    let from_middle = |start: usize| (2 * start).abs_diff(room);
    let start = (0..=room)
        .map(|start| (start, sums[start..start + window].iter().sum::<u64>()))
        .max_by_key(|(start, sum)| (*sum, std::cmp::Reverse(from_middle(*start))))
        .map_or(0, |(start, _)| start);
    start as f64 / room as f64
}

fn scores(copy: &Raster) -> Vec<u64> {
    let (width, height) = (copy.width as usize, copy.height as usize);
    let (pixels, _) = copy.bytes().as_chunks::<4>();
    let luma: Vec<i64> = pixels.iter().map(luma).collect();
    let at = |x: usize, y: usize| luma[y.min(height - 1) * width + x.min(width - 1)];
    let mut scores = Vec::with_capacity(pixels.len());
    for y in 0..height {
        let (above, below) = (y.saturating_sub(1), y + 1);
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), x + 1);
            let across = (at(right, above) + 2 * at(right, y) + at(right, below))
                - (at(left, above) + 2 * at(left, y) + at(left, below));
            let down = (at(left, below) + 2 * at(x, below) + at(right, below))
                - (at(left, above) + 2 * at(x, above) + at(right, above));
            let edge = (across.unsigned_abs() + down.unsigned_abs()) / 4;
            let pixel = &pixels[y * width + x];
            let score =
                EDGE_WEIGHT * edge + COLOR_WEIGHT * saturation(pixel) + SKIN_WEIGHT * skin(pixel);
            scores.push(score * u64::from(pixel[3]));
        }
    }
    scores
}

fn luma(&[r, g, b, _]: &[u8; 4]) -> i64 {
    (i64::from(r) * 299 + i64::from(g) * 587 + i64::from(b) * 114) / 1000
}

/// 0 to 255; dark and very bright pixels count less because their colour is hardly visible.
fn saturation(pixel: &[u8; 4]) -> u64 {
    let most = u64::from(pixel[0].max(pixel[1]).max(pixel[2]));
    let least = u64::from(pixel[0].min(pixel[1]).min(pixel[2]));
    let seen = if (30..=245).contains(&luma(pixel)) {
        1
    } else {
        0
    };
    (most - least) * seen / 2
}

/// 0 or 64: whether red exceeds green and green exceeds blue, as in skin of any shade.
fn skin(&[r, g, b, _]: &[u8; 4]) -> u64 {
    let (r, g, b) = (i64::from(r), i64::from(g), i64::from(b));
    let in_order = r > g && g > b;
    let warm = (15..=120).contains(&(r - g)) && (5..=90).contains(&(g - b));
    if in_order && warm && r > 60 { 64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_goes_where_the_detail_is() {
        let mut pixels = vec![128; 60 * 20 * 4];
        for y in 5..15 {
            for x in 45..55 {
                let value = if (x + y) % 2 == 0 { 255 } else { 0 };
                pixels[(y * 60 + x) * 4..][..3].fill(value);
            }
        }
        for pixel in pixels.as_chunks_mut::<4>().0 {
            pixel[3] = 255;
        }
        let copy = Raster::from_u8(60, 20, Layout::Rgba, pixels);
        let (along_x, along_y) = crop_position(&copy, 1.0 / 3.0, 1.0);
        assert!((0.85..=1.0).contains(&along_x), "{along_x}");
        assert_eq!(along_y, 0.5);
        let plain = Raster::from_u8(60, 20, Layout::Rgba, vec![9; 60 * 20 * 4]);
        assert_eq!(crop_position(&plain, 0.5, 0.5), (0.5, 0.5));
    }
}
