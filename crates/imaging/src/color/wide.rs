//! A colour space with room for the colours of every usual profile: the primaries of BT.2020 with the
//! curve of sRGB.

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, MatrixCoefficients, TransferCharacteristics,
};

use super::curve;
use super::srgb::Encoder;

/// A conversion from linear light with the primaries of sRGB, of which some values are below 0.
#[derive(Debug)]
pub(crate) struct Wide {
    from_srgb: [[f32; 3]; 3],
    encoder: Encoder,
}

impl Wide {
    pub(crate) fn new() -> Self {
        let matrix = ColorProfile::new_srgb().transform_matrix(&colors());
        Self {
            from_srgb: matrix.v.map(|row| row.map(|value| value as f32)),
            encoder: Encoder::new(),
        }
    }

    /// The profile of the converted colours, with a curve in a table.
    pub(crate) fn profile() -> Option<Vec<u8>> {
        let mut profile = colors();
        let srgb = profile.red_trc.take()?;
        let table = curve::table(|value| curve::value(&srgb, value));
        profile.red_trc = Some(table.clone());
        profile.green_trc = Some(table.clone());
        profile.blue_trc = Some(table);
        profile.cicp = None;
        let mut bytes = profile.encode().ok()?;
        // The creation time (ICC.1:2022, 7.2.8) must not appear in a result.
        bytes.get_mut(24..36)?.fill(0);
        Some(bytes)
    }

    /// Converts the samples of planes in place.
    pub(crate) fn convert(&self, red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
        let pixels = red.iter_mut().zip(green.iter_mut().zip(blue));
        for (red, (green, blue)) in pixels {
            let [r, g, b] = self.from_srgb.map(|row| {
                let light = row[0] * *red + row[1] * *green + row[2] * *blue;
                self.encoder.encode(light)
            });
            (*red, *green, *blue) = (r, g, b);
        }
    }
}

fn colors() -> ColorProfile {
    ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: CicpColorPrimaries::Bt2020,
        transfer_characteristics: TransferCharacteristics::Srgb,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    })
}
