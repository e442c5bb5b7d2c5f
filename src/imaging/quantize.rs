//! Few colours: a palette and an index for each pixel.
//!
//! A picture that has few enough colours keeps them exactly. Else the palette comes from Wu's
//! quantiser in Oklab, and Floyd–Steinberg dithering spreads the error (both by `quantette`, on
//! one thread and without randomness).

use std::collections::BTreeMap;

use quantette::deps::palette::Srgb;
use quantette::{ImageRef, PaletteSize, Pipeline};

/// Alpha below this is none where alpha is all or nothing.
const ALPHA_THRESHOLD: u8 = 128;
/// Steps between the alpha values of a palette with half-transparent colours.
const ALPHA_STEP: u8 = 51;
/// A palette with fewer colours than this has no room for half-transparent ones.
const LEAST_FOR_ALPHA: u16 = 16;

/// A picture as indices into a palette.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Indexed {
    /// Rgba, at most 256.
    pub(crate) palette: Vec<[u8; 4]>,
    pub(crate) indices: Vec<u8>,
}

/// Which alphas a palette may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// One transparent colour, as in GIF.
    Binary,
    /// Any, as in PNG.
    Levels,
}

/// Reduces `width × height` Rgba pixels to at most `colors` (2 to 256) colours.
pub(crate) fn quantize(
    mut pixels: Vec<[u8; 4]>,
    (width, height): (u32, u32),
    colors: u16,
    alpha: Alpha,
) -> Indexed {
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
        dithered(pixels, (width, height), colors)
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

/// Opaque colours with dithering, and one transparent colour where needed.
fn dithered(pixels: Vec<[u8; 4]>, (width, height): (u32, u32), colors: u16) -> Indexed {
    let transparent = pixels.iter().any(|pixel| pixel[3] == 0);
    let holes: Vec<bool> = match transparent {
        true => pixels.iter().map(|pixel| pixel[3] == 0).collect(),
        false => Vec::new(),
    };
    let size = PaletteSize::from_u16_clamped(colors - u16::from(transparent));
    // Transparent pixels borrow the colour before them, so that they neither bend the palette
    // nor pass on an error.
    let first = pixels.iter().find(|pixel| pixel[3] != 0);
    let mut color = first.map_or([0; 3], |&[r, g, b, _]| [r, g, b]);
    let opaque = pixels.into_iter().map(|[r, g, b, a]| {
        if a != 0 {
            color = [r, g, b];
        }
        Srgb::from(color)
    });
    // In the room of the pixels.
    let opaque: Vec<Srgb<u8>> = opaque.collect();
    let Ok(image) = ImageRef::new(width, height, &opaque) else {
        return Indexed {
            palette: Vec::new(),
            indices: Vec::new(),
        };
    };
    let reduced = Pipeline::new()
        .palette_size(size)
        .input_image(image)
        .output_srgb8_indexed_image();
    let (palette, mut indices) = reduced.into_parts();
    let mut palette: Vec<[u8; 4]> = palette
        .iter()
        .map(|color| [color.red, color.green, color.blue, 255])
        .collect();
    if transparent {
        let number = palette.len() as u8;
        palette.push([0; 4]);
        for (index, hole) in indices.iter_mut().zip(holes) {
            if hole {
                *index = number;
            }
        }
    }
    Indexed { palette, indices }
}

/// A few steps of alpha, each with colours of its own in proportion to its pixels, not dithered.
fn with_alpha_levels(pixels: &[[u8; 4]], colors: u16) -> Indexed {
    let step = u16::from(ALPHA_STEP);
    let level = |alpha: u8| (u16::from(alpha) + step / 2) / step;
    let mut members: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (index, pixel) in pixels.iter().enumerate() {
        members.entry(level(pixel[3])).or_default().push(index);
    }
    let room = usize::from(colors) - members.len();
    let mut palette = Vec::new();
    let mut indices = vec![0; pixels.len()];
    for (level, members) in members {
        let alpha = (level * step) as u8;
        let first = palette.len();
        if alpha == 0 {
            palette.push([0; 4]);
        } else {
            let share = 1 + room * members.len() / pixels.len();
            let opaque: Vec<Srgb<u8>> = members
                .iter()
                .map(|&index| Srgb::new(pixels[index][0], pixels[index][1], pixels[index][2]))
                .collect();
            palette.extend(own_palette(&opaque, share).map(|[r, g, b]| [r, g, b, alpha]));
        }
        let candidates = &palette[first..];
        for index in members {
            indices[index] = (first + nearest(candidates, &pixels[index])) as u8;
        }
    }
    Indexed { palette, indices }
}

fn own_palette(colors: &[Srgb<u8>], count: usize) -> impl Iterator<Item = [u8; 3]> {
    let size = PaletteSize::from_u16_clamped(count as u16);
    let palette = Pipeline::new()
        .palette_size(size)
        .input_slice(colors)
        .map(|pipeline| pipeline.output_srgb8_palette().to_vec())
        .unwrap_or_default();
    palette
        .into_iter()
        .map(|color| [color.red, color.green, color.blue])
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
        let indexed = quantize(pixels.to_vec(), (4, 1), 4, Alpha::Binary);
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
            let indexed = quantize(pixels.clone(), (64, 64), colors, alpha);
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
}
