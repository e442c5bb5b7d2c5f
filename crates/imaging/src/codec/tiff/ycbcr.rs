//! Luma and chroma without JPEG, and CIE L*a*b* (TIFF 6.0, sections 21 and 23).

use super::directory::{Directory, tag};

/// How YCbCr is stored, and how it becomes RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct YCbCr {
    /// Luma samples, across and down, per chroma sample.
    pub(super) sampling: (usize, usize),
    /// What red and blue contribute to luma.
    weights: (f32, f32),
    /// For each sample, the values of black and white.
    ranges: [(f32, f32); 3],
}

impl YCbCr {
    pub(super) fn read(directory: &Directory<'_>) -> Result<Self, String> {
        let mut sampling = directory.numbers(tag::CHROMA_SUBSAMPLING);
        let sampling = (sampling.next().unwrap_or(2), sampling.next().unwrap_or(2));
        let is_known = |factor: u64| matches!(factor, 1 | 2 | 4);
        if !is_known(sampling.0) || !is_known(sampling.1) {
            return Err(format!(
                "its chroma subsampling {} × {} is not one of 1, 2 and 4",
                sampling.0, sampling.1
            ));
        }
        let mut weights = [0.299, 0.587, 0.114];
        let mut found = directory.fractions(tag::CHROMA_WEIGHTS);
        for weight in &mut weights {
            *weight = found.next().unwrap_or(*weight);
        }
        let mut ranges = [(0.0, 255.0), (128.0, 255.0), (128.0, 255.0)];
        let mut found = directory.fractions(tag::REFERENCE_BLACK_WHITE);
        for range in &mut ranges {
            if let (Some(black), Some(white)) = (found.next(), found.next())
                && white > black
            {
                *range = (black, white);
            }
        }
        Ok(Self {
            sampling: (sampling.0 as usize, sampling.1 as usize),
            weights: match weights[1] > 0.0 {
                true => (weights[0], weights[2]),
                false => (0.299, 0.114),
            },
            ranges,
        })
    }

    /// The same with a chroma sample for each pixel.
    pub(super) fn spread(self) -> Self {
        Self {
            sampling: (1, 1),
            ..self
        }
    }

    pub(super) fn is_subsampled(&self) -> bool {
        self.sampling != (1, 1)
    }

    pub(super) fn to_rgb(self, samples: [u8; 3]) -> [u8; 3] {
        let part = |index: usize, full: f32| {
            let (black, white) = self.ranges[index];
            (f32::from(samples[index]) - black) * full / (white - black)
        };
        let (luma, blue, red) = (part(0, 255.0), part(1, 127.0), part(2, 127.0));
        let (kr, kb) = self.weights;
        let kg = 1.0 - kr - kb;
        let r = red * (2.0 - 2.0 * kr) + luma;
        let b = blue * (2.0 - 2.0 * kb) + luma;
        let g = (luma - kb * b - kr * r) / kg;
        // The cast clamps.
        [r, g, b].map(|value| (value + 0.5) as u8)
    }
}

/// Converts CIE L*a*b* with the white of D50 to sRGB, 0 to 1: `lightness` is 0 to 100.
pub(super) fn lab_to_srgb([lightness, a, b]: [f32; 3]) -> [f32; 3] {
    // ICC.1:2022, D50, and 6.3.4.3.
    const WHITE: [f32; 3] = [0.9642, 1.0, 0.8249];
    let fy = (lightness + 16.0) / 116.0;
    let fs = [fy + a / 500.0, fy, fy - b / 200.0];
    let mut xyz = [0.0; 3];
    for ((value, f), white) in xyz.iter_mut().zip(fs).zip(WHITE) {
        *value = white
            * match f > 6.0 / 29.0 {
                true => f * f * f,
                false => 3.0 * (6.0_f32 / 29.0).powi(2) * (f - 4.0 / 29.0),
            };
    }
    let [x, y, z] = xyz;
    // From XYZ of D50 to linear sRGB: the matrix of IEC 61966-2-1, adapted by Bradford's method.
    let linear = [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ];
    linear.map(|value| match value <= 0.003_130_8 {
        true => (value * 12.92).max(0.0),
        false => (1.055 * value.powf(1.0 / 2.4) - 0.055).min(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours_come_out() {
        let plain = YCbCr {
            sampling: (1, 1),
            weights: (0.299, 0.114),
            ranges: [(0.0, 255.0), (128.0, 255.0), (128.0, 255.0)],
        };
        for (samples, expected) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([76, 85, 255], [255, 0, 0]),
            ([150, 44, 21], [0, 255, 0]),
        ] {
            let found = plain.to_rgb(samples);
            let apart = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b));
            assert!(apart.max().unwrap() <= 2, "{samples:?}: {found:?}");
        }
        for (lab, expected) in [
            ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
            ([100.0, 0.0, 0.0], [1.0, 1.0, 1.0]),
            ([54.29, 80.8, 69.89], [1.0, 0.0, 0.0]),
            ([53.39, 0.0, 0.0], [0.5, 0.5, 0.5]),
        ] {
            let found = lab_to_srgb(lab);
            let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 0.01, "{lab:?}: {found:?}");
        }
    }
}
