//! Encodes planes as baseline JPEG with optimised Huffman tables. Nearly all thumbnails are written
//! by this encoder.
//!
//! libjpeg-turbo can optimise the tables too, but needs a second pass over all coefficients, which
//! took longer than the rest of the encoding. This encoder turns each block into a few tokens right
//! after the transform. The tables follow from the counts of the tokens; then only the tokens have
//! to be written.

use crate::planes::Planes;

use super::segments::put_segment;
use super::spec::{AREA, ZIGZAG};

pub(super) mod dct;
pub(super) mod huffman;
pub(super) mod tokens;

use dct::Quantizer;
use huffman::Code;
use tokens::{TABLES, Tokens, Writer};

/// Class and identifier of each of the [`TABLES`] in a file (T.81, B.2.4.2).
const TABLE_IDS: [u8; TABLES] = [0x00, 0x10, 0x01, 0x11];

/// A component that is being converted to tokens.
struct Component<'a> {
    samples: &'a [u8],
    size: (usize, usize),
    quantizer: Quantizer,
    /// Blocks per MCU, across and down.
    across: usize,
    down: usize,
    /// 0 for luma, 1 for chroma: selects the Huffman and quantization tables.
    kind: usize,
    predicted: i16,
}

/// Encodes planes at a quality of 1 to 100. Chroma, if there is any, has the size of luma or half
/// of it.
pub(super) fn encode(planes: &Planes, quality: u8) -> Vec<u8> {
    encode_with(planes, &steps(quality))
}

/// The quantization tables of luma and of chroma at a quality, in rows and columns.
pub(super) fn steps(quality: u8) -> [[u8; AREA]; 2] {
    [&dct::BRIGHTNESS, &dct::COLOR].map(|base| dct::steps(base, quality))
}

