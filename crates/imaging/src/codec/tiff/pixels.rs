//! Puts the samples of strips and tiles in their places, and converts their colours.

use super::kind::{Alpha, Kind, Meaning, Number};
use super::samples::{self, Sample};
use super::strips::Strip;
use super::ycbcr::{YCbCr, lab_to_srgb};

/// The samples of a picture that is being decoded, interleaved.
pub(super) struct Pixels<'a, T> {
    kind: &'a Kind,
    width: usize,
    height: usize,
    channels: usize,
    pub(super) samples: Vec<T>,
    row: Vec<T>,
    indices: Vec<u16>,
}

impl<'a, T: Sample> Pixels<'a, T> {
    pub(super) fn new(kind: &'a Kind) -> Self {
        let channels = kind.layout().channels();
        let (width, height) = (kind.width as usize, kind.height as usize);
        Self {
            kind,
            width,
            height,
            channels,
            samples: vec![T::default(); width * height * channels],
            row: Vec::new(),
            indices: Vec::new(),
        }
    }

    /// Stores the rows of a strip or tile.
    pub(super) fn put(&mut self, strip: &Strip<'_>, mut rows: std::borrow::Cow<'_, [u8]>) {
        if let Meaning::YCbCr(ycbcr) = &self.kind.meaning
            && ycbcr.is_subsampled()
        {
            return self.put_subsampled(strip, &rows, *ycbcr);
        }
        let together = self.kind.samples_together();
        let seen = self.width.saturating_sub(strip.left).min(strip.shape.width);
        let own = (seen * together * self.kind.number.bits as usize).div_ceil(8);
        for index in 0..strip.shape.rows.min(self.height.saturating_sub(strip.top)) {
            let range = index * strip.shape.row_bytes..(index + 1) * strip.shape.row_bytes;
            if self.kind.predictor != super::kind::Predictor::None {
                let row = &mut rows.to_mut()[range.clone()];
                samples::undo(row, self.kind.predictor, self.kind.number, together);
            }
            let row = &rows[range][..own];
            self.put_row(strip.plane, (strip.left, strip.top + index), seen, row);
        }
    }

    /// Stores a row of `seen` pixels.
    fn put_row(&mut self, plane: usize, (left, y): (usize, usize), seen: usize, row: &[u8]) {
        let start = (y * self.width + left) * self.channels;
        let target = &mut self.samples[start..start + seen * self.channels];
        let together = self.kind.samples_together();
        let colors = self.kind.meaning.colors();
        let has_alpha = self.kind.alpha != Alpha::None;
        if let Meaning::Palette(palette) = &self.kind.meaning {
            let is_index = !self.kind.is_separate || plane == 0;
            if is_index {
                samples::indices(row, self.kind.number, &mut self.indices);
                let pixels = self.indices.chunks_exact(together);
                for (pixel, to) in pixels.zip(target.chunks_exact_mut(self.channels)) {
                    let color = palette
                        .get(usize::from(pixel[0]))
                        .copied()
                        .unwrap_or_default();
                    to[..3].copy_from_slice(&color.map(T::from_byte));
                }
            }
            let alpha = if self.kind.is_separate { 0 } else { 1 };
            if has_alpha && (!self.kind.is_separate || plane == 1) {
                samples::scaled(row, self.kind.number, &mut self.row);
                let pixels = self.row.chunks_exact(together);
                for (pixel, to) in pixels.zip(target.chunks_exact_mut(self.channels)) {
                    to[3] = pixel[alpha];
                }
            }
            return;
        }
        samples::scaled(row, self.kind.number, &mut self.row);
        // Samples after alpha, or after the colours, are not read.
        let kept = colors + usize::from(has_alpha);
        if self.kind.is_separate {
            if plane < kept {
                for (value, to) in self
                    .row
                    .iter()
                    .zip(target[plane..].iter_mut().step_by(self.channels))
                {
                    *to = *value;
                }
            }
        } else if kept == together {
            target.copy_from_slice(&self.row[..target.len()]);
        } else {
            let pixels = self.row.chunks_exact(together);
            for (pixel, to) in pixels.zip(target.chunks_exact_mut(self.channels)) {
                to.copy_from_slice(&pixel[..kept]);
            }
        }
    }

    /// Stores units of several luma samples with a pair of chroma samples (TIFF 6.0, section 21).
    fn put_subsampled(&mut self, strip: &Strip<'_>, rows: &[u8], ycbcr: YCbCr) {
        let (across, down) = ycbcr.sampling;
        let unit_bytes = across * down + 2;
        for (unit_y, row) in rows.chunks_exact(strip.shape.row_bytes).enumerate() {
            for (unit_x, unit) in row.chunks_exact(unit_bytes).enumerate() {
                let [luma @ .., blue, red] = unit else {
                    continue;
                };
                for (index, luma) in luma.iter().enumerate() {
                    let x = strip.left + unit_x * across + index % across;
                    let y = strip.top + unit_y * down + index / across;
                    // A unit of a tile may reach into the next tile's place beyond its own.
                    let is_own = x < strip.left + strip.shape.width;
                    if is_own && x < self.width && y < self.height {
                        let start = (y * self.width + x) * 3;
                        let color = [*luma, *blue, *red].map(T::from_byte);
                        self.samples[start..start + 3].copy_from_slice(&color);
                    }
                }
            }
        }
    }

    /// Converts the colours, after all strips.
    pub(super) fn finish(mut self) -> Vec<T> {
        let channels = self.channels;
        let pixels = self.samples.chunks_exact_mut(channels);
        match &self.kind.meaning {
            Meaning::Gray { is_inverted: true } => {
                pixels.for_each(|pixel| pixel[0] = pixel[0].inverted());
            }
            Meaning::YCbCr(ycbcr) => pixels.for_each(|pixel| {
                let narrow = [0, 1, 2].map(|index| pixel[index].to_u16() as u8);
                pixel[..3].copy_from_slice(&ycbcr.to_rgb(narrow).map(T::from_byte));
            }),
            Meaning::Lab { is_signed } => pixels.for_each(|pixel| {
                let lab = lab([pixel[0], pixel[1], pixel[2]], self.kind.number, *is_signed);
                pixel[..3].copy_from_slice(&lab_to_srgb(lab).map(T::from_unit));
            }),
            _ => {}
        }
        self.samples
    }
}

/// The lightness, 0 to 100, and a and b. These are whole numbers in 8 bits, and 256th parts in 16.
fn lab<T: Sample>(values: [T; 3], number: Number, is_signed: bool) -> [f32; 3] {
    let [lightness, a, b] = values.map(Sample::to_u16);
    let full = f32::from(T::FULL.to_u16());
    let part = |value: u16| match (number.bits, is_signed) {
        (8, true) => f32::from((value as u8).cast_signed()),
        (8, false) => f32::from(value) - 128.0,
        (_, true) => f32::from(value.cast_signed()) / 256.0,
        (_, false) => f32::from(value) / 256.0 - 128.0,
    };
    [f32::from(lightness) * 100.0 / full, part(a), part(b)]
}
