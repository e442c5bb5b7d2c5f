//! Resamples luma and chroma planes one by one.
//!
//! JPEG and WebP store a luma plane and two chroma planes, which mostly have half the size. If only
//! the size changes, the planes are resampled and passed to the encoder directly: no conversion to
//! RGB and back, no upsampling of chroma, and half the samples.
//!
//! Luma is averaged in linear light, as if it were gray: that is exact for gray, and close enough
//! for colours: photographs score no lower than with red, green and blue in linear light.
//! Chroma is averaged as it is stored.

use picresize_kernels::convolution::{Image, ImageRef, PixelType};

use crate::geometry::{Geometry, Rect};
use crate::linear::{self, Levels};
use crate::options::Filter;
use crate::orientation::Orientation;
use crate::planes::Planes;
use crate::raster::{Layout, Raster, Samples};
use crate::resample::Resampler;

/// The geometry of a planar resize: crop, target size, orientation and chroma subsampling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'a> {
    /// Width and height of the viewed picture, before shrink-on-load.
    pub(crate) viewed: (u32, u32),
    pub(crate) orientation: Orientation,
    pub(crate) geometry: &'a Geometry,
    pub(crate) filter: Filter,
    /// The range of luma.
    pub(crate) levels: Levels,
    /// The side of the squares of luma samples that are averaged before resampling.
    pub(crate) averaged: u32,
    /// The chroma subsampling of the result: luma samples, across and down, per chroma sample.
    pub(crate) color: (u32, u32),
}

/// Resamples all planes and applies the orientation.
///
/// # Errors
///
/// The errors of the resampler.
pub(crate) fn resample(source: &Planes, placement: &Placement<'_>) -> Result<Planes, String> {
    let (width, height) = placement.geometry.scaled;
    let color = source.color.map(|_| placement.color);
    let mut target = Planes::new(width, height, color);
    let mut resampler = Resampler::new(placement.filter, false);
    let source_planes = source.split();
    let sizes: Vec<_> = (0..target.count()).map(|i| target.size_of(i)).collect();
    for (index, target_plane) in target.split_mut().into_iter().take(sizes.len()).enumerate() {
        let (source_step, target_step, eighths) = if index == 0 {
            ((1, 1), (1, 1), source.eighths.brightness)
        } else {
            let step = source.color.unwrap_or((1, 1));
            (step, placement.color, source.eighths.color)
        };
        // The last samples of a chroma plane may extend beyond the picture.
        let size = (
            width.div_ceil(target_step.0),
            height.div_ceil(target_step.1),
        );
        let crop = placement.geometry.crop;
        let reach = Rect {
            width: crop.width * f64::from(size.0 * target_step.0) / f64::from(width),
            height: crop.height * f64::from(size.1 * target_step.1) / f64::from(height),
            ..crop
        };
        let stored = placement.orientation.stored_rect(reach, placement.viewed);
        // The distance between two samples, in stored pixels.
        let step_x = f64::from(8 * source_step.0) / f64::from(eighths);
        let step_y = f64::from(8 * source_step.1) / f64::from(eighths);
        let part = Rect {
            x: stored.x / step_x,
            y: stored.y / step_y,
            width: stored.width / step_x,
            height: stored.height / step_y,
        };
        let (samples, source_size, part) =
            extend(source_planes[index], source.size_of(index), part);
        let upright = placement.orientation.turn_size(size);
        let samples = samples.as_deref().unwrap_or(source_planes[index]);
        let samples = match index {
            0 => {
                let filter = placement.filter;
                let by = placement.averaged;
                let levels = placement.levels;
                linear::resample_luma(levels, samples, source_size, by, part, upright, filter)
                    .ok_or("nearest-neighbour uses no planes")?
            }
            _ => resample_plane(&mut resampler, samples, source_size, part, upright)?,
        };
        let raster = Raster::from_u8(upright.0, upright.1, Layout::Gray, samples);
        if let Samples::U8(turned) = placement.orientation.apply(raster).samples {
            fill(target_plane, sizes[index].0, &turned, size);
        }
    }
    Ok(target)
}

