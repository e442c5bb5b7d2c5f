//! Resamples a part of a picture to a size, with the `fast_image_resize` crate.

use picresize_kernels::convolution::{
    Filter as CustomKernel, FilterType, Image, ImageRef, PixelType, ResizeAlg,
    ResizeOptions as ResamplerOptions, Resizer,
};

use crate::geometry::Rect;
use crate::options::Filter;
use crate::raster::{Layout, Raster, Samples, sample_count};

mod kernel;
mod taps;

use kernel::{Kernel, LONGEST_REACH};
pub(super) use taps::Taps;

/// Resamples `part` of a picture to `size`. Alpha is premultiplied for that.
///
/// This is a convolution in fixed point for 8 and 16 bits. The kernel is stretched by the shrink
/// factor, so that every source pixel contributes.
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
    let mut resampler = Resampler::new(filter, layout.has_alpha());
    resampler.run(&source, part, &mut target)?;
    Ok(Raster {
        width: size.0,
        height: size.1,
        layout,
        samples,
    })
}

/// Resamples one picture or plane after another.
pub(super) struct Resampler {
    resizer: Resizer,
    filter: Filter,
    has_alpha: bool,
    options: ResamplerOptions,
}

impl Resampler {
    pub(super) fn new(filter: Filter, has_alpha: bool) -> Self {
        Self {
            resizer: Resizer::default(),
            filter,
            has_alpha,
            options: ResamplerOptions::new()
                .resize_alg(algorithm(filter))
                .use_alpha(has_alpha),
        }
    }

    /// Resamples `part` of `source` to fill `target`.
    pub(super) fn run(
        &mut self,
        source: &ImageRef<'_>,
        part: Rect,
        target: &mut Image<'_>,
    ) -> Result<(), String> {
        let part = clamp(part, (source.width(), source.height()));
        match self.columns(source, part, target) {
            Some(columns) => self.rows_first(source, part, columns, target),
            None => {
                let options = cut(&self.options, part);
                self.resizer
                    .resize(source, target, &options)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// The size of the intermediate picture if the rows should be reduced first; `None` otherwise.
    ///
    /// The vertical pass is the faster one and leaves fewer pixels for the horizontal one, but the
    /// crate does it last. Two calls reverse the order. This is not done with alpha, which both
    /// calls would multiply by, or for nearest-neighbour.
    fn columns(&self, source: &ImageRef<'_>, part: Rect, target: &Image<'_>) -> Option<(u32, u32)> {
        let shrink = part.width / f64::from(target.width());
        let shrinks_rows = part.height > f64::from(target.height());
        let changes_columns = part.width != f64::from(target.width()) || part.x.fract() != 0.0;
        let is_plain = !self.has_alpha && self.filter != Filter::Nearest;
        if !(is_plain && shrinks_rows && changes_columns) {
            return None;
        }
        let reach = LONGEST_REACH * shrink.max(1.0) + 1.0;
        let from = (part.x - reach).max(0.0).floor() as u32;
        let to = (part.x + part.width + reach).ceil() as u32;
        Some((from, to.min(source.width()) - from))
    }

    fn rows_first(
        &mut self,
        source: &ImageRef<'_>,
        part: Rect,
        (from, count): (u32, u32),
        target: &mut Image<'_>,
    ) -> Result<(), String> {
        let mut between = Image::new(count, target.height(), source.pixel_type());
        let columns = Rect {
            x: from.into(),
            width: count.into(),
            ..part
        };
        self.resizer
            .resize(source, &mut between, &cut(&self.options, columns))
            .map_err(|error| error.to_string())?;
        let rest = Rect {
            x: part.x - f64::from(from),
            y: 0.0,
            height: target.height().into(),
            ..part
        };
        let between = ImageRef::new(
            between.width(),
            between.height(),
            between.buffer(),
            between.pixel_type(),
        )
        .map_err(|error| error.to_string())?;
        self.resizer
            .resize(&between, target, &cut(&self.options, rest))
            .map_err(|error| error.to_string())
    }
}

fn cut(options: &ResamplerOptions, part: Rect) -> ResamplerOptions {
    options.crop(part.x, part.y, part.width, part.height)
}

/// Rounding must not push a part beyond the edge.
fn clamp(part: Rect, size: (u32, u32)) -> Rect {
    let (width, height) = (f64::from(size.0), f64::from(size.1));
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

/// The crate's algorithm for a filter.
fn algorithm(filter: Filter) -> ResizeAlg {
    let Some(Kernel {
        name,
        reach,
        weight,
    }) = Kernel::of(filter)
    else {
        return ResizeAlg::Nearest;
    };
    let kernel = CustomKernel::new(name, weight, reach);
    ResizeAlg::Convolution(FilterType::Custom(kernel.expect("kernels reach somewhere")))
}
