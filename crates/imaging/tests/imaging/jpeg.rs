//! Compares every kind of JPEG, with every kind of shrink-on-load, with libjpeg-turbo's decoding at
//! full size; also broken files.

use std::time::{Duration, Instant};

use super::jpegs::{self, KINDS, Kind, data_start, segments, without};
use super::pictures::{make, next_random, pixels, png};
use super::support::request;
use picresize_imaging::{ImagingError, Limits, Resized, inspect, resize};

/// Soft waves in luma and chroma, one hard edge, and a ramp that is steepest at the right and
/// bottom, so that errors at the edges are visible.
fn scene((width, height): (u32, u32)) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (across, down) = (x as f32 / width as f32, y as f32 / height as f32);
            let wave = ((x as f32 * 0.13).sin() + (y as f32 * 0.11).cos()) * 20.0;
            let edge = if across + down > 0.9 { 40.0 } else { 0.0 };
            let ramp = (across.powi(4) + down.powi(4)) * 60.0;
            for color in [
                60.0 + across * 40.0,
                90.0 - down * 50.0,
                40.0 + across * down * 90.0,
            ] {
                pixels.push((color + wave + edge + ramp) as u8);
            }
        }
    }
    pixels
}

/// Averages squares of `side` pixels, which tile the picture.
fn average(rgb: &[u8], (width, height): (u32, u32), side: u32) -> Vec<u8> {
    let mut averaged = Vec::new();
    for y in (0..height).step_by(side as usize) {
        for x in (0..width).step_by(side as usize) {
            for channel in 0..3 {
                let places = (y..y + side).flat_map(|y| (x..x + side).map(move |x| (x, y)));
                let values = places.map(|(x, y)| rgb[(y * width + x) as usize * 3 + channel]);
                let sum: u32 = values.map(u32::from).sum();
                averaged.push(((sum + side * side / 2) / (side * side)) as u8);
            }
        }
    }
    averaged
}

/// The difference between two pictures.
#[derive(Clone, Copy, Debug, Default)]
struct Difference {
    /// Of all samples.
    mean: f64,
    /// The largest mean of a line at an edge.
    edge: f64,
    most: u8,
}

fn difference(found: &[u8], expected: &[u8], (width, height): (u32, u32)) -> Difference {
    assert_eq!(found.len(), expected.len());
    let row = width as usize * 3;
    let apart: Vec<u8> = found
        .iter()
        .zip(expected)
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let mean =
        |samples: &[u8]| samples.iter().map(|&n| f64::from(n)).sum::<f64>() / samples.len() as f64;
    let column = |x: usize| -> Vec<u8> {
        let rows = apart.chunks(row);
        rows.flat_map(|row| row[x * 3..x * 3 + 3].to_vec())
            .collect()
    };
    let edges = [
        mean(&apart[..row]),
        mean(&apart[row * (height as usize - 1)..]),
        mean(&column(0)),
        mean(&column(width as usize - 1)),
    ];
    Difference {
        mean: mean(&apart),
        edge: edges.into_iter().fold(0.0, f64::max),
        most: apart.into_iter().max().unwrap(),
    }
}

fn rgb(rgba: &[u8]) -> Vec<u8> {
    let (pixels, _) = rgba.as_chunks::<4>();
    pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
}

/// Reports every result that is out of bounds, and the worst of all.
#[derive(Default)]
struct Verdict {
    wrong: Vec<String>,
    worst: Difference,
}

impl Verdict {
    fn add(&mut self, what: &str, found: Difference, most: Difference) {
        if found.mean > most.mean || found.edge > most.edge || found.most > most.most {
            self.wrong.push(format!("{what}: {found:?}"));
        }
        self.worst.mean = self.worst.mean.max(found.mean);
        self.worst.edge = self.worst.edge.max(found.edge);
        self.worst.most = self.worst.most.max(found.most);
    }

    fn end(self) {
        eprintln!("worst: {:?}", self.worst);
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
    }
}

/// Compares a shrunk JPEG with the same operation on its pixels at full size. With the default
/// filter, the reference is a PNG of the same pixels; if squares of pixels become one, it is their
/// exact average. Tests results as PNG, and as JPEG from the JPEG's own planes.
fn compare(kind: &Kind, jpeg: &[u8], to: (u32, u32), verdict: &mut Verdict) {
    let ((width, height), full) = jpegs::decode(jpeg);
    let size = format!("width={} height={}", to.0, to.1);
    let source = png(width, height, png::ColorType::Rgb, &full);
    let factor = width / to.0;
    let squares = (to.0 * factor, to.1 * factor) == (width, height) && factor.is_power_of_two();
    for filter in ["lanczos3", "box"] {
        let options = format!("{size} filter={filter}");
        let expected = match filter {
            "box" if squares => average(&full, (width, height), factor),
            "box" => continue,
            _ => rgb(&pixels(&source, &options).1),
        };
        for kept in [false, true] {
            let found = if kept {
                let resized = make(jpeg, &format!("{options} quality=100"));
                jpegs::decode(&resized.bytes).1
            } else {
                rgb(&pixels(jpeg, &options).1)
            };
            let name = kind.name;
            let what = format!("{name}, {width}x{height} to {size} by {filter}, as jpeg: {kept}");
            verdict.add(
                &what,
                difference(&found, &expected, to),
                tolerance(kind, to),
            );
        }
    }
}

