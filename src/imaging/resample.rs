//! Resampling: a part of a picture to a size.

use std::f64::consts::PI;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{
    Filter as Kernel, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
};

use crate::operation::Filter;

use super::geometry::Rect;
use super::raster::{Layout, Raster, Samples, sample_count};

/// Resamples `part` of a picture to `size`. Alpha is premultiplied meanwhile.
///
/// Convolution with the filter stretched by the shrink factor, so that no source pixel is left
/// out, in fixed point for 8 and 16 bits.
pub(crate) fn resample(
    raster: &Raster,
    part: Rect,
    size: (u32, u32),
    filter: Filter,
) -> Result<Raster, String> {
    let layout = raster.layout;
    let count = sample_count(size.0, size.1, layout.channels());
    let mut samples = match raster.samples {
        Samples::U8(_) => Samples::U8(vec![0; count]),
        Samples::U16(_) => Samples::U16(vec![0; count]),
        Samples::F32(_) => Samples::F32(vec![0.0; count]),
    };
    let source_bytes: &[u8] = match &raster.samples {
        Samples::U8(values) => values,
        Samples::U16(values) => bytemuck::cast_slice(values),
        Samples::F32(values) => bytemuck::cast_slice(values),
    };
    let target_bytes: &mut [u8] = match &mut samples {
        Samples::U8(values) => values,
        Samples::U16(values) => bytemuck::cast_slice_mut(values),
        Samples::F32(values) => bytemuck::cast_slice_mut(values),
    };
    let pixel_type = pixel_type(layout, &raster.samples);
    let source = ImageRef::new(raster.width, raster.height, source_bytes, pixel_type)
        .map_err(|error| error.to_string())?;
    let mut target = Image::from_slice_u8(size.0, size.1, target_bytes, pixel_type)
        .map_err(|error| error.to_string())?;
    let part = clamp(part, raster);
    let options = ResizeOptions::new()
        .resize_alg(algorithm(filter))
        .crop(part.x, part.y, part.width, part.height)
        .use_alpha(layout.has_alpha());
    Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(|error| error.to_string())?;
    Ok(Raster {
        width: size.0,
        height: size.1,
        layout,
        samples,
    })
}

/// Rounding must not push a part over the edge.
fn clamp(part: Rect, raster: &Raster) -> Rect {
    let (width, height) = (f64::from(raster.width), f64::from(raster.height));
    let x = part.x.clamp(0.0, width);
    let y = part.y.clamp(0.0, height);
    Rect {
        x,
        y,
        width: part.width.min(width - x),
        height: part.height.min(height - y),
    }
}

fn pixel_type(layout: Layout, samples: &Samples) -> PixelType {
    match (samples, layout.channels()) {
        (Samples::U8(_), 1) => PixelType::U8,
        (Samples::U8(_), 2) => PixelType::U8x2,
        (Samples::U8(_), 3) => PixelType::U8x3,
        (Samples::U8(_), _) => PixelType::U8x4,
        (Samples::U16(_), 1) => PixelType::U16,
        (Samples::U16(_), 2) => PixelType::U16x2,
        (Samples::U16(_), 3) => PixelType::U16x3,
        (Samples::U16(_), _) => PixelType::U16x4,
        (Samples::F32(_), 1) => PixelType::F32,
        (Samples::F32(_), 2) => PixelType::F32x2,
        (Samples::F32(_), 3) => PixelType::F32x3,
        (Samples::F32(_), _) => PixelType::F32x4,
    }
}

/// The resampler's name of a filter.
pub(super) fn algorithm(filter: Filter) -> ResizeAlg {
    ResizeAlg::Convolution(match filter {
        Filter::Lanczos3 => {
            Kernel::new("Lanczos3", lanczos3, 3.0).map_or(FilterType::Lanczos3, FilterType::Custom)
        }
        Filter::CatmullRom => FilterType::CatmullRom,
        Filter::Mitchell => FilterType::Mitchell,
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Box => FilterType::Box,
        Filter::Nearest => return ResizeAlg::Nearest,
    })
}

/// The Lanczos kernel of three lobes: sinc(x) · sinc(x ÷ 3) up to 3.
///
/// A thumbnail has some 50 000 weights, and the two sines of each by the C library took a tenth
/// of the time of resampling. Here one polynomial yields both, since sin 3t = 3 sin t − 4 sin³ t,
/// and it has the same last bit on every machine.
fn lanczos3(x: f64) -> f64 {
    let third = x.abs() / 3.0;
    if third >= 1.0 {
        return 0.0;
    }
    if third == 0.0 {
        return 1.0;
    }
    let sine = sine_of_pi(third.min(1.0 - third));
    let square = sine * sine;
    square * (3.0 - 4.0 * square) / (3.0 * (PI * third) * (PI * third))
}

/// sin πx for 0 ≤ x ≤ ½, by its Taylor series up to x¹⁷.
fn sine_of_pi(x: f64) -> f64 {
    let angle = PI * x;
    let square = angle * angle;
    let mut sum = 1.0;
    for order in [16.0, 14.0, 12.0, 10.0, 8.0, 6.0, 4.0, 2.0] {
        sum = 1.0 - sum * square * (1.0 / (order * (order + 1.0)));
    }
    angle * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lanczos_kernel_is_the_product_of_two_sincs() {
        let sinc = |x: f64| match x {
            0.0 => 1.0,
            _ => (PI * x).sin() / (PI * x),
        };
        for step in -3500..=3500 {
            let x = f64::from(step) / 1000.0;
            let expected = if x.abs() < 3.0 {
                sinc(x) * sinc(x / 3.0)
            } else {
                0.0
            };
            let error = (lanczos3(x) - expected).abs();
            assert!(error < 1e-12, "{x}: off by {error}");
        }
    }
}
