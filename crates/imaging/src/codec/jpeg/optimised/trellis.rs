//! Chooses quantized coefficients by rate and distortion.
//!
//! For each block, the coefficients with the least sum of bits and weighted square error are found
//! by dynamic programming over the runs of zeros (Crouse and Ramchandran, "Joint thresholding and
//! quantizer selection for transform image coding", 1997). At the same structural similarity this
//! takes 6 % fewer bytes, at the same SSIMULACRA2 1 to 2 % fewer (photographs at 512 pixels).

use crate::codec::jpeg::baseline::huffman::{Code, SYMBOLS};
use crate::codec::jpeg::baseline::tokens::sized;
use crate::codec::jpeg::spec::{AREA, CHOICE_EFFORT};

use super::component::Block;

/// The bits that a square error of one step is worth. Fewer bits take less off the structural
/// similarity and more off SSIMULACRA2.
const WORTH: f32 = 30.0;

/// More bits than a coefficient saves by being zero.
const MOST_BITS: f32 = 40.0;

/// Bits of each symbol with its extra bits.
type Costs = [f32; SYMBOLS];

/// The symbols for sixteen zeros (ZRL) and for the end of a block.
const ZEROS: usize = 0xf0;
const END: usize = 0;

/// Chooses the coefficients of a component. `raw` has them in steps; below [`CHOICE_EFFORT`] they are
/// only rounded.
pub(super) fn quantize(raw: &[[f32; AREA]], effort: u8) -> Vec<Block> {
    let mut blocks: Vec<Block> = raw.iter().map(|block| block.map(round)).collect();
    if effort >= CHOICE_EFFORT {
        let costs = costs(&blocks);
        for (block, raw) in blocks.iter_mut().zip(raw) {
            choose(raw, &costs, block);
        }
    }
    blocks
}

/// The nearest whole number; halves go to the even one, as in `baseline`.
fn round(value: f32) -> i16 {
    // Floats of this size have no fraction bits.
    const WHOLE: f32 = 12_582_912.0;
    ((value + WHOLE) - WHOLE) as i16
}

/// The bits of each symbol by the Huffman code that suits the blocks. Symbols that do not occur
/// yet have long codes.
fn costs(blocks: &[Block]) -> Costs {
    let mut counts = [0_u32; SYMBOLS];
    for block in blocks {
        let mut run = 0;
        for value in &block[1..] {
            if *value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                counts[ZEROS] += 1;
                run -= 16;
            }
            counts[run << 4 | sized(*value).0 as usize] += 1;
            run = 0;
        }
        if run > 0 {
            counts[END] += 1;
        }
    }
    for symbol in (0..SYMBOLS).filter(|symbol| *symbol & 15 <= 10) {
        counts[symbol] = counts[symbol] * 4 + 1;
    }
    let codes = Code::best(&counts).codes();
    std::array::from_fn(|symbol| {
        let size = if symbol == ZEROS { 0 } else { symbol & 15 };
        match codes[symbol].1 {
            0 => 64.0,
            length => (length as usize + size) as f32,
        }
    })
}

/// A coefficient that may differ from zero, and the best way to get there.
#[derive(Clone, Copy, Default)]
struct Node {
    index: usize,
    value: i16,
    from: usize,
    cost: f32,
}

/// Replaces the AC coefficients of a block by the best ones.
fn choose(raw: &[f32; AREA], costs: &Costs, block: &mut Block) {
    // The error of zeros up to an index.
    let mut zeros = [0.0_f32; AREA];
    let mut nodes = [Node::default(); AREA];
    let mut count = 1;
    // The first node that can come before the next one: none skips a coefficient that is worth more
    // than any bits.
    let mut first = 0;
    for index in 1..AREA {
        zeros[index] = zeros[index - 1] + WORTH * raw[index] * raw[index];
        let most = round(raw[index].abs());
        if most == 0 {
            continue;
        }
        let largest = 1 << (sized(most).0 - 1);
        // The rounded value, the next lower one, and the largest one with fewer bits.
        let mut candidates = [most, most - 1, largest - 1];
        if candidates[2] == candidates[1] {
            candidates[2] = 0;
        }
        let mut best = Node {
            cost: f32::INFINITY,
            ..Node::default()
        };
        for candidate in candidates {
            if candidate == 0 {
                continue;
            }
            let error = raw[index].abs() - f32::from(candidate);
            let own = WORTH * error * error;
            let size = sized(candidate).0 as usize;
            for (from, node) in (first..).zip(&nodes[first..count]) {
                let mut run = index - 1 - node.index;
                let mut cost = node.cost + own + zeros[index - 1] - zeros[node.index];
                while run > 15 {
                    cost += costs[ZEROS];
                    run -= 16;
                }
                cost += costs[run << 4 | size];
                if cost < best.cost {
                    best = Node {
                        index,
                        value: candidate,
                        from,
                        cost,
                    };
                }
            }
        }
        nodes[count] = best;
        if WORTH * raw[index] * raw[index] > MOST_BITS {
            first = count;
        }
        count += 1;
    }
    let mut last = 0;
    let mut least = f32::INFINITY;
    for (at, node) in (first..).zip(&nodes[first..count]) {
        let end = if node.index < AREA - 1 {
            costs[END]
        } else {
            0.0
        };
        let cost = node.cost + zeros[AREA - 1] - zeros[node.index] + end;
        if cost < least {
            (last, least) = (at, cost);
        }
    }
    block[1..].fill(0);
    while last > 0 {
        let Node {
            index, value, from, ..
        } = nodes[last];
        block[index] = if raw[index] < 0.0 { -value } else { value };
        last = from;
    }
}
