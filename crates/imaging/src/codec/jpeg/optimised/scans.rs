//! Writes coefficients scan by scan: all at once, or progressively in the split that takes the
//! fewest bytes (T.81, annex G).

use crate::codec::jpeg::baseline::huffman::Code;
use crate::codec::jpeg::baseline::tokens::{TABLES, Tokens, Writer, extra_bits, sized};
use crate::codec::jpeg::segments::put_segment;
use crate::codec::jpeg::spec::AREA;

use super::component::{Block, Component};

/// The symbol for sixteen zeros (ZRL).
const ZEROS: u32 = 0xf0;
/// The longest run of ended blocks.
const MOST_ENDED: u32 = 0x7fff;
/// Correction bits that may wait for the end of their run.
const MOST_CORRECTIONS: usize = 900;
/// Class and identifier of each of the tables of a scan: DC and AC, luma and chroma.
const TABLE_IDS: [u8; TABLES] = [0x00, 0x10, 0x01, 0x11];

/// A scan whose tokens are known.
struct Scan {
    /// The payload of its header.
    header: Vec<u8>,
    /// The Huffman tables that it uses.
    tables: Vec<usize>,
    tokens: Tokens,
    codes: Vec<Code>,
}

impl Scan {
    /// `select` is the table of each component in the header.
    fn new(
        ids: &[(u8, u8)],
        range: (usize, usize),
        approximation: u8,
        tables: Vec<usize>,
        tokens: Tokens,
    ) -> Self {
        let mut header = vec![ids.len() as u8];
        for (id, select) in ids {
            header.extend([*id, *select]);
        }
        header.extend([range.0 as u8, range.1 as u8, approximation]);
        let codes = tokens.counts().iter().map(Code::best).collect();
        Self {
            header,
            tables,
            tokens,
            codes,
        }
    }

    /// The bytes that the scan takes with its tables.
    fn bytes(&self) -> usize {
        let mut bits = u64::from(self.tokens.plain_bits());
        let mut bytes = self.header.len() + 4;
        for table in &self.tables {
            let code = &self.codes[*table];
            bytes += 21 + code.symbols.len();
            for (symbol, (_, length)) in (0..).zip(code.codes()) {
                let count = self.tokens.counts()[*table][symbol as usize];
                bits += u64::from(count) * u64::from(length + extra_bits(symbol));
            }
        }
        bytes + (bits / 8) as usize
    }

    fn write(&self, jpeg: &mut Vec<u8>) {
        for table in &self.tables {
            let code = &self.codes[*table];
            put_segment(
                jpeg,
                0xc4,
                &[&[TABLE_IDS[*table]], &code.counts[..], &code.symbols].concat(),
            );
        }
        put_segment(jpeg, 0xda, &self.header);
        let mut writer = Writer::new(&self.codes, self.tokens.counts(), jpeg);
        writer.write(&self.tokens);
        writer.finish();
    }
}

fn tokens() -> Tokens {
    Tokens::with_room_for(0, 0)
}

/// Blocks of all components, in the order of MCUs. `None` stands for a block that only pads an MCU.
fn interleaved(components: &[Component], mut each: impl FnMut(usize, Option<&Block>)) {
    let [first, ..] = components else { return };
    let columns = first.size.0.div_ceil(first.across);
    let rows = first.size.1.div_ceil(first.down);
    for row in 0..rows {
        for column in 0..columns {
            for (index, component) in components.iter().enumerate() {
                for y in row * component.down..(row + 1) * component.down {
                    for x in column * component.across..(column + 1) * component.across {
                        let is_inside = x < component.size.0 && y < component.size.1;
                        let place = y * component.size.0 + x;
                        each(index, is_inside.then(|| &component.blocks[place]));
                    }
                }
            }
        }
    }
}

/// Writes all coefficients in one scan.
pub(super) fn sequential(components: &[Component], jpeg: &mut Vec<u8>) {
    let mut tokens = tokens();
    let mut predicted = vec![0_i16; components.len()];
    interleaved(components, |index, block| {
        let kind = components[index].kind;
        let Some(block) = block else {
            tokens.push(2 * kind, 0, 0);
            tokens.push(2 * kind + 1, 0, 0);
            return;
        };
        add_first(&mut tokens, kind, block[0].wrapping_sub(predicted[index]));
        predicted[index] = block[0];
        let mut run = 0;
        for value in &block[1..] {
            if *value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                tokens.push(2 * kind + 1, ZEROS, 0);
                run -= 16;
            }
            add_coefficient(&mut tokens, 2 * kind + 1, run, *value);
            run = 0;
        }
        if run > 0 {
            tokens.push(2 * kind + 1, 0, 0);
        }
    });
    let ids: Vec<_> = (1..)
        .zip(components)
        .map(|(id, component)| (id, (component.kind << 4 | component.kind) as u8))
        .collect();
    let tables = (0..2 * components.len().min(2)).collect();
    Scan::new(&ids, (0, AREA - 1), 0, tables, tokens).write(jpeg);
}

fn add_first(tokens: &mut Tokens, kind: usize, difference: i16) {
    let (size, bits) = sized(difference);
    tokens.push(2 * kind, size, bits);
}

/// Writes the DC coefficients of all components, then the others component by component.
pub(super) fn progressive(components: &[Component], effort: u8, jpeg: &mut Vec<u8>) {
    let mut tokens = tokens();
    let mut predicted = vec![0_i16; components.len()];
    interleaved(components, |index, block| {
        let value = block.map_or(predicted[index], |block| block[0]);
        add_first(
            &mut tokens,
            components[index].kind,
            value.wrapping_sub(predicted[index]),
        );
        predicted[index] = value;
    });
    let ids: Vec<_> = (1..)
        .zip(components)
        .map(|(id, component)| (id, (component.kind << 4) as u8))
        .collect();
    let tables = (0..components.len().min(2)).map(|kind| 2 * kind).collect();
    Scan::new(&ids, (0, 0), 0, tables, tokens).write(jpeg);
    for (id, component) in (1..).zip(components) {
        for scan in best_split(id, component, effort) {
            scan.write(jpeg);
        }
    }
}

