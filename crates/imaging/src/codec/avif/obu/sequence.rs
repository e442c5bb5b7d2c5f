//! The sequence header of AV1 data (AV1 bitstream specification, 5.5).

use crate::codec::bits::Bits;
use crate::codec::ycbcr::Coding;

/// A property of a frame that the sequence header fixes or leaves to each frame.
const EACH_FRAME: u32 = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits per sample: 8, 10 or 12.
    pub(crate) bits: u8,
    pub(crate) is_monochrome: bool,
    /// Whether the chroma planes are halved in each direction.
    pub(crate) halved: (bool, bool),
    /// Whether frames may have film grain, for which the decoder makes a copy.
    pub(crate) has_grain: bool,
    pub(crate) coding: Coding,
    pub(super) is_reduced: bool,
    pub(super) width_bits: u32,
    pub(super) height_bits: u32,
    /// Bits of a frame's number and of a difference between two, if frames have numbers.
    pub(super) id_bits: Option<(u32, u32)>,
    pub(super) screen_content_tools: u32,
    pub(super) integer_motion: u32,
    /// 0 if frames have no order.
    pub(super) order_bits: u32,
    pub(super) decoder_model: Option<DecoderModel>,
    pub(super) points: Vec<OperatingPoint>,
}

/// The lengths of the fields that a decoder model adds to frame headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DecoderModel {
    pub(super) removal_bits: u32,
    /// `None` if all pictures are shown equally long.
    pub(super) presentation_bits: Option<u32>,
}

/// A choice of layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OperatingPoint {
    layers: u32,
    pub(super) has_model: bool,
}

impl OperatingPoint {
    /// Whether a temporal and a spatial layer belong to this choice.
    pub(super) fn has(&self, (temporal, spatial): (u8, u8)) -> bool {
        let is_set = |bit: u32| self.layers >> bit & 1 == 1;
        self.layers == 0 || (is_set(u32::from(temporal)) && is_set(u32::from(spatial) + 8))
    }
}

impl Sequence {
    /// An operating point; a decoder takes the first in place of one that is missing.
    pub(super) fn point(&self, index: u8) -> Option<&OperatingPoint> {
        let point = self.points.get(usize::from(index));
        point.or(self.points.first())
    }

    /// Whether there are several spatial layers.
    pub(super) fn has_layers(&self) -> bool {
        self.points.iter().any(|point| point.layers >> 9 != 0)
    }

    /// Whether pictures have planes of the same sizes and depth.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let kind = |of: &Self| (of.width, of.height, of.bits, of.is_monochrome, of.halved);
        kind(self) == kind(other)
    }
}

pub(super) fn read(payload: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(payload);
    let mut sequence = Sequence::default();
    let profile = bits.take(3)?;
    bits.flag()?;
    sequence.is_reduced = bits.flag()?;
    if sequence.is_reduced {
        bits.take(5)?;
        sequence.points.push(OperatingPoint::default());
    } else {
        sequence.add_points(&mut bits)?;
    }
    sequence.width_bits = bits.take(4)? + 1;
    sequence.height_bits = bits.take(4)? + 1;
    sequence.width = bits.take(sequence.width_bits)? + 1;
    sequence.height = bits.take(sequence.height_bits)? + 1;
    if !sequence.is_reduced && bits.flag()? {
        let difference = bits.take(4)? + 2;
        sequence.id_bits = Some((bits.take(3)? + difference + 1, difference));
    }
    // The size of superblocks, and two filters.
    bits.take(3)?;
    sequence.screen_content_tools = EACH_FRAME;
    sequence.integer_motion = EACH_FRAME;
    if !sequence.is_reduced {
        sequence.add_tools(&mut bits)?;
    }
    // Super-resolution and two filters.
    bits.take(3)?;
    sequence.add_color(&mut bits, profile)?;
    sequence.has_grain = bits.flag()?;
    (profile <= 2).then_some(sequence)
}

impl Sequence {
    /// Timing and operating points.
    fn add_points(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let mut delay_bits = 0;
        if bits.flag()? {
            bits.skip(64)?;
            let is_equal = bits.flag()?;
            if is_equal {
                bits.exp_golomb()?;
            }
            if bits.flag()? {
                delay_bits = bits.take(5)? + 1;
                bits.skip(32)?;
                self.decoder_model = Some(DecoderModel {
                    removal_bits: bits.take(5)? + 1,
                    presentation_bits: Some(bits.take(5)? + 1).filter(|_| !is_equal),
                });
            }
        }
        let has_delay = bits.flag()?;
        for _ in 0..=bits.take(5)? {
            let layers = bits.take(12)?;
            let level = bits.take(5)?;
            if level > 7 {
                bits.flag()?;
            }
            let has_model = self.decoder_model.is_some() && bits.flag()?;
            if has_model {
                bits.skip(2 * delay_bits + 1)?;
            }
            if has_delay && bits.flag()? {
                bits.take(4)?;
            }
            self.points.push(OperatingPoint { layers, has_model });
        }
        Some(())
    }

    fn add_tools(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        // Four kinds of prediction.
        bits.take(4)?;
        let has_order = bits.flag()?;
        if has_order {
            bits.take(2)?;
        }
        if !bits.flag()? {
            self.screen_content_tools = bits.take(1)?;
        }
        if self.screen_content_tools > 0 && !bits.flag()? {
            self.integer_motion = bits.take(1)?;
        }
        if has_order {
            self.order_bits = bits.take(3)? + 1;
        }
        Some(())
    }

    fn add_color(&mut self, bits: &mut Bits<'_>, profile: u32) -> Option<()> {
        let is_deep = bits.flag()?;
        self.bits = match is_deep {
            true if profile == 2 && bits.flag()? => 12,
            true => 10,
            false => 8,
        };
        self.is_monochrome = profile != 1 && bits.flag()?;
        if bits.flag()? {
            let mut number = || Some(bits.take(8)? as u16);
            self.coding = Coding {
                primaries: number()?,
                transfer: number()?,
                matrix: number()?,
                full_range: true,
            };
        }
        if self.is_monochrome {
            self.coding.full_range = bits.flag()?;
            return Some(());
        }
        const RGB_AS_SRGB: Coding = Coding {
            primaries: 1,
            transfer: 13,
            matrix: 0,
            full_range: true,
        };
        if self.coding != RGB_AS_SRGB {
            self.coding.full_range = bits.flag()?;
            self.halved = match profile {
                0 => (true, true),
                1 => (false, false),
                _ if self.bits == 12 => {
                    let x = bits.flag()?;
                    (x, x && bits.flag()?)
                }
                _ => (true, false),
            };
            if self.halved == (true, true) {
                bits.take(2)?;
            }
        }
        bits.flag()?;
        Some(())
    }
}
