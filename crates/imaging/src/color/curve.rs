//! Evaluates the tone curves of ICC profiles.

use moxcms::ToneReprCurve;

/// The entries of a table.
const ENTRIES: u16 = 4096;

/// A table of the light of samples from 0 to 1.
pub(super) fn table(light: impl Fn(f64) -> f64) -> ToneReprCurve {
    let entries = (0..ENTRIES).map(|entry| {
        let light = light(f64::from(entry) / f64::from(ENTRIES - 1));
        (light.clamp(0.0, 1.0) * 65_535.0).round() as u16
    });
    ToneReprCurve::Lut(entries.collect())
}

/// The light of a sample from 0 to 1 (ICC.1:2022, 10.6 and 10.18).
pub(super) fn value(curve: &ToneReprCurve, sample: f64) -> f64 {
    match curve {
        ToneReprCurve::Lut(entries) => match entries.as_slice() {
            [] => sample,
            // A gamma with 8 bits of fraction.
            [gamma] => sample.powf(f64::from(*gamma) / 256.0),
            entries => interpolated(entries, sample),
        },
        ToneReprCurve::Parametric(parameters) => {
            let parameters: Vec<f64> = parameters.iter().copied().map(f64::from).collect();
            parametric(&parameters, sample)
        }
    }
}

fn interpolated(entries: &[u16], sample: f64) -> f64 {
    let place = sample.clamp(0.0, 1.0) * (entries.len() - 1) as f64;
    let low = (place as usize).min(entries.len() - 2);
    let part = place - low as f64;
    let [low, high] = [entries[low], entries[low + 1]].map(|entry| f64::from(entry) / 65_535.0);
    low + (high - low) * part
}

fn parametric(parameters: &[f64], sample: f64) -> f64 {
    let power = |a: f64, b: f64, gamma: f64| (a * sample + b).max(0.0).powf(gamma);
    match *parameters {
        [gamma] => sample.powf(gamma),
        [gamma, a, b] if sample >= -b / a => power(a, b, gamma),
        [_, _, _] => 0.0,
        [gamma, a, b, c] if sample >= -b / a => power(a, b, gamma) + c,
        [_, _, _, c] => c,
        [gamma, a, b, _, d] if sample >= d => power(a, b, gamma),
        [_, _, _, c, _] => c * sample,
        [gamma, a, b, _, d, e, _] if sample >= d => power(a, b, gamma) + e,
        [_, _, _, c, _, _, f] => c * sample + f,
        _ => sample,
    }
}
