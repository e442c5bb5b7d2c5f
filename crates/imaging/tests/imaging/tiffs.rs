//! Writes TIFF: small files of any kind, from fields and strips.

/// The byte order and the width of places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) is_little: bool,
    pub(crate) is_big_tiff: bool,
}

pub(crate) const ORDERS: [Order; 4] = [
    Order {
        is_little: true,
        is_big_tiff: false,
    },
    Order {
        is_little: false,
        is_big_tiff: false,
    },
    Order {
        is_little: true,
        is_big_tiff: true,
    },
    Order {
        is_little: false,
        is_big_tiff: true,
    },
];

/// A value of a field.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Shorts(Vec<u16>),
    Longs(Vec<u32>),
    Bytes(Vec<u8>),
    Text(&'static str),
    Float(f32),
    Fractions(Vec<(u32, u32)>),
}
use Value::{Bytes, Float, Fractions, Longs, Shorts, Text};

impl Order {
    pub(crate) fn short(self, value: u16) -> [u8; 2] {
        if self.is_little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    }

    pub(crate) fn long(self, value: u32) -> [u8; 4] {
        if self.is_little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    }

    /// A place or a count.
    fn place(self, value: u64) -> Vec<u8> {
        match (self.is_big_tiff, self.is_little) {
            (true, true) => value.to_le_bytes().to_vec(),
            (true, false) => value.to_be_bytes().to_vec(),
            (false, _) => self.long(value as u32).to_vec(),
        }
    }

    /// The type, the count and the bytes of a value.
    fn value(self, value: &Value) -> (u16, u64, Vec<u8>) {
        match value {
            Shorts(values) => (
                3,
                values.len() as u64,
                values.iter().flat_map(|v| self.short(*v)).collect(),
            ),
            Longs(values) => (
                4,
                values.len() as u64,
                values.iter().flat_map(|v| self.long(*v)).collect(),
            ),
            Bytes(bytes) => (7, bytes.len() as u64, bytes.clone()),
            Text(text) => (2, text.len() as u64 + 1, [text.as_bytes(), &[0]].concat()),
            Float(value) => (11, 1, self.long(value.to_bits()).to_vec()),
            Fractions(values) => {
                let bytes = values
                    .iter()
                    .flat_map(|(a, b)| [self.long(*a), self.long(*b)].concat());
                (5, values.len() as u64, bytes.collect())
            }
        }
    }
}

/// What a file is made of. Fields that are not given have plain values.
#[derive(Clone, Debug)]
pub(crate) struct Tiff {
    pub(crate) order: Order,
    pub(crate) size: (u32, u32),
    pub(crate) samples: u16,
    pub(crate) bits: u16,
    pub(crate) photometric: u16,
    /// The size of a tile.
    pub(crate) tile: Option<(u32, u32)>,
    pub(crate) rows_per_strip: u32,
    /// The data of each strip or tile.
    pub(crate) strips: Vec<Vec<u8>>,
    pub(crate) fields: Vec<(u16, Value)>,
}

impl Tiff {
    pub(crate) fn file(&self) -> Vec<u8> {
        let order = self.order;
        let mut file = match order.is_little {
            true => b"II".to_vec(),
            false => b"MM".to_vec(),
        };
        if order.is_big_tiff {
            file.extend([order.short(43), order.short(8), order.short(0)].concat());
        } else {
            file.extend(order.short(42));
        }
        let first_at = file.len();
        file.extend(order.place(0));
        let mut places = Vec::new();
        let mut lengths = Vec::new();
        for strip in &self.strips {
            places.push(file.len() as u32);
            lengths.push(strip.len() as u32);
            file.extend(strip);
            file.resize(file.len().next_multiple_of(2), 0);
        }
        let mut fields = vec![
            (256, Longs(vec![self.size.0])),
            (257, Longs(vec![self.size.1])),
            (258, Shorts(vec![self.bits; self.samples.into()])),
            (259, Shorts(vec![1])),
            (262, Shorts(vec![self.photometric])),
            (277, Shorts(vec![self.samples])),
        ];
        match self.tile {
            Some((width, height)) => fields.extend([
                (322, Longs(vec![width])),
                (323, Longs(vec![height])),
                (324, Longs(places)),
                (325, Longs(lengths)),
            ]),
            None => fields.extend([
                (273, Longs(places)),
                (278, Longs(vec![self.rows_per_strip])),
                (279, Longs(lengths)),
            ]),
        }
        for (tag, value) in &self.fields {
            fields.retain(|(other, _)| other != tag);
            fields.push((*tag, value.clone()));
        }
        fields.sort_by_key(|(tag, _)| *tag);
        let width = if order.is_big_tiff { 8 } else { 4 };
        let mut entries = Vec::new();
        for (tag, value) in &fields {
            let (kind, count, mut bytes) = order.value(value);
            if bytes.len() > width {
                let place = order.place(file.len() as u64);
                file.extend(bytes);
                file.resize(file.len().next_multiple_of(2), 0);
                bytes = place;
            }
            bytes.resize(width, 0);
            entries.extend([order.short(*tag), order.short(kind)].concat());
            entries.extend(order.place(count));
            entries.extend(bytes);
        }
        let first = order.place(file.len() as u64);
        file[first_at..first_at + first.len()].copy_from_slice(&first);
        match order.is_big_tiff {
            true => file.extend(order.place(fields.len() as u64)),
            false => file.extend(order.short(fields.len() as u16)),
        }
        file.extend(entries);
        file.extend(order.place(0));
        file
    }
}

/// Packs numbers into rows of whole bytes: those of 8, 16, 24, 32 and 64 bits in the byte order, the
/// others from the highest bit on. `numbers` are from 0 to 1.
pub(crate) fn pack(numbers: &[f64], bits: u16, row: usize, order: Order) -> Vec<u8> {
    let mut packed = Vec::new();
    for row in numbers.chunks(row) {
        let (mut held, mut count) = (0_u64, 0);
        for number in row {
            let most = 2_f64.powi(bits.into()) - 1.0;
            let value = (number * most).round() as u64;
            if bits.is_multiple_of(8) {
                let bytes = value.to_be_bytes();
                let mut bytes = bytes[8 - usize::from(bits / 8)..].to_vec();
                if order.is_little {
                    bytes.reverse();
                }
                packed.extend(bytes);
                continue;
            }
            held = held << bits | value;
            count += bits;
            while count >= 8 {
                count -= 8;
                packed.push((held >> count) as u8);
                held &= (1 << count) - 1;
            }
        }
        if count > 0 {
            packed.push((held << (8 - count)) as u8);
        }
    }
    packed
}

/// Packs floats of 16, 32 or 64 bits.
pub(crate) fn pack_floats(numbers: &[f64], bits: u16, order: Order) -> Vec<u8> {
    let bytes = |number: &f64| match bits {
        16 => half(*number).to_be_bytes().to_vec(),
        32 => (*number as f32).to_be_bytes().to_vec(),
        _ => number.to_be_bytes().to_vec(),
    };
    let turned = |mut bytes: Vec<u8>| {
        if order.is_little {
            bytes.reverse();
        }
        bytes
    };
    numbers
        .iter()
        .flat_map(|number| turned(bytes(number)))
        .collect()
}

/// A number from 0 to 1 as a float of 16 bits.
fn half(number: f64) -> u16 {
    if number < 2_f64.powi(-14) {
        return (number * 2_f64.powi(24)).round() as u16;
    }
    let exponent = number.log2().floor() as i32;
    let fraction = (number / 2_f64.powi(exponent) - 1.0) * 1024.0;
    ((exponent + 15) * 1024) as u16 + fraction.round() as u16
}
