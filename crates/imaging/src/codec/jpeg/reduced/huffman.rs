//! Huffman codes (ITU-T T.81, annex C and F.2.2) and the look-up tables built from them.
//!
//! Decoding the codes takes most of a JPEG's time, so a table returns more than one code at once:
//! two codes with their values or, where coefficients are only skipped, as many as the looked-up
//! bits contain.

use crate::codec::jpeg::spec::LONGEST_CODE;

use super::fault::Fault;

/// The number of bits that index the tables of pairs, skips and single symbols. The parts of all
/// tables that a picture uses must fit into the processor's first-level cache.
pub(super) const PAIR_BITS: u32 = 10;
pub(super) const SKIP_BITS: u32 = 12;
const SYMBOL_BITS: u32 = 9;
/// The number of coefficients by which the end of a block advances: more than a block has.
pub(super) const END: usize = 128;

/// A Huffman table as a file defines it.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// The number of codes of each length.
    counts: [u8; LONGEST_CODE],
    /// The symbols, ordered by the length of their codes.
    symbols: Vec<u8>,
    /// For each length, the first code that is longer, left-aligned in 16 bits.
    ends: [u32; LONGEST_CODE + 1],
    /// For each length, the offset from a code to the index of its symbol.
    offsets: [i32; LONGEST_CODE + 1],
}

impl Codes {
    /// From the number of codes of each length and their symbols (T.81, annex C).
    pub(super) fn new(counts: [u8; LONGEST_CODE], symbols: &[u8]) -> Result<Self, String> {
        let mut codes = Self {
            counts,
            symbols: symbols.to_vec(),
            ends: [0; LONGEST_CODE + 1],
            offsets: [0; LONGEST_CODE + 1],
        };
        let (mut code, mut index) = (0_u32, 0_i32);
        for (length, count) in (1..).zip(counts.map(u32::from)) {
            codes.offsets[length] = index - code.cast_signed();
            code += count;
            index += count.cast_signed();
            if code > 1 << length {
                return Err("a Huffman table has too many codes".to_owned());
            }
            codes.ends[length] = code << (LONGEST_CODE - length);
            code <<= 1;
        }
        Ok(codes)
    }

    /// The symbol whose code starts the 16 bits, and the length of that code.
    fn symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (1..=LONGEST_CODE).find(|&length| next < self.ends[length])?;
        let code = (next >> (LONGEST_CODE - length)).cast_signed();
        let symbol = self.symbols.get((code + self.offsets[length]) as usize)?;
        Some((*symbol, length as u32))
    }

    /// For each index of this many bits: the code it starts with, if that code is complete.
    fn heads(&self, bits: u32) -> Vec<Head> {
        let entries = 1 << bits;
        let mut heads = vec![Head::default(); entries];
        let mut symbols = self.symbols.iter();
        let mut at = 0;
        for (length, count) in (1..=bits).zip(self.counts) {
            for symbol in symbols.by_ref().take(count.into()) {
                let end = at + (entries >> length);
                heads[at..end].fill(Head {
                    length: length as u8,
                    symbol: *symbol,
                });
                at = end;
            }
        }
        heads
    }
}

/// A code and its symbol: a step without its value.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// The length of the code in bits; 0 if it is longer than the index.
    length: u8,
    symbol: u8,
}

impl Head {
    fn size(self) -> u32 {
        u32::from(self.symbol & 15)
    }

    /// Bits of the code and of the value after it.
    fn bits(self) -> u32 {
        u32::from(self.length) + self.size()
    }
}

/// The number of coefficients to advance by, and the value of the last one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// 1 to 16, or [`END`].
    pub(super) advance: usize,
    pub(super) value: i32,
}

/// The look-up tables for AC coefficients.
#[derive(Clone, Debug)]
pub(super) struct Coefficients {
    symbols: Symbols,
    pairs: Box<[Pair; 1 << PAIR_BITS]>,
    skips: Box<[Skip; 1 << SKIP_BITS]>,
}

/// The next two steps; if the second one is not complete, the first one twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    /// The number of bits of both steps; 0 if not even the first one is complete.
    pub(super) taken: u8,
    pub(super) first_advance: u8,
    /// The number of coefficients of both steps.
    pub(super) advance: u8,
    pub(super) first_value: i16,
    pub(super) value: i16,
}

impl Pair {
    fn new(heads: &[Head], index: usize) -> Self {
        let bits = heads.len().ilog2();
        // The step after the first `before` bits, if it is complete: its bits, advance and value.
        let step = |before: u32| {
            let head = heads[(index << before) & (heads.len() - 1)];
            let window = (index as u64) << (64 - bits) << before << head.length;
            let value = extend(window, head.size()) as i16;
            let is_whole = head.length > 0 && before + head.bits() <= bits;
            is_whole.then(|| (head.bits(), advance(head.symbol), value))
        };
        let Some((taken, first_advance, value)) = step(0) else {
            return Self::default();
        };
        let pair = Self {
            taken: taken as u8,
            first_advance: first_advance as u8,
            advance: first_advance as u8,
            first_value: value,
            value,
        };
        match step(taken) {
            Some((more, advance, value)) if first_advance != END => Self {
                taken: (taken + more) as u8,
                advance: (first_advance + advance) as u8,
                value,
                ..pair
            },
            _ => pair,
        }
    }
}

