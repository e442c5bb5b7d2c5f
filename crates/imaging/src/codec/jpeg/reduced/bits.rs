//! Reads the bits of a scan and the coefficients coded in them.

use crate::codec::jpeg::segments::segment;
use crate::codec::jpeg::spec::HARMLESS_STRAY_BYTES;

use super::fault::Fault;
use super::huffman::{Coefficients, END, PAIR_BITS, SKIP_BITS, Step, Symbols, extend};

/// Bytes that are loaded at once.
const WINDOW: usize = 8;
/// The minimum number of bits in a window, at any offset.
const WINDOW_BITS: u32 = 57;

/// The size of a block's values in zigzag order, with room for meaningless ones after the last: the
/// end of a block counts as [`END`] coefficients.
pub(super) const VALUES: usize = 256;

/// The bits of a scan, or of the part between two restart markers.
#[derive(Debug)]
pub(super) struct Data<'a> {
    /// Without the stuffed zero after each 0xff (T.81, B.1.1.5), and padded with zeros at the end.
    bytes: Vec<u8>,
    /// The bytes between those and the marker. They are too many to belong to the picture.
    beyond: usize,
    /// The next marker and everything after it.
    rest: &'a [u8],
    /// The maximum number of bytes that are kept.
    most: usize,
}

impl<'a> Data<'a> {
    /// Reads up to the next marker.
    pub(super) fn read(rest: &'a [u8]) -> Self {
        Self::read_most(rest, rest.len())
    }

    /// Reads up to the next marker, but keeps at most `most` bytes.
    pub(super) fn read_most(rest: &'a [u8], most: usize) -> Self {
        let most = most.min(rest.len());
        // Unused room is never touched.
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

    /// The bits from position `at`.
    pub(super) fn bits(&self, at: usize) -> Bits<'_> {
        Bits {
            bytes: &self.bytes,
            at,
        }
    }

    /// Whether the end of the picture follows: then nothing can be lost.
    fn is_last(&self) -> bool {
        matches!(segment(self.rest), Ok((0xd9, ..)))
    }

    /// What follows the data, if the data's own bits end at `end`.
    pub(super) fn after(&self, end: usize) -> Result<&'a [u8], Fault> {
        let count = self.bytes.len() - WINDOW + self.beyond;
        let stray = count.checked_sub(end.div_ceil(8)).ok_or(Fault::Short)?;
        match stray > HARMLESS_STRAY_BYTES && !self.is_last() {
            true => Err(Fault::Stray(stray)),
            false => Ok(self.rest),
        }
    }

    /// Continues after the restart marker that ends the data. Its number, counted from 1, must be
    /// `number`.
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

/// A position in the bits. It is small and copied into loops, so that it stays in registers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The number of bits consumed.
    pub(super) at: usize,
}

impl Bits<'_> {
    /// The next bits, left-aligned; zeros after the end.
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

    /// Whether more bits were consumed than exist.
    pub(super) fn overdrawn(&self) -> bool {
        self.at > (self.bytes.len() - WINDOW) * 8
    }

    /// Reads one step, however long its code is.
    #[inline(always)]
    fn step(&mut self, table: &Coefficients) -> Result<Step, Fault> {
        let (step, taken) = table.step(self.window())?;
        self.at += taken as usize;
        Ok(step)
    }

    /// Reads up to 32 bits as a number.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: u32) -> u32 {
        let bits = self.window() >> 1 >> (63 - count);
        self.at += count as usize;
        bits as u32
    }

    /// Reads a symbol, and returns the bits that follow it.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Symbols) -> Result<(u8, u64), Fault> {
        let window = self.window();
        let (symbol, length) = table.find(window)?;
        self.at += length as usize;
        Ok((symbol, window << length))
    }

    /// Reads a symbol and the value that follows it.
    #[inline(always)]
    pub(super) fn coefficient(&mut self, table: &Symbols) -> Result<(u8, i32), Fault> {
        let window = self.window();
        let (symbol, length) = table.find(window)?;
        let size = u32::from(symbol & 15);
        self.at += (length + size) as usize;
        Ok((symbol, extend(window << length, size)))
    }

    /// Reads a block. Returns the difference of its DC coefficient to that of the previous block,
    /// stores the non-zero coefficients 1 to `last` in `values`, and skips those after `last`.
    ///
    /// `last` must be at most 31, so that a pair of steps that starts before it stays inside the
    /// block. Values stored after `last` are meaningless.
    #[inline(always)]
    pub(super) fn block(
        &mut self,
        differences: &Symbols,
        table: &Coefficients,
        last: u8,
        values: &mut [i16; VALUES],
    ) -> Result<i32, Fault> {
        // The rest of most windows is long enough for the first look-ups.
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

    /// Skips the coefficients after `index`.
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
        // Four bytes of data, one of them stuffed, followed by a marker.
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
        let mut long = vec![0; 3 * HARMLESS_STRAY_BYTES];
        let stray = Data::read_most(&long, 1).after(8).unwrap_err();
        assert!(matches!(stray, Fault::Stray(count) if count == long.len() - 1));
        // Any number is harmless at the end of the picture.
        long.extend([0xff, 0xff, 0xd9]);
        assert!(Data::read_most(&long, 1).after(8).is_ok());
        long.extend_from_within(..);
        long[3 * HARMLESS_STRAY_BYTES + 2] = 0xc4;
        assert!(Data::read_most(&long, 1).after(8).is_err());
    }
}