/// A way to split AC coefficients into scans: the last coefficient of each scan but the last one,
/// and the number of low bits that later scans add.
type Split = (&'static [usize], u32);

/// The splits that are tried at an effort. Each was the best one for some photograph; the first ones
/// most often.
fn splits(kind: usize, effort: u8) -> &'static [Split] {
    const ALL: [Split; 12] = [
        (&[2], 1),
        (&[], 0),
        (&[2], 0),
        (&[9], 2),
        (&[5], 0),
        (&[9], 0),
        (&[14], 0),
        (&[2, 9], 0),
        (&[], 1),
        (&[5], 1),
        (&[9], 1),
        (&[5], 2),
    ];
    match (effort, kind) {
        (..=6, 0) => &ALL[..1],
        (..=6, _) => &ALL[1..2],
        (..=8, _) => &ALL[..4],
        _ => &ALL,
    }
}

/// The scans of a component's AC coefficients that take the fewest bytes together.
fn best_split(id: u8, component: &Component, effort: u8) -> Vec<Scan> {
    let scans_of = |&(ends, low): &Split| {
        let mut scans = Vec::new();
        let mut start = 1;
        for end in ends.iter().copied().chain([AREA - 1]) {
            scans.push(first_pass(id, component, (start, end), low));
            start = end + 1;
        }
        for low in (0..low).rev() {
            scans.push(refinement(id, component, (1, AREA - 1), low));
        }
        scans
    };
    let all = splits(component.kind, effort).iter().map(scans_of);
    all.min_by_key(|scans| scans.iter().map(Scan::bytes).sum::<usize>())
        .unwrap_or_default()
}

/// The run of ended blocks, and the correction bits of its blocks.
#[derive(Default)]
struct Ended {
    blocks: u32,
    corrections: Vec<bool>,
}

impl Ended {
    fn flush(&mut self, tokens: &mut Tokens) {
        if self.blocks > 0 {
            let size = self.blocks.ilog2();
            tokens.push(1, size << 4, self.blocks - (1 << size));
            self.blocks = 0;
            add_bits(tokens, &mut self.corrections);
        }
    }
}

fn add_bits(tokens: &mut Tokens, bits: &mut Vec<bool>) {
    for bits in bits.chunks(16) {
        let value = bits
            .iter()
            .fold(0, |value, bit| value << 1 | u32::from(*bit));
        tokens.push_bits(bits.len() as u32, value);
    }
    bits.clear();
}

/// The coefficients of a range without their lowest bits.
fn first_pass(id: u8, component: &Component, range: (usize, usize), low: u32) -> Scan {
    let mut tokens = tokens();
    let mut ended = Ended::default();
    for block in &component.blocks {
        let mut run = 0;
        for value in &block[range.0..=range.1] {
            let magnitude = (value.unsigned_abs() >> low) as i16;
            if magnitude == 0 {
                run += 1;
                continue;
            }
            ended.flush(&mut tokens);
            while run > 15 {
                tokens.push(1, ZEROS, 0);
                run -= 16;
            }
            let value = if *value < 0 { -magnitude } else { magnitude };
            add_coefficient(&mut tokens, 1, run, value);
            run = 0;
        }
        if run > 0 {
            ended.blocks += 1;
            if ended.blocks == MOST_ENDED {
                ended.flush(&mut tokens);
            }
        }
    }
    ended.flush(&mut tokens);
    Scan::new(&[(id, 0)], range, low as u8, vec![1], tokens)
}

/// One more bit of the coefficients of a range.
fn refinement(id: u8, component: &Component, range: (usize, usize), low: u32) -> Scan {
    let mut tokens = tokens();
    let mut ended = Ended::default();
    let mut corrections = Vec::new();
    for block in &component.blocks {
        let values = &block[range.0..=range.1];
        let is_new = |value: &i16| value.unsigned_abs() >> low == 1;
        let after_new = values.iter().rposition(is_new).map_or(0, |last| last + 1);
        let mut run = 0;
        for (index, value) in values.iter().enumerate() {
            let magnitude = value.unsigned_abs() >> low;
            if magnitude == 0 {
                run += 1;
                continue;
            }
            while run > 15 && index < after_new {
                ended.flush(&mut tokens);
                tokens.push(1, ZEROS, 0);
                run -= 16;
                add_bits(&mut tokens, &mut corrections);
            }
            if magnitude > 1 {
                corrections.push(magnitude & 1 == 1);
                continue;
            }
            ended.flush(&mut tokens);
            tokens.push(1, run << 4 | 1, u32::from(*value >= 0));
            add_bits(&mut tokens, &mut corrections);
            run = 0;
        }
        if run > 0 || !corrections.is_empty() {
            ended.blocks += 1;
            ended.corrections.append(&mut corrections);
            if ended.blocks == MOST_ENDED || ended.corrections.len() > MOST_CORRECTIONS {
                ended.flush(&mut tokens);
            }
        }
    }
    ended.flush(&mut tokens);
    let approximation = ((low + 1) << 4 | low) as u8;
    Scan::new(&[(id, 0)], range, approximation, vec![1], tokens)
}

/// The token of an AC coefficient after a run of at most 15 zeros.
fn add_coefficient(tokens: &mut Tokens, table: usize, run: u32, value: i16) {
    let (size, bits) = sized(value);
    tokens.push(table, run << 4 | size, bits);
}
