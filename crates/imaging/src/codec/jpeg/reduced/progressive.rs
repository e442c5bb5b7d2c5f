//! Decodes progressive pictures (T.81, annex G), whose scans refine the coefficients of all blocks.
//!
//! Only the required coefficients are kept. For the others, one bit records whether they are zero,
//! because a refinement scan has a correction bit for each non-zero coefficient; those bits are
//! skipped.

use crate::codec::jpeg::frame::{Component, Frame};
use crate::codec::jpeg::spec::AREA;

use super::bits::{self, Bits, Data};
use super::dct::{self, Scale};
use super::fault::Fault;
use super::huffman::Symbols;
use super::plane::Plane;
use super::scan::{Part, Scan, Tables};

/// The number of values kept per block, for one to four samples per side: rows of four.
pub(crate) const KEPT: [usize; 4] = [1, 8, 12, 16];

/// The maximum number of bytes of a DC coefficient in a scan: a code of 16 bits, and as many extra
/// bits (T.81, F.1.2.1).
pub(crate) const FIRST_BYTES: usize = 4;

const fn kept<const N: usize>() -> usize {
    KEPT[N - 1]
}

/// The blocks of a component, including those that pad its MCUs.
#[derive(Debug)]
struct Blocks {
    columns: usize,
    /// Columns and rows that belong to the picture; a scan of a single component has no others.
    own: (usize, usize),
    /// The number of values kept per block.
    kept: usize,
    values: Vec<i16>,
    /// For each block, a bit for each non-zero coefficient.
    nonzero: Vec<u64>,
}

/// The required coefficients of a picture, for `N` × `N` luma samples and `C` × `C` chroma samples
/// per block.
#[derive(Debug)]
pub(super) struct CoefficientStore<const N: usize, const C: usize> {
    components: Vec<Blocks>,
    /// Columns and rows of MCUs.
    mcus: (usize, usize),
    sampling: Vec<(usize, usize)>,
}

/// The block that is being decoded.
struct Target<'a> {
    values: &'a mut [i16],
    nonzero: &'a mut u64,
}

impl Target<'_> {
    /// Sets a coefficient that was zero.
    #[inline(always)]
    fn set<const N: usize>(&mut self, index: usize, value: i32) {
        *self.nonzero |= 1 << index;
        if index <= dct::last::<N>()
            && let Some(kept) = self.values.get_mut(usize::from(dct::places::<N>()[index]))
        {
            *kept = value as i16;
        }
    }
}

impl<const N: usize, const C: usize> CoefficientStore<N, C> {
    pub(super) fn new(frame: &Frame) -> Self {
        let (across, down) = frame.sampling();
        let mcus = frame.mcus();
        let blocks = |(index, component): (usize, &Component)| {
            let kept = if index == 0 { kept::<N>() } else { kept::<C>() };
            let (columns, rows) = (mcus.0 * component.across, mcus.1 * component.down);
            Blocks {
                columns,
                own: (
                    (frame.width * component.across).div_ceil(8 * across),
                    (frame.height * component.down).div_ceil(8 * down),
                ),
                kept,
                values: vec![0; columns * rows * kept],
                nonzero: vec![0; columns * rows],
            }
        };
        let sampling = |component: &Component| (component.across, component.down);
        Self {
            components: frame.components.iter().enumerate().map(blocks).collect(),
            mcus,
            sampling: frame.components.iter().map(sampling).collect(),
        }
    }

