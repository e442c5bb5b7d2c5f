//! Huffman codes (ITU-T T.81, annex C and F.2.2) and what is looked up of them.
//!
//! Most of the time of a JPEG goes into its codes, so more is looked up at once than one: the next
//! bits find two codes together with the values behind them and, where coefficients are only passed
//! over, as many as the bits hold.

use super::bits::Fault;

/// Bits that are looked at for a pair, a skip and a single symbol. What a picture uses of all its
/// tables together must fit into a processor's first cache, or the look-ups wait.
pub(super) const PAIR_BITS: u32 = 10;
pub(super) const SKIP_BITS: u32 = 12;
const SYMBOL_BITS: u32 = 9;
/// Bits of the longest code.
const LONGEST: usize = 16;
/// What a block goes on by that ends: more than any number of coefficients.
pub(super) const END: usize = 128;

/// A Huffman table as a file defines it.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// The number of codes of each length.
    counts: [u8; LONGEST],
    /// The symbol of each code, shortest code first.
    symbols: Vec<u8>,
    /// Of each length, the first code that is longer, in the upper of 16 bits.
    ends: [u32; LONGEST + 1],
    /// Of each length, what is added to a code to get the index of its symbol.
    offsets: [i32; LONGEST + 1],
}

impl Codes {
    /// By the number of codes of each length and their symbols (T.81, annex C).
    pub(super) fn new(counts: [u8; LONGEST], symbols: &[u8]) -> Result<Self, String> {
        let mut codes = Self {
            counts,
            symbols: symbols.to_vec(),
            ends: [0; LONGEST + 1],
            offsets: [0; LONGEST + 1],
        };
        let (mut code, mut index) = (0_u32, 0_i32);
        for (length, count) in (1..).zip(counts.map(u32::from)) {
            codes.offsets[length] = index - code.cast_signed();
            code += count;
            index += count.cast_signed();
            if code > 1 << length {
                return Err("a Huffman table has more codes than there can be".to_owned());
            }
            codes.ends[length] = code << (LONGEST - length);
            code <<= 1;
        }
        Ok(codes)
    }

    /// The symbol whose code 16 bits begin with, and the length of that code.
    fn symbol(&self, next: u32) -> Option<(u8, u32)> {
        let length = (1..=LONGEST).find(|&length| next < self.ends[length])?;
        let code = (next >> (LONGEST - length)).cast_signed();
        let symbol = self.symbols.get((code + self.offsets[length]) as usize)?;
        Some((*symbol, length as u32))
    }

    /// For each index the step it begins with, if it holds it whole.
    fn singles(&self, bits: u32) -> Vec<Single> {
        let entries = 1 << bits;
        let mut singles = vec![Single::default(); entries];
        let (mut at, mut number) = (0, 0);
        for (length, count) in (1..=bits).zip(self.counts) {
            for _ in 0..count {
                let Some(symbol) = self.symbols.get(number) else {
                    return singles;
                };
                let end = at + (entries >> length);
                let size = u32::from(symbol & 15);
                if length + size <= bits {
                    let each = entries >> (length + size);
                    let parts = singles[at..end].chunks_exact_mut(each);
                    for (value, part) in (0..).zip(parts) {
                        let value = extend(value << 1 << (63 - size), size);
                        part.fill(Single {
                            taken: (length + size) as u8,
                            advance: advance(*symbol) as u8,
                            value: value as i16,
                        });
                    }
                }
                at = end;
                number += 1;
            }
        }
        singles
    }
}

/// A step and how many bits it takes; 0 when that is more than were looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Single {
    taken: u8,
    advance: u8,
    value: i16,
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

/// As many steps as the bits hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip(u16);

impl Skip {
    const ENDS: u16 = 16;

    fn new(taken: u8, advance: u16, ends: bool) -> Self {
        Self(advance << 5 | u16::from(ends) << 4 | u16::from(taken))
    }

    /// 0 when the bits do not even hold one step.
    pub(super) fn taken(self) -> u32 {
        u32::from(self.0 & 15)
    }

    pub(super) fn ends(self) -> bool {
        self.0 & Self::ENDS != 0
    }

    pub(super) fn advance(self) -> u16 {
        self.0 >> 5
    }
}

impl Coefficients {
    pub(super) fn new(codes: &Codes) -> Self {
        let singles = codes.singles(PAIR_BITS);
        let pairs = boxed(
            (0..singles.len())
                .map(|index| pair(&singles, index))
                .collect(),
        );
        let singles = codes.singles(SKIP_BITS);
        let skips = boxed(
            (0..singles.len())
                .map(|index| skip(&singles, index))
                .collect(),
        );
        Self {
            symbols: Symbols::new(codes),
            pairs,
            skips,
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
        let entries = (0..1 << SYMBOL_BITS).map(|index: u32| {
            let (symbol, length) = codes.symbol(index << (16 - SYMBOL_BITS))?;
            (length <= SYMBOL_BITS).then_some(u16::from(symbol) << 8 | length as u16)
        });
        Self {
            codes: codes.clone(),
            entries: boxed(entries.map(Option::unwrap_or_default).collect()),
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

/// The steps that an index holds whole, in turn, and how many bits they have taken.
fn steps_of(singles: &[Single], index: usize) -> impl Iterator<Item = (Single, u8)> {
    let mut taken = 0;
    std::iter::from_fn(move || {
        let step = singles[(index << taken) & (singles.len() - 1)];
        taken += step.taken;
        (step.taken != 0 && u32::from(taken) <= singles.len().ilog2()).then_some((step, taken))
    })
}

fn pair(singles: &[Single], index: usize) -> Pair {
    let mut steps = steps_of(singles, index);
    let Some((first, first_taken)) = steps.next() else {
        return Pair::default();
    };
    let second = steps.next().filter(|_| usize::from(first.advance) != END);
    let again = Single {
        advance: 0,
        ..first
    };
    let (second, taken) = second.unwrap_or((again, first_taken));
    Pair {
        taken,
        first_advance: first.advance,
        advance: first.advance + second.advance,
        first_value: first.value,
        value: second.value,
    }
}

fn skip(singles: &[Single], index: usize) -> Skip {
    let mut skip = Skip::default();
    for (step, taken) in steps_of(singles, index) {
        if usize::from(step.advance) == END {
            return Skip::new(taken, skip.advance(), true);
        }
        skip = Skip::new(taken, skip.advance() + u16::from(step.advance), false);
    }
    skip
}
