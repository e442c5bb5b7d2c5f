//! Every sampling that the standard allows: factors from 1 to 4, in one scan or in several.

use super::jpeg_writer::{Component, encode};
use super::jpegs;
use super::pictures::{make, pixels};
use picresize_imaging::{Limits, inspect};

/// Soft ramps and waves in luma and in both chroma components.
const LUMA: fn(f32, f32) -> f32 = |x, y| 60.0 + 120.0 * x + 30.0 * (y * 9.0).sin();
const BLUE: fn(f32, f32) -> f32 = |x, y| 90.0 + 70.0 * y + 10.0 * x;
const RED: fn(f32, f32) -> f32 = |x, y| 160.0 - 60.0 * x + 20.0 * y;

fn expected(width: u32, height: u32) -> Vec<u8> {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (
                (x as f32 + 0.5) / width as f32,
                (y as f32 + 0.5) / height as f32,
            );
            let (luma, blue, red) = (LUMA(x, y), BLUE(x, y) - 128.0, RED(x, y) - 128.0);
            for value in [
                luma + 1.402 * red,
                luma - 0.344_14 * blue - 0.714_14 * red,
                luma + 1.772 * blue,
            ] {
                rgb.push((value + 0.5) as u8);
            }
        }
    }
    rgb
}

/// The mean difference from the expected picture, of results by every route.
fn check(name: &str, jpeg: &[u8], expected: impl Fn(u32, u32) -> Vec<u8>) {
    let source =
        inspect(jpeg, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
    for width in [
        source.width() / 8,
        source.width() / 3,
        source.width() / 2,
        source.width(),
    ] {
        let options = format!("width={width}");
        let ((width, height), rgba) = pixels(jpeg, &options);
        let rgb: Vec<u8> = rgba
            .chunks(4)
            .flat_map(|pixel| pixel[..3].to_vec())
            .collect();
        let resized = make(jpeg, &format!("{options} quality=95 format=jpeg")).bytes;
        for (route, found) in [("png", rgb), ("jpeg", jpegs::decode(&resized).1)] {
            let apart = super::pictures::difference(&found, &expected(width, height));
            assert!(
                apart < 4.0,
                "{name} to {width} as {route}: they differ by {apart:.1}"
            );
        }
    }
}

fn components(factors: [(usize, usize); 3]) -> [Component<'static>; 3] {
    let samples: [&dyn Fn(f32, f32) -> f32; 3] = [&LUMA, &BLUE, &RED];
    std::array::from_fn(|index| Component {
        sample: samples[index],
        factors: factors[index],
    })
}

/// Whether every factor is a whole part of the largest.
fn is_whole(factors: &[(usize, usize)]) -> bool {
    let most = (
        factors.iter().map(|f| f.0).max().unwrap(),
        factors.iter().map(|f| f.1).max().unwrap(),
    );
    factors
        .iter()
        .all(|f| most.0.is_multiple_of(f.0) && most.1.is_multiple_of(f.1))
}

#[test]
fn luma_may_have_any_factors() {
    for across in 1..=4 {
        for down in 1..=4 {
            let factors = components([(across, down), (1, 1), (1, 1)]);
            let name = format!("{across} × {down}");
            // More than ten blocks in a unit are allowed in scans of one component only.
            if across * down + 2 <= 10 {
                check(&name, &encode((150, 110), &factors, true), expected);
            }
            check(
                &format!("{name} in scans"),
                &encode((150, 110), &factors, false),
                expected,
            );
        }
    }
}

#[test]
fn components_may_have_different_factors() {
    for factors in [
        [(2, 2), (2, 1), (1, 2)],
        [(2, 2), (1, 2), (1, 2)],
        [(2, 2), (2, 1), (2, 1)],
        [(2, 1), (2, 1), (2, 1)],
        [(3, 1), (3, 1), (3, 1)],
        [(1, 1), (2, 2), (2, 2)],
        [(1, 2), (2, 1), (1, 1)],
        [(2, 1), (1, 1), (2, 1)],
        [(4, 1), (2, 1), (1, 1)],
        [(1, 4), (1, 2), (1, 1)],
        [(3, 1), (1, 1), (3, 1)],
    ] {
        assert!(is_whole(&factors));
        let blocks: usize = factors.iter().map(|f| f.0 * f.1).sum();
        for is_interleaved in [true, false] {
            if is_interleaved && blocks > 10 {
                continue;
            }
            let jpeg = encode((150, 110), &components(factors), is_interleaved);
            check(&format!("{factors:?} {is_interleaved}"), &jpeg, expected);
        }
    }
}

/// The factors of a single component have no meaning.
#[test]
fn grey_may_have_any_factors() {
    let gray = |width: u32, height: u32| {
        let place = |at: u32, side: u32| (at as f32 + 0.5) / side as f32;
        let values = (0..height)
            .flat_map(|y| (0..width).map(move |x| LUMA(place(x, width), place(y, height)) as u8));
        values.flat_map(|value| [value; 3]).collect()
    };
    for across in 1..=4 {
        for down in 1..=4 {
            let component = Component {
                sample: &LUMA,
                factors: (across, down),
            };
            let jpeg = encode((150, 110), &[component], true);
            check(&format!("grey {across} × {down}"), &jpeg, gray);
        }
    }
}

/// Small and odd sizes, at which units stand over the edges.
#[test]
fn odd_sizes_have_no_holes() {
    for size in [(1, 1), (7, 9), (17, 33), (65, 31)] {
        for factors in [
            [(3, 1), (1, 1), (1, 1)],
            [(4, 2), (1, 1), (1, 1)],
            [(1, 3), (1, 1), (1, 1)],
            [(3, 2), (1, 1), (1, 1)],
        ] {
            let jpeg = encode(size, &components(factors), true);
            for width in 1..=size.0 as u32 {
                make(&jpeg, &format!("width={width} format=jpeg"));
                make(&jpeg, &format!("width={width} format=png"));
            }
        }
    }
}