/// Encodes planes with the quantization tables of luma and of chroma, in rows and columns.
fn encode_with(planes: &Planes, steps: &[[u8; AREA]; 2]) -> Vec<u8> {
    let (across, down) = planes.color.unwrap_or((1, 1));
    let (across, down) = (across as usize, down as usize);
    let mut components: Vec<_> = planes.split()[..planes.count()]
        .iter()
        .enumerate()
        .map(|(index, samples)| {
            let (columns, rows) = planes.size_of(index);
            let kind = index.min(1);
            Component {
                samples,
                size: (columns as usize, rows as usize),
                quantizer: Quantizer::new(&steps[kind]),
                across: if index == 0 { across } else { 1 },
                down: if index == 0 { down } else { 1 },
                kind,
                predicted: 0,
            }
        })
        .collect();
    let (width, height) = (planes.width as usize, planes.height as usize);
    let columns = width.div_ceil(8 * across);
    let rows = height.div_ceil(8 * down);
    let blocks = columns * (across * down + components.len() - 1);
    let mut tokens = Tokens::with_room_for(planes.samples.len() / 5 * 2, blocks);
    // The first row whose tokens have no room, with its DC predictions. From this row on, tokens
    // are only counted, and computed again when they are written.
    let mut rest = None;
    for row in 0..rows {
        if rest.is_none() && !tokens.have_room() {
            rest = Some((row, predictions(&components)));
        }
        let kept = tokens.len();
        add_row(&mut components, row, columns, &mut tokens);
        if rest.is_some() {
            tokens.truncate(kept);
        }
    }
    let count = if components.len() == 1 { 2 } else { TABLES };
    let codes: Vec<_> = tokens.counts()[..count].iter().map(Code::best).collect();
    let mut jpeg = headers(&components, (planes.width, planes.height), steps, &codes);
    let mut writer = Writer::new(&codes, tokens.counts(), &mut jpeg);
    writer.write(&tokens);
    if let Some((first, predicted)) = rest {
        for (component, predicted) in components.iter_mut().zip(predicted) {
            component.predicted = predicted;
        }
        for row in first..rows {
            tokens.truncate(0);
            add_row(&mut components, row, columns, &mut tokens);
            writer.write(&tokens);
        }
    }
    writer.finish();
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

fn predictions(components: &[Component<'_>]) -> Vec<i16> {
    let predicted = |component: &Component<'_>| component.predicted;
    components.iter().map(predicted).collect()
}

/// Adds the tokens of one row of MCUs.
fn add_row(components: &mut [Component<'_>], row: usize, columns: usize, tokens: &mut Tokens) {
    for column in 0..columns {
        for component in &mut *components {
            component.add_mcu((column, row), tokens);
        }
    }
}

impl Component<'_> {
    fn add_mcu(&mut self, (column, row): (usize, usize), tokens: &mut Tokens) {
        for y in row * self.down..(row + 1) * self.down {
            for x in column * self.across..(column + 1) * self.across {
                let is_inside = 8 * x < self.size.0 && 8 * y < self.size.1;
                if is_inside {
                    let samples = block(self.samples, self.size, (8 * x, 8 * y));
                    let block = self.quantizer.quantize(&samples);
                    let first = block.first();
                    tokens.add(self.kind, first.wrapping_sub(self.predicted), &block);
                    self.predicted = first;
                } else {
                    // Blocks that only pad an MCU are invisible. They cost least if they repeat
                    // their neighbour.
                    tokens.add_flat(self.kind);
                }
            }
        }
    }
}

/// Eight rows of eight samples of a plane. The last column and row are repeated as needed.
#[inline(always)]
pub(super) fn block(
    samples: &[u8],
    (width, height): (usize, usize),
    (left, top): (usize, usize),
) -> [[u8; 8]; 8] {
    std::array::from_fn(|y| {
        let row = &samples[(top + y).min(height - 1) * width..][..width];
        match row[left..].first_chunk() {
            Some(samples) => *samples,
            None => std::array::from_fn(|x| row[(left + x).min(width - 1)]),
        }
    })
}

/// What the header of a frame says of a component.
pub(super) struct FrameComponent {
    /// Blocks per MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// 0 for luma, 1 for chroma: selects the quantization table.
    pub(super) kind: usize,
}

/// The segments up to the header of the frame, whose marker is `frame`.
pub(super) fn start(
    frame: u8,
    (width, height): (u32, u32),
    steps: &[[u8; AREA]; 2],
    components: impl ExactSizeIterator<Item = FrameComponent>,
) -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8];
    let mut segment = |marker, payload: &[u8]| put_segment(&mut jpeg, marker, payload);
    // JFIF 1.1 with square pixels and no embedded thumbnail.
    segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    // Chroma has a table of its own.
    let kinds = components.len().min(2);
    for (number, steps) in (0..).zip(steps).take(kinds) {
        let mut table = vec![number];
        table.extend(ZIGZAG.map(|place| steps[usize::from(place)]));
        segment(0xdb, &table);
    }
    let [h0, h1] = (height as u16).to_be_bytes();
    let [w0, w1] = (width as u16).to_be_bytes();
    let mut header = vec![8, h0, h1, w0, w1, components.len() as u8];
    for (id, component) in (1..).zip(components) {
        let sampling = (component.across << 4 | component.down) as u8;
        header.extend([id, sampling, component.kind as u8]);
    }
    segment(frame, &header);
    jpeg
}

