//! Baseline: all coefficients of a block at once, all components in one scan.

use std::ops::Range;

use super::bits::{Bits, Data, Fault};
use super::dct::{self, Block, Samples, Scale};
use super::frame::{Frame, Scan, Tables};
use super::huffman::{Coefficients, Symbols};
use super::plane::Plane;

/// One component at work.
struct Work<'a, 'p> {
    plane: &'a mut Plane<'p>,
    scale: Scale,
    across: usize,
    down: usize,
    differences: Symbols,
    coefficients: Coefficients,
    predicted: i32,
}

/// Decodes a scan of all components, with which `data` begins; gives what follows it.
pub(super) fn decode<'d, const N: usize>(
    data: &'d [u8],
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    planes: &mut [Plane<'_>],
) -> Result<&'d [u8], Fault> {
    // Neither fewer components nor another order is allowed here (T.81, B.2.3).
    let components = scan.parts.iter().map(|part| part.component);
    let all = components.eq(0..frame.components.len());
    if !all || (scan.first, scan.last, scan.low) != (0, dct::AREA - 1, 0) {
        return Err(Fault::Scan);
    }
    let mut works = Vec::new();
    for (part, plane) in scan.parts.iter().zip(planes) {
        let component = &frame.components[part.component];
        works.push(Work {
            plane,
            scale: tables.scale::<N>(component)?,
            across: component.across,
            down: component.down,
            differences: Symbols::new(tables.differences(part)?),
            coefficients: Coefficients::new(tables.coefficients(part)?),
            predicted: 0,
        });
    }
    let (mut across, mut down) = frame.sampling();
    if let [only] = works.as_mut_slice() {
        // Alone in a scan, a component comes block by block (T.81, A.2.2).
        (only.across, only.down) = (1, 1);
        (across, down) = (1, 1);
    }
    let columns = frame.width.div_ceil(8 * across);
    let rows = frame.height.div_ceil(8 * down);
    let interval = tables.interval();
    let mut data = Data::read(data);
    let mut at = 0;
    let (mut left, mut restarts) = (interval, 0);
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            if left == 0 {
                restarts += 1;
                data = data.restarted(at, restarts)?;
                at = 0;
                left = interval;
                for work in &mut works {
                    work.predicted = 0;
                }
            }
            let until = columns.min(column.saturating_add(left));
            left -= until - column;
            at = mcus::<N>(data.bits(at), &mut works, row, column..until)?;
            column = until;
        }
    }
    data.after(at)
}

/// Decodes neighbouring MCUs.
fn mcus<const N: usize>(
    mut bits: Bits<'_>,
    works: &mut [Work<'_, '_>],
    row: usize,
    columns: Range<usize>,
) -> Result<usize, Fault> {
    for column in columns {
        for work in &mut *works {
            for y in row * work.down..(row + 1) * work.down {
                for x in column * work.across..(column + 1) * work.across {
                    let samples = work.block::<N>(&mut bits)?;
                    work.plane.put::<N>((x, y), &samples);
                }
            }
        }
    }
    if bits.overdrawn() {
        return Err(Fault::Short);
    }
    Ok(bits.at)
}

impl Work<'_, '_> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, bits: &mut Bits<'_>) -> Result<Samples, Fault> {
        let mut block = Block::new();
        let mut flat = true;
        let store = |index: u8, value| {
            flat = false;
            block.0[usize::from(dct::places::<N>()[usize::from(index)])] = value;
        };
        let last = dct::last::<N>();
        let difference = bits.block(&self.differences, &self.coefficients, last, store)?;
        self.predicted = self.predicted.wrapping_add(difference);
        if N == 1 || flat {
            return Ok(dct::flat(&self.scale, self.predicted));
        }
        block.0[0] = self.predicted as i16;
        Ok(dct::inverse::<N>(&self.scale, &block))
    }
}
