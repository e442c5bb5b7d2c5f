//! The short way for photographs that keep their format.
//!
//! JPEG and WebP store a brightness plane and two colour planes, the latter mostly at half the
//! size. When nothing but the size changes, the planes are resampled one by one and handed to the
//! encoder as they are: no conversion to RGB and back, no stretching of the colour planes, and
//! half the samples. The result is the same picture; the long way is for everything else.

use fast_image_resize::PixelType;
use fast_image_resize::images::{Image, ImageRef};

use crate::{Filter, Fit, Format, Position, Profile, ResizeRequest};

use super::geometry::{Geometry, Rect};
use super::orientation::Orientation;
use super::raster::{Layout, Raster, Samples};
use super::resample::Resampler;

/// When a picture shrinks by this much, the edges of its coding blocks of 4 pixels are averaged
/// away, and the decoder need not smooth them.
pub(crate) const BLOCKS_VANISH: f64 = 3.0;

/// Size of planes in eighths of the stored picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Eighths {
    pub(crate) brightness: u32,
    pub(crate) color: u32,
}

impl Eighths {
    pub(crate) const WHOLE: Self = Self::both(8);

    pub(crate) const fn both(eighths: u32) -> Self {
        Self {
            brightness: eighths,
            color: eighths,
        }
    }
}

/// Brightness and colour of a picture, each in its own plane, 8 bits a sample.
///
/// Colour samples lie in the middle of the brightness samples they belong to. The brightness
/// plane is filled up to whole colour samples, so that all planes cover the same area.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planes {
    /// Brightness samples of a row that belong to the picture.
    pub(crate) width: u32,
    /// Rows of brightness samples that belong to the picture.
    pub(crate) height: u32,
    /// How many brightness samples, across and down, share one colour sample while both have the
    /// same number of eighths; `None` in a picture of brightness alone.
    pub(crate) color: Option<(u32, u32)>,
    /// What decoding has left of the stored picture.
    pub(crate) eighths: Eighths,
    /// Columns and rows of a colour plane.
    color_size: (u32, u32),
    /// The planes one after the other, rows without padding.
    pub(crate) samples: Vec<u8>,
}

impl Planes {
    /// A black picture to be filled.
    pub(crate) fn new(width: u32, height: u32, color: Option<(u32, u32)>) -> Self {
        Self::reduced((width, height), color, Eighths::WHOLE)
    }

    /// The same for so much of a stored picture.
    pub(crate) fn reduced(stored: (u32, u32), color: Option<(u32, u32)>, eighths: Eighths) -> Self {
        let (across, down) = color.unwrap_or((1, 1));
        let side = |pixels: u32, eighths: u32| (pixels * eighths).div_ceil(8);
        let mut planes = Self {
            width: side(stored.0, eighths.brightness),
            height: side(stored.1, eighths.brightness),
            color,
            eighths,
            color_size: (
                side(stored.0, eighths.color).div_ceil(across),
                side(stored.1, eighths.color).div_ceil(down),
            ),
            samples: Vec::new(),
        };
        let count = (0..planes.count()).map(|index| planes.len_of(index)).sum();
        planes.samples = vec![0; count];
        planes
    }

    /// 3, or 1 without colour.
    pub(crate) fn count(&self) -> usize {
        if self.color.is_some() { 3 } else { 1 }
    }

    /// Width and height of a plane; the first is brightness.
    pub(crate) fn size_of(&self, index: usize) -> (u32, u32) {
        if index > 0 {
            return self.color_size;
        }
        let (across, down) = self.color.unwrap_or((1, 1));
        (
            self.width.next_multiple_of(across),
            self.height.next_multiple_of(down),
        )
    }

    fn len_of(&self, index: usize) -> usize {
        let (width, height) = self.size_of(index);
        width as usize * height as usize
    }

    /// The planes as slices to be filled; those of colour are empty without colour.
    pub(crate) fn split_mut(&mut self) -> [&mut [u8]; 3] {
        let brightness = self.len_of(0);
        let color = self.color.map_or(0, |_| self.len_of(1));
        let (first, rest) = self.samples.split_at_mut(brightness);
        let (second, third) = rest.split_at_mut(color);
        [first, second, third]
    }

    /// Repeats the last column and row of brightness into what fills them up to whole colour
    /// samples. Decoders leave there what lies beyond the picture, or what the memory held before.
    pub(crate) fn repeat_edges(&mut self) {
        let (stride, rows) = self.size_of(0);
        let (stride, rows) = (stride as usize, rows as usize);
        let (width, height) = (self.width as usize, self.height as usize);
        let [brightness, ..] = self.split_mut();
        if stride > width {
            for row in brightness.chunks_exact_mut(stride) {
                let last = row[width - 1];
                row[width..].fill(last);
            }
        }
        for row in height..rows {
            brightness.copy_within((height - 1) * stride..height * stride, row * stride);
        }
    }

