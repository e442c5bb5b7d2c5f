//! The tokens of a quantized picture: symbols with their extra bits, ready to be written (T.81,
//! F.1.2).

use super::dct::Block;
use super::huffman::{Code, SYMBOLS};

/// Huffman tables: DC and AC, for luma and for chroma.
pub(crate) const TABLES: usize = 4;
/// The symbols for sixteen zeros (ZRL) and for the end of a block.
const ZEROS: u32 = 0xf0;
const END: u32 = 0;
/// The maximum number of tokens per block.
const TOKENS_OF_BLOCK: usize = 64;

/// Symbols and their extra bits, in order.
///
/// A token contains, from the lowest bit: 16 extra bits, the symbol, and the number of its table.
/// The symbol gives the number of extra bits in use. A table number of [`TABLES`] stands for bits
/// without a symbol, whose number is in its place.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokens: Vec<u32>,
    counts: [[u32; SYMBOLS]; TABLES],
    /// The maximum number of tokens of a row of MCUs.
    of_row: usize,
}

impl Tokens {
    /// Reserves room for a number of tokens, but at least for two rows of a number of blocks.
    /// Unused room is never touched.
    pub(crate) fn with_room_for(tokens: usize, blocks: usize) -> Self {
        let of_row = blocks * TOKENS_OF_BLOCK;
        Self {
            tokens: Vec::with_capacity(tokens.max(2 * of_row)),
            counts: [[0; SYMBOLS]; TABLES],
            of_row,
        }
    }

    /// The number of bits that belong to no symbol.
    pub(crate) fn plain_bits(&self) -> u32 {
        let plain = self
            .tokens
            .iter()
            .filter(|token| **token >> 24 == TABLES as u32);
        plain.map(|token| token >> 16 & 0xff).sum()
    }

    /// Whether there is room for another row that is kept and one that is only counted.
    pub(crate) fn have_room(&self) -> bool {
        self.tokens.capacity() - self.tokens.len() >= 2 * self.of_row
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Removes the last tokens, which remain counted.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
    }

    /// The count of each symbol in each table.
    pub(crate) fn counts(&self) -> &[[u32; SYMBOLS]; TABLES] {
        &self.counts
    }

    /// Adds a symbol with its extra bits.
    #[inline(always)]
    pub(crate) fn push(&mut self, table: usize, symbol: u32, bits: u32) {
        let token = self.count(table, symbol, bits);
        self.tokens.push(token);
    }

    /// Adds up to 16 bits that belong to no symbol.
    pub(crate) fn push_bits(&mut self, count: u32, bits: u32) {
        self.tokens.push((TABLES as u32) << 24 | count << 16 | bits);
    }

    #[inline(always)]
    fn count(&mut self, table: usize, symbol: u32, bits: u32) -> u32 {
        self.counts[table][symbol as usize % SYMBOLS] += 1;
        (table as u32) << 24 | symbol << 16 | bits
    }

    /// Adds a block of luma (`kind` 0) or chroma (1). `difference` is the difference of its DC
    /// coefficient to that of the previous block.
    #[inline(always)]
    pub(crate) fn add(&mut self, kind: usize, difference: i16, block: &Block) {
        let table = 2 * kind + 1;
        let mut tokens = [0; 64];
        let (size, bits) = sized(difference);
        tokens[0] = self.count(2 * kind, size, bits);
        let mut length = 1;
        let mut push = |token| {
            tokens[length % 64] = token;
            length += 1;
        };
        let mut nonzero = block.nonzero();
        let mut next = 1;
        while nonzero != 0 {
            let index = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut run = index - next;
            next = index + 1;
            while run > 15 {
                push(self.count(table, ZEROS, 0));
                run -= 16;
            }
            let (size, bits) = sized(block.at(index));
            push(self.count(table, run << 4 | size, bits));
        }
        if next < 64 {
            push(self.count(table, END, 0));
        }
        self.tokens.extend_from_slice(&tokens[..length]);
    }