/// Repeats the edges of a plane as far as `part` extends beyond them. Returns the larger plane if
/// one was needed, its size, and the part in its coordinates.
fn extend(
    samples: &[u8],
    (width, height): (u32, u32),
    part: Rect,
) -> (Option<Vec<u8>>, (u32, u32), Rect) {
    // Smaller differences are rounding errors.
    const TOLERANCE: f64 = 1e-6;
    let beyond = |distance: f64| {
        if distance > TOLERANCE {
            distance.ceil() as u32
        } else {
            0
        }
    };
    let left = beyond(-part.x);
    let top = beyond(-part.y);
    let right = beyond(part.x + part.width - f64::from(width));
    let bottom = beyond(part.y + part.height - f64::from(height));
    if (left, top, right, bottom) == (0, 0, 0, 0) {
        return (None, (width, height), part);
    }
    let size = (left + width + right, top + height + bottom);
    let mut extended = Vec::with_capacity(size.0 as usize * size.1 as usize);
    let rows: Vec<&[u8]> = samples.chunks_exact(width as usize).collect();
    for y in 0..size.1 {
        let row = rows[y.saturating_sub(top).min(height - 1) as usize];
        extended.resize(extended.len() + left as usize, row[0]);
        extended.extend_from_slice(row);
        extended.resize(extended.len() + right as usize, row[row.len() - 1]);
    }
    let part = Rect {
        x: part.x + f64::from(left),
        y: part.y + f64::from(top),
        ..part
    };
    (Some(extended), size, part)
}

fn resample_plane(
    resampler: &mut Resampler,
    samples: &[u8],
    source_size: (u32, u32),
    part: Rect,
    size: (u32, u32),
) -> Result<Vec<u8>, String> {
    let mut resampled = vec![0; size.0 as usize * size.1 as usize];
    let source = ImageRef::new(source_size.0, source_size.1, samples, PixelType::U8)
        .map_err(|error| error.to_string())?;
    let mut target = Image::from_slice_u8(size.0, size.1, &mut resampled, PixelType::U8)
        .map_err(|error| error.to_string())?;
    resampler.run(&source, part, &mut target)?;
    Ok(resampled)
}

/// Copies a plane of `size` into one whose rows have `stride` samples. The last column and row are
/// repeated into the rest.
fn fill(target: &mut [u8], stride: u32, samples: &[u8], (width, height): (u32, u32)) {
    let (stride, width) = (stride as usize, width as usize);
    for (target, row) in target
        .chunks_exact_mut(stride)
        .zip(samples.chunks_exact(width))
    {
        target[..width].copy_from_slice(row);
        target[width..].fill(row[width - 1]);
    }
    let filled = stride * height as usize;
    for start in (filled..target.len()).step_by(stride) {
        target.copy_within(filled - stride..filled, start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::options::ResizeOptions;

    const SIZE: (u32, u32) = (64, 48);

    /// Gradients in all planes, optionally mirrored from left to right.
    fn slopes(mirrored: bool) -> Planes {
        let mut planes = Planes::new(SIZE.0, SIZE.1, Some((2, 2)));
        let widths = [SIZE.0, SIZE.0 / 2, SIZE.0 / 2];
        for (plane, width) in planes.split_mut().into_iter().zip(widths) {
            for (y, row) in plane.chunks_exact_mut(width as usize).enumerate() {
                for (x, sample) in row.iter_mut().enumerate() {
                    *sample = (20 + x * 160 / width as usize + y) as u8;
                }
                if mirrored {
                    row.reverse();
                }
            }
        }
        planes
    }

    fn resampled(source: &Planes, orientation: Orientation, size: (u32, u32)) -> Planes {
        let options = ResizeOptions {
            width: Some(size.0),
            height: Some(size.1),
            ..ResizeOptions::default()
        };
        let geometry = Geometry::of(SIZE, &options, &Limits::default()).unwrap();
        let placement = Placement {
            viewed: SIZE,
            orientation,
            geometry: &geometry,
            filter: Filter::Lanczos3,
            levels: Levels::Full,
            averaged: 1,
            color: (2, 2),
        };
        resample(source, &placement).unwrap()
    }

    /// The chroma samples of an odd size extend beyond the opposite edge when the picture is
    /// mirrored, but must keep their position.
    #[test]
    fn a_mirrored_picture_comes_out_like_the_upright_one() {
        let size = (17, 13);
        let upright = resampled(&slopes(false), Orientation::default(), size);
        let turned = resampled(&slopes(true), Orientation::from_exif(2), size);
        let pairs = upright.samples.iter().zip(&turned.samples);
        let most = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(most <= 1, "they differ by {most}");
        assert!(upright.samples.iter().any(|sample| *sample > 150));
    }

    #[test]
    fn edges_are_repeated_as_far_as_a_part_reaches() {
        let part = Rect {
            x: -0.5,
            y: 0.0,
            width: 3.0,
            height: 2.5,
        };
        let (samples, size, part) = extend(&[1, 2, 3, 4], (2, 2), part);
        assert_eq!(size, (4, 3));
        assert_eq!(samples, Some(vec![1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]));
        assert_eq!((part.x, part.y), (0.5, 0.0));
    }
}