    /// The planes as slices; those of colour are empty without colour.
    pub(crate) fn split(&self) -> [&[u8]; 3] {
        let brightness = self.len_of(0);
        let color = self.color.map_or(0, |_| self.len_of(1));
        let (first, rest) = self.samples.split_at(brightness);
        let (second, third) = rest.split_at(color);
        [first, second, third]
    }
}

/// Whether nothing but the size changes between a source and its result.
///
/// Whether the source's planes can be had is known only to its codec.
pub(crate) fn suffices(
    source: Format,
    result: Format,
    request: &ResizeRequest,
    geometry: &Geometry,
) -> bool {
    source == result
        && matches!(source, Format::Jpeg | Format::Webp)
        && request.profile == Profile::Fast
        && request.filter != Filter::Nearest
        && !(request.fit == Fit::Cover && request.position == Position::Smart)
        && geometry.canvas == geometry.scaled
        && request.lossless != Some(true)
        && request.max_bytes.is_none()
        && request.sharpen.unwrap_or(0) == 0
}

/// What of a stored picture goes where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'a> {
    /// Width and height of the picture as viewed, not shrunk.
    pub(crate) viewed: (u32, u32),
    pub(crate) orientation: Orientation,
    pub(crate) geometry: &'a Geometry,
    pub(crate) filter: Filter,
    /// Brightness samples of the result, across and down, that share a colour sample.
    pub(crate) color: (u32, u32),
}

/// Resamples and turns all planes.
///
/// # Errors
///
/// What the resampler refuses, in its words.
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
        // The last samples of a colour plane may reach beyond the picture.
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
        // Stored pixels of a sample.
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
        let samples = resample_plane(
            &mut resampler,
            samples.as_deref().unwrap_or(source_planes[index]),
            source_size,
            part,
            upright,
        )?;
        let raster = Raster::from_u8(upright.0, upright.1, Layout::Gray, samples);
        if let Samples::U8(turned) = placement.orientation.apply(raster).samples {
            fill(target_plane, sizes[index].0, &turned, size);
        }
    }
    Ok(target)
}

/// Repeats the edges of a plane as far as `part` reaches beyond them. Gives the larger plane if
/// one was needed, its size, and the part in its coordinates.
fn extend(
    samples: &[u8],
    (width, height): (u32, u32),
    part: Rect,
) -> (Option<Vec<u8>>, (u32, u32), Rect) {
    // Less than this is rounding.
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
    resampler
        .run(&source, part, &mut target)
        .map_err(|error| error.to_string())?;
    Ok(resampled)
}

/// Copies a plane of `size` into one whose rows have `stride` samples, repeating the last column
/// and row into what is left.
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
    use crate::Limits;

    const SIZE: (u32, u32) = (64, 48);

    /// Soft slopes in all planes; mirrored from left to right on demand.
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
        let request = ResizeRequest {
            width: Some(size.0),
            height: Some(size.1),
            ..ResizeRequest::default()
        };
        let geometry = Geometry::of(SIZE, &request, &Limits::default()).unwrap();
        let placement = Placement {
            viewed: SIZE,
            orientation,
            geometry: &geometry,
            filter: Filter::Lanczos3,
            color: (2, 2),
        };
        resample(source, &placement).unwrap()
    }

    #[test]
    fn planes_cover_whole_color_samples() {
        let planes = Planes::new(5, 3, Some((2, 2)));
        assert_eq!((planes.size_of(0), planes.size_of(1)), ((6, 4), (3, 2)));
        assert_eq!(planes.split().map(<[u8]>::len), [24, 6, 6]);
        let gray = Planes::new(5, 3, None);
        assert_eq!(gray.split().map(<[u8]>::len), [15, 0, 0]);
    }

    #[test]
    fn what_lies_beyond_the_edges_is_what_lies_at_them() {
        let mut planes = Planes::new(2, 1, Some((4, 2)));
        planes.samples = vec![1, 2, 9, 9, 9, 9, 9, 9, 5, 6];
        planes.repeat_edges();
        assert_eq!(planes.samples, [1, 2, 2, 2, 1, 2, 2, 2, 5, 6]);
    }

    /// The colour samples of an odd size reach over another edge when the picture is mirrored,
    /// and must lie where they lay before.
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
