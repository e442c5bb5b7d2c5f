//! Bit fields: which bits of a pixel are which colour.

/// The masks of red, green, blue and alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks([Mask; 4]);

/// Consecutive bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mask {
    shift: u32,
    /// 0 if there is none; of more than 8 only the highest count.
    length: u32,
}

impl Masks {
    /// Pixels of 24 bits, or of 32 with a byte that does not count.
    pub(super) const BYTES: Self = Self::of_lengths([(16, 8), (8, 8), (0, 8), (0, 0)]);
    /// Pixels of 32 bits with alpha.
    pub(super) const BYTES_WITH_ALPHA: Self = Self::of_lengths([(16, 8), (8, 8), (0, 8), (24, 8)]);
    /// Pixels of 16 bits without masks.
    pub(super) const FIVE_BITS: Self = Self::of_lengths([(10, 5), (5, 5), (0, 5), (0, 0)]);

    const fn of_lengths(masks: [(u32, u32); 4]) -> Self {
        let [(r, r_length), (g, g_length), (b, b_length), (a, a_length)] = masks;
        Self([
            Mask {
                shift: r,
                length: r_length,
            },
            Mask {
                shift: g,
                length: g_length,
            },
            Mask {
                shift: b,
                length: b_length,
            },
            Mask {
                shift: a,
                length: a_length,
            },
        ])
    }

    /// Reads masks for pixels of `bits` bits.
    ///
    /// # Errors
    ///
    /// If a colour has none, or its bits are not consecutive or not in the pixel.
    pub(super) fn read(masks: [u32; 4], bits: usize) -> Result<Self, String> {
        let mut read = [Mask {
            shift: 0,
            length: 0,
        }; 4];
        for (to, mask) in read.iter_mut().zip(masks) {
            if mask == 0 {
                continue;
            }
            let shift = mask.trailing_zeros();
            let length = (mask >> shift).trailing_ones();
            if length != mask.count_ones() || shift + length > bits as u32 {
                return Err(format!(
                    "the mask {mask:#010x} is not one of consecutive bits of {bits}"
                ));
            }
            let unused = length.saturating_sub(8);
            *to = Mask {
                shift: shift + unused,
                length: length - unused,
            };
        }
        if read[..3].iter().any(|mask| mask.length == 0) {
            return Err("a colour has no mask".to_owned());
        }
        Ok(Self(read))
    }

    pub(super) fn has_alpha(&self) -> bool {
        self.0[3].length > 0
    }

    /// The colour of a pixel, opaque if there is no alpha.
    pub(super) fn color(&self, pixel: u32) -> [u8; 4] {
        self.0.map(|mask| mask.of(pixel))
    }
}

impl Mask {
    fn of(self, pixel: u32) -> u8 {
        if self.length == 0 {
            return 255;
        }
        let most = (1 << self.length) - 1;
        let value = pixel >> self.shift & most;
        match self.length {
            8 => value as u8,
            // As the reader before did.
            7 => (value << 1 | value >> 6) as u8,
            _ => ((value * 255 + most / 2) / most) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_all_lengths_are_scaled() {
        let masks = Masks::read([0xf800, 0x07e0, 0x001f, 0], 16).unwrap();
        assert_eq!(masks.color(0xffff), [255; 4]);
        assert_eq!(masks.color(0x8410), [132, 130, 132, 255]);
        let masks = Masks::read([0x3ff0_0000, 0x000f_fc00, 0x3ff, 0xc000_0000], 32).unwrap();
        assert_eq!(masks.color(0x6000_0000 | 0x3ff << 10), [128, 255, 0, 85]);
        let masks = Masks::read([4, 2, 1, 8], 16).unwrap();
        assert_eq!(masks.color(0b0101), [255, 0, 255, 0]);
        assert!(Masks::read([0b101, 2, 1, 0], 16).is_err());
        assert!(Masks::read([1 << 16, 2, 1, 0], 16).is_err());
        assert!(Masks::read([0, 2, 1, 0], 16).is_err());
    }
}