    /// Decodes the scan at the start of `data`. Returns what follows it.
    pub(super) fn scan<'d>(
        &mut self,
        data: &'d [u8],
        scan: &Scan,
        tables: &Tables,
    ) -> Result<&'d [u8], Fault> {
        let in_order = scan.first <= scan.last && scan.last < AREA && scan.low < 14;
        if !in_order || (scan.first == 0) != (scan.last == 0) {
            return Err(Fault::Scan);
        }
        if scan.first == 0 {
            return self.first_coefficients(data, scan, tables);
        }
        let [part] = scan.parts.as_slice() else {
            return Err(Fault::Scan);
        };
        let blocks = &mut self.components[part.component];
        match part.component {
            0 => blocks.scan::<N>(data, scan, part, tables),
            _ => blocks.scan::<C>(data, scan, part, tables),
        }
    }

    fn first_coefficients<'d>(
        &mut self,
        data: &'d [u8],
        scan: &Scan,
        tables: &Tables,
    ) -> Result<&'d [u8], Fault> {
        let symbols: Vec<_> = match scan.high {
            0 => {
                let table = |part: &Part| tables.differences(part.differences).map(Symbols::new);
                scan.parts.iter().map(table).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let mut predicted = vec![0_i32; scan.parts.len()];
        let (columns, rows) = match scan.parts.as_slice() {
            [only] => self.components[only.component].own,
            _ => self.mcus,
        };
        let alone = scan.parts.len() == 1;
        let blocks: usize = self.components.iter().map(|of| of.nonzero.len()).sum();
        let mut data = Data::read_most(data, blocks * FIRST_BYTES);
        let mut at = 0;
        let interval = tables.interval();
        let (mut left, mut restarts) = (interval, 0);
        for row in 0..rows {
            for column in 0..columns {
                if left == 0 {
                    restarts += 1;
                    data.restart(at, restarts)?;
                    at = 0;
                    left = interval;
                    predicted.fill(0);
                }
                left -= 1;
                let mut bits = data.bits(at);
                for (index, part) in scan.parts.iter().enumerate() {
                    let (across, down) = match alone {
                        true => (1, 1),
                        false => self.sampling[part.component],
                    };
                    let component = &mut self.components[part.component];
                    for y in row * down..(row + 1) * down {
                        for x in column * across..(column + 1) * across {
                            let block = y * component.columns + x;
                            let value = &mut component.values[block * component.kept];
                            if let Some(symbols) = symbols.get(index) {
                                let (_, difference) = bits.coefficient(symbols)?;
                                predicted[index] = predicted[index].wrapping_add(difference);
                                *value = (predicted[index] << scan.low) as i16;
                            } else if bits.bits(1) == 1 {
                                *value |= 1 << scan.low;
                            }
                        }
                    }
                }
                at = bits.at;
            }
            if data.bits(at).overdrawn() {
                return Err(Fault::Short);
            }
        }
        data.after(at)
    }

    /// Transforms all blocks.
    pub(super) fn transform(
        &self,
        frame: &Frame,
        tables: &Tables,
        planes: &mut [Plane<'_>],
    ) -> Result<(), Fault> {
        let components = frame.components.iter().zip(planes);
        for (index, (blocks, (component, plane))) in
            self.components.iter().zip(components).enumerate()
        {
            match index {
                0 => blocks.transform::<N>(&tables.scale::<N>(component)?, plane),
                _ => blocks.transform::<C>(&tables.scale::<C>(component)?, plane),
            }
        }
        Ok(())
    }
}

impl Blocks {
    /// Decodes an AC scan. Returns what follows it.
    fn scan<'d, const N: usize>(
        &mut self,
        data: &'d [u8],
        scan: &Scan,
        part: &Part,
        tables: &Tables,
    ) -> Result<&'d [u8], Fault> {
        // With one sample per block, AC coefficients are not required.
        if N == 1 {
            return Ok(bits::after_scan(data));
        }
        let symbols = Symbols::new(tables.coefficients(part.coefficients)?);
        let mut data = Data::read(data);
        let interval = tables.interval();
        let mut at = 0;
        let (mut left, mut restarts) = (interval, 0);
        // The number of following blocks without new coefficients in this scan (the end-of-band
        // run).
        let mut empty = 0;
        for row in 0..self.own.1 {
            for column in 0..self.own.0 {
                if left == 0 {
                    restarts += 1;
                    data.restart(at, restarts)?;
                    at = 0;
                    left = interval;
                    empty = 0;
                }
                left -= 1;
                if scan.high == 0 && empty > 0 {
                    empty -= 1;
                    continue;
                }
                let index = row * self.columns + column;
                let target = Target {
                    values: &mut self.values[index * kept::<N>()..][..kept::<N>()],
                    nonzero: &mut self.nonzero[index],
                };
                let mut bits = data.bits(at);
                empty = match scan.high {
                    0 => first_pass::<N>(&mut bits, &symbols, scan, target)?,
                    _ => refine::<N>(&mut bits, &symbols, scan, target, empty)?,
                };
                at = bits.at;
            }
            if data.bits(at).overdrawn() {
                return Err(Fault::Short);
            }
        }
        data.after(at)
    }

    fn transform<const N: usize>(&self, scale: &Scale, plane: &mut Plane<'_>) {
        for (index, values) in self.values.chunks_exact(kept::<N>()).enumerate() {
            let place = (index % self.columns, index / self.columns);
            let samples = if N == 1 || self.nonzero[index] == 0 {
                dct::flat(scale, values[0].into())
            } else {
                dct::inverse::<N>(scale, |row, column| values[row * 4 + column])
            };
            plane.put::<N>(place, &samples);
        }
    }
}

