//! Huffman codes (ITU-T T.81, annex C and F.2.2) and what is looked up of them.
//!
//! Most of the time of a JPEG goes into its codes, so more is looked up at once than one: the next
//! bits find two codes together with the values behind them and, where coefficients are only passed
//! over, as many as the bits hold.

use crate::codec::jpeg::spec::LONGEST_CODE;

use super::fault::Fault;

/// Bits that are looked at for a pair, a skip and a single symbol. What a picture uses of all its
/// tables together must fit into a processor's first cache, or the look-ups wait.
pub(super) const PAIR_BITS: u32 = 10;
pub(super) const SKIP_BITS: u32 = 12;
const SYMBOL_BITS: u32 = 9;
/// What a block goes on by that ends: more than any number of coefficients.
pub(super) const END: usize = 128;

/// A Huffman table as a file defines it.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// The number of codes of each length.
    counts: [u8; LONGEST_CODE],
    /// The symbol of each code, shortest code first.
    symbols: Vec<u8>,
    /// Of each length, the first code that is longer, in the upper of 16 bits.
    ends: [u32; LONGEST_CODE + 1],
    /// Of each length, what is added to a code to get the index of its symbol.
    offsets: [i32; LONGEST_CODE + 1],
}

impl Codes {
    /// By the number of codes of each length and their symbols (T.81, annex C).
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
                return Err("a Huffman table has more codes than there can be".to_owned());
            }
            codes.ends[length] = code << (LONGEST_CODE - length);
            code <<= 1;
        }
        Ok(codes)
    }

    /// The symbol whose code 16 bits begin with, and the length of that code.
    fn symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (1..=LONGEST_CODE).find(|&length| next < self.ends[length])?;
        let code = (next >> (LONGEST_CODE - length)).cast_signed();
        let symbol = self.symbols.get((code + self.offsets[length]) as usize)?;
        Some((*symbol, length as u32))
    }

    /// For each index of so many bits the code it begins with, if it holds that whole.
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

/// A code; with its symbol a step without its value.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    /// Bits of the code; 0 when that has more than were looked at.
    length: u8,
    symbol: u8,
}

impl Head {
    fn size(self) -> u32 {
        u32::from(self.symbol & 15)
    }

    /// Bits of the code and of the value behind it.
    fn bits(self) -> u32 {
        u32::from(self.length) + self.size()
    }
}

/// A number of coefficients to go on by, and the value of the last of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Step {
    /// 1 to 16, or [`END`].
    pub(super) advance: usize,
    pub(super) value: i32,
}

/// A table of all coefficients of a block but the first.
#[derive(Clone, Debug)]
pub(super) struct Coefficients {
    symbols: Symbols,
    pairs: Box<[Pair; 1 << PAIR_BITS]>,
    skips: Box<[Skip; 1 << SKIP_BITS]>,
}

/// The next step and the one after it; when that one is not held whole, the first one again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    /// Bits of both; 0 when they do not even hold the first step.
    pub(super) taken: u8,
    pub(super) first_advance: u8,
    /// Of both steps.
    pub(super) advance: u8,
    pub(super) first_value: i16,
    pub(super) value: i16,
}

impl Pair {
    fn new(heads: &[Head], index: usize) -> Self {
        let bits = heads.len().ilog2();
        // The step behind the first bits, if it is held whole: its bits, advance and value.
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

/// As many steps as the bits hold the codes of; the value of the last may reach beyond them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip(u16);

impl Skip {
    // Six bits are what a shift looks at, so that nothing has to be cut off before.
    const ENDS: u16 = 1 << 6;

    fn new(taken: u32, advance: u16, ends: bool) -> Self {
        Self(advance << 7 | u16::from(ends) << 6 | taken as u16)
    }

    /// For each index of [`SKIP_BITS`]: the first code, and what shorter tables hold of the bits
    /// that it leaves.
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

    /// 0 when the bits do not even hold one code.
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

    /// The step that a window begins with, of any length, and how many bits that takes: a code, and
    /// as many bits of its value as the lower half of its symbol says (T.81, F.2.2.1).
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

/// A table of first coefficients, or of any in a progressive picture: for one after the other.
#[derive(Clone, Debug)]
pub(super) struct Symbols {
    codes: Codes,
    /// The symbol, and in the lower byte the length of its code; 0 when that is longer.
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

    /// The symbol whose code a window begins with, and the length of that code.
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

/// The number of coefficients that a symbol goes on by: the upper half tells how many are zero.
fn advance(symbol: u8) -> usize {
    match symbol {
        0 => END,
        _ => usize::from(symbol >> 4) + 1,
    }
}

/// The value of the first `size` bits: those that begin with 0 stand for negative ones (T.81,
/// F.2.2.1).
#[inline(always)]
pub(super) fn extend(window: u64, size: u32) -> i32 {
    // Shifted in two steps, for `size` may be 0.
    let bits = (window >> 1 >> (63 - size)) as i32;
    let negative = (!window.cast_signed() >> 63) as i32;
    bits + (negative & (1 - (1 << size)))
}