/// All steps whose codes are complete in the index bits; the value of the last may extend beyond
/// them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip(u16);

impl Skip {
    // A shift uses six bits only, so no mask is needed.
    const ENDS: u16 = 1 << 6;

    fn new(taken: u32, advance: u16, ends: bool) -> Self {
        Self(advance << 7 | u16::from(ends) << 6 | taken as u16)
    }

    /// For each index of [`SKIP_BITS`]: the first code, plus the entry of a shorter table for the
    /// remaining bits.
    fn all(codes: &Codes) -> Vec<Self> {
        let heads = codes.heads(SKIP_BITS);
        let mut tables = vec![vec![Self::default()]];
        for bits in 1..=SKIP_BITS {
            let entry = |index: usize| {
                let head = heads[index << (SKIP_BITS - bits)];
                if head.length == 0 || u32::from(head.length) > bits {
                    return Self::default();
                }
                let advance = advance(head.symbol);
                if advance == END {
                    return Self::new(head.bits(), 0, true);
                }
                let left = bits.saturating_sub(head.bits());
                let rest = tables[left as usize][index & ((1 << left) - 1)];
                let taken = head.bits() + rest.taken();
                Self::new(taken, advance as u16 + rest.advance(), rest.ends())
            };
            let table = (0..1 << bits).map(entry).collect();
            tables.push(table);
        }
        tables.pop().unwrap_or_default()
    }

    /// The number of bits; 0 if not even one code is complete.
    pub(super) fn taken(self) -> u32 {
        u32::from(self.0 & 63)
    }

    pub(super) fn ends(self) -> bool {
        self.0 & Self::ENDS != 0
    }

    pub(super) fn advance(self) -> u16 {
        self.0 >> 7
    }
}

impl Coefficients {
    pub(super) fn new(codes: &Codes) -> Self {
        let heads = codes.heads(PAIR_BITS);
        let pairs = (0..heads.len()).map(|index| Pair::new(&heads, index));
        Self {
            symbols: Symbols::new(codes),
            pairs: boxed(pairs.collect()),
            skips: boxed(Skip::all(codes)),
        }
    }

    #[inline(always)]
    pub(super) fn pair(&self, window: u64) -> Pair {
        self.pairs[(window >> (64 - PAIR_BITS)) as usize]
    }

    #[inline(always)]
    pub(super) fn skip(&self, window: u64) -> Skip {
        self.skips[(window >> (64 - SKIP_BITS)) as usize]
    }

    /// The step at the start of a window, of any length, and the number of its bits: a code, and
    /// the extra bits that the lower half of its symbol counts (T.81, F.2.2.1).
    #[inline(always)]
    pub(super) fn step(&self, window: u64) -> Result<(Step, u32), Fault> {
        let (symbol, length) = self.symbols.find(window)?;
        let size = u32::from(symbol & 15);
        let step = Step {
            advance: advance(symbol),
            value: extend(window << length, size),
        };
        Ok((step, length + size))
    }
}

/// The look-up table for DC coefficients, or for any in a progressive picture: one symbol at a
/// time.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    codes: Codes,
    /// The symbol, and in the lower byte the length of its code; 0 if the code is longer than the
    /// index.
    entries: Box<[u16; 1 << SYMBOL_BITS]>,
}

impl Symbols {
    #[cold]
    #[inline(never)]
    fn find_long(&self, window: u64) -> Option<(u8, u32)> {
        self.codes.symbol((window >> 48) as u32)
    }

    pub(super) fn new(codes: &Codes) -> Self {
        let heads = codes.heads(SYMBOL_BITS).into_iter();
        let entries = heads.map(|head| u16::from(head.symbol) << 8 | u16::from(head.length));
        Self {
            codes: codes.clone(),
            entries: boxed(entries.collect()),
        }
    }

    /// The symbol whose code starts a window, and the length of that code.
    #[inline(always)]
    pub(super) fn find(&self, window: u64) -> Result<(u8, u32), Fault> {
        let entry = self.entries[(window >> (64 - SYMBOL_BITS)) as usize];
        if entry != 0 {
            return Ok(((entry >> 8) as u8, u32::from(entry & 0xff)));
        }
        self.find_long(window).ok_or(Fault::Code)
    }
}

fn boxed<T: std::fmt::Debug, const N: usize>(entries: Vec<T>) -> Box<[T; N]> {
    entries
        .into_boxed_slice()
        .try_into()
        .expect("the number of entries is known")
}

/// The number of coefficients to advance by; the upper half of the symbol counts the zeros.
fn advance(symbol: u8) -> usize {
    match symbol {
        0 => END,
        _ => usize::from(symbol >> 4) + 1,
    }
}

/// The value of the first `size` bits; bits that start with 0 encode a negative value (T.81,
/// F.2.2.1).
#[inline(always)]
pub(super) fn extend(window: u64, size: u32) -> i32 {
    // Shifted in two steps because `size` may be 0.
    let bits = (window >> 1 >> (63 - size)) as i32;
    let negative = (!window.cast_signed() >> 63) as i32;
    bits + (negative & (1 - (1 << size)))
}
