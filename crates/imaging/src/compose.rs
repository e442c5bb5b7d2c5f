//! Places the resampled picture on its canvas and converts it to a layout that the result's format
//! supports.

use crate::format::Format;
use crate::geometry::Geometry;
use crate::options::{Background, ResizeOptions};
use crate::raster::{Layout, Raster, Samples, map_samples};

const WHITE: Background = Background([255, 255, 255, 255]);
const TRANSPARENT: Background = Background([0, 0, 0, 0]);

/// Places the picture on its canvas and converts it to a layout that `format` supports.
///
/// PNG supports every layout, and 16 bits if the source had them. JPEG has no alpha: transparent
/// parts get the background, or white if none is given.
pub(crate) fn finish(
    raster: Raster,
    format: Format,
    geometry: &Geometry,
    options: &ResizeOptions,
) -> Raster {
    let holds_alpha = format != Format::Jpeg;
    let background = match options.background {
        Some(Background([r, g, b, _])) if !holds_alpha => Background([r, g, b, 255]),
        Some(background) => background,
        None if holds_alpha => TRANSPARENT,
        None => WHITE,
    };
    let mut raster = raster;
    if format != Format::Png || options.palette.is_some() {
        raster = raster.into_u8();
    }
    if geometry.canvas != (raster.width, raster.height) {
        raster = on_canvas(&raster.into_rgba(), geometry, background);
    }
    if raster.layout.has_alpha() && (!holds_alpha || options.background.is_some()) {
        raster = over(raster.into_rgba(), background);
    }
    match (format, raster.layout) {
        (Format::Png, _) | (Format::Jpeg, Layout::Gray | Layout::Rgb) => raster,
        (Format::Webp | Format::Avif, Layout::Rgb | Layout::Rgba) => raster,
        (Format::Jpeg, _) | (Format::Webp | Format::Avif, Layout::Gray) => {
            without_alpha(raster.into_rgba())
        }
        _ => raster.into_rgba(),
    }
}

/// Whether a grey picture, with alpha or without, is still grey when it is finished.
pub(crate) fn stays_gray(
    has_alpha: bool,
    format: Format,
    geometry: &Geometry,
    options: &ResizeOptions,
) -> bool {
    let is_composed = geometry.canvas != geometry.scaled
        || has_alpha && (format == Format::Jpeg || options.background.is_some());
    matches!(format, Format::Jpeg | Format::Png) && !is_composed && options.palette.is_none()
}

/// Places an Rgba picture at its offset on a canvas of the background colour.
fn on_canvas(raster: &Raster, geometry: &Geometry, background: Background) -> Raster {
    fn place<T: Copy>(
        values: &[T],
        background: [T; 4],
        row_width: u32,
        geometry: &Geometry,
    ) -> Vec<T> {
        let (width, height) = (geometry.canvas.0 as usize, geometry.canvas.1 as usize);
        let (left, top) = (geometry.offset.0 as usize, geometry.offset.1 as usize);
        let row_samples = row_width as usize * 4;
        let mut canvas = background.repeat(width * height);
        for (row, source) in values.chunks_exact(row_samples).enumerate() {
            let start = ((top + row) * width + left) * 4;
            canvas[start..start + row_samples].copy_from_slice(source);
        }
        canvas
    }
    let samples = match &raster.samples {
        Samples::U8(values) => Samples::U8(place(values, background.0, raster.width, geometry)),
        Samples::U16(values) => {
            let background = background.0.map(|value| u16::from(value) * 257);
            Samples::U16(place(values, background, raster.width, geometry))
        }
        Samples::F32(values) => {
            let background = background.0.map(|value| f32::from(value) / 255.0);
            Samples::F32(place(values, background, raster.width, geometry))
        }
    };
    Raster {
        width: geometry.canvas.0,
        height: geometry.canvas.1,
        layout: Layout::Rgba,
        samples,
    }
}

/// Composites Rgba pixels over the background ("over" of Porter and Duff, 1984, on straight alpha).
fn over(mut raster: Raster, background: Background) -> Raster {
    match &mut raster.samples {
        Samples::U8(values) => blend(values, 255, background.0.map(u64::from)),
        Samples::U16(values) => {
            blend(
                values,
                65_535,
                background.0.map(|value| u64::from(value) * 257),
            );
        }
        Samples::F32(_) => {}
    }
    raster
}

fn blend<T: Copy + Into<u64> + TryFrom<u64>>(values: &mut [T], full: u64, background: [u64; 4]) {
    for pixel in values.as_chunks_mut::<4>().0 {
        let alpha: u64 = pixel[3].into();
        let front = alpha * full;
        let back = (full - alpha) * background[3];
        let both = front + back;
        if both == 0 {
            continue;
        }
        for channel in 0..3 {
            let mixed = pixel[channel].into() * front + background[channel] * back;
            set(&mut pixel[channel], (mixed + both / 2) / both);
        }
        set(&mut pixel[3], (both + full / 2) / full);
    }
}

/// Stores a value that is known to fit.
fn set<T: TryFrom<u64>>(target: &mut T, value: u64) {
    if let Ok(value) = T::try_from(value) {
        *target = value;
    }
}

/// Removes the alpha of Rgba pixels.
fn without_alpha(raster: Raster) -> Raster {
    fn opaque<T: Copy>(values: &[T]) -> Vec<T> {
        let (pixels, _) = values.as_chunks::<4>();
        pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
    }
    Raster {
        width: raster.width,
        height: raster.height,
        layout: Layout::Rgb,
        samples: map_samples!(raster.samples, values => opaque(&values)),
    }
}
