//! What is left to be written of a picture once it is quantized (T.81, F.1.2).

use super::dct::Block;
use super::huffman::{Code, SYMBOLS};

/// Tables of codes: of first coefficients and of the others, for brightness and for colour.
pub(super) const TABLES: usize = 4;
/// Sixteen zeros, and nothing but zeros up to the end.
const ZEROS: u32 = 0xf0;
const END: u32 = 0;
/// What a block has at most.
const TOKENS_OF_BLOCK: usize = 64;

/// Symbols and the bits behind them, in order.
///
/// A token holds, from below: 16 bits that follow the code, the symbol, the number of its table.
/// The lower half of a symbol tells how many of those bits are meant.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<u32>,
    counts: [[u32; SYMBOLS]; TABLES],
    /// Tokens that a row of MCUs may have.
    of_row: usize,
}

impl Tokens {
    /// For so many tokens, but at least two rows of so many blocks. Room that is not needed is
    /// never touched.
    pub(super) fn with_room_for(tokens: usize, blocks: usize) -> Self {
        let of_row = blocks * TOKENS_OF_BLOCK;
        Self {
            tokens: Vec::with_capacity(tokens.max(2 * of_row)),
            counts: [[0; SYMBOLS]; TABLES],
            of_row,
        }
    }

    /// Whether a row that is kept leaves enough for one that is only counted.
    pub(super) fn have_room(&self) -> bool {
        self.tokens.capacity() - self.tokens.len() >= 2 * self.of_row
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Drops the last tokens; they stay counted.
    pub(super) fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
    }

    /// How often each symbol of each table comes.
    pub(super) fn counts(&self) -> &[[u32; SYMBOLS]; TABLES] {
        &self.counts
    }

    #[inline(always)]
    fn count(&mut self, table: usize, symbol: u32, bits: u32) -> u32 {
        self.counts[table][symbol as usize % SYMBOLS] += 1;
        (table as u32) << 24 | symbol << 16 | bits
    }

    /// A block of brightness (`kind` 0) or colour (1), whose first coefficient differs by
    /// `difference` from the one before.
    #[inline(always)]
    pub(super) fn add(&mut self, kind: usize, difference: i16, block: &Block) {
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

    /// A block like the one before, without any difference inside.
    pub(super) fn add_flat(&mut self, kind: usize) {
        let tokens = [self.count(2 * kind, 0, 0), self.count(2 * kind + 1, END, 0)];
        self.tokens.extend(tokens);
    }
}

/// Writes tokens by a code for each table.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    /// For each table and symbol the code, moved up to make room for the bits behind it, and how
    /// many bits both have.
    codes: [(u32, u32); TABLES * SYMBOLS],
    /// Bits that do not make 32 yet, in the lowest places.
    waiting: u64,
    count: u32,
    target: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        codes: &[Code],
        counts: &[[u32; SYMBOLS]; TABLES],
        target: &'a mut Vec<u8>,
    ) -> Self {
        let mut all = [(0, 0); TABLES * SYMBOLS];
        let mut bits = 0;
        for (number, code) in codes.iter().enumerate() {
            for (symbol, (code, length)) in (0..).zip(code.codes()) {
                let size = symbol & 15;
                bits += u64::from(counts[number][symbol as usize]) * u64::from(length + size);
                all[number * SYMBOLS + symbol as usize] = (code << size, length + size);
            }
        }
        // Bytes of ones take one more; few pictures have more of them than this.
        target.reserve((bits / 8 + bits / 256) as usize + 16);
        Self {
            codes: all,
            waiting: 0,
            count: 0,
            target,
        }
    }

    pub(super) fn write(&mut self, tokens: &Tokens) {
        let (mut waiting, mut count) = (self.waiting, self.count);
        for token in &tokens.tokens {
            let (code, length) = self.codes[(token >> 16) as usize % (TABLES * SYMBOLS)];
            waiting = waiting << length | u64::from(code | token & 0xffff);
            count += length;
            if count >= 32 {
                count -= 32;
                put((waiting >> count) as u32, self.target);
            }
        }
        (self.waiting, self.count) = (waiting, count);
    }

    /// Writes what is waiting, and ones up to a whole byte.
    pub(super) fn finish(mut self) {
        let fill = self.count.wrapping_neg() % 8;
        self.waiting = self.waiting << fill | ((1 << fill) - 1);
        self.count += fill;
        while self.count > 0 {
            self.count -= 8;
            put_byte((self.waiting >> self.count) as u8, self.target);
        }
    }
}

/// How many bits a value has, and these bits: negative ones are less by one, so that they begin
/// with 0.
#[inline(always)]
fn sized(value: i16) -> (u32, u32) {
    let size = ((2 * u32::from(value.unsigned_abs())) | 1).ilog2();
    let bits = i32::from(value) + i32::from(value >> 15);
    (size, bits.cast_unsigned() & ((1 << size) - 1))
}

#[inline(always)]
fn put(word: u32, target: &mut Vec<u8>) {
    let bytes = word.to_be_bytes();
    // Whether a byte of the word has all bits set: then its complement borrows.
    if (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
        target.extend_from_slice(&bytes);
    } else {
        for byte in bytes {
            put_byte(byte, target);
        }
    }
}

/// A byte, and behind one of ones the zero that tells it from a marker (T.81, B.1.1.5).
fn put_byte(byte: u8, target: &mut Vec<u8>) {
    target.push(byte);
    if byte == 0xff {
        target.push(0);
    }
}
