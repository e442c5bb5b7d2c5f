//! Converts pixels to the luma and chroma planes of JPEG (JFIF 1.02: ITU-R BT.601, full range).

use crate::planes::Planes;
use crate::raster::{Layout, Raster, Samples};

/// The fraction bits of the factors.
const SHIFT: u32 = 16;

/// Converts 8-bit Gray or Rgb; chroma is the mean of as many pixels as `sampling` says, across and
/// down.
pub(super) fn to_planes(raster: &Raster, sampling: (u32, u32)) -> Result<Planes, String> {
    let Samples::U8(samples) = &raster.samples else {
        return Err("JPEG has 8 bits per sample".to_owned());
    };
    let color = match raster.layout {
        Layout::Gray => None,
        Layout::Rgb => Some(sampling),
        other => return Err(format!("{other:?} pixels cannot be stored in JPEG")),
    };
    let mut planes = Planes::new(raster.width, raster.height, color);
    let (stride, _) = planes.size_of(0);
    let (color_width, _) = planes.size_of(1);
    let width = raster.width as usize;
    let [luma, blue, red] = planes.split_mut();
    let rows = luma.chunks_exact_mut(stride as usize);
    if color.is_none() {
        for (target, row) in rows.zip(samples.chunks_exact(width)) {
            target[..width].copy_from_slice(row);
        }
        return Ok(planes);
    }
    let (pixels, _) = samples.as_chunks::<3>();
    for (target, row) in rows.zip(pixels.chunks_exact(width)) {
        for (target, pixel) in target.iter_mut().zip(row) {
            *target = weighted(pixel.map(i32::from), [19_595, 38_470, 7471], 0, SHIFT);
        }
    }
    let (across, down) = (sampling.0 as usize, sampling.1 as usize);
    // A power of two of pixels is averaged.
    let shift = SHIFT + (across * down).ilog2();
    let color_width = color_width as usize;
    let targets = blue
        .chunks_exact_mut(color_width)
        .zip(red.chunks_exact_mut(color_width));
    for (top, (blue, red)) in (0..).step_by(down).zip(targets) {
        let height = raster.height as usize;
        for (left, (blue, red)) in (0..).step_by(across).zip(blue.iter_mut().zip(red)) {
            let mut sum = [0; 3];
            for y in top..top + down {
                for x in left..left + across {
                    let pixel = pixels[y.min(height - 1) * width + x.min(width - 1)];
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += i32::from(value);
                    }
                }
            }
            *blue = weighted(sum, [-11_059, -21_709, 32_768], 128, shift);
            *red = weighted(sum, [32_768, -27_439, -5329], 128, shift);
        }
    }
    planes.repeat_edges();
    Ok(planes)
}

/// The weighted sum of three values, rounded, plus `offset`.
fn weighted(values: [i32; 3], factors: [i32; 3], offset: i32, shift: u32) -> u8 {
    let sum: i32 = values.iter().zip(factors).map(|(v, f)| v * f).sum();
    (offset + ((sum + (1 << (shift - 1))) >> shift)).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primaries_are_those_of_the_standard() {
        let pixels = [
            [255, 0, 0],
            [0, 255, 0],
            [0, 0, 255],
            [255, 255, 255],
            [0, 0, 0],
        ];
        let raster = Raster::from_u8(5, 1, Layout::Rgb, pixels.concat());
        let planes = to_planes(&raster, (1, 1)).expect("it has 8 bits");
        let [luma, blue, red] = planes.split();
        assert_eq!(luma, [76, 150, 29, 255, 0]);
        assert_eq!(blue, [85, 44, 255, 128, 128]);
        assert_eq!(red, [255, 21, 107, 128, 128]);
    }

    #[test]
    fn chroma_is_the_mean_of_its_pixels() {
        let pixels = [[255, 0, 0], [0, 0, 255], [10, 10, 10]];
        let raster = Raster::from_u8(3, 1, Layout::Rgb, pixels.concat());
        let planes = to_planes(&raster, (2, 2)).expect("it has 8 bits");
        assert_eq!((planes.size_of(0), planes.size_of(1)), ((4, 2), (2, 1)));
        let [luma, blue, red] = planes.split();
        assert_eq!(luma, [76, 29, 10, 10, 76, 29, 10, 10]);
        assert_eq!((blue, red), (&[170, 128][..], &[181, 128][..]));
    }
}
