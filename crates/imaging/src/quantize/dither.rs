//! Floyd–Steinberg dithering in Oklab, row by row in alternating directions, so that only two rows
//! of floats are held.

use quantette::color_map::IndexedColorMap;
use quantette::color_space::srgb8_to_oklab;
use quantette::deps::palette::{Oklab, Srgb};

/// The share of an error that is passed on: less than all keeps flat areas calm.
const DIFFUSION: f32 = 7.0 / 8.0;

/// The index of a colour in `colors` for each opaque pixel, and `hole` for the others, which
/// neither receive an error nor pass one on. `width` is the picture's.
pub(super) fn floyd_steinberg(
    pixels: &[[u8; 4]],
    width: usize,
    colors: &impl IndexedColorMap<Oklab>,
    hole: u8,
) -> Vec<u8> {
    let palette = colors.base_palette();
    let mut indices = vec![hole; pixels.len()];
    // With one element beyond either end.
    let mut errors = vec![[0.0; 3]; width + 2];
    let mut errors_below = errors.clone();
    let rows = pixels.chunks(width).zip(indices.chunks_mut(width));
    for (y, (row, indices)) in rows.enumerate() {
        let row_colors: Vec<_> = row.iter().map(|&[r, g, b, _]| Srgb::new(r, g, b)).collect();
        let row_colors = srgb8_to_oklab(&row_colors);
        let to_right = y % 2 == 0;
        for step in 0..row.len() {
            let x = if to_right { step } else { row.len() - 1 - step };
            if row[x][3] == 0 {
                continue;
            }
            let here = x + 1;
            let Oklab { l, a, b } = row_colors[x];
            let wanted = [
                l + errors[here][0],
                a + errors[here][1],
                b + errors[here][2],
            ];
            let index = colors.palette_index(&Oklab::new(wanted[0], wanted[1], wanted[2]));
            indices[x] = index;
            let Oklab { l, a, b } = palette[index];
            let error = [wanted[0] - l, wanted[1] - a, wanted[2] - b];
            let (ahead, behind) = match to_right {
                true => (here + 1, here - 1),
                false => (here - 1, here + 1),
            };
            add(&mut errors[ahead], error, 7.0);
            add(&mut errors_below[behind], error, 3.0);
            add(&mut errors_below[here], error, 5.0);
            add(&mut errors_below[ahead], error, 1.0);
        }
        std::mem::swap(&mut errors, &mut errors_below);
        errors_below.fill([0.0; 3]);
    }
    indices
}

/// Passes on a number of sixteenths of an error.
fn add(to: &mut [f32; 3], error: [f32; 3], sixteenths: f32) {
    for (to, error) in to.iter_mut().zip(error) {
        *to += error * (DIFFUSION * sixteenths / 16.0);
    }
}
