//! The start of a frame header of AV1 data, up to the frame's size (AV1 bitstream specification,
//! 5.9.2).

use crate::codec::bits::Bits;

use super::sequence::Sequence;

pub(super) struct Frame {
    pub(super) is_shown: bool,
    /// The size, if the frame states one. Otherwise it has that of the sequence or of an earlier
    /// frame.
    pub(super) size: Option<(u32, u32)>,
}

const KEY: u32 = 0;
const INTER: u32 = 1;
const INTRA_ONLY: u32 = 2;
const SWITCH: u32 = 3;

const EACH_FRAME: u32 = 2;

pub(super) fn read(bits: &mut Bits<'_>, sequence: &Sequence, layer: (u8, u8)) -> Option<Frame> {
    let mut kind = KEY;
    let mut is_shown = true;
    let mut is_resilient = true;
    let model = sequence.decoder_model.as_ref();
    if !sequence.is_reduced {
        if bits.flag()? {
            // An earlier frame is shown.
            return Some(Frame {
                is_shown: true,
                size: None,
            });
        }
        kind = bits.take(2)?;
        is_shown = bits.flag()?;
        match model.and_then(|model| model.presentation_bits) {
            Some(length) if is_shown => bits.skip(length)?,
            _ => {}
        }
        if !is_shown {
            bits.flag()?;
        }
        is_resilient = kind == SWITCH || (kind == KEY && is_shown) || bits.flag()?;
    }
    // Whether probabilities are fixed.
    bits.flag()?;
    let has_tools = match sequence.screen_content_tools {
        EACH_FRAME => bits.flag()?,
        fixed => fixed == 1,
    };
    if has_tools && sequence.integer_motion == EACH_FRAME {
        bits.flag()?;
    }
    if let Some((length, _)) = sequence.id_bits {
        bits.skip(length)?;
    }
    let has_size = match kind {
        SWITCH => true,
        _ => !sequence.is_reduced && bits.flag()?,
    };
    bits.skip(sequence.order_bits)?;
    let is_intra = matches!(kind, KEY | INTRA_ONLY);
    if !is_intra && !is_resilient {
        bits.take(3)?;
    }
    if let Some(model) = model
        && bits.flag()?
    {
        for point in &sequence.points {
            if point.has_model && point.has(layer) {
                bits.skip(model.removal_bits)?;
            }
        }
    }
    let refreshes_all = kind == SWITCH || (kind == KEY && is_shown);
    let refreshed = if refreshes_all { 0xff } else { bits.take(8)? };
    if (!is_intra || refreshed != 0xff) && is_resilient && sequence.order_bits > 0 {
        bits.skip(8 * sequence.order_bits)?;
    }
    let size = match kind {
        _ if !has_size => None,
        INTER | SWITCH => inter_size(bits, sequence, is_resilient)?,
        _ => Some(size(bits, sequence)?),
    };
    Some(Frame { is_shown, size })
}

/// The size of a frame that is predicted from others, unless it is that of one of them.
fn inter_size(
    bits: &mut Bits<'_>,
    sequence: &Sequence,
    is_resilient: bool,
) -> Option<Option<(u32, u32)>> {
    let is_short = sequence.order_bits > 0 && bits.flag()?;
    if is_short {
        bits.take(6)?;
    }
    for _ in 0..7 {
        if !is_short {
            bits.take(3)?;
        }
        if let Some((_, length)) = sequence.id_bits {
            bits.skip(length)?;
        }
    }
    if !is_resilient {
        for _ in 0..7 {
            if bits.flag()? {
                return Some(None);
            }
        }
    }
    Some(Some(size(bits, sequence)?))
}

fn size(bits: &mut Bits<'_>, sequence: &Sequence) -> Option<(u32, u32)> {
    let width = bits.take(sequence.width_bits)? + 1;
    Some((width, bits.take(sequence.height_bits)? + 1))
}
