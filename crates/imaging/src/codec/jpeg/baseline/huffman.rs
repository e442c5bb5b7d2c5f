//! Computes an optimal Huffman code from symbol counts (T.81, annex K.2).

use crate::codec::jpeg::spec::LONGEST_CODE;

/// The number of possible symbols.
pub(crate) const SYMBOLS: usize = 256;

/// A Huffman code in the form a file stores (T.81, annex C).
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// The number of codes of each length, starting at 1 bit.
    pub(crate) counts: [u8; LONGEST_CODE],
    /// The symbols, ordered by the length of their codes.
    pub(crate) symbols: Vec<u8>,
}

impl Code {
    /// The code that needs the fewest bits for symbols with these counts.
    pub(crate) fn best(counts: &[u32; SYMBOLS]) -> Self {
        let mut symbols: Vec<u8> = (0..=u8::MAX).collect();
        symbols.retain(|symbol| counts[usize::from(*symbol)] > 0);
        // A stable sort, so that the code is the same every time.
        symbols.sort_by_key(|symbol| std::cmp::Reverse(counts[usize::from(*symbol)]));
        // An additional symbol reserves the code of all ones, which must not be used.
        let reserved = [1];
        let counts = symbols.iter().map(|symbol| counts[usize::from(*symbol)]);
        let rarest_first: Vec<u32> = reserved.into_iter().chain(counts.rev()).collect();
        let mut of_length = lengths(&rarest_first);
        shorten(&mut of_length);
        let longest = of_length.iter().rposition(|count| *count > 0).unwrap_or(1);
        of_length[longest] -= 1;
        Self {
            counts: std::array::from_fn(|index| of_length[index + 1] as u8),
            symbols,
        }
    }

    /// The code and its length for each symbol.
    pub(crate) fn codes(&self) -> [(u32, u32); SYMBOLS] {
        let mut codes = [(0, 0); SYMBOLS];
        let mut symbols = self.symbols.iter();
        let mut code = 0;
        for (length, count) in (1..).zip(self.counts) {
            for symbol in symbols.by_ref().take(count.into()) {
                codes[usize::from(*symbol)] = (code, length);
                code += 1;
            }
            code <<= 1;
        }
        codes
    }
}

/// The number of codes of each length by Huffman's method, for counts in ascending order. A single
/// count gives one code of length 1.
fn lengths(counts: &[u32]) -> [u32; SYMBOLS + 2] {
    // Joined nodes also come in ascending order, so the two rarest nodes are always at the head of
    // one of two queues.
    let leaves = counts.len();
    let mut weights: Vec<u64> = counts.iter().copied().map(u64::from).collect();
    let mut parents = vec![0; leaves];
    let (mut leaf, mut node) = (0, leaves);
    for _ in 1..leaves {
        let parent = weights.len();
        let mut take = || {
            let is_leaf =
                leaf < leaves && (node >= weights.len() || weights[leaf] <= weights[node]);
            let next = if is_leaf { &mut leaf } else { &mut node };
            let taken = *next;
            *next += 1;
            parents[taken] = parent;
            weights[taken]
        };
        let weight = take() + take();
        weights.push(weight);
        parents.push(0);
    }
    let mut depths = vec![0_usize; weights.len()];
    for index in (0..weights.len() - 1).rev() {
        depths[index] = depths[parents[index]] + 1;
    }
    let mut of_length = [0; SYMBOLS + 2];
    for depth in &depths[..leaves] {
        of_length[(*depth).max(1)] += 1;
    }
    of_length
}

/// Limits the codes to 16 bits: of two codes that are too long, one takes their common prefix, and
/// the other one is paired with a shorter code, which grows by one bit (T.81, figure K.3).
fn shorten(of_length: &mut [u32; SYMBOLS + 2]) {
    for length in (LONGEST_CODE + 1..of_length.len()).rev() {
        while of_length[length] > 0 {
            let shorter = (1..length - 1)
                .rev()
                .find(|shorter| of_length[*shorter] > 0);
            let shorter = shorter.expect("256 symbols fit into codes of 16 bits");
            of_length[length] -= 2;
            of_length[length - 1] += 1;
            of_length[shorter] -= 1;
            of_length[shorter + 1] += 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(some: &[(u8, u32)]) -> [u32; SYMBOLS] {
        let mut counts = [0; SYMBOLS];
        for (symbol, count) in some {
            counts[usize::from(*symbol)] = *count;
        }
        counts
    }

    #[test]
    fn frequent_symbols_have_short_codes() {
        let code = Code::best(&counts(&[(3, 100), (7, 50), (1, 20), (200, 10)]));
        assert_eq!(code.symbols, [3, 7, 1, 200]);
        // With the reserved symbol, there are two codes of four bits.
        assert_eq!(code.counts[..4], [1, 1, 1, 1]);
        let codes = code.codes();
        assert_eq!(
            (codes[3], codes[7], codes[1], codes[200]),
            ((0b0, 1), (0b10, 2), (0b110, 3), (0b1110, 4))
        );
    }

    #[test]
    fn a_single_symbol_has_a_code() {
        let code = Code::best(&counts(&[(9, 1)]));
        assert_eq!((code.counts[0], code.codes()[9]), (1, (0, 1)));
        let none = Code::best(&counts(&[]));
        assert_eq!((none.counts, none.symbols.len()), ([0; LONGEST_CODE], 0));
    }

    /// Fibonacci counts give the longest codes.
    #[test]
    fn no_code_is_longer_than_allowed() {
        let mut all = [1; SYMBOLS];
        for index in 2..40 {
            all[index] = all[index - 1] + all[index - 2];
        }
        for counts in [all, [1; SYMBOLS]] {
            let code = Code::best(&counts);
            let codes = code.codes();
            let mut taken = 0.0;
            for (symbol, (bits, length)) in codes.into_iter().enumerate() {
                assert!((1..=16).contains(&length), "{symbol}: {length} bits");
                assert!(bits + 1 < 1 << length, "{symbol} has all bits set");
                taken += 0.5_f64.powi(length as i32);
            }
            assert!(taken < 1.0, "the codes overlap");
        }
    }
}
