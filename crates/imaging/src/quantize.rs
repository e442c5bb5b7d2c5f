//! Reduces a picture to a palette and an index per pixel.
//!
//! A picture with few enough colours keeps them exactly. Otherwise the palette comes from Wu's
//! quantiser in Oklab (by `quantette`, on one thread and without randomness), and Floyd–Steinberg
//! dithering distributes the error.

use std::collections::BTreeMap;

use quantette::color_space::{oklab_to_srgb8, srgb8_to_oklab};
use quantette::deps::palette::{Oklab, Srgb};
use quantette::wu::{BinnerF32x3, WuF32x3};
use quantette::{PaletteCounts, PaletteSize};

mod dither;

type Binner = BinnerF32x3<32, 16, 16>;
type Wu = WuF32x3<Oklab, 32, 16, 16>;

/// With binary alpha, a pixel below this alpha is transparent.
const ALPHA_THRESHOLD: u8 = 128;
/// The distance between the alpha levels of a palette with semi-transparent colours.
const ALPHA_STEP: u8 = 51;
/// A palette with fewer colours than this has no room for semi-transparent ones.
const LEAST_FOR_ALPHA: u16 = 16;

/// A picture as indices into a palette.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Indexed {
    /// Rgba colours, at most 256.
    pub(crate) palette: Vec<[u8; 4]>,
    pub(crate) indices: Vec<u8>,
}

/// The alpha values that a palette supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// One transparent colour, as in GIF.
    Binary,
    /// Any, as in PNG.
    Levels,
}

/// Reduces Rgba pixels to at most `colors` (2 to 256) colours. `width` is the picture's.
pub(crate) fn quantize(mut pixels: Vec<[u8; 4]>, width: u32, colors: u16, alpha: Alpha) -> Indexed {
    let half = |pixel: &[u8; 4]| !matches!(pixel[3], 0 | 255);
    let levels = alpha == Alpha::Levels && colors >= LEAST_FOR_ALPHA && pixels.iter().any(half);
    for pixel in &mut pixels {
        if !levels {
            pixel[3] = if pixel[3] < ALPHA_THRESHOLD { 0 } else { 255 };
        }
        if pixel[3] == 0 {
            *pixel = [0; 4];
        }
    }
    if let Some(exact) = exact(&pixels, colors) {
        return exact;
    }
    if levels {
        with_alpha_levels(&pixels, colors)
    } else {
        dithered(&pixels, width, colors)
    }
}

/// The picture's own colours, in ascending order, if they are few enough.
fn exact(pixels: &[[u8; 4]], colors: u16) -> Option<Indexed> {
    let mut numbers: BTreeMap<[u8; 4], u8> = BTreeMap::new();
    let mut last = None;
    for pixel in pixels {
        if last == Some(pixel) {
            continue;
        }
        last = Some(pixel);
        numbers.insert(*pixel, 0);
        if numbers.len() > usize::from(colors) {
            return None;
        }
    }
    let palette: Vec<_> = numbers.keys().copied().collect();
    for (index, number) in numbers.values_mut().enumerate() {
        *number = index as u8;
    }
    Some(Indexed {
        indices: pixels.iter().map(|pixel| numbers[pixel]).collect(),
        palette,
    })
}

/// Opaque colours with dithering, and one transparent colour if needed.
fn dithered(pixels: &[[u8; 4]], width: u32, colors: u16) -> Indexed {
    let transparent = pixels.iter().any(|pixel| pixel[3] == 0);
    let opaque = pixels.iter().filter(|pixel| pixel[3] != 0);
    let Some(wu) = wu(opaque) else {
        return Indexed {
            palette: vec![[0; 4]],
            indices: vec![0; pixels.len()],
        };
    };
    let size = PaletteSize::from_u16_clamped(colors - u16::from(transparent));
    let map = wu.color_map(size);
    let mut palette: Vec<[u8; 4]> = rgba(map.palette().as_slice(), 255).collect();
    let hole = palette.len() as u8;
    if transparent {
        palette.push([0; 4]);
    }
    Indexed {
        indices: dither::floyd_steinberg(pixels, width as usize, &map, hole),
        palette,
    }
}

/// Prepares Wu's quantiser for these pixels; `None` if there are none. Similar colours are counted
/// as their mean, in half-size bins of the quantiser: that limits the memory.
fn wu<'a>(pixels: impl Iterator<Item = &'a [u8; 4]>) -> Option<Wu> {
    const AT_ONCE: usize = 4096;
    const SIDES: [usize; 3] = [2 * 32, 2 * 16, 2 * 16];
    let ranges = Binner::OKLAB_COMPONENT_RANGES_FROM_SRGB8;
    // The sum of each component, and the number of pixels.
    let mut bins = vec![[0.0_f64; 4]; SIDES.iter().product()];
    let mut pixels = pixels.peekable();
    let mut colors = Vec::with_capacity(AT_ONCE);
    while pixels.peek().is_some() {
        colors.clear();
        let next = pixels.by_ref().take(AT_ONCE);
        colors.extend(next.map(|&[r, g, b, _]| Srgb::new(r, g, b)));
        for Oklab { l, a, b } in srgb8_to_oklab(&colors) {
            let components = [l, a, b];
            let number = (0..3).fold(0, |number, place| {
                let (least, most) = ranges[place];
                let scale = SIDES[place] as f32 / (most - least);
                let bin = ((components[place] - least) * scale) as i32;
                number * SIDES[place] + bin.clamp(0, SIDES[place] as i32 - 1) as usize
            });
            let [sums @ .., count] = &mut bins[number];
            for (sum, component) in sums.iter_mut().zip(components) {
                *sum += f64::from(component);
            }
            *count += 1.0;
        }
    }
    let used = bins.iter().filter(|[.., count]| *count > 0.0);
    let (means, counts) = used
        .map(|&[l, a, b, count]| {
            let [l, a, b] = [l, a, b].map(|sum| (sum / count) as f32);
            (Oklab::new(l, a, b), count as u32)
        })
        .unzip();
    let counts = PaletteCounts::new(means, counts).ok()?;
    Wu::run_palette_counts(&counts, Binner::oklab_from_srgb8())
}

