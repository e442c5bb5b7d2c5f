//! Writes JPEG with any sampling factors, in one scan or in a scan for each component: baseline, with
//! the codes of the standard's annex K.3 for luma.

/// Symbols by the length of their codes (T.81, tables K.3 and K.5).
const DC_COUNTS: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
const QUANTIZER: f32 = 4.0;

/// The index in rows and columns of each coefficient in zigzag order.
fn zigzag() -> [usize; 64] {
    let mut order: Vec<usize> = (0..64).collect();
    order.sort_by_key(|index| {
        let (row, column) = (index / 8, index % 8);
        let diagonal = row + column;
        (diagonal, if diagonal % 2 == 0 { column } else { row })
    });
    order.try_into().unwrap()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, length: u32) {
        for bit in (0..length).rev() {
            self.held = self.held << 1 | value >> bit & 1;
            self.count += 1;
            if self.count == 8 {
                self.bytes.push(self.held as u8);
                if self.held as u8 == 0xff {
                    self.bytes.push(0);
                }
                (self.held, self.count) = (0, 0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        while self.count > 0 {
            self.put(1, 1);
        }
        self.bytes
    }

    /// A coefficient or difference: its size, as a code with as many bits as `code` says, and its bits.
    fn number(&mut self, value: i32, code: impl Fn(u32) -> (u32, u32)) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        let (bits, length) = code(size);
        self.put(bits, length);
        let low = if value < 0 { value - 1 } else { value };
        self.put(low as u32 & ((1 << size) - 1), size);
    }
}

/// A component: its samples as a function of the place in the whole picture, and its factors.
pub(crate) struct Component<'a> {
    pub(crate) sample: &'a dyn Fn(f32, f32) -> f32,
    pub(crate) factors: (usize, usize),
}

/// Encodes components. Their samples are functions of a place from 0 to 1 in the picture.
pub(crate) fn encode(
    size: (usize, usize),
    components: &[Component<'_>],
    is_interleaved: bool,
) -> Vec<u8> {
    let (width, height) = size;
    let most = |of: fn(&Component<'_>) -> usize| components.iter().map(of).max().unwrap();
    let most = (most(|c| c.factors.0), most(|c| c.factors.1));
    let mut jpeg = vec![0xff, 0xd8];
    let mut put = |marker: u8, payload: &[u8]| {
        jpeg.extend([0xff, marker]);
        jpeg.extend((payload.len() as u16 + 2).to_be_bytes());
        jpeg.extend(payload);
    };
    put(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    put(0xdb, &[&[0][..], &[QUANTIZER as u8; 64]].concat());
    // Every symbol of a coefficient gets a code of 8 bits: 0xff is none, as the standard demands.
    let symbols: Vec<u8> = (0..=254).collect();
    let mut counts = [0; 16];
    counts[7] = 255;
    put(0xc4, &[&[0x10][..], &counts, &symbols].concat());
    put(
        0xc4,
        &[&[0][..], &DC_COUNTS, &(0..12).collect::<Vec<u8>>()].concat(),
    );
    let mut frame = vec![8];
    frame.extend((height as u16).to_be_bytes());
    frame.extend((width as u16).to_be_bytes());
    frame.push(components.len() as u8);
    for (number, component) in (1..).zip(components) {
        frame.extend([
            number,
            (component.factors.0 << 4 | component.factors.1) as u8,
            0,
        ]);
    }
    put(0xc0, &frame);
    let scans: Vec<Vec<usize>> = match is_interleaved {
        true => vec![(0..components.len()).collect()],
        false => (0..components.len()).map(|index| vec![index]).collect(),
    };
    for scan in scans {
        let mut header = vec![scan.len() as u8];
        header.extend(scan.iter().flat_map(|index| [*index as u8 + 1, 0]));
        header.extend([0, 63, 0]);
        jpeg.extend([0xff, 0xda]);
        jpeg.extend((header.len() as u16 + 2).to_be_bytes());
        jpeg.extend(header);
        jpeg.extend(data(size, components, &scan, most));
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

/// The coded data of a scan.
fn data(
    (width, height): (usize, usize),
    components: &[Component<'_>],
    scan: &[usize],
    most: (usize, usize),
) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut predicted = vec![0; components.len()];
    let (columns, rows) = match scan {
        [only] => {
            let (across, down) = components[*only].factors;
            let side = |side: usize, factor: usize, most: usize| {
                (side * factor).div_ceil(most).div_ceil(8)
            };
            (side(width, across, most.0), side(height, down, most.1))
        }
        _ => (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1)),
    };
    for row in 0..rows {
        for column in 0..columns {
            for &index in scan {
                let component = &components[index];
                let (across, down) = if scan.len() == 1 {
                    (1, 1)
                } else {
                    component.factors
                };
                for y in row * down..(row + 1) * down {
                    for x in column * across..(column + 1) * across {
                        // The distance of two samples, in parts of the picture.
                        let (step_x, step_y) = (
                            most.0 as f32 / component.factors.0 as f32 / width as f32,
                            most.1 as f32 / component.factors.1 as f32 / height as f32,
                        );
                        let sample = |u: usize, v: usize| {
                            let at = |block: usize, index: usize, step: f32| {
                                (((block * 8 + index) as f32 + 0.5) * step).min(1.0)
                            };
                            (component.sample)(at(x, u, step_x), at(y, v, step_y))
                        };
                        block(&mut bits, &mut predicted[index], sample);
                    }
                }
            }
        }
    }
    bits.finish()
}

/// Transforms and codes a block (T.81, A.3.3 and F.1.2).
fn block(bits: &mut Bits, predicted: &mut i32, sample: impl Fn(usize, usize) -> f32) {
    let basis = |index: usize, place: usize| {
        let scale = if index == 0 {
            std::f32::consts::FRAC_1_SQRT_2
        } else {
            1.0
        };
        scale * ((2 * place + 1) as f32 * index as f32 * std::f32::consts::PI / 16.0).cos()
    };
    let mut samples = [[0.0; 8]; 8];
    for (v, row) in samples.iter_mut().enumerate() {
        for (u, value) in row.iter_mut().enumerate() {
            *value = sample(u, v) - 128.0;
        }
    }
    let coefficient = |row: usize, column: usize| {
        let mut sum = 0.0;
        for (v, samples) in samples.iter().enumerate() {
            for (u, value) in samples.iter().enumerate() {
                sum += value * basis(column, u) * basis(row, v);
            }
        }
        (sum / 4.0 / QUANTIZER).round() as i32
    };
    let values = zigzag().map(|index| coefficient(index / 8, index % 8));
    let difference = values[0] - *predicted;
    *predicted = values[0];
    // The codes of annex C for the counts above.
    let dc = |size: u32| match size {
        0 => (0, 2),
        1..=5 => (size + 1, 3),
        _ => ((1 << (size - 2)) - 2, size - 2),
    };
    bits.number(difference, dc);
    let last = values.iter().rposition(|value| *value != 0).unwrap_or(0);
    let mut run = 0;
    for &value in &values[1..=last] {
        if value == 0 {
            run += 1;
            continue;
        }
        while run > 15 {
            bits.put(0xf0, 8);
            run -= 16;
        }
        bits.number(value, |size| (run << 4 | size, 8));
        run = 0;
    }
    if last < 63 {
        bits.put(0, 8);
    }
}
