//! Damages a file in ways that decoders stumble over. The same file and seed give the same bytes.

/// The part of a file, from its start, in which half of all damage is done: headers.
const HEADER: usize = 512;
/// Values for length fields, beside those near the true one.
const LENGTHS: [u32; 8] = [
    0,
    1,
    0x7f,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    u32::MAX,
];

/// The seed of a copy, from the file's name and the copy's number (FNV-1a).
pub(crate) fn seed(name: &str, number: u64) -> u64 {
    let bytes = name.bytes().chain(number.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A copy with one to three kinds of damage.
pub(crate) fn mutate(file: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    let mut copy = file.to_vec();
    for _ in 0..=random.below(3) {
        if copy.is_empty() {
            break;
        }
        match random.below(8) {
            0 | 1 => flip_bits(&mut copy, &mut random),
            2 => set_bytes(&mut copy, &mut random),
            3 => {
                let length = random.below(copy.len());
                copy.truncate(length);
            }
            4 => {
                let range = random.range(copy.len(), 256);
                copy[range].fill(0);
            }
            5 => duplicate(&mut copy, &mut random),
            6 => {
                let range = random.range(copy.len(), 256);
                copy.drain(range);
            }
            _ => change_length(&mut copy, &mut random),
        }
    }
    copy
}

fn flip_bits(copy: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(8) {
        let at = random.position(copy.len());
        copy[at] ^= 1 << random.below(8);
    }
}

fn set_bytes(copy: &mut [u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.position(copy.len());
        copy[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6)];
    }
}

/// Repeats a part, such as a chunk or a box, up to 64 times.
fn duplicate(copy: &mut Vec<u8>, random: &mut Random) {
    let range = random.range(copy.len(), 4096);
    let times = 1 + random.below(64);
    let repeated = copy[range.clone()].repeat(times);
    copy.splice(range.end..range.end, repeated);
}

/// Changes a field of two or four bytes whose value may be a length.
fn change_length(copy: &mut [u8], random: &mut Random) {
    let is_wide = random.below(2) == 0;
    let is_big_endian = random.below(2) == 0;
    let width = if is_wide { 4 } else { 2 };
    if copy.len() < width {
        return;
    }
    for _ in 0..64 {
        let at = random.position(copy.len() - width + 1);
        let field = &mut copy[at..at + width];
        let value = field
            .iter()
            .enumerate()
            .fold(0_u32, |value, (index, byte)| {
                let place = if is_big_endian {
                    width - 1 - index
                } else {
                    index
                };
                value | u32::from(*byte) << (8 * place)
            });
        if value == 0 || value as usize > field_limit(width) {
            continue;
        }
        let value = match random.below(4) {
            0 => value.wrapping_add(1),
            1 => value.wrapping_sub(1),
            2 => value.wrapping_mul(2),
            _ => LENGTHS[random.below(LENGTHS.len())],
        };
        for (index, byte) in field.iter_mut().enumerate() {
            let place = if is_big_endian {
                width - 1 - index
            } else {
                index
            };
            *byte = (value >> (8 * place)) as u8;
        }
        return;
    }
}

/// A field with a larger value is hardly a length.
fn field_limit(width: usize) -> usize {
    if width == 4 { 1 << 20 } else { 1 << 14 }
}

/// Marsaglia's xorshift of 64 bits, with the multiplication of xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// A number below `limit`, which is at least 1.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// An index below `length`: every second one in the header.
    fn position(&mut self, length: usize) -> usize {
        match self.below(2) {
            0 => self.below(length.min(HEADER)),
            _ => self.below(length),
        }
    }

    /// A part of at least one byte and at most `most`.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.position(length);
        let end = start + 1 + self.below(most.min(length - start));
        start..end
    }
}
