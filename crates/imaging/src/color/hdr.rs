//! Maps high dynamic range to sRGB: PQ and HLG (ITU-R BT.2100).
//!
//! Reference white, 203 cd/m² (ITU-R BT.2408), becomes the white of sRGB, and light below it stays as
//! it is: what was made to look like paper looks like paper, and faces keep their brightness. There is
//! no room above white in sRGB, so brighter colours are scaled down to it with their hue: a flame stays
//! orange. The largest of red, green and blue decides, and a soft shoulder rounds the corner.

use moxcms::{ColorProfile, DataColorSpace, ToneReprCurve, TransferCharacteristics};

use crate::raster::{Layout, Raster, Samples};

use super::curve;
use super::srgb::Encoder;

/// The luminance of reference white, in cd/m².
const WHITE: f64 = 203.0;
/// The luminance of the display on which HLG has its nominal system gamma.
const HLG_PEAK: f64 = 1000.0;
const HLG_GAMMA: f64 = 1.2;
/// Where the shoulder begins, in parts of white.
const KNEE: f32 = 0.98;
/// How far a curve may be from PQ or HLG to be taken for it, in parts of its value. Profiles store
/// curves in tables of 16 bits.
const TOLERANCE: f64 = 0.05;
const STEP: f64 = 2.0 / 65_535.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    Pq,
    Hlg,
}

/// The mapping of a picture.
#[derive(Debug)]
pub(super) struct ToneMap {
    transfer: Transfer,
    /// From the linear colours of the picture to those of sRGB.
    to_srgb: [[f32; 3]; 3],
    /// The share of each colour in luminance.
    luminance: [f64; 3],
}

impl ToneMap {
    /// The mapping, if a profile of gray or RGB describes high dynamic range: by its code points, or
    /// by its curves.
    pub(super) fn of(profile: &ColorProfile) -> Option<Self> {
        let coded = profile.cicp.map(|cicp| cicp.transfer_characteristics);
        let transfer = match coded {
            Some(TransferCharacteristics::Smpte2084) => Transfer::Pq,
            Some(TransferCharacteristics::Hlg) => Transfer::Hlg,
            Some(_) => return None,
            None => Transfer::of(profile)?,
        };
        // A profile may have tables in place of primaries.
        let coded = profile.cicp.map(ColorProfile::new_from_cicp);
        let primaries = coded.filter(|coded| coded.red_trc.is_some());
        let primaries = primaries.as_ref().unwrap_or(profile);
        let matrix = primaries.transform_matrix(&ColorProfile::new_srgb());
        // Gray has no primaries.
        let luminance = match profile.color_space {
            DataColorSpace::Gray => [0.0, 1.0, 0.0],
            _ => primaries.colorant_matrix().v[1],
        };
        Some(Self {
            transfer,
            to_srgb: matrix.v.map(|row| row.map(|value| value as f32)),
            luminance,
        })
    }

    /// Maps the pixels. Gray stays gray, and alpha is unchanged.
    pub(super) fn apply(&self, mut raster: Raster) -> Result<Raster, String> {
        let layout = raster.layout;
        match &mut raster.samples {
            Samples::U8(values) => {
                let light = self.light(256);
                let encode = |value: f32| (value * 255.0 + 0.5) as u8;
                self.map(values, layout, |value| light[usize::from(value)], encode);
            }
            Samples::U16(values) => {
                let light = self.light(65_536);
                let encode = |value: f32| (value * 65_535.0 + 0.5) as u16;
                self.map(values, layout, |value| light[usize::from(value)], encode);
            }
            Samples::F32(_) => return Err("linear pixels have no profile".to_owned()),
        }
        Ok(raster)
    }

    /// The light of every sample value: that of the display in parts of white for PQ, that of the
    /// scene for HLG.
    fn light(&self, values: u32) -> Vec<f32> {
        let full = f64::from(values - 1);
        let all = (0..values).map(|value| f64::from(value) / full);
        match self.transfer {
            Transfer::Pq => all
                .map(|value| (pq(value) * 10_000.0 / WHITE) as f32)
                .collect(),
            Transfer::Hlg => all.map(|value| hlg(value) as f32).collect(),
        }
    }

    fn map<T: Copy>(
        &self,
        values: &mut [T],
        layout: Layout,
        light: impl Fn(T) -> f32,
        encode: impl Fn(f32) -> T,
    ) {
        let encoder = Encoder::new();
        let channels = layout.channels();
        if matches!(layout, Layout::Gray | Layout::GrayAlpha) {
            for value in values.iter_mut().step_by(channels) {
                let [gray, ..] = self.shown([light(*value); 3]);
                *value = encode(encoder.encode(gray * shoulder(gray)));
            }
            return;
        }
        for pixel in values.chunks_exact_mut(channels) {
            let shown = self.shown([light(pixel[0]), light(pixel[1]), light(pixel[2])]);
            let srgb = self.to_srgb.map(|row| dot(row, shown));
            let scale = shoulder(srgb[0].max(srgb[1]).max(srgb[2]));
            for (value, srgb) in pixel.iter_mut().zip(srgb) {
                *value = encode(encoder.encode(srgb * scale));
            }
        }
    }

