//! Reads the headers of AV1 data: the sequence header, and of each frame what comes before its size
//! (AV1 bitstream specification, 5.3 to 5.9). The decoder takes the sizes that it finds there, so no
//! frame may be larger than the first sequence header says.

use crate::codec::bits::Bits;

mod frame;
mod sequence;

pub(super) use sequence::Sequence;

/// What the decoder meets up to the first shown frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) sequence: Sequence,
    /// The frames that are decoded, with the shown one.
    pub(super) frames: u32,
}

/// The kinds of units that matter here (6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// A unit of AV1 data.
struct Unit<'a> {
    kind: u8,
    /// The temporal and the spatial layer, if the unit says.
    layer: Option<(u8, u8)>,
    payload: &'a [u8],
}

/// Reads the headers of the layers that belong to an operating point.
pub(super) fn read(mut data: &[u8], point: u8) -> Result<Coded, String> {
    let mut first: Option<(Sequence, &[u8])> = None;
    let mut frames = 0;
    let mut is_shown = false;
    while !data.is_empty() {
        let Some((unit, rest)) = next(data) else {
            break;
        };
        data = rest;
        match (unit.kind, &first) {
            (SEQUENCE_HEADER, None) => {
                let sequence = sequence::read(unit.payload);
                let sequence = sequence.ok_or("its AV1 sequence header is damaged")?;
                first = Some((sequence, unit.payload));
            }
            (SEQUENCE_HEADER, Some((_, payload))) if unit.payload != *payload => {
                return Err("its AV1 data has two different sequence headers".to_owned());
            }
            (FRAME | FRAME_HEADER, Some((sequence, _))) if unit.is_decoded(sequence, point) => {
                let layer = unit.layer.unwrap_or_default();
                let found = frame::read(&mut Bits::new(unit.payload), sequence, layer);
                let Some(frame) = found else {
                    if is_shown {
                        break;
                    }
                    return Err("its AV1 frame header is damaged".to_owned());
                };
                if let Some((width, height)) = frame.size
                    && (width > sequence.width || height > sequence.height)
                {
                    return Err(format!(
                        "it has a frame of {width} × {height} pixels, but its header allows {} × {}",
                        sequence.width, sequence.height
                    ));
                }
                // Of several layers, the best is shown, so all are decoded.
                frames += u32::from(!is_shown || sequence.has_layers());
                is_shown |= frame.is_shown;
            }
            _ => {}
        }
    }
    let (sequence, _) = first.ok_or("its AV1 sequence header is missing")?;
    Ok(Coded { sequence, frames })
}

/// The first unit, and what follows it.
fn next(data: &[u8]) -> Option<(Unit<'_>, &[u8])> {
    let (&head, mut rest) = data.split_first()?;
    let mut layer = None;
    if head & 4 != 0 {
        let (&extension, after) = rest.split_first()?;
        layer = Some((extension >> 5, extension >> 3 & 3));
        rest = after;
    }
    let mut size = rest.len();
    if head & 2 != 0 {
        // A number in groups of seven bits, the lowest first (4.10.5).
        let mut number = 0_u64;
        let mut bytes = rest.iter().take(8).enumerate();
        let last = bytes.find(|(index, byte)| {
            number |= u64::from(**byte & 0x7f) << (7 * index);
            **byte & 0x80 == 0
        })?;
        rest = rest.get(last.0 + 1..)?;
        size = usize::try_from(number).ok()?;
    }
    let (payload, after) = rest.split_at_checked(size)?;
    let kind = head >> 3 & 15;
    Some((
        Unit {
            kind,
            layer,
            payload,
        },
        after,
    ))
}

impl Unit<'_> {
    /// Whether the unit belongs to the operating point, which is the one that is decoded.
    fn is_decoded(&self, sequence: &Sequence, point: u8) -> bool {
        match self.layer {
            Some(layer) => sequence.point(point).is_none_or(|point| point.has(layer)),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reduced still picture of 64 × 48 pixels, 4:2:0, 8 bits.
    const SEQUENCE: &[u8] = &[0x0a, 6, 0x18, 0x15, 0x7f, 0xbc, 0x00, 0x80];

    #[test]
    fn a_still_picture_is_read() {
        let data = [SEQUENCE, &[0x32, 2, 0, 0]].concat();
        let coded = read(&data, 0).unwrap();
        assert_eq!((coded.sequence.width, coded.sequence.height), (64, 48));
        assert_eq!(coded.frames, 1);
        for length in 0..SEQUENCE.len() {
            assert!(read(&data[..length], 0).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn another_sequence_header_is_refused() {
        let mut other = SEQUENCE.to_vec();
        other[4] ^= 0x10;
        let data = [SEQUENCE, SEQUENCE, &[0x32, 2, 0, 0]].concat();
        assert!(read(&data, 0).is_ok());
        let data = [SEQUENCE, &other, &[0x32, 2, 0, 0]].concat();
        let refusal = read(&data, 0).unwrap_err();
        assert_eq!(refusal, "its AV1 data has two different sequence headers");
    }
}
