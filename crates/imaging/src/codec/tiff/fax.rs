//! Fax data in TIFF (ITU-T T.4 and T.6; TIFF 6.0, sections 10 and 11). The codes are those of the
//! `fax` crate.

use fax::BitReader;
use fax::maps::{Mode, black, mode, white};

use super::kind::Fax;

/// The widest row: its runs are counted in 16 bits.
pub(super) const MAX_WIDTH: u32 = u16::MAX as u32;

/// Decodes `rows` rows of `width` pixels, one bit each. Black is 1.
///
/// # Errors
///
/// If the data is damaged or cut short.
pub(super) fn decode(data: &[u8], kind: Fax, width: u16, rows: usize) -> Result<Vec<u8>, String> {
    let mut lines = Lines {
        bits: Bits { bytes: data, at: 0 },
        width,
        above: Vec::new(),
        line: Vec::new(),
        cursor: 0,
    };
    let row_bytes = usize::from(width).div_ceil(8);
    let mut packed = vec![0; row_bytes * rows];
    for row in packed.chunks_exact_mut(row_bytes) {
        match lines.next(kind)? {
            Row::Line => draw(&lines.line, row, width),
            // What follows the end is white.
            Row::End => break,
        }
        std::mem::swap(&mut lines.above, &mut lines.line);
    }
    Ok(packed)
}

/// Sets the black pixels: those between each change to black and the next one.
fn draw(changes: &[u16], row: &mut [u8], width: u16) {
    for pair in changes.chunks(2) {
        let end = pair.get(1).copied().unwrap_or(width).min(width);
        for x in pair[0]..end {
            row[usize::from(x / 8)] |= 0x80 >> (x % 8);
        }
    }
}

/// A position in the data, after which zeros follow.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}

impl BitReader for Bits<'_> {
    type Error = std::convert::Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        let byte = |index: usize| u32::from(*self.bytes.get(self.at / 8 + index).unwrap_or(&0));
        let three = byte(0) << 16 | byte(1) << 8 | byte(2);
        let shifted = three << (8 + self.at % 8) >> 16;
        (bits <= 16).then(|| (shifted >> (16 - u32::from(bits))) as u16)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Self::Error> {
        self.at += usize::from(bits);
        Ok(())
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        (self.at.next_multiple_of(8) - self.at) as u8
    }
}

enum Row {
    Line,
    End,
}

struct Lines<'a> {
    bits: Bits<'a>,
    width: u16,
    /// The places where the colour changes in the row above, and in this one; first to black.
    above: Vec<u16>,
    line: Vec<u16>,
    /// The change in the row above that was looked at last.
    cursor: usize,
}