    /// Adds a block with the DC coefficient of the previous block and no AC coefficients.
    pub(crate) fn add_flat(&mut self, kind: usize) {
        let tokens = [self.count(2 * kind, 0, 0), self.count(2 * kind + 1, END, 0)];
        self.tokens.extend(tokens);
    }
}

/// Writes tokens with one Huffman code per table.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    /// For each table and symbol: the code, shifted left by the number of its extra bits, and the
    /// total number of bits.
    codes: [(u32, u32); (TABLES + 1) * SYMBOLS],
    /// The bits that do not fill 32 yet, right-aligned.
    waiting: u64,
    count: u32,
    target: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        codes: &[Code],
        counts: &[[u32; SYMBOLS]; TABLES],
        target: &'a mut Vec<u8>,
    ) -> Self {
        let mut all = [(0, 0); (TABLES + 1) * SYMBOLS];
        let mut bits = 0;
        for (number, code) in codes.iter().enumerate() {
            for (symbol, (code, length)) in (0..).zip(code.codes()) {
                let size = extra_bits(symbol);
                bits += u64::from(counts[number][symbol as usize]) * u64::from(length + size);
                all[number * SYMBOLS + symbol as usize] = (code << size, length + size);
            }
        }
        for (length, entry) in (0..=16).zip(&mut all[TABLES * SYMBOLS..]) {
            *entry = (0, length);
        }
        // A byte of ones takes two bytes; few pictures have more of them than this.
        target.reserve((bits / 8 + bits / 256) as usize + 16);
        Self {
            codes: all,
            waiting: 0,
            count: 0,
            target,
        }
    }

    pub(crate) fn write(&mut self, tokens: &Tokens) {
        let (mut waiting, mut count) = (self.waiting, self.count);
        for token in &tokens.tokens {
            let (code, length) = self.codes[(token >> 16) as usize % ((TABLES + 1) * SYMBOLS)];
            waiting = waiting << length | u64::from(code | token & 0xffff);
            count += length;
            if count >= 32 {
                count -= 32;
                put((waiting >> count) as u32, self.target);
            }
        }
        (self.waiting, self.count) = (waiting, count);
    }

    /// Writes the remaining bits, padded with ones to a whole byte.
    pub(crate) fn finish(mut self) {
        let fill = self.count.wrapping_neg() % 8;
        self.waiting = self.waiting << fill | ((1 << fill) - 1);
        self.count += fill;
        while self.count > 0 {
            self.count -= 8;
            put_byte((self.waiting >> self.count) as u8, self.target);
        }
    }
}

/// The number of extra bits of a symbol. Its lower half gives them, but for the end of several
/// blocks, where the upper half does (T.81, table G.1).
pub(crate) fn extra_bits(symbol: u32) -> u32 {
    match (symbol >> 4, symbol & 15) {
        (15, size) => size,
        (blocks, 0) => blocks,
        (_, size) => size,
    }
}

/// The number of bits of a value, and those bits. Negative values are decremented, so that their
/// bits start with 0.
#[inline(always)]
pub(crate) fn sized(value: i16) -> (u32, u32) {
    let size = ((2 * u32::from(value.unsigned_abs())) | 1).ilog2();
    let bits = i32::from(value) + i32::from(value >> 15);
    (size, bits.cast_unsigned() & ((1 << size) - 1))
}

#[inline(always)]
fn put(word: u32, target: &mut Vec<u8>) {
    let bytes = word.to_be_bytes();
    // Detects a byte of ones in the word: its complement borrows.
    if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
        target.extend_from_slice(&bytes);
    } else {
        for byte in bytes {
            put_byte(byte, target);
        }
    }
}

/// Writes a byte. A byte of ones is followed by a stuffed zero, which distinguishes it from a
/// marker (T.81, B.1.1.5).
fn put_byte(byte: u8, target: &mut Vec<u8>) {
    target.push(byte);
    if byte == 0xff {
        target.push(0);
    }
}