/// Reads the upper bits of a block's coefficients (G.1.2.2). Returns the end-of-band run after it.
#[inline(always)]
fn first_pass<const N: usize>(
    bits: &mut Bits<'_>,
    symbols: &Symbols,
    scan: &Scan,
    mut target: Target<'_>,
) -> Result<u32, Fault> {
    let mut index = scan.first;
    while index <= scan.last {
        let (symbol, value) = bits.coefficient(symbols)?;
        let run = usize::from(symbol >> 4);
        if symbol & 15 != 0 {
            index += run;
            if index > scan.last {
                return Err(Fault::Block);
            }
            target.set::<N>(index, value << scan.low);
            index += 1;
        } else if run == 15 {
            index += 16;
        } else {
            return Ok((1 << run) - 1 + bits.bits(run as u32));
        }
    }
    Ok(0)
}

/// Reads one more bit of a block's coefficients (G.1.2.3). `empty` is the end-of-band run, counted
/// from this block. Returns the run after it.
#[inline(always)]
fn refine<const N: usize>(
    bits: &mut Bits<'_>,
    symbols: &Symbols,
    scan: &Scan,
    mut target: Target<'_>,
    mut empty: u32,
) -> Result<u32, Fault> {
    let step = 1 << scan.low;
    let mut index = scan.first;
    while empty == 0 && index <= scan.last {
        let (symbol, next) = bits.symbol(symbols)?;
        let run = u32::from(symbol >> 4);
        let new = match symbol & 15 {
            0 if run < 15 => {
                empty = (1 << run) + bits.bits(run);
                break;
            }
            0 => 0,
            1 => {
                bits.at += 1;
                if next >> 63 == 1 { step } else { -step }
            }
            _ => return Err(Fault::Code),
        };
        let to = zero_after(*target.nonzero, index, run).min(scan.last + 1);
        correct::<N>(bits, &mut target, index..to, step);
        if new != 0 {
            if to > scan.last {
                return Err(Fault::Block);
            }
            target.set::<N>(to, new);
        }
        index = to + 1;
    }
    if empty > 0 {
        correct::<N>(bits, &mut target, index..scan.last + 1, step);
        empty -= 1;
    }
    Ok(empty)
}

/// The index of the zero coefficient after `run` other ones; 64 if there are fewer.
#[inline(always)]
fn zero_after(nonzero: u64, index: usize, run: u32) -> usize {
    let mut zeros = !nonzero >> index << index;
    for _ in 0..run {
        zeros &= zeros.wrapping_sub(1);
    }
    zeros.trailing_zeros() as usize
}

/// Reads a correction bit for each non-zero coefficient in a range: whether it grows by `step`.
#[inline(always)]
fn correct<const N: usize>(
    bits: &mut Bits<'_>,
    target: &mut Target<'_>,
    range: std::ops::Range<usize>,
    step: i32,
) {
    if range.is_empty() {
        return;
    }
    let within = (*target.nonzero >> range.start << range.start) & (u64::MAX >> (64 - range.end));
    let mut left = within & const { (2 << dct::last::<N>()) - 1 };
    let mut grows = if left == 0 { 0 } else { bits.window() };
    bits.at += within.count_ones() as usize;
    while left != 0 {
        let place = usize::from(dct::places::<N>()[left.trailing_zeros() as usize]);
        if let Some(kept) = target.values.get_mut(place)
            && grows >> 63 == 1
            && i32::from(*kept) & step == 0
        {
            *kept = kept.wrapping_add(step as i16 * kept.signum());
        }
        grows <<= 1;
        left &= left - 1;
    }
}