/// Of samples from 0 to 255.
const CLOSE: Difference = Difference {
    mean: 2.0,
    edge: 4.0,
    most: 10,
};
/// At an eighth of the size, libjpeg has one chroma sample per 32 pixels.
const FOURFOLD: Difference = Difference {
    mean: 5.0,
    edge: 9.0,
    most: 24,
};
/// A result of a few pixels consists of edges. Beyond them the filter sees nothing, and the decoder
/// pads the picture's last MCU with its last pixels.
const TINY: Difference = Difference {
    mean: 15.0,
    edge: 17.0,
    most: 26,
};

fn tolerance(kind: &Kind, to: (u32, u32)) -> Difference {
    let (across, down) = kind.subsamp.size();
    match to.0.min(to.1) {
        0..4 => TINY,
        _ if across == 4 || down == 4 => FOURFOLD,
        _ => CLOSE,
    }
}

fn shrunk((width, height): (u32, u32), factor: u32) -> (u32, u32) {
    let side = |side: u32| (side / factor).max(1);
    (side(width), side(height))
}

#[test]
fn every_kind_shrinks_as_its_pixels_do() {
    let mut verdict = Verdict::default();
    for kind in KINDS {
        for size in [(131, 93), (192, 128)] {
            let jpeg = kind.encode(&scene(size), size);
            for factor in [1, 2, 3, 4, 6, 8, 12, 16] {
                compare(kind, &jpeg, shrunk(size, factor), &mut verdict);
            }
        }
    }
    verdict.end();
}

/// Sides that are no multiple of an MCU, down to a single pixel.
#[test]
fn odd_sizes_shrink_as_their_pixels_do() {
    let mut verdict = Verdict::default();
    for kind in KINDS {
        for size in [(1, 1), (1, 37), (41, 1), (7, 9), (17, 33), (2, 2)] {
            let jpeg = kind.encode(&scene(size), size);
            for factor in [1, 2, 4, 8, 16] {
                compare(kind, &jpeg, shrunk(size, factor), &mut verdict);
            }
        }
    }
    verdict.end();
}

/// Every remainder of width and height modulo the MCU, at every scale of the decoder: the padding
/// of the last MCU must not affect the picture.
#[test]
fn edges_are_those_of_the_picture() {
    let mut verdict = Verdict::default();
    let sampled = ["4:2:0", "4:4:4", "4:1:1", "4:4:1"];
    for kind in KINDS.iter().filter(|kind| sampled.contains(&kind.name)) {
        for more in 0..16 {
            let size = (192 + more, 112 + more);
            let jpeg = kind.encode(&scene(size), size);
            for factor in [6, 12] {
                compare(kind, &jpeg, shrunk(size, factor), &mut verdict);
            }
        }
    }
    verdict.end();
}

/// The profile `fine` shrinks by at most 2 in the decoder and averages in linear light. On a picture
/// without contrast between neighbouring pixels, both give the same result.
#[test]
fn fine_shrinks_every_kind_too() {
    let mut verdict = Verdict::default();
    let size = (131, 93);
    for kind in KINDS {
        let jpeg = kind.encode(&scene(size), size);
        let (_, full) = jpegs::decode(&jpeg);
        let source = png(size.0, size.1, png::ColorType::Rgb, &full);
        for factor in [1, 2, 4, 8, 16] {
            let to = shrunk(size, factor);
            let options = format!("width={} height={} profile=fine", to.0, to.1);
            let found = rgb(&pixels(&jpeg, &options).1);
            let expected = rgb(&pixels(&source, &options).1);
            let what = format!("{} by {factor}", kind.name);
            verdict.add(&what, difference(&found, &expected, to), CLOSE);
        }
    }
    verdict.end();
}

fn limits() -> Limits {
    Limits {
        max_source_pixels: 1_000_000,
        max_memory_bytes: 64 << 20,
        ..Limits::default()
    }
}

/// Both code paths: the JPEG's own planes, and pixels.
const WAYS: [&str; 3] = ["width=20", "width=90 format=png", "width=20 profile=fine"];

/// Expects a result or an error about the picture, within a time limit; anything else fails.
fn attempt(jpeg: &[u8], options: &str) -> Result<Resized, ImagingError> {
    let began = Instant::now();
    let result = resize(jpeg, &request(options), &limits());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{options} took {took:?}");
    match &result {
        Ok(_)
        | Err(
            ImagingError::NotAPicture(_)
            | ImagingError::Header { .. }
            | ImagingError::Body { .. }
            | ImagingError::TooLarge(_),
        ) => result,
        Err(error) => panic!("{options}: {error}"),
    }
}

