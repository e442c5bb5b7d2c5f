//! TIFF of every kind that is read, made in code, and by their names those that are not.

use super::pictures::{Pixels, pixels};
use super::support::request;
use super::tiffs::{ORDERS, Order, Tiff, Value, pack, pack_floats};
use Value::{Bytes, Float, Fractions, Longs, Shorts};
use picresize_imaging::{ImagingError, Limits, inspect, resize};

const SIZE: (u32, u32) = (37, 29);
const PLAIN: Order = ORDERS[0];

/// A channel of a pixel, from 0 to 1.
fn value(x: u32, y: u32, channel: usize) -> f64 {
    let (x, y) = (f64::from(x) / 36.0, f64::from(y) / 28.0);
    match channel {
        0 => x,
        1 => y,
        2 => (x + 1.0 - y) / 2.0,
        _ => 0.3 + 0.7 * x * y,
    }
}

/// The samples of all pixels, with `count` channels each.
fn samples(count: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for y in 0..SIZE.1 {
        for x in 0..SIZE.0 {
            all.extend((0..count).map(|channel| value(x, y, channel)));
        }
    }
    all
}

fn strips(data: &[u8], rows_per_strip: usize) -> Vec<Vec<u8>> {
    let row = data.len() / SIZE.1 as usize;
    data.chunks(row * rows_per_strip)
        .map(<[u8]>::to_vec)
        .collect()
}

fn plain(samples: u16, bits: u16, photometric: u16, data: &[u8]) -> Tiff {
    Tiff {
        order: PLAIN,
        size: SIZE,
        samples,
        bits,
        photometric,
        tile: None,
        rows_per_strip: 8,
        strips: strips(data, 8),
        fields: Vec::new(),
    }
}

fn read(file: &[u8]) -> Pixels {
    Pixels::of(pixels(file, &format!("width={} height={}", SIZE.0, SIZE.1)))
}

/// The largest difference from the expected colour of each pixel.
fn check(name: &str, file: &[u8], most: f64, expected: impl Fn(u32, u32) -> [f64; 4]) {
    let Pixels(width, height, pixels) = read(file);
    assert_eq!((width, height), SIZE, "{name}");
    for (index, pixel) in (0..).zip(pixels) {
        let (x, y) = (index % width, index / width);
        for (found, expected) in pixel.iter().zip(expected(x, y)) {
            let apart = (f64::from(*found) - expected * 255.0).abs();
            assert!(
                apart <= most,
                "{name} at {x}, {y}: {pixel:?}, not {:?}",
                expected * 255.0
            );
        }
    }
}

fn rgb(x: u32, y: u32) -> [f64; 4] {
    [value(x, y, 0), value(x, y, 1), value(x, y, 2), 1.0]
}

fn gray(x: u32, y: u32) -> [f64; 4] {
    [value(x, y, 0), value(x, y, 0), value(x, y, 0), 1.0]
}

#[test]
fn integers_of_all_sizes_are_read() {
    for order in ORDERS {
        for bits in (1..=14).chain([16, 24, 32, 64]) {
            for (count, photometric) in [(1, 0), (1, 1), (3, 2)] {
                let data: Vec<f64> = samples(count);
                let data: Vec<f64> = match photometric {
                    0 => data.iter().map(|value| 1.0 - value).collect(),
                    _ => data,
                };
                let row = SIZE.0 as usize * count;
                let packed = pack(&data, bits, row, order);
                let file = Tiff {
                    order,
                    ..plain(count as u16, bits, photometric, &packed)
                }
                .file();
                let step = 255.0 / (2_f64.powi(bits.into()) - 1.0);
                let name = format!("{order:?}, {bits} bits, photometric {photometric}");
                let expected = if count == 1 { gray } else { rgb };
                check(&name, &file, step / 2.0 + 1.0, expected);
            }
        }
    }
}

