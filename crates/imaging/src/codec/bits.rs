//! Reads bits, the most significant bit of a byte first.

use std::borrow::Cow;

#[derive(Clone)]
pub(super) struct Bits<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            bytes: bytes.into(),
            at: 0,
        }
    }

    /// Reads a number of up to 32 bits.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }

    /// Reads one bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Reads an Exp-Golomb code (H.265, 9.2; AV1, 4.10.3) of up to 31 bits.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        let rest = (zeros < 32).then(|| self.take(zeros))??;
        Some((1 << zeros) - 1 + rest)
    }
}
