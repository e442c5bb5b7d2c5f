//! Tables of the sRGB transfer function (IEC 61966-2-1) and its inverse.

use std::sync::LazyLock;

/// The linear light of each 8-bit value, in 16 bits; the darkest step is still 20 wide.
pub(super) static LIGHT_OF_U8: LazyLock<[u16; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| (decode(value as f64 / 255.0) * 65_535.0).round() as u16)
});

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