#[test]
fn floats_of_all_sizes_are_read() {
    for order in ORDERS {
        for bits in [16, 32, 64] {
            for (count, photometric) in [(1, 1), (3, 2)] {
                let packed = pack_floats(&samples(count), bits, order);
                let mut tiff = Tiff {
                    order,
                    ..plain(count as u16, bits, photometric, &packed)
                };
                tiff.fields.push((339, Shorts(vec![3; count])));
                let expected = if count == 1 { gray } else { rgb };
                check(
                    &format!("{order:?}, {bits} bits"),
                    &tiff.file(),
                    1.0,
                    expected,
                );
            }
        }
    }
    // A range that is not from 0 to 1.
    let wide: Vec<f64> = samples(1)
        .iter()
        .map(|value| value * 300.0 - 100.0)
        .collect();
    let mut tiff = plain(1, 32, 1, &pack_floats(&wide, 32, PLAIN));
    tiff.fields.extend([
        (339, Shorts(vec![3])),
        (340, Float(-100.0)),
        (341, Float(200.0)),
    ]);
    check("a range", &tiff.file(), 1.0, gray);
}

/// Tiles, and planes of strips and tiles, with sizes that do not divide the picture.
#[test]
fn tiles_and_planes_are_put_together() {
    for order in ORDERS {
        for bits in [8, 16] {
            for tile in [None, Some((16, 16)), Some((48, 16)), Some((16, 64))] {
                for is_separate in [false, true] {
                    let together = if is_separate { 1 } else { 3 };
                    let planes = if is_separate { 3 } else { 1 };
                    let (width, height) = tile.unwrap_or((SIZE.0, 8));
                    let mut parts = Vec::new();
                    for plane in 0..planes {
                        for top in (0..SIZE.1).step_by(height as usize) {
                            for left in (0..SIZE.0).step_by(width as usize) {
                                let end = if tile.is_some() {
                                    top + height
                                } else {
                                    (top + height).min(SIZE.1)
                                };
                                let mut part = Vec::new();
                                for y in top..end {
                                    for x in left..left + width {
                                        part.extend((0..together).map(|channel| {
                                            value(x.min(36), y.min(28), plane + channel)
                                        }));
                                    }
                                }
                                parts.push(pack(&part, bits, width as usize * together, order));
                            }
                        }
                    }
                    let mut tiff = Tiff {
                        order,
                        tile,
                        strips: parts,
                        ..plain(3, bits, 2, &[0; 29])
                    };
                    tiff.fields
                        .push((284, Shorts(vec![if is_separate { 2 } else { 1 }])));
                    check(
                        &format!("{order:?} {bits} {tile:?} {is_separate}"),
                        &tiff.file(),
                        1.0,
                        rgb,
                    );
                }
            }
        }
    }
}

