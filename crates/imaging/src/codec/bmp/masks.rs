//! Samples that are some of a pixel's bits, as a mask says, scaled to 8 bits.

/// The samples of a pixel of 16 or 32 bits.
#[derive(Clone, Debug)]
pub(super) struct Masks {
    /// Red, green and blue.
    colors: [Sample; 3],
    alpha: Sample,
    pub(super) has_alpha: bool,
}

/// A sample of up to 32 bits.
#[derive(Clone, Debug)]
struct Sample {
    shift: u32,
    /// The largest value. 0 if the mask is empty.
    most: u32,
    /// What the values of up to 8 bits are scaled to. The first is also what a sample without a mask is.
    scaled: Box<[u8; 256]>,
}

impl Masks {
    /// Checks masks for pixels of `bits` bits: red, green, blue, alpha. A mask that is 0 makes a colour
    /// black, and alpha opaque.
    ///
    /// # Errors
    ///
    /// If the bits of a mask are not next to each other or outside of the pixel, or if no colour has
    /// a mask.
    pub(super) fn new(masks: [u32; 4], bits: u32) -> Result<Self, String> {
        let [red, green, blue, alpha] = masks;
        if red | green | blue == 0 {
            return Err("its masks of red, green and blue are all 0".to_owned());
        }
        let sample = |name, mask, without| Sample::new(name, mask, bits, without);
        Ok(Self {
            colors: [
                sample("red", red, 0)?,
                sample("green", green, 0)?,
                sample("blue", blue, 0)?,
            ],
            alpha: sample("alpha", alpha, 255)?,
            has_alpha: alpha != 0,
        })
    }

    /// The samples of a pixel: red, green, blue, alpha.
    pub(super) fn samples(&self, pixel: u32) -> [u8; 4] {
        let [red, green, blue] = &self.colors;
        [red, green, blue, &self.alpha].map(|sample| sample.of(pixel))
    }
}

impl Sample {
    fn new(name: &str, mask: u32, bits: u32, without: u8) -> Result<Self, String> {
        let shift = mask.trailing_zeros().min(31);
        let most = mask >> shift;
        if most & most.wrapping_add(1) != 0 {
            return Err(format!(
                "its mask of {name}, {mask:#x}, has bits that are not next to each other"
            ));
        }
        if u64::from(mask) >= 1 << bits {
            return Err(format!(
                "its mask of {name}, {mask:#x}, has more than the {bits} bits of a pixel"
            ));
        }
        let mut scaled = Box::new([without; 256]);
        if let 1..=255 = most {
            for (value, scaled) in (0..=most).zip(scaled.iter_mut()) {
                *scaled = scale(value, most);
            }
        }
        Ok(Self {
            shift,
            most,
            scaled,
        })
    }

    fn of(&self, pixel: u32) -> u8 {
        let value = pixel >> self.shift & self.most;
        match self.most {
            0..=255 => self.scaled[value as usize & 255],
            most => scale(value, most),
        }
    }
}

/// Scales 0…`most` to 0…255, rounded.
fn scale(value: u32, most: u32) -> u8 {
    let most = u64::from(most);
    ((u64::from(value) * 510 + most) / (2 * most)) as u8
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

    use super::Masks;

    #[test]
    fn samples_of_any_width_are_scaled_and_rounded() {
        for width in 1..=32_u32 {
            for shift in 0..=32 - width {
                let most = u32::MAX >> (32 - width);
                let masks = Masks::new([most << shift, 0, 0, 0], 32).unwrap();
                for value in [0, 1, most / 3, most / 2, most - 1, most] {
                    let exact = f64::from(value) * 255.0 / f64::from(most);
                    let expected = (exact + 0.5).floor() as u8;
                    // The bits beside the mask do not count.
                    for rest in [0, !(most << shift)] {
                        let samples = masks.samples(value << shift | rest);
                        assert_eq!(
                            samples,
                            [expected, 0, 0, 255],
                            "{width} bits at {shift}: {value}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn wrong_masks_are_refused() {
        let error = |masks, bits| Masks::new(masks, bits).unwrap_err();
        assert!(error([0b101, 2, 8, 0], 16).contains("red, 0x5"));
        assert!(error([1, 2, 0x1_0000, 0], 16).contains("16 bits"));
        assert!(error([1, 2, 4, 9], 32).contains("alpha"));
        assert!(error([0, 0, 0, 0xff], 32).contains("all 0"));
    }
}
