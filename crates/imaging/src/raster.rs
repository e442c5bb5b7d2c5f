//! A decoded picture in memory: its layout, sample depth and conversions.

/// The meaning of the samples of one pixel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Ink: 0 is none, the largest value is full.
    Cmyk,
}

impl Layout {
    /// Samples of one pixel.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    /// Whether the last sample of a pixel is its alpha.
    pub(crate) fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }
}

/// Interleaved samples of one depth, with rows without padding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
    /// 0 to 1.
    F32(Vec<f32>),
}

/// Runs one generic function on the samples of any depth, and keeps the depth.
macro_rules! map_samples {
    ($samples:expr, $values:ident => $result:expr) => {
        match $samples {
            $crate::raster::Samples::U8($values) => $crate::raster::Samples::U8($result),
            $crate::raster::Samples::U16($values) => $crate::raster::Samples::U16($result),
            $crate::raster::Samples::F32($values) => $crate::raster::Samples::F32($result),
        }
    };
}
pub(crate) use map_samples;

/// A picture of `width × height` pixels, rows from the top. Alpha is straight, not premultiplied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raster {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: Layout,
    pub(crate) samples: Samples,
}

impl Raster {
    /// A picture of 8-bit samples.
    pub(crate) fn from_u8(width: u32, height: u32, layout: Layout, samples: Vec<u8>) -> Self {
        debug_assert_eq!(
            samples.len(),
            sample_count(width, height, layout.channels())
        );
        Self {
            width,
            height,
            layout,
            samples: Samples::U8(samples),
        }
    }

    /// A picture of 16-bit samples.
    pub(crate) fn from_u16(width: u32, height: u32, layout: Layout, samples: Vec<u16>) -> Self {
        debug_assert_eq!(
            samples.len(),
            sample_count(width, height, layout.channels())
        );
        Self {
            width,
            height,
            layout,
            samples: Samples::U16(samples),
        }
    }

    /// Converts to 8-bit samples, rounded.
    pub(crate) fn into_u8(self) -> Self {
        let samples = match self.samples {
            Samples::U8(values) => values,
            Samples::U16(values) => values.into_iter().map(u16_to_u8).collect(),
            Samples::F32(values) => values.into_iter().map(f32_to_u8).collect(),
        };
        Self {
            samples: Samples::U8(samples),
            ..self
        }
    }

    /// Divides premultiplied colours by their alpha.
    pub(crate) fn with_straight_alpha(mut self) -> Self {
        fn divide<T: Copy + Into<u64> + TryFrom<u64>>(
            values: &mut [T],
            channels: usize,
            full: u64,
        ) {
            for pixel in values.chunks_exact_mut(channels) {
                let alpha: u64 = pixel[channels - 1].into();
                for value in &mut pixel[..channels - 1] {
                    let premultiplied: u64 = (*value).into();
                    let scaled = premultiplied * full + alpha / 2;
                    if let Some(straight) = scaled.checked_div(alpha) {
                        *value = T::try_from(straight.min(full)).unwrap_or(*value);
                    }
                }
            }
        }
        let channels = self.layout.channels();
        match &mut self.samples {
            Samples::U8(values) => divide(values, channels, 255),
            Samples::U16(values) => divide(values, channels, 65_535),
            Samples::F32(_) => {}
        }
        self
    }

    /// The 8-bit samples; empty if the depth is different.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.samples {
            Samples::U8(values) => values,
            _ => &[],
        }
    }

    /// Converts to [`Layout::Rgba`] at the same depth. CMYK is converted without a profile.
    pub(crate) fn into_rgba(self) -> Self {
        if self.layout == Layout::Rgba {
            return self;
        }
        if self.layout == Layout::Cmyk {
            return self.into_rgba8();
        }
        let layout = self.layout;
        let samples = match self.samples {
            Samples::U8(values) => Samples::U8(spread(&values, layout, 255)),
            Samples::U16(values) => Samples::U16(spread(&values, layout, 65_535)),
            Samples::F32(values) => Samples::F32(spread(&values, layout, 1.0)),
        };
        Self {
            layout: Layout::Rgba,
            samples,
            ..self
        }
    }

    /// Converts to [`Layout::Rgba`] with 8-bit samples. CMYK is converted without a profile.
    pub(crate) fn into_rgba8(self) -> Self {
        let raster = self.into_u8();
        if raster.layout != Layout::Cmyk {
            return raster.into_rgba();
        }
        let pixels = raster.bytes().as_chunks::<4>().0.iter();
        let rgba = pixels.flat_map(|&ink| {
            let [r, g, b] = plain_cmyk_to_rgb(ink);
            [r, g, b, 255]
        });
        Self::from_u8(raster.width, raster.height, Layout::Rgba, rgba.collect())
    }
}

/// Converts Gray, GrayAlpha or Rgb samples to Rgba.
fn spread<T: Copy>(values: &[T], layout: Layout, full: T) -> Vec<T> {
    match layout {
        Layout::Gray => values.iter().flat_map(|&y| [y, y, y, full]).collect(),
        Layout::GrayAlpha => {
            let (pixels, _) = values.as_chunks::<2>();
            pixels.iter().flat_map(|&[y, a]| [y, y, y, a]).collect()
        }
        _ => {
            let (pixels, _) = values.as_chunks::<3>();
            pixels
                .iter()
                .flat_map(|&[r, g, b]| [r, g, b, full])
                .collect()
        }
    }
}

/// The number of pixels of a picture.
pub(crate) fn pixel_count(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// The number of samples of a picture; the sizes were already checked against the limits.
pub(crate) fn sample_count(width: u32, height: u32, channels: usize) -> usize {
    width as usize * height as usize * channels
}

/// Scales 0…65535 to 0…255, rounded.
pub(crate) fn u16_to_u8(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// Scales 0…1 to 0…255, rounded and clamped.
pub(crate) fn f32_to_u8(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

/// CMYK to RGB without a profile: each colour is what its own ink and black let through.
pub(crate) fn plain_cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let light = 255 - u32::from(k);
    [c, m, y].map(|ink| (((255 - u32::from(ink)) * light + 127) / 255) as u8)
}