/// One kind of JPEG for each decoder and each way of coding coefficients.
fn coders() -> impl Iterator<Item = (&'static Kind, Vec<u8>)> {
    let names = [
        "4:2:0",
        "gray",
        "progressive",
        "arithmetic",
        "arithmetic progressive",
        "restarts",
        "CMYK",
        "YCCK",
    ];
    let size = (120, 88);
    let coders = KINDS.iter().filter(move |kind| names.contains(&kind.name));
    coders.map(move |kind| (kind, kind.encode(&scene(size), size)))
}

/// A picture with missing parts must not give a made-up result. The end marker is no part of it:
/// `jpeg_flaws` tests pictures without.
#[test]
fn a_jpeg_that_is_cut_short_is_refused() {
    for (kind, jpeg) in coders() {
        let steps = (0..jpeg.len() - 4)
            .step_by(jpeg.len() / 60)
            .chain([jpeg.len() - 6, jpeg.len() - 5]);
        for length in steps {
            for options in WAYS {
                let result = attempt(&jpeg[..length], options);
                let whole = jpeg.len();
                assert!(result.is_err(), "{}: {length} of {whole} bytes", kind.name);
            }
        }
    }
}

/// A number below `most`.
fn draw(state: &mut u32, most: usize) -> usize {
    *state = next_random(*state);
    (*state >> 8) as usize % most
}

#[test]
fn flipped_bits_end_in_a_result_or_an_error() {
    let mut state = 1;
    let (mut results, mut errors) = (0, 0);
    for (_, jpeg) in coders() {
        let header = data_start(&jpeg);
        for round in 0..200 {
            let mut broken = jpeg.clone();
            // The header is short, and where most of the harm can be done.
            let reach = if round % 2 == 0 { header } else { broken.len() };
            for _ in 0..1 + round % 3 {
                broken[draw(&mut state, reach)] ^= 1 << draw(&mut state, 8);
            }
            match attempt(&broken, WAYS[round % WAYS.len()]) {
                Ok(_) => results += 1,
                Err(_) => errors += 1,
            }
        }
    }
    assert!(
        results > 0 && errors > 0,
        "{results} results, {errors} errors"
    );
}

#[test]
fn missing_tables_are_told() {
    let size = (120, 88);
    for (kind, jpeg) in coders() {
        let unquantized = without(&jpeg, |marker, _| marker == 0xdb);
        for options in WAYS {
            let error = attempt(&unquantized, options).unwrap_err().to_string();
            assert!(
                error.contains("uantization table"),
                "{}: {error}",
                kind.name
            );
        }
        let frameless = without(&jpeg, |marker, _| {
            (0xc0..=0xc2).contains(&marker) || matches!(marker, 0xc9 | 0xca)
        });
        assert!(
            inspect(&frameless, &Limits::default()).is_err(),
            "{}",
            kind.name
        );
    }
    // Motion JPEG leaves out Huffman tables that are the standard's own (T.81, annex K.3).
    let jpeg = KINDS[0].encode(&scene(size), size);
    let tableless = without(&jpeg, |marker, _| marker == 0xc4);
    assert!(tableless.len() < jpeg.len());
    assert_eq!(
        make(&tableless, "width=50").bytes,
        make(&jpeg, "width=50").bytes
    );
}

#[test]
fn restart_markers_in_the_wrong_place_are_told() {
    let size = (120, 88);
    let kind = KINDS.iter().find(|kind| kind.restarts).unwrap();
    let jpeg = kind.encode(&scene(size), size);
    let start = data_start(&jpeg);
    let markers: Vec<_> = (start..jpeg.len() - 1)
        .filter(|&at| jpeg[at] == 0xff && (0xd0..0xd8).contains(&jpeg[at + 1]))
        .collect();
    assert_eq!(markers.len(), 5, "one between each two of six rows");
    for (number, &at) in markers.iter().enumerate() {
        let mut renumbered = jpeg.clone();
        renumbered[at + 1] = 0xd0 + (number as u8 + 3) % 8;
        let removed = [&jpeg[..at], &jpeg[at + 2..]].concat();
        let doubled = [&jpeg[..at + 2], &jpeg[at..]].concat();
        for broken in [renumbered, removed, doubled] {
            for options in WAYS {
                let error = attempt(&broken, options)
                    .map(|resized| resized.bytes)
                    .unwrap_err();
                assert!(matches!(error, ImagingError::Body { .. }), "{error}");
            }
        }
    }
    // An interval that is not that of the data.
    let (_, interval, _) = segments(&jpeg)
        .into_iter()
        .find(|segment| segment.0 == 0xdd)
        .unwrap();
    let mut other = jpeg;
    other[interval + 5] += 1;
    assert!(attempt(&other, WAYS[0]).is_err());
}