    /// The light of the display, in parts of white.
    fn shown(&self, light: [f32; 3]) -> [f32; 3] {
        match self.transfer {
            Transfer::Pq => light,
            Transfer::Hlg => {
                let [r, g, b] = self.luminance;
                let [red, green, blue] = light.map(f64::from);
                let luminance = (r * red + g * green + b * blue).max(0.0);
                // The opto-optical transfer function (BT.2100, table 5).
                let gain = HLG_PEAK / WHITE * luminance.powf(HLG_GAMMA - 1.0);
                light.map(|value| value * gain as f32)
            }
        }
    }
}

impl Transfer {
    /// What the curves of a profile are, in parts of their value for the highest sample.
    fn of(profile: &ColorProfile) -> Option<Self> {
        let colors = [&profile.red_trc, &profile.green_trc, &profile.blue_trc];
        let curves: Vec<_> = match &profile.gray_trc {
            Some(gray) => vec![gray],
            None => colors.into_iter().flatten().collect(),
        };
        let is = |expected: fn(f64) -> f64| {
            let mut curves = curves.iter();
            !curves.as_slice().is_empty() && curves.all(|curve| is_like(curve, expected))
        };
        if is(pq) {
            return Some(Self::Pq);
        }
        // Some profiles describe the scene, others the display.
        let is_hlg = is(hlg) || is(|value| hlg(value).powf(HLG_GAMMA));
        is_hlg.then_some(Self::Hlg)
    }
}

fn is_like(curve: &ToneReprCurve, expected: fn(f64) -> f64) -> bool {
    let full = curve::value(curve, 1.0);
    let mut samples = [0.3, 0.45, 0.6, 0.7, 0.8, 0.9].into_iter();
    full > 0.0
        && samples.all(|sample| {
            let (found, expected) = (curve::value(curve, sample) / full, expected(sample));
            (found - expected).abs() <= expected * TOLERANCE + STEP / full
        })
}

/// The electro-optical transfer function of PQ, in parts of 10,000 cd/m² (BT.2100, table 4).
fn pq(value: f64) -> f64 {
    const M1: f64 = 2610.0 / 16_384.0;
    const M2: f64 = 2523.0 / 4096.0 * 128.0;
    const C1: f64 = 3424.0 / 4096.0;
    const C2: f64 = 2413.0 / 4096.0 * 32.0;
    const C3: f64 = 2392.0 / 4096.0 * 32.0;
    let power = value.powf(1.0 / M2);
    ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)
}

/// The inverse of the opto-electronic transfer function of HLG (BT.2100, table 5).
fn hlg(value: f64) -> f64 {
    const A: f64 = 0.178_832_77;
    const B: f64 = 1.0 - 4.0 * A;
    let c = 0.5 - A * (4.0 * A).ln();
    match value <= 0.5 {
        true => value * value / 3.0,
        false => (((value - c) / A).exp() + B) / 12.0,
    }
}

/// The factor for a colour whose largest value is `most`: the result is `most` up to the knee, and
/// approaches 1 above it.
fn shoulder(most: f32) -> f32 {
    if most <= KNEE {
        return 1.0;
    }
    let room = 1.0 - KNEE;
    let beyond = (most - KNEE) / room;
    (KNEE + room * beyond / (1.0 + beyond)) / most
}

fn dot(row: [f32; 3], color: [f32; 3]) -> f32 {
    row[0] * color[0] + row[1] * color[1] + row[2] * color[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curves_have_the_values_of_the_recommendation() {
        // BT.2408, table 1: reference white is 58 % of PQ and 75 % of HLG.
        assert!((pq(0.5807) * 10_000.0 - 203.0).abs() < 0.5);
        let shown = hlg(0.75).powf(HLG_GAMMA) * HLG_PEAK;
        assert!((shown - 203.0).abs() < 1.0, "{shown}");
        assert!((pq(1.0) - 1.0).abs() < 1e-9);
        assert!((hlg(1.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_shoulder_is_smooth_and_ends_at_white() {
        let mapped = |light: f32| light * shoulder(light);
        assert_eq!(mapped(0.5), 0.5);
        let mut last = 0.0;
        for step in 0..2000 {
            let value = mapped(step as f32 / 100.0);
            assert!(
                // As far as single precision goes.
                value >= last - f32::EPSILON && value <= 1.0,
                "{step}: {value} after {last}"
            );
            last = value;
        }
        assert!(mapped(1.0) > 0.985);
    }
}