impl Lines<'_> {
    fn next(&mut self, kind: Fax) -> Result<Row, String> {
        self.line.clear();
        self.cursor = 0;
        let row = match kind {
            Fax::Rows { unit_bits } => {
                self.one_dimensional()?;
                self.bits.at = self.bits.at.next_multiple_of(unit_bits.into());
                Row::Line
            }
            Fax::Group3 { is_two_dimensional } => {
                let ends = self.skip_ends(is_two_dimensional);
                if ends >= 2 {
                    return Ok(Row::End);
                }
                // A bit after each end of a line tells the kind of the next one.
                if is_two_dimensional && ends == 1 && !self.flag() {
                    self.two_dimensional()?
                } else {
                    self.one_dimensional()?;
                    Row::Line
                }
            }
            Fax::Group4 => self.two_dimensional()?,
        };
        // The last row or word may be padded.
        match self.bits.at > self.bits.bytes.len().next_multiple_of(2) * 8 {
            true => Err(damaged()),
            false => Ok(row),
        }
    }

    /// Skips end-of-line codes and the zeros that fill them up, and counts them: several are the end
    /// of the data.
    fn skip_ends(&mut self, is_two_dimensional: bool) -> u32 {
        let end = self.bits.bytes.len() * 8;
        let mut ends = 0;
        loop {
            // The bit between two of these codes.
            if is_two_dimensional && ends > 0 && self.bits.peek(12) == Some(0x800) {
                self.bits.at += 1;
            }
            // No other code begins with as many zeros.
            if self.bits.peek(11) != Some(0) || self.bits.at >= end {
                return ends;
            }
            while self.bits.peek(1) == Some(0) && self.bits.at < end {
                self.bits.at += 1;
            }
            self.bits.at += 1;
            ends += 1;
        }
    }

    fn flag(&mut self) -> bool {
        let is_set = self.bits.peek(1) == Some(1);
        self.bits.at += 1;
        is_set
    }

    /// A run of one colour.
    fn run(&mut self, is_black: bool) -> Result<u16, String> {
        let mut all = 0_u16;
        loop {
            let part = match is_black {
                true => black::decode(&mut self.bits),
                false => white::decode(&mut self.bits),
            };
            let part = part.ok_or_else(damaged)?;
            all = all.checked_add(part).ok_or_else(damaged)?;
            if part < 64 {
                return Ok(all);
            }
        }
    }

    fn one_dimensional(&mut self) -> Result<(), String> {
        let (mut at, mut is_black) = (0_u16, false);
        while at < self.width {
            at = self.add_run(at, is_black)?;
            is_black = !is_black;
        }
        Ok(())
    }

    /// Reads a run that begins at a place, and returns where it ends.
    fn add_run(&mut self, at: u16, is_black: bool) -> Result<u16, String> {
        let end = at.checked_add(self.run(is_black)?).ok_or_else(damaged)?;
        self.add(end)?;
        Ok(end)
    }

    /// Runs without pixels are no changes, but a row with more of them than pixels is damaged.
    fn add(&mut self, place: u16) -> Result<(), String> {
        if self.line.len() > 2 * usize::from(self.width) + 2 {
            return Err(damaged());
        }
        self.line.push(place);
        Ok(())
    }

    fn two_dimensional(&mut self) -> Result<Row, String> {
        let (mut at, mut is_black) = (0_u16, false);
        let mut is_start = true;
        while at < self.width {
            match mode::decode(&mut self.bits).ok_or_else(damaged)? {
                Mode::Pass => at = self.changes(at, is_black, is_start).1,
                Mode::Vertical(by) => {
                    let (above, _) = self.changes(at, is_black, is_start);
                    let to = i32::from(above) + i32::from(by);
                    let to = u16::try_from(to).ok().filter(|to| *to >= at);
                    at = to.ok_or_else(damaged)?;
                    self.add(at)?;
                    is_black = !is_black;
                }
                Mode::Horizontal => {
                    at = self.add_run(at, is_black)?;
                    at = self.add_run(at, !is_black)?;
                }
                Mode::EOF if is_start => return Ok(Row::End),
                Mode::EOF => return Err(damaged()),
                Mode::Extension => {
                    return Err("fax data without compression is not supported".to_owned());
                }
            }
            is_start = false;
        }
        Ok(Row::Line)
    }

    /// The first change to the other colour in the row above that is right of `at`, and the next.
    fn changes(&mut self, at: u16, is_black: bool, is_start: bool) -> (u16, u16) {
        let above = &self.above;
        let is_right = |place: u16| place > at || is_start;
        while self.cursor > 0 && is_right(above[self.cursor - 1]) {
            self.cursor -= 1;
        }
        while above
            .get(self.cursor)
            .is_some_and(|place| !is_right(*place))
        {
            self.cursor += 1;
        }
        // Even ones are changes to black.
        let first = match (self.cursor % 2 == 1) == is_black {
            true => self.cursor,
            false => self.cursor + 1,
        };
        let place = |index: usize| above.get(index).copied().unwrap_or(self.width);
        (
            place(first).min(self.width),
            place(first + 1).min(self.width),
        )
    }
}

fn damaged() -> String {
    "its fax data is damaged or cut short".to_owned()
}
