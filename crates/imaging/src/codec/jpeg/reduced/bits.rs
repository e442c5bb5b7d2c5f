//! The bits of a scan.

use crate::codec::jpeg::spec::HARMLESS_STRAY_BYTES;

use super::fault::Fault;
use super::huffman::{Coefficients, END, PAIR_BITS, SKIP_BITS, Step, Symbols, extend};

/// Bytes that are looked at at once.
const WINDOW: usize = 8;
/// Bits that a window has at least, wherever it begins.
const WINDOW_BITS: u32 = 57;

/// Coefficients by the order of storage, and room for what is set behind them and has no meaning:
/// the end of a block counts as [`END`] coefficients.
pub(super) const VALUES: usize = 256;

/// The bits of a scan, or of what lies between two restart markers.
#[derive(Debug)]
pub(super) struct Data<'a> {
    /// Without the zero behind every 0xff (T.81, B.1.1.5), and with zeros at the end to be read in
    /// vain.
    bytes: Vec<u8>,
    /// Bytes between those and the marker, which are too many to belong to the picture.
    beyond: usize,
    /// The next marker and all behind it.
    rest: &'a [u8],
    /// How many bytes are kept.
    most: usize,
}

impl<'a> Data<'a> {
    /// Reads up to the next marker.
    pub(super) fn read(rest: &'a [u8]) -> Self {
        Self::read_most(rest, rest.len())
    }

    /// The same for data that needs `most` bytes at most.
    pub(super) fn read_most(rest: &'a [u8], most: usize) -> Self {
        let most = most.min(rest.len());
        // Room that is not needed is never touched.
        let mut data = Self {
            bytes: Vec::with_capacity(most + WINDOW),
            beyond: 0,
            rest,
            most,
        };
        data.refill();
        data
    }

    fn refill(&mut self) {
        self.bytes.clear();
        self.beyond = 0;
        loop {
            let length = memchr::memchr(0xff, self.rest).unwrap_or(self.rest.len());
            self.keep(&self.rest[..length]);
            self.rest = &self.rest[length..];
            match self.rest {
                [0xff, 0, after @ ..] => {
                    self.keep(&[0xff]);
                    self.rest = after;
                }
                _ => break,
            }
        }
        self.bytes.extend([0; WINDOW]);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most - self.bytes.len();
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.beyond += bytes.len() - kept;
    }

    /// The bits from one on.
    pub(super) fn bits(&self, at: usize) -> Bits<'_> {
        Bits {
            bytes: &self.bytes,
            at,
        }
    }

    /// What follows the data, if just the bits before `end` were its own.
    pub(super) fn after(&self, end: usize) -> Result<&'a [u8], Fault> {
        let count = self.bytes.len() - WINDOW + self.beyond;
        match count.checked_sub(end.div_ceil(8)) {
            None => Err(Fault::Short),
            Some(stray) if stray > HARMLESS_STRAY_BYTES as usize => Err(Fault::Stray(stray)),
            Some(_) => Ok(self.rest),
        }
    }

    /// Goes on behind the restart marker that ends the data, when it is the one of this number,
    /// counted from 1.
    pub(super) fn restart(&mut self, end: usize, number: usize) -> Result<(), Fault> {
        match self.after(end)? {
            [_, marker, rest @ ..] if usize::from(*marker) == 0xd0 + (number - 1) % 8 => {
                self.rest = rest;
                self.refill();
                Ok(())
            }
            _ => Err(Fault::Restart),
        }
    }
}

/// What follows a scan that is not read.
pub(super) fn after_scan(mut data: &[u8]) -> &[u8] {
    while let Some(distance) = memchr::memchr(0xff, data) {
        data = &data[distance..];
        match data {
            [_, 0 | 0xd0..=0xd7, after @ ..] => data = after,
            _ => return data,
        }
    }
    &[]
}

/// A place among bits. Small and copied to where it is used, so that it stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that were taken.
    pub(super) at: usize,
}

