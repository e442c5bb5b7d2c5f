//! From the bytes of rows to samples: undoes predictors, and scales numbers of all sizes to 8 or 16
//! bits.

use super::kind::{Number, Predictor};
use crate::raster::u16_to_u8;

/// Undoes the predictor of a row in place. `samples` are stored together in a pixel.
pub(super) fn undo(row: &mut [u8], predictor: Predictor, number: Number, samples: usize) {
    match predictor {
        Predictor::None => {}
        Predictor::Horizontal => undo_differences(row, number, samples),
        Predictor::Float => undo_float(row, number, samples),
    }
}

/// TIFF 6.0, section 14.
fn undo_differences(row: &mut [u8], number: Number, samples: usize) {
    let width = (number.bits / 8) as usize;
    if width == 1 {
        for at in samples..row.len() {
            row[at] = row[at].wrapping_add(row[at - samples]);
        }
        return;
    }
    let step = width * samples;
    for at in (step..(row.len() + 1).saturating_sub(width)).step_by(width) {
        let left = read(&row[at - step..][..width], number.is_little);
        let sum = read(&row[at..][..width], number.is_little).wrapping_add(left);
        write(&mut row[at..][..width], number.is_little, sum);
    }
}

/// Adobe Photoshop TIFF Technical Note 3: differences of bytes, the highest bytes of all floats first.
fn undo_float(row: &mut [u8], number: Number, samples: usize) {
    let width = (number.bits / 8) as usize;
    for at in samples..row.len() {
        row[at] = row[at].wrapping_add(row[at - samples]);
    }
    let count = row.len() / width;
    let sorted = row.to_vec();
    for (index, value) in row.chunks_exact_mut(width).enumerate() {
        for (place, byte) in value.iter_mut().enumerate() {
            let place = match number.is_little {
                true => width - 1 - place,
                false => place,
            };
            *byte = sorted[place * count + index];
        }
    }
}

fn read(bytes: &[u8], is_little: bool) -> u64 {
    let add = |high: u64, low: &u8| high << 8 | u64::from(*low);
    match is_little {
        true => bytes.iter().rev().fold(0, add),
        false => bytes.iter().fold(0, add),
    }
}

fn write(bytes: &mut [u8], is_little: bool, value: u64) {
    let width = bytes.len();
    for (place, byte) in bytes.iter_mut().enumerate() {
        let shift = if is_little { place } else { width - 1 - place };
        *byte = (value >> (8 * shift)) as u8;
    }
}

/// A sample of the decoded picture.
pub(super) trait Sample: Copy + Default {
    const FULL: Self;
    /// From a number with this many bits.
    fn scaled(value: u64, bits: u32) -> Self;
    fn inverted(self) -> Self;
    /// From 0 to 1.
    fn from_unit(value: f32) -> Self;
    /// From an index or a byte.
    fn from_byte(value: u8) -> Self;
    fn to_u16(self) -> u16;
}

impl Sample for u8 {
    const FULL: Self = Self::MAX;

    fn scaled(value: u64, bits: u32) -> Self {
        match bits {
            8 => value as Self,
            1..=7 => {
                let most = (1 << bits) - 1;
                ((value * 255 + most / 2) / most) as Self
            }
            _ => u16_to_u8(u16::scaled(value, bits)),
        }
    }

    fn inverted(self) -> Self {
        Self::MAX - self
    }

    fn from_unit(value: f32) -> Self {
        (value * 255.0 + 0.5) as Self
    }

    fn from_byte(value: u8) -> Self {
        value
    }

    fn to_u16(self) -> u16 {
        self.into()
    }
}

impl Sample for u16 {
    const FULL: Self = Self::MAX;

    fn scaled(value: u64, bits: u32) -> Self {
        match bits {
            16 => value as Self,
            17.. => (value >> (bits - 16)) as Self,
            _ => {
                let most = (1 << bits) - 1;
                ((value * 65_535 + most / 2) / most) as Self
            }
        }
    }

    fn inverted(self) -> Self {
        Self::MAX - self
    }

    fn from_unit(value: f32) -> Self {
        (value * 65_535.0 + 0.5) as Self
    }

    fn from_byte(value: u8) -> Self {
        Self::from(value) * 257
    }

    fn to_u16(self) -> u16 {
        self
    }
}

/// Reads the samples of a row, scaled to the full range.
pub(super) fn scaled<T: Sample>(row: &[u8], number: Number, into: &mut Vec<T>) {
    into.clear();
    if let Some(range) = number.float {
        let width = (number.bits / 8) as usize;
        let values = row.chunks_exact(width);
        into.extend(values.map(|bytes| {
            let value = float(read(bytes, number.is_little), number.bits);
            T::from_unit((value - range.0) / (range.1 - range.0))
        }));
        return;
    }
    numbers(row, number, |value| {
        into.push(T::scaled(value, number.bits));
    });
}

/// Reads the samples of a row as they are: the indices of a palette.
pub(super) fn indices(row: &[u8], number: Number, into: &mut Vec<u16>) {
    into.clear();
    numbers(row, number, |value| into.push(value as u16));
}

fn numbers(row: &[u8], number: Number, mut put: impl FnMut(u64)) {
    let bits = number.bits as usize;
    match bits {
        8 => row.iter().for_each(|byte| put(u64::from(*byte))),
        16 | 24 | 32 | 64 => {
            let values = row.chunks_exact(bits / 8);
            values.for_each(|bytes| put(read(bytes, number.is_little)));
        }
        // Packed from the highest bit on, in both byte orders.
        _ => {
            let (mut held, mut count) = (0_u64, 0);
            for byte in row {
                held = held << 8 | u64::from(*byte);
                count += 8;
                while count >= bits {
                    count -= bits;
                    put(held >> count & ((1 << bits) - 1));
                }
                held &= (1 << count) - 1;
            }
        }
    }
}

