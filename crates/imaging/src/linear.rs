//! Converts sRGB samples to linear light and back (IEC 61966-2-1).
//!
//! Averages of pixels are only correct in linear light: a checkerboard of black and white looks as
//! bright as half the light, which sRGB encodes as 188, not 128.

use crate::raster::{Layout, Raster, Samples, u16_to_u8};

mod resample;
mod transfer;

use transfer::{LIGHT_OF_U8, LIGHT_OF_U16, U8_OF_LIGHT, U16_OF_LIGHT};

pub(crate) use resample::{resample, resample_luma};
pub(crate) use transfer::Levels;

/// The linear light of an 8-bit value, from 0 to 1.
#[cfg(feature = "similarity")]
pub(crate) fn light_of_u8(value: u8) -> f32 {
    f32::from(LIGHT_OF_U8[usize::from(value)]) / 65_535.0
}

/// Converts gamma-encoded samples to linear light: 8 bits to 16, 16 bits to floats. Alpha is only
/// scaled.
pub(crate) fn to_light(raster: Raster) -> Raster {
    let layout = raster.layout;
    let samples = match raster.samples {
        Samples::U8(values) => {
            let table: &[u16; 256] = &LIGHT_OF_U8;
            let light = |value: u8| table[usize::from(value)];
            Samples::U16(convert(&values, layout, light, |alpha| {
                u16::from(alpha) * 257
            }))
        }
        Samples::U16(values) => {
            let table = &*LIGHT_OF_U16;
            let light = |value: u16| table[usize::from(value)];
            Samples::F32(convert(&values, layout, light, |alpha| {
                f32::from(alpha) / 65_535.0
            }))
        }
        light @ Samples::F32(_) => light,
    };
    Raster { samples, ..raster }
}

/// Converts the samples of a picture; alpha has a conversion of its own.
fn convert<From: Copy, To>(
    values: &[From],
    layout: Layout,
    color: impl Fn(From) -> To,
    alpha: impl Fn(From) -> To,
) -> Vec<To> {
    match layout {
        Layout::GrayAlpha => {
            let pixels = values.as_chunks().0.iter();
            let converted = pixels.map(|&[y, a]| [color(y), alpha(a)]);
            converted.collect::<Vec<_>>().into_flattened()
        }
        Layout::Rgba => {
            let pixels = values.as_chunks().0.iter();
            let converted = pixels.map(|&[r, g, b, a]| [color(r), color(g), color(b), alpha(a)]);
            converted.collect::<Vec<_>>().into_flattened()
        }
        _ => values.iter().map(|value| color(*value)).collect(),
    }
}

/// Converts linear light to gamma-encoded samples of the depth that [`to_light`] was given.
pub(crate) fn from_light(raster: Raster) -> Raster {
    let layout = raster.layout;
    let samples = match raster.samples {
        Samples::U16(values) => {
            let table: &[u8; 65_536] = &U8_OF_LIGHT;
            let coded = |light: u16| table[usize::from(light)];
            Samples::U8(convert(&values, layout, coded, u16_to_u8))
        }
        Samples::F32(values) => {
            let table = &*U16_OF_LIGHT;
            let full = |light: f32| light.clamp(0.0, 1.0) * 65_535.0;
            let coded = |light: f32| {
                let light = full(light);
                let step = light as usize;
                let part = light - step as f32;
                let value = table[step] + (table[step + 1] - table[step]) * part;
                (value + 0.5) as u16
            };
            Samples::U16(convert(&values, layout, coded, |alpha| {
                (full(alpha) + 0.5) as u16
            }))
        }
        coded @ Samples::U8(_) => coded,
    };
    Raster { samples, ..raster }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_way_to_light_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        let raster = Raster::from_u8(256, 1, Layout::Gray, all);
        assert_eq!(from_light(to_light(raster.clone())), raster);
        let all: Vec<u16> = (0..=65_535).collect();
        let raster = Raster::from_u16(256, 256, Layout::GrayAlpha, [all.clone(), all].concat());
        assert_eq!(from_light(to_light(raster.clone())), raster);
    }
}