#[test]
fn samples_after_the_colours_are_what_the_file_says() {
    for bits in [8, 16] {
        for (extra, meaning) in [
            (Some(vec![0]), "none"),
            (Some(vec![1]), "premultiplied"),
            (Some(vec![2]), "straight"),
            (None, "straight"),
            (Some(vec![2, 0]), "straight"),
            (Some(vec![0, 0]), "none"),
        ] {
            let more = extra.as_ref().map_or(1, Vec::len);
            for colors in [1, 3] {
                let mut data = Vec::new();
                for y in 0..SIZE.1 {
                    for x in 0..SIZE.0 {
                        let alpha = value(x, y, 3);
                        let factor = if meaning == "premultiplied" {
                            alpha
                        } else {
                            1.0
                        };
                        data.extend((0..colors).map(|channel| value(x, y, channel) * factor));
                        data.push(alpha);
                        data.extend((1..more).map(|_| 0.4));
                    }
                }
                for order in ORDERS {
                    let count = colors + more;
                    let packed = pack(&data, bits, SIZE.0 as usize * count, order);
                    let photometric = if colors == 1 { 1 } else { 2 };
                    let mut tiff = Tiff {
                        order,
                        ..plain(count as u16, bits, photometric, &packed)
                    };
                    if let Some(extra) = &extra {
                        tiff.fields.push((338, Shorts(extra.clone())));
                    }
                    // Dividing by a small alpha makes the error of rounding larger.
                    let most = if meaning == "premultiplied" && bits == 8 {
                        4.0
                    } else {
                        1.0
                    };
                    check(
                        &format!("{order:?} {bits} {extra:?} {colors}"),
                        &tiff.file(),
                        most,
                        |x, y| {
                            let color = if colors == 1 { gray(x, y) } else { rgb(x, y) };
                            let alpha = if meaning == "none" {
                                1.0
                            } else {
                                value(x, y, 3)
                            };
                            [color[0], color[1], color[2], alpha]
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn palettes_of_all_sizes_are_read() {
    for order in ORDERS {
        for bits in (1..=8_u16).chain([16]) {
            let count = 1_usize << bits;
            let level = |index: usize, part: usize| (index * (91 + part * 50) + part * 37) % 256;
            let index = |x: u32, y: u32| (x as usize * 7 + y as usize * 11) % count;
            let places = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y)));
            let most = (count - 1) as f64;
            let data: Vec<f64> = places.map(|(x, y)| index(x, y) as f64 / most).collect();
            let packed = pack(&data, bits, SIZE.0 as usize, order);
            // Some writers use 8 bits of the 16.
            for factor in [257, 1] {
                let map = (0..3).flat_map(|part| {
                    (0..count).map(move |index| (level(index, part) * factor) as u16)
                });
                let mut tiff = Tiff {
                    order,
                    ..plain(1, bits, 3, &packed)
                };
                tiff.fields.push((320, Shorts(map.collect())));
                check(
                    &format!("{order:?} {bits} bits × {factor}"),
                    &tiff.file(),
                    1.0,
                    |x, y| {
                        let color = |part| level(index(x, y), part) as f64 / 255.0;
                        [color(0), color(1), color(2), 1.0]
                    },
                );
            }
        }
    }
}

fn with_compression(
    code: u16,
    pack: impl Fn(&[u8]) -> Vec<u8>,
    predictor: u16,
    bits: u16,
    order: Order,
) -> Vec<u8> {
    let data = pack_rgb(bits, predictor, order);
    let strips = strips(&data, 8).iter().map(|strip| pack(strip)).collect();
    let mut tiff = Tiff {
        order,
        strips,
        ..plain(3, bits, 2, &[0; 29])
    };
    tiff.fields
        .extend([(259, Shorts(vec![code])), (317, Shorts(vec![predictor]))]);
    if predictor == 3 {
        tiff.fields.push((339, Shorts(vec![3; 3])));
    }
    tiff.file()
}

/// The rows of a picture after a predictor.
fn pack_rgb(bits: u16, predictor: u16, order: Order) -> Vec<u8> {
    let row = SIZE.0 as usize * 3;
    let bytes = usize::from(bits / 8);
    if predictor == 3 {
        let mut data = pack_floats(
            &samples(3),
            bits,
            Order {
                is_little: false,
                ..order
            },
        );
        for row in data.chunks_mut(row * bytes) {
            let whole = row.to_vec();
            let count = whole.len() / bytes;
            for (index, value) in whole.chunks(bytes).enumerate() {
                for (place, byte) in value.iter().enumerate() {
                    row[place * count + index] = *byte;
                }
            }
            for at in (3..row.len()).rev() {
                row[at] = row[at].wrapping_sub(row[at - 3]);
            }
        }
        return data;
    }
    let most = 2_f64.powi(bits.into()) - 1.0;
    let mut numbers: Vec<u64> = samples(3)
        .iter()
        .map(|value| (value * most).round() as u64)
        .collect();
    if predictor == 2 {
        for row in numbers.chunks_mut(row) {
            for at in (3..row.len()).rev() {
                row[at] = row[at].wrapping_sub(row[at - 3]) & (u64::MAX >> (64 - bits));
            }
        }
    }
    let bytes_of = |number: &u64| {
        let mut kept = number.to_be_bytes()[8 - bytes..].to_vec();
        if order.is_little {
            kept.reverse();
        }
        kept
    };
    numbers.iter().flat_map(bytes_of).collect()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest());
    let mut packed = vec![0; compressor.zlib_compress_bound(data.len())];
    let length = compressor.zlib_compress(data, &mut packed).unwrap();
    packed.truncate(length);
    packed
}

fn lzw(data: &[u8]) -> Vec<u8> {
    weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8)
        .encode(data)
        .unwrap()
}

/// Runs of one byte, and literals.
fn pack_bits(data: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for chunk in data.chunks(7) {
        match chunk {
            [first, rest @ ..] if rest.iter().all(|byte| byte == first) => {
                packed.extend([1_u8.wrapping_sub(chunk.len() as u8), *first]);
            }
            _ => {
                packed.push(chunk.len() as u8 - 1);
                packed.extend(chunk);
            }
        }
    }
    packed
}

/// A frame of Zstandard with one block that is not compressed.
fn zstd(data: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((data.len() as u32).to_le_bytes());
    frame.extend(&((data.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend(data);
    frame
}

#[test]
fn compressions_and_predictors_are_undone() {
    type Compress = fn(&[u8]) -> Vec<u8>;
    let compressions: [(u16, Compress); 6] = [
        (1, <[u8]>::to_vec),
        (5, lzw),
        (8, zlib),
        (32_946, zlib),
        (32_773, pack_bits),
        (50_000, zstd),
    ];
    for order in ORDERS {
        for (code, pack) in compressions {
            for (predictor, sizes) in [
                (1, &[8, 16, 32][..]),
                (2, &[8, 16, 24, 32, 64]),
                (3, &[16, 32, 64]),
            ] {
                // The others have none.
                if predictor > 1 && matches!(code, 1 | 32_773) {
                    continue;
                }
                for bits in sizes {
                    let file = with_compression(code, pack, predictor, *bits, order);
                    check(
                        &format!("{order:?} {code} {predictor} {bits}"),
                        &file,
                        1.0,
                        rgb,
                    );
                }
            }
        }
    }
}

/// The other order of bits, with and without compression.
#[test]
fn the_order_of_bits_is_respected() {
    for (code, pack) in [
        (1, <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>),
        (5, lzw),
        (8, zlib),
        (32_773, pack_bits),
    ] {
        for bits in [8, 16] {
            let reversed = |data: &[u8]| {
                pack(data)
                    .iter()
                    .map(|byte| byte.reverse_bits())
                    .collect::<Vec<u8>>()
            };
            let data = pack_rgb(bits, 1, PLAIN);
            let strips = strips(&data, 8)
                .iter()
                .map(|strip| reversed(strip))
                .collect();
            let mut tiff = Tiff {
                strips,
                ..plain(3, bits, 2, &[0; 29])
            };
            tiff.fields
                .extend([(259, Shorts(vec![code])), (266, Shorts(vec![2]))]);
            check(&format!("{code} {bits}"), &tiff.file(), 1.0, rgb);
        }
    }
    let bits = pack(&samples(1), 1, SIZE.0 as usize, PLAIN);
    let reversed: Vec<u8> = bits.iter().map(|byte| byte.reverse_bits()).collect();
    let mut tiff = plain(1, 1, 1, &reversed);
    tiff.fields.push((266, Shorts(vec![2])));
    assert_eq!(read(&tiff.file()).2, read(&plain(1, 1, 1, &bits).file()).2);
}

#[test]
fn inks_become_colours() {
    for bits in [8, 16] {
        let ink = |x, y, channel: usize| 1.0 - value(x, y, channel);
        let mut data = Vec::new();
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                data.extend([ink(x, y, 0), ink(x, y, 1), ink(x, y, 2), 0.2]);
            }
        }
        let packed = pack(&data, bits, SIZE.0 as usize * 4, PLAIN);
        check(
            &format!("{bits} bits"),
            &plain(4, bits, 5, &packed).file(),
            1.5,
            |x, y| {
                let [r, g, b, _] = rgb(x, y);
                [r * 0.8, g * 0.8, b * 0.8, 1.0]
            },
        );
    }
}

fn ycbcr([r, g, b, _]: [f64; 4]) -> [f64; 3] {
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    [luma, (b - luma) / 1.772 + 0.502, (r - luma) / 1.402 + 0.502]
}

/// Luma and chroma with every subsampling, in strips and tiles.
#[test]
fn luma_and_chroma_become_colours() {
    for (across, down) in [(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (4, 4)] {
        for tile in [None, Some((16, 16))] {
            let (width, height) = tile.unwrap_or((SIZE.0, 8));
            let mut parts = Vec::new();
            for top in (0..SIZE.1).step_by(height as usize) {
                for left in (0..SIZE.0).step_by(width as usize) {
                    let end = if tile.is_some() {
                        top + height
                    } else {
                        (top + height).min(SIZE.1)
                    };
                    let mut part = Vec::new();
                    for y in (top..end).step_by(down) {
                        for x in (left..left + width).step_by(across) {
                            let places = (0..down as u32)
                                .flat_map(|v| (0..across as u32).map(move |u| (u, v)));
                            part.extend(
                                places
                                    .map(|(u, v)| ycbcr(rgb((x + u).min(36), (y + v).min(28)))[0]),
                            );
                            let middle = ycbcr(rgb(
                                (x + across as u32 / 2).min(36),
                                (y + down as u32 / 2).min(28),
                            ));
                            part.extend([middle[1], middle[2]]);
                        }
                    }
                    parts.push(pack(&part, 8, part.len(), PLAIN));
                }
            }
            let mut tiff = Tiff {
                tile,
                strips: parts,
                ..plain(3, 8, 6, &[0; 29])
            };
            tiff.fields
                .push((530, Shorts(vec![across as u16, down as u16])));
            // Neighbours share their chroma.
            let most = 2.0 + 12.0 * (across + down - 2) as f64;
            check(
                &format!("{across} × {down} {tile:?}"),
                &tiff.file(),
                most,
                rgb,
            );
        }
    }
    // Other weights, and the range of video.
    let mut data = Vec::new();
    for y in 0..SIZE.1 {
        for x in 0..SIZE.0 {
            let [r, g, b, _] = rgb(x, y);
            let luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
            let chroma = |value: f64, weight: f64| {
                (128.0 + (value - luma) / (2.0 - 2.0 * weight) * 224.0) / 255.0
            };
            data.extend([
                (16.0 + luma * 219.0) / 255.0,
                chroma(b, 0.0722),
                chroma(r, 0.2126),
            ]);
        }
    }
    let mut tiff = plain(3, 8, 6, &pack(&data, 8, SIZE.0 as usize * 3, PLAIN));
    tiff.fields.extend([
        (
            529,
            Fractions(vec![(2126, 10_000), (7152, 10_000), (722, 10_000)]),
        ),
        (530, Shorts(vec![1, 1])),
        (
            532,
            Fractions(
                [16, 235, 128, 240, 128, 240]
                    .map(|value| (value, 1))
                    .to_vec(),
            ),
        ),
    ]);
    check("video", &tiff.file(), 4.0, rgb);
}

/// Greys and strong colours of CIE L*a*b*, of both kinds and depths.
#[test]
fn lab_becomes_colours() {
    // L, a and b, and sRGB.
    let known = [
        ([100.0, 0.0, 0.0], [255, 255, 255]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
        ([53.585, 0.0, 0.0], [128, 128, 128]),
        ([54.29, 80.81, 69.89], [255, 0, 0]),
        ([87.82, -79.29, 80.99], [0, 255, 0]),
        ([29.57, 68.30, -112.03], [0, 0, 255]),
    ];
    for (lab, expected) in known {
        for bits in [8, 16] {
            for photometric in [8, 9] {
                let part = |value: f64| match (bits, photometric) {
                    (8, 8) => (value.round() as i64).rem_euclid(256) as f64 / 255.0,
                    (8, _) => (value + 128.0) / 255.0,
                    (_, 8) => ((value * 256.0).round() as i64).rem_euclid(65_536) as f64 / 65_535.0,
                    (..) => (value + 128.0) * 256.0 / 65_535.0,
                };
                let pixel = [lab[0] / 100.0, part(lab[1]), part(lab[2])];
                let data = pixel.repeat((SIZE.0 * SIZE.1) as usize);
                let file = plain(
                    3,
                    bits,
                    photometric,
                    &pack(&data, bits, SIZE.0 as usize * 3, PLAIN),
                )
                .file();
                // In 8 bits, a and b are whole numbers.
                let most = if bits == 8 { 12.0 } else { 3.0 };
                check(
                    &format!("{lab:?} {bits} {photometric}"),
                    &file,
                    most,
                    |_, _| {
                        let [r, g, b] = expected.map(|value: i32| f64::from(value) / 255.0);
                        [r, g, b, 1.0]
                    },
                );
            }
        }
    }
}

/// Strips and tiles of JPEG, with tables of their own and with shared ones; grey, colours and inks.
#[test]
fn jpeg_strips_are_decoded() {
    use super::jpeg_writer::{Component, encode};
    use super::jpegs::segments;

    for (is_ycbcr, has_tables) in [(true, false), (true, true), (false, false), (false, true)] {
        for tile in [None, Some((16, 16))] {
            for factors in [(1, 1), (2, 2), (2, 1)] {
                if !is_ycbcr && factors != (1, 1) {
                    continue;
                }
                let (width, height) = tile.unwrap_or((SIZE.0, 16));
                let mut parts = Vec::new();
                let mut tables = Vec::new();
                for top in (0..SIZE.1).step_by(16) {
                    for left in (0..SIZE.0).step_by(width as usize) {
                        let rows = if tile.is_some() {
                            height
                        } else {
                            height.min(SIZE.1 - top)
                        };
                        let at = |x: f32, y: f32| {
                            let place = |start: u32, part: f32, side: u32, most: u32| {
                                (start as f32 + part * side as f32 - 0.5).clamp(0.0, most as f32)
                            };
                            let (x, y) = (place(left, x, width, 36), place(top, y, rows, 28));
                            let (x, y) = (f64::from(x) / 36.0, f64::from(y) / 28.0);
                            [x, y, (x + 1.0 - y) / 2.0, 1.0]
                        };
                        let sample = |index: usize| {
                            move |x: f32, y: f32| {
                                let color = at(x, y);
                                let value = if is_ycbcr {
                                    ycbcr(color)[index]
                                } else {
                                    color[index]
                                };
                                (value * 255.0) as f32
                            }
                        };
                        let (first, second, third) = (sample(0), sample(1), sample(2));
                        let samples: [&dyn Fn(f32, f32) -> f32; 3] = [&first, &second, &third];
                        let components: [_; 3] = std::array::from_fn(|index| Component {
                            sample: samples[index],
                            factors: if index == 0 { factors } else { (1, 1) },
                        });
                        let jpeg = encode((width as usize, rows as usize), &components, true);
                        let mut kept = jpeg[..2].to_vec();
                        tables = jpeg[..2].to_vec();
                        let mut end = 2;
                        for (marker, start, after) in segments(&jpeg) {
                            let is_table = matches!(marker, 0xc4 | 0xdb);
                            if is_table {
                                tables.extend(&jpeg[start..after]);
                            }
                            if !(is_table && has_tables) {
                                kept.extend(&jpeg[start..after]);
                            }
                            end = after;
                        }
                        kept.extend(&jpeg[end..]);
                        tables.extend([0xff, 0xd9]);
                        parts.push(kept);
                    }
                }
                let photometric = if is_ycbcr { 6 } else { 2 };
                let mut tiff = Tiff {
                    tile,
                    strips: parts,
                    rows_per_strip: 16,
                    ..plain(3, 8, photometric, &[0; 29])
                };
                tiff.fields.push((259, Shorts(vec![7])));
                if has_tables {
                    tiff.fields.push((347, Bytes(tables)));
                }
                let name = format!("{is_ycbcr} {has_tables} {tile:?} {factors:?}");
                check(&name, &tiff.file(), 14.0, rgb);
            }
        }
    }
}

#[test]
fn orientations_turn_the_picture() {
    let data = pack(&samples(3), 8, SIZE.0 as usize * 3, PLAIN);
    let mut tiff = plain(3, 8, 2, &data);
    let upright = read(&tiff.file());
    tiff.fields.push((274, Shorts(vec![6])));
    let turned = Pixels::of(pixels(
        &tiff.file(),
        &format!("width={} height={}", SIZE.1, SIZE.0),
    ));
    let expected = upright.map(SIZE.1, SIZE.0, |x, y| (y, SIZE.1 - 1 - x));
    assert_eq!(turned.2, expected.2);
}

/// More values than samples, bytes that claim to be signed, and no photometric interpretation.
#[test]
fn fields_that_other_readers_pass_over_are_harmless() {
    let data = pack(&samples(3), 8, SIZE.0 as usize * 3, PLAIN);
    let mut tiff = plain(3, 8, 2, &data);
    tiff.fields.push((258, Shorts(vec![8, 8, 8, 1])));
    check("four depths", &tiff.file(), 1.0, rgb);
    tiff.fields = vec![(339, Shorts(vec![2; 3]))];
    check("signed bytes", &tiff.file(), 1.0, rgb);
    tiff.fields = vec![(270, Bytes(vec![b'x'; 5_000]))];
    check("a long description", &tiff.file(), 1.0, rgb);
}

/// A file without the lengths of its strips, and one whose last strip is stored as a whole one.
#[test]
fn flaws_that_cost_no_pixel_are_harmless() {
    let data = pack(&samples(3), 8, SIZE.0 as usize * 3, PLAIN);
    let mut tiff = Tiff {
        rows_per_strip: u32::MAX,
        strips: vec![data.clone()],
        ..plain(3, 8, 2, &data)
    };
    tiff.fields.push((279, Longs(vec![0])));
    check("no lengths", &tiff.file(), 1.0, rgb);
    let mut tiff = plain(3, 8, 2, &data);
    for strip in &mut tiff.strips {
        strip.resize(SIZE.0 as usize * 3 * 8, 77);
        *strip = zlib(strip);
    }
    tiff.fields.push((259, Shorts(vec![8])));
    check("whole strips", &tiff.file(), 1.0, rgb);
}

#[test]
fn what_is_not_read_is_refused_by_its_name() {
    let data = pack(&samples(3), 8, SIZE.0 as usize * 3, PLAIN);
    let of = |fields: &[(u16, Value)]| {
        let mut tiff = plain(3, 8, 2, &data);
        tiff.fields.extend_from_slice(fields);
        tiff.file()
    };
    for (file, words) in [
        (of(&[(259, Shorts(vec![34_925]))]), "LZMA"),
        (of(&[(259, Shorts(vec![34_712]))]), "JPEG 2000"),
        (of(&[(259, Shorts(vec![50_001]))]), "WebP"),
        (of(&[(259, Shorts(vec![777]))]), "compression 777"),
        (of(&[(262, Shorts(vec![32_803]))]), "colour filter array"),
        (of(&[(262, Shorts(vec![777]))]), "interpretation 777"),
        (
            of(&[(258, Shorts(vec![16; 3])), (339, Shorts(vec![2; 3]))]),
            "signed integers",
        ),
        (of(&[(339, Shorts(vec![6; 3]))]), "complex numbers"),
        (
            of(&[(258, Shorts(vec![8, 8, 4]))]),
            "samples of different sizes",
        ),
        (
            of(&[(258, Shorts(vec![5, 6, 5]))]),
            "samples of different sizes",
        ),
        (of(&[(284, Shorts(vec![3]))]), "planar configuration 3"),
        (
            of(&[
                (262, Shorts(vec![5])),
                (277, Shorts(vec![4])),
                (332, Shorts(vec![2])),
            ]),
            "not CMYK",
        ),
        (
            of(&[(259, Shorts(vec![8])), (317, Shorts(vec![9]))]),
            "predictor 9",
        ),
        (of(&[(262, Shorts(vec![3]))]), "palette"),
    ] {
        let error = inspect(&file, &Limits::default()).unwrap_err();
        assert!(
            matches!(error, ImagingError::Header { .. }),
            "{words}: {error}"
        );
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[test]
fn a_strip_that_is_cut_or_missing_is_told() {
    let data = pack(&samples(3), 8, SIZE.0 as usize * 3, PLAIN);
    for (code, pack) in [
        (1, <[u8]>::to_vec as fn(&[u8]) -> Vec<u8>),
        (5, lzw),
        (8, zlib),
        (32_773, pack_bits),
        (50_000, zstd),
    ] {
        let mut tiff = plain(3, 8, 2, &data);
        tiff.strips = tiff.strips.iter().map(|strip| pack(strip)).collect();
        tiff.fields.push((259, Shorts(vec![code])));
        for cut in [1, 20] {
            let mut damaged = tiff.clone();
            let strip = &mut damaged.strips[1];
            strip.truncate(strip.len() - cut - 4);
            let error =
                resize(&damaged.file(), &request("width=20"), &Limits::default()).unwrap_err();
            assert!(
                matches!(error, ImagingError::Body { .. }),
                "{code}: {error}"
            );
        }
        let mut damaged = tiff.clone();
        damaged.strips.pop();
        assert!(resize(&damaged.file(), &request("width=20"), &Limits::default()).is_err());
    }
}
