//! Encodes light as sRGB.

/// Encodes linear light as sRGB, with a table.
#[derive(Debug)]
pub(crate) struct Encoder(Vec<f32>);

impl Encoder {
    const STEPS: u16 = 16_384;

    /// The steps are even in the square root of light, as those of the result nearly are.
    pub(crate) fn new() -> Self {
        let steps = 0..=u32::from(Self::STEPS) + 1;
        let light = steps.map(|step| (f64::from(step) / f64::from(Self::STEPS)).powi(2));
        Self(light.map(|light| encode(light) as f32).collect())
    }

    /// A value from 0 to 1. Light below 0 and above 1 is clipped.
    pub(crate) fn encode(&self, light: f32) -> f32 {
        let place = light.clamp(0.0, 1.0).sqrt() * f32::from(Self::STEPS);
        let low = place as usize;
        let (low, high, part) = (self.0[low], self.0[low + 1], place - low as f32);
        low + (high - low) * part
    }
}

/// The inverse of the electro-optical transfer function of sRGB (IEC 61966-2-1).
fn encode(light: f64) -> f64 {
    match light <= 0.003_130_8 {
        true => light * 12.92,
        false => 1.055 * light.powf(1.0 / 2.4) - 0.055,
    }
}
