//! Reads big-endian numbers from the front of a slice.

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    /// Reads a number of up to 8 bytes.
    pub(super) fn number(&mut self, size: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        let digits = digits.iter();
        Some(digits.fold(0_u64, |number, digit| number << 8 | u64::from(*digit)))
    }

    /// Reads a number of up to 4 bytes.
    pub(super) fn short(&mut self, size: usize) -> Option<u32> {
        self.number(size)?.try_into().ok()
    }

    /// Reads an item's number.
    pub(super) fn id(&mut self, has_two_bytes: bool) -> Option<u32> {
        self.short(if has_two_bytes { 2 } else { 4 })
    }

    /// Reads the version and the flags of a full box.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let head = self.short(4)?;
        Some(((head >> 24) as u8, head & 0xff_ffff))
    }
}