fn rgba(colors: &[Oklab], alpha: u8) -> impl Iterator<Item = [u8; 4]> + use<> {
    let colors = oklab_to_srgb8(colors).into_iter();
    colors.map(move |color| [color.red, color.green, color.blue, alpha])
}

/// A few alpha levels, each with a number of colours in proportion to its pixels, not dithered.
fn with_alpha_levels(pixels: &[[u8; 4]], colors: u16) -> Indexed {
    let step = u16::from(ALPHA_STEP);
    let level = |alpha: u8| (u16::from(alpha) + step / 2) / step;
    let mut members: BTreeMap<u16, usize> = BTreeMap::new();
    for pixel in pixels {
        *members.entry(level(pixel[3])).or_default() += 1;
    }
    let room = usize::from(colors) - members.len();
    let mut palette = Vec::new();
    let mut indices = vec![0; pixels.len()];
    for (own, count) in members {
        let is_member = |pixel: &[u8; 4]| level(pixel[3]) == own;
        let alpha = (own * step) as u8;
        let first = palette.len();
        if alpha == 0 {
            palette.push([0; 4]);
        } else {
            let share = PaletteSize::from_usize_clamped(1 + room * count / pixels.len());
            if let Some(wu) = wu(pixels.iter().filter(|pixel| is_member(pixel))) {
                palette.extend(rgba(wu.palette(share).as_slice(), alpha));
            }
        }
        let candidates = &palette[first..];
        for (index, pixel) in indices.iter_mut().zip(pixels) {
            if is_member(pixel) {
                *index = (first + nearest(candidates, pixel)) as u8;
            }
        }
    }
    Indexed { palette, indices }
}

fn nearest(palette: &[[u8; 4]], pixel: &[u8; 4]) -> usize {
    let distance = |color: &[u8; 4]| -> u32 {
        (0..3)
            .map(|channel| u32::from(color[channel].abs_diff(pixel[channel])).pow(2))
            .sum()
    };
    (0..palette.len())
        .min_by_key(|&index| distance(&palette[index]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_colors_stay_exact() {
        let pixels = [[1, 2, 3, 255], [4, 5, 6, 255], [9, 9, 9, 3], [1, 2, 3, 255]];
        let indexed = quantize(pixels.to_vec(), 4, 4, Alpha::Binary);
        let seen: Vec<_> = indexed
            .indices
            .iter()
            .map(|&index| indexed.palette[usize::from(index)])
            .collect();
        let expected = [[1, 2, 3, 255], [4, 5, 6, 255], [0; 4], [1, 2, 3, 255]];
        assert_eq!(seen, expected);
    }

    #[test]
    fn many_colors_become_as_many_as_asked_for() {
        let pixels: Vec<[u8; 4]> = (0..64 * 64_u32)
            .map(|n| [(n % 64 * 4) as u8, (n / 64 * 4) as u8, 77, (n % 256) as u8])
            .collect();
        for (colors, alpha) in [
            (2, Alpha::Levels),
            (16, Alpha::Binary),
            (256, Alpha::Levels),
        ] {
            let indexed = quantize(pixels.clone(), 64, colors, alpha);
            assert!(indexed.palette.len() <= usize::from(colors));
            assert!(indexed.palette.len() > usize::from(colors) / 2);
            assert_eq!(indexed.indices.len(), 64 * 64);
            let half = indexed
                .palette
                .iter()
                .any(|color| !matches!(color[3], 0 | 255));
            assert_eq!(half, colors == 256);
        }
    }

    #[test]
    fn dithering_keeps_holes_and_the_mean_color() {
        let pixels: Vec<[u8; 4]> = (0..64 * 64_u32)
            .map(|n| {
                let (x, y) = ((n % 64) as u8, (n / 64) as u8);
                [100 + x, 90 + y, 120, if x < y / 4 { 0 } else { 255 }]
            })
            .collect();
        let indexed = quantize(pixels.clone(), 64, 16, Alpha::Binary);
        let shown = indexed
            .indices
            .iter()
            .map(|&index| indexed.palette[usize::from(index)]);
        let (mut before, mut after) = ([0_u32; 3], [0_u32; 3]);
        for (pixel, shown) in pixels.iter().zip(shown) {
            assert_eq!(pixel[3], shown[3]);
            if pixel[3] != 0 {
                for channel in 0..3 {
                    before[channel] += u32::from(pixel[channel]);
                    after[channel] += u32::from(shown[channel]);
                }
            }
        }
        let opaque = pixels.iter().filter(|pixel| pixel[3] != 0).count() as u32;
        for (before, after) in before.into_iter().zip(after) {
            assert!(before.abs_diff(after) < opaque, "{before} became {after}");
        }
    }
}
