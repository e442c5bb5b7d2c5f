//! Convolution of pixels with a resampling kernel, by `fast_image_resize`.

pub use fast_image_resize::images::{Image, ImageRef};
pub use fast_image_resize::{Filter, FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions};

/// Resizes one picture after another and reuses its buffers.
#[derive(Debug, Default)]
pub struct Resizer(fast_image_resize::Resizer);

impl Resizer {
    /// Resizes `source`, or the part of it that `options` crop, to the size of `target`. Both have
    /// the same pixel type.
    ///
    /// # Errors
    ///
    /// The pixel types differ, or the part lies outside of the source.
    #[inline(never)]
    pub fn resize(
        &mut self,
        source: &ImageRef<'_>,
        target: &mut Image<'_>,
        options: &ResizeOptions,
    ) -> Result<(), ResizeError> {
        self.0.resize(source, target, options)
    }
}