/// All segments before the data of the scan.
fn headers(
    components: &[Component<'_>],
    size: (u32, u32),
    steps: &[[u8; AREA]; 2],
    codes: &[Code],
) -> Vec<u8> {
    let described = components.iter().map(|component| FrameComponent {
        across: component.across,
        down: component.down,
        kind: component.kind,
    });
    let mut jpeg = start(0xc0, size, steps, described);
    let mut segment = |marker, payload: &[u8]| put_segment(&mut jpeg, marker, payload);
    for (id, code) in TABLE_IDS.into_iter().zip(codes) {
        segment(0xc4, &[&[id], &code.counts[..], &code.symbols].concat());
    }
    let mut scan = vec![components.len() as u8];
    for (id, component) in (1..).zip(components) {
        let kind = component.kind as u8;
        scan.extend([id, kind << 4 | kind]);
    }
    // All coefficients, at full precision.
    scan.extend([0, 63, 0]);
    segment(0xda, &scan);
    jpeg
}

#[cfg(test)]
mod tests {
    use crate::codec::jpeg::turbo;

    use super::*;

    /// A picture of gradients, edges and noise.
    fn picture(width: u32, height: u32, color: Option<(u32, u32)>) -> Planes {
        let mut planes = Planes::new(width, height, color);
        let sizes: [_; 3] = std::array::from_fn(|index| planes.size_of(index));
        let mut state = 1_u32;
        for (plane, (columns, _)) in planes.split_mut().into_iter().zip(sizes) {
            for (index, sample) in (0..).zip(plane) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, y) = (index % columns, index / columns);
                let edge = if (x / 11 + y / 7) % 3 == 0 { 90 } else { 0 };
                *sample = (40 + (x + 2 * y) % 100 + edge + (state >> 28)) as u8;
            }
        }
        planes.repeat_edges();
        planes
    }

    /// Noise gives more tokens than there is room for.
    #[test]
    fn noise_is_written_as_well() {
        for color in [None, Some((2, 2))] {
            let mut planes = picture(400, 300, color);
            let mut state = 1_u32;
            for sample in &mut planes.samples {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = (state >> 24) as u8;
            }
            planes.repeat_edges();
            let found = turbo::decode_planes(&encode(&planes, 100), 8).unwrap();
            let error = mean_square(&found.expect("it has planes"), &planes);
            assert!(error < 0.5, "{color:?}: {error}");
        }
    }

    fn mean_square(found: &Planes, expected: &Planes) -> f64 {
        assert_eq!(
            (found.size_of(0), found.color),
            (expected.size_of(0), expected.color)
        );
        let pairs = found.samples.iter().zip(&expected.samples);
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
        sum as f64 / found.samples.len() as f64
    }

    /// The tables that libjpeg scales to the quality (T.81, tables K.1 and K.2).
    #[rustfmt::skip]
    const EXAMPLES: [[u8; AREA]; 2] = [
        [
            16, 11, 10, 16,  24,  40,  51,  61,
            12, 12, 14, 19,  26,  58,  60,  55,
            14, 13, 16, 24,  40,  57,  69,  56,
            14, 17, 22, 29,  51,  87,  80,  62,
            18, 22, 37, 56,  68, 109, 103,  77,
            24, 35, 55, 64,  81, 104, 113,  92,
            49, 64, 78, 87, 103, 121, 120, 101,
            72, 92, 95, 98, 112, 100, 103,  99,
        ],
        [
            17, 18, 24, 47, 99, 99, 99, 99,
            18, 21, 26, 66, 99, 99, 99, 99,
            24, 26, 56, 99, 99, 99, 99, 99,
            47, 66, 99, 99, 99, 99, 99, 99,
            99, 99, 99, 99, 99, 99, 99, 99,
            99, 99, 99, 99, 99, 99, 99, 99,
            99, 99, 99, 99, 99, 99, 99, 99,
            99, 99, 99, 99, 99, 99, 99, 99,
        ],
    ];

    /// Other decoders read the files, with errors no larger than those of libjpeg-turbo's files.
    #[test]
    fn files_are_as_good_as_those_of_libjpeg() {
        for color in [None, Some((1, 1)), Some((2, 2))] {
            for size in [(1, 1), (8, 8), (17, 50), (131, 75), (256, 192)] {
                for quality in [1, 50, 80, 95, 100] {
                    let case = format!("{color:?} {size:?} {quality}");
                    let planes = picture(size.0, size.1, color);
                    let steps = EXAMPLES.map(|base| dct::steps(&base, quality));
                    let own = encode_with(&planes, &steps);
                    let found = turbo::decode_planes(&own, 8)
                        .unwrap()
                        .expect("it has planes");
                    let theirs = turbo::encode_planes(&planes, quality).unwrap();
                    let expected = turbo::decode_planes(&theirs, 8)
                        .unwrap()
                        .expect("it has planes");
                    let own_error = mean_square(&found, &planes);
                    let their_error = mean_square(&expected, &planes);
                    assert!(
                        own_error <= their_error * 1.05 + 0.1,
                        "{case}: {own_error}, libjpeg-turbo {their_error}"
                    );
                }
            }
        }
    }
}
