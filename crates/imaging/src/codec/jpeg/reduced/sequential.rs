//! Decodes sequential pictures: one scan has all components, and each block has all its
//! coefficients.

use std::ops::Range;

use crate::codec::jpeg::frame::Frame;
use crate::codec::jpeg::spec::AREA;

use super::bits::{Bits, Data, VALUES};
use super::dct::{self, Scale};
use super::fault::Fault;
use super::huffman::{Coefficients, Symbols};
use super::plane::Plane;
use super::scan::{Part, Scan, Tables};

/// The look-up tables of a pair of Huffman tables.
struct Lookups {
    differences: Symbols,
    coefficients: Coefficients,
}

/// A component that is being decoded.
struct Work<'a, 'p> {
    plane: &'a mut Plane<'p>,
    scale: Scale,
    across: usize,
    down: usize,
    lookups: &'a Lookups,
    predicted: i32,
    values: [i16; VALUES],
}

/// Decodes the scan of all components at the start of `data`. Returns what follows it.
pub(super) fn decode<'d, const N: usize, const C: usize>(
    data: &'d [u8],
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    planes: &mut [Plane<'_>],
) -> Result<&'d [u8], Fault> {
    // Neither fewer components nor another order is allowed (T.81, B.2.3).
    let components = scan.parts.iter().map(|part| part.component);
    let all = components.eq(0..frame.components.len());
    if !all || (scan.first, scan.last, scan.low) != (0, AREA - 1, 0) {
        return Err(Fault::Scan);
    }
    let pair = |part: &Part| (part.differences, part.coefficients);
    // Both chroma components usually share their tables, which then occupy less of the first-level
    // cache.
    let mut pairs: Vec<_> = scan.parts.iter().map(pair).collect();
    pairs.dedup();
    let lookups = |&(differences, coefficients): &(usize, usize)| {
        Ok(Lookups {
            differences: Symbols::new(tables.differences(differences)?),
            coefficients: Coefficients::new(tables.coefficients(coefficients)?),
        })
    };
    let lookups: Vec<_> = pairs.iter().map(lookups).collect::<Result<_, _>>()?;
    let mut works = Vec::new();
    for (part, plane) in scan.parts.iter().zip(planes) {
        let component = &frame.components[part.component];
        works.push(Work {
            plane,
            scale: match part.component {
                0 => tables.scale::<N>(component)?,
                _ => tables.scale::<C>(component)?,
            },
            across: component.across,
            down: component.down,
            lookups: &lookups[pairs.iter().position(|of| *of == pair(part)).unwrap_or(0)],
            predicted: 0,
            values: [0; VALUES],
        });
    }
    let (mut across, mut down) = frame.sampling();
    if let [only] = works.as_mut_slice() {
        // A single component is coded block by block (T.81, A.2.2).
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
                data.restart(at, restarts)?;
                at = 0;
                left = interval;
                for work in &mut works {
                    work.predicted = 0;
                }
            }
            let until = columns.min(column.saturating_add(left));
            left -= until - column;
            at = mcus::<N, C>(data.bits(at), &mut works, row, column..until)?;
            column = until;
        }
    }
    data.after(at)
}

/// Decodes consecutive MCUs.
fn mcus<const N: usize, const C: usize>(
    mut bits: Bits<'_>,
    works: &mut [Work<'_, '_>],
    row: usize,
    columns: Range<usize>,
) -> Result<usize, Fault> {
    for column in columns {
        let [brightness, colors @ ..] = &mut *works else {
            break;
        };
        brightness.blocks::<N>(&mut bits, (column, row))?;
        for color in colors {
            color.blocks::<C>(&mut bits, (column, row))?;
        }
    }
    if bits.overdrawn() {
        return Err(Fault::Short);
    }
    Ok(bits.at)
}

impl Work<'_, '_> {
    /// Decodes the blocks of an MCU.
    #[inline(always)]
    fn blocks<const N: usize>(
        &mut self,
        bits: &mut Bits<'_>,
        (column, row): (usize, usize),
    ) -> Result<(), Fault> {
        for y in row * self.down..(row + 1) * self.down {
            for x in column * self.across..(column + 1) * self.across {
                self.read::<N>(bits)?;
                self.put::<N>((x, y));
            }
        }
        Ok(())
    }

    /// Reads the coefficients of a block.
    #[inline(always)]
    fn read<const N: usize>(&mut self, bits: &mut Bits<'_>) -> Result<(), Fault> {
        let last = dct::last::<N>();
        self.values[1..=last].fill(0);
        let Lookups {
            differences,
            coefficients,
        } = self.lookups;
        let difference = bits.block(differences, coefficients, last as u8, &mut self.values)?;
        self.predicted = self.predicted.wrapping_add(difference);
        self.values[0] = self.predicted as i16;
        Ok(())
    }

    /// Stores the samples of the block that was read.
    #[inline(always)]
    fn put<const N: usize>(&mut self, place: (usize, usize)) {
        let samples = match N {
            1 => dct::flat(&self.scale, self.predicted),
            _ => dct::inverse::<N>(&self.scale, |row, column| {
                self.values[dct::index_at(row, column)]
            }),
        };
        self.plane.put::<N>(place, &samples);
    }
}
