//! Tables of the sRGB transfer function (IEC 61966-2-1) and its inverse.

use std::sync::LazyLock;

/// The linear light of each 8-bit value, in 16 bits; the darkest step is still 20 wide.
pub(super) static LIGHT_OF_U8: LazyLock<[u16; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| (decode(value as f64 / 255.0) * 65_535.0).round() as u16)
});

/// White in the linear light of [`FixedPoint`]. What is above leaves room for overshoots of kernels.
pub(super) const WHITE: usize = 24_576;

/// The range of 8-bit samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Levels {
    /// From 0 to 255, as in RGB and in JPEG.
    Full,
    /// Black is 16 and white is 235, as in the luma of WebP and of video (ITU-R BT.601).
    Video,
}

/// Tables for sums in fixed point.
pub(super) struct FixedPoint {
    /// The linear light of each 8-bit value; the darkest step is still 7 wide.
    pub(super) light: [i16; 256],
    /// The 8-bit value of each step up to [`WHITE`].
    pub(super) coded: Box<[u8; WHITE + 1]>,
}

impl FixedPoint {
    pub(super) fn of(levels: Levels) -> &'static Self {
        match levels {
            Levels::Full => &FULL,
            Levels::Video => &VIDEO,
        }
    }

    fn new(black: f64, white: f64) -> Self {
        let white_light = WHITE as f64;
        let light = |value: usize| {
            let value = ((value as f64 - black) / (white - black)).clamp(0.0, 1.0);
            (decode(value) * white_light).round() as i16
        };
        let coded = |light: usize| {
            (black + encode(light as f64 / white_light) * (white - black)).round() as u8
        };
        Self {
            light: std::array::from_fn(light),
            coded: Box::new(std::array::from_fn(coded)),
        }
    }
}

static FULL: LazyLock<FixedPoint> = LazyLock::new(|| FixedPoint::new(0.0, 255.0));
static VIDEO: LazyLock<FixedPoint> = LazyLock::new(|| FixedPoint::new(16.0, 235.0));

/// The linear light of each 16-bit value.
pub(super) static LIGHT_OF_U16: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..=65_535)
        .map(|value| decode(f64::from(value) / 65_535.0) as f32)
        .collect()
});

/// The 8-bit value of each of 65 536 steps of linear light.
pub(super) static U8_OF_LIGHT: LazyLock<Box<[u8; 65_536]>> = LazyLock::new(|| {
    let value = |light: usize| (encode(light as f64 / 65_535.0) * 255.0).round() as u8;
    Box::new(std::array::from_fn(value))
});

/// The 16-bit value, with fraction, of each of 65 536 steps of linear light and one beyond.
pub(super) static U16_OF_LIGHT: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..=65_536)
        .map(|light| (encode(f64::from(light) / 65_535.0) * 65_535.0) as f32)
        .collect()
});

/// The electro-optical transfer function.
fn decode(value: f64) -> f64 {
    if value <= 0.040_45 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// The inverse of [`decode`].
fn encode(light: f64) -> f64 {
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}
