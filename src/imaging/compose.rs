//! Laying the resampled picture on its canvas, and into a layout that the result's format holds.

use crate::operation::{Background, Format, ResizeRequest};

use super::geometry::Geometry;
use super::raster::{Layout, Raster, Samples};

const WHITE: Background = Background([255, 255, 255, 255]);
const TRANSPARENT: Background = Background([0, 0, 0, 0]);

/// Lays the picture on its canvas and converts it to what `format` can hold.
pub(crate) fn finish(
    raster: Raster,
    format: Format,
    geometry: &Geometry,
    request: &ResizeRequest,
) -> Raster {
    let holds_alpha = format != Format::Jpeg;
    let background = request
        .background
        .unwrap_or(if holds_alpha { TRANSPARENT } else { WHITE });
    let mut raster = raster;
    if geometry.canvas != (raster.width, raster.height) {
        raster = on_canvas(raster, geometry, background);
    }
    if raster.layout.has_alpha() && (!holds_alpha || request.background.is_some()) {
        raster = over(raster.into_rgba8(), background, holds_alpha);
    }
    match format {
        Format::Png => raster,
        Format::Jpeg => match raster.layout {
            Layout::Gray => raster.into_u8(),
            _ => without_alpha(raster.into_rgba8()),
        },
        Format::Webp => match raster.layout {
            Layout::Rgb => raster.into_u8(),
            Layout::Gray => without_alpha(raster.into_rgba8()),
            _ => raster.into_rgba8(),
        },
        _ => raster.into_rgba8(),
    }
}

/// Puts the picture at its offset on a canvas of the background.
fn on_canvas(raster: Raster, geometry: &Geometry, background: Background) -> Raster {
    let raster = raster.into_rgba8();
    let (width, height) = geometry.canvas;
    let mut canvas = background.0.repeat(width as usize * height as usize);
    let row_bytes = raster.width as usize * 4;
    for (row, source) in raster.bytes().chunks_exact(row_bytes).enumerate() {
        let y = geometry.offset.1 as usize + row;
        let start = (y * width as usize + geometry.offset.0 as usize) * 4;
        canvas[start..start + row_bytes].copy_from_slice(source);
    }
    Raster::from_u8(width, height, Layout::Rgba, canvas)
}

/// Lays Rgba pixels over the background ("over" of Porter and Duff, 1984, on straight alpha).
fn over(raster: Raster, background: Background, keep_alpha: bool) -> Raster {
    let mut raster = raster;
    let Samples::U8(samples) = &mut raster.samples else {
        return raster;
    };
    let back_alpha = u32::from(if keep_alpha { background.0[3] } else { 255 });
    for pixel in samples.as_chunks_mut::<4>().0 {
        let front = u32::from(pixel[3]) * 255;
        let back = (255 - u32::from(pixel[3])) * back_alpha;
        let both = front + back;
        if both == 0 {
            continue;
        }
        for channel in 0..3 {
            let mixed = u32::from(pixel[channel]) * front + u32::from(background.0[channel]) * back;
            pixel[channel] = ((mixed + both / 2) / both) as u8;
        }
        pixel[3] = ((both + 127) / 255) as u8;
    }
    raster
}

/// Drops the alpha of 8-bit Rgba pixels.
fn without_alpha(raster: Raster) -> Raster {
    let rgb = raster
        .bytes()
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&[r, g, b, _]| [r, g, b])
        .collect();
    Raster::from_u8(raster.width, raster.height, Layout::Rgb, rgb)
}