impl Bits<'_> {
    /// The next bits, uppermost first; zeros behind the end.
    #[inline(always)]
    pub(super) fn window(&self) -> u64 {
        let byte = self.at / 8;
        match self.bytes.get(byte..byte + WINDOW) {
            Some(bytes) => {
                u64::from_be_bytes(bytes.try_into().unwrap_or_default()) << (self.at % 8)
            }
            None => 0,
        }
    }

    /// Whether more bits were taken than there are.
    pub(super) fn overdrawn(&self) -> bool {
        self.at > (self.bytes.len() - WINDOW) * 8
    }

    /// One step of any length.
    #[inline(always)]
    fn step(&mut self, table: &Coefficients) -> Result<Step, Fault> {
        let (step, taken) = table.step(self.window())?;
        self.at += taken as usize;
        Ok(step)
    }

    /// The next bits as a number; at most 32.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: u32) -> u32 {
        let bits = self.window() >> 1 >> (63 - count);
        self.at += count as usize;
        bits as u32
    }

    /// A symbol and the bits that follow it.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Symbols) -> Result<(u8, u64), Fault> {
        let window = self.window();
        let (symbol, length) = table.find(window)?;
        self.at += length as usize;
        Ok((symbol, window << length))
    }

    /// A symbol and the value behind it.
    #[inline(always)]
    pub(super) fn coefficient(&mut self, table: &Symbols) -> Result<(u8, i32), Fault> {
        let window = self.window();
        let (symbol, length) = table.find(window)?;
        let size = u32::from(symbol & 15);
        self.at += (length + size) as usize;
        Ok((symbol, extend(window << length, size)))
    }

    /// Reads a block: gives the difference of its first coefficient to that of the block before,
    /// sets those of the coefficients 1 to `last` in `values` that are not zero, and passes over
    /// those behind.
    ///
    /// `last` must be at most 31, so that a pair that begins before it stays inside the block.
    /// What comes to be set behind `last` has no meaning.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        differences: &Symbols,
        table: &Coefficients,
        last: u8,
        values: &mut [i16; VALUES],
    ) -> Result<i32, Fault> {
        // What is left of most windows is enough for the first look-ups.
        const FIRST_LOOKS: u32 = 3;
        let mut window = self.window();
        let (symbol, length) = differences.find(window)?;
        let size = u32::from(symbol & 15);
        let difference = extend(window << length, size);
        window <<= length + size;
        self.at += (length + size) as usize;
        if length + size > WINDOW_BITS - FIRST_LOOKS * PAIR_BITS {
            window = self.window();
        }
        let mut index = 0_u8;
        let mut looks = FIRST_LOOKS;
        while index < last {
            for _ in 0..looks {
                let pair = table.pair(window);
                if pair.taken == 0 {
                    let step = self.step(table)?;
                    index += step.advance as u8;
                    values[usize::from(index)] = step.value as i16;
                    break;
                }
                window <<= pair.taken;
                self.at += usize::from(pair.taken);
                values[usize::from(index + pair.first_advance)] = pair.first_value;
                index += pair.advance;
                values[usize::from(index)] = pair.value;
                if index >= last {
                    break;
                }
            }
            window = self.window();
            looks = WINDOW_BITS / PAIR_BITS;
        }
        self.skip(table, index.into())?;
        Ok(difference)
    }

    /// Passes over the coefficients behind `index`.
    #[inline(always)]
    fn skip(&mut self, table: &Coefficients, mut index: usize) -> Result<(), Fault> {
        let mut window = 0;
        let mut left = 0;
        while index < 63 {
            if left < SKIP_BITS {
                window = self.window();
                left = WINDOW_BITS;
            }
            let skip = table.skip(window);
            let to = index + usize::from(skip.advance());
            if to >= 63 || skip.taken() == 0 {
                index += self.step(table)?.advance;
                left = 0;
                continue;
            }
            window <<= skip.taken();
            left = left.saturating_sub(skip.taken());
            self.at += skip.taken() as usize;
            if skip.ends() {
                return Ok(());
            }
            index = to;
        }
        if index == 63 || index >= END {
            Ok(())
        } else {
            Err(Fault::Block)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_still_counts() {
        // Four bytes of data, a stuffed one among them, up to the marker.
        let scan = [1, 0xff, 0, 3, 4, 0xff, 0xd9];
        for most in 0..6 {
            let data = Data::read_most(&scan, most);
            assert_eq!(data.bytes.len() - WINDOW, most.min(4));
            assert_eq!(
                data.after(32).ok(),
                Some(&scan[5..]),
                "{most} bytes are kept"
            );
            assert!(data.after(33).is_err());
        }
        let long = [0; 3 * HARMLESS_STRAY_BYTES as usize];
        let stray = Data::read_most(&long, 1).after(8).unwrap_err();
        assert!(matches!(stray, Fault::Stray(count) if count == long.len() - 1));
    }
}