/// IEEE 754, with 16, 24, 32 or 64 bits. What is no number is 0.
fn float(bits: u64, width: u32) -> f32 {
    // Bits of the exponent and of the fraction.
    let (exponent_bits, fraction_bits) = match width {
        16 => (5, 10),
        24 => (7, 16),
        32 => return finite(f32::from_bits(bits as u32)),
        _ => return finite(f64::from_bits(bits) as f32),
    };
    let sign = if bits >> (width - 1) == 1 { -1.0 } else { 1.0 };
    let fraction = (bits & ((1 << fraction_bits) - 1)) as f32 / (1 << fraction_bits) as f32;
    let bias = (1 << (exponent_bits - 1)) - 1;
    let value = match bits >> fraction_bits & ((1 << exponent_bits) - 1) {
        0 => fraction * 2_f32.powi(1 - bias),
        most if most == (1 << exponent_bits) - 1 => match fraction > 0.0 {
            true => f32::NAN,
            false => f32::INFINITY,
        },
        exponent => (1.0 + fraction) * 2_f32.powi(exponent as i32 - bias),
    };
    finite(sign * value)
}

fn finite(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn number(bits: u32, is_little: bool) -> Number {
        Number {
            bits,
            float: None,
            is_little,
        }
    }

    fn wide(row: &[u8], bits: u32, is_little: bool) -> Vec<u16> {
        let mut samples = Vec::new();
        scaled(row, number(bits, is_little), &mut samples);
        samples
    }

    fn narrow(row: &[u8], bits: u32) -> Vec<u8> {
        let mut samples = Vec::new();
        scaled(row, number(bits, true), &mut samples);
        samples
    }

    #[test]
    fn numbers_of_all_sizes_become_the_full_range() {
        assert_eq!(narrow(&[0b1010_0000], 1)[..4], [255, 0, 255, 0]);
        assert_eq!(narrow(&[0b0001_1011], 2), [0, 85, 170, 255]);
        assert_eq!(narrow(&[0x0f, 0x80], 4), [0, 255, 136, 0]);
        assert_eq!(narrow(&[0b1111_1100, 0b0001_0000], 6)[..2], [255, 4]);
        assert_eq!(
            wide(&[0xff, 0xf0, 0x00, 0x80, 0x00], 12, true),
            [65_535, 0, 32_776]
        );
        assert_eq!(wide(&[1, 2], 16, true), [0x201]);
        assert_eq!(wide(&[1, 2], 16, false), [0x102]);
        assert_eq!(wide(&[4, 3, 2, 1], 32, true), [0x102]);
        assert_eq!(wide(&[1, 2, 3, 4], 32, false), [0x102]);
        assert_eq!(wide(&[1, 2, 3], 24, false), [0x102]);
        assert_eq!(
            narrow(&[0, 0x80, 0xff, 0xff, 0x7f, 0x7f], 16),
            [128, 255, 127]
        );
    }

    #[test]
    fn floats_of_all_sizes_are_read() {
        for (bits, width, expected) in [
            (0x3800, 16, 0.5),
            (0xb800, 16, -0.5),
            (0x0001, 16, 2_f32.powi(-24)),
            (0x7c00, 16, f32::INFINITY),
            (0x7c01, 16, 0.0),
            (0x3e_0000, 24, 0.5),
            (0x3f00_0000, 32, 0.5),
            (0x7fc0_0000, 32, 0.0),
            (0x3fe0_0000_0000_0000, 64, 0.5),
        ] {
            assert_eq!(float(bits, width), expected, "{bits:x}");
        }
        let mut samples = Vec::new();
        let range = Number {
            float: Some((-1.0, 1.0)),
            ..number(32, true)
        };
        let row: Vec<u8> = [-2.0_f32, -1.0, 0.0, 1.0, 9.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        scaled::<u16>(&row, range, &mut samples);
        assert_eq!(samples, [0, 0, 32_768, 65_535, 65_535]);
    }

    #[test]
    fn predictors_are_undone() {
        let mut row = [1, 2, 3, 1, 1, 1, 255, 0, 1];
        undo(&mut row, Predictor::Horizontal, number(8, true), 3);
        assert_eq!(row, [1, 2, 3, 2, 3, 4, 1, 3, 5]);
        for is_little in [true, false] {
            let bytes = |values: [u16; 3]| {
                values
                    .map(|v| {
                        if is_little {
                            v.to_le_bytes()
                        } else {
                            v.to_be_bytes()
                        }
                    })
                    .concat()
            };
            let mut row = bytes([1_000, 24, 65_000]);
            undo(&mut row, Predictor::Horizontal, number(16, is_little), 1);
            assert_eq!(row, bytes([1_000, 1_024, 1_024_u16.wrapping_add(65_000)]));
            // Two floats, 0.5 and 1.0: their bytes by place, and the differences of those.
            let mut row = vec![0x3f, 0x00, 0xc1, 0x80, 0x80, 0x00, 0x00, 0x00];
            undo(&mut row, Predictor::Float, number(32, is_little), 1);
            let expected = [0.5_f32, 1.0].map(|v| {
                if is_little {
                    v.to_le_bytes()
                } else {
                    v.to_be_bytes()
                }
            });
            assert_eq!(row, expected.concat());
        }
    }
}
