//! Times the stages of the pipeline, on a photograph-like picture made here.
//!
//! The request separates the stages: a result of one pixel is nearly all decoding, and a source of
//! the result's size is nearly all encoding.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use picresize_imaging::{Filter, Fit, Format, Profile, Quality, ResizeOptions};
use picresize_imaging::{Limits, inspect, resize};
use std::hint::black_box;

const WIDTH: u32 = 2048;
const HEIGHT: u32 = 1365;
const SIDE: u32 = 512;

fn request(side: u32, format: Option<Format>) -> ResizeOptions {
    ResizeOptions {
        width: Some(side),
        height: Some(side),
        fit: Fit::Inside,
        format,
        quality: Some(Quality::Fixed(80)),
        ..ResizeOptions::default()
    }
}

/// A picture of soft shapes with a little noise, as BMP.
fn drawn(width: u32, height: u32) -> Vec<u8> {
    let row_bytes = (width as usize * 3).next_multiple_of(4);
    let size = 54 + row_bytes * height as usize;
    let mut bmp = Vec::with_capacity(size);
    bmp.extend_from_slice(b"BM");
    bmp.extend_from_slice(&(size as u32).to_le_bytes());
    bmp.extend_from_slice(&[0; 4]);
    for field in [
        54,
        40,
        width,
        height,
        1 | (24 << 16),
        0,
        0,
        2835,
        2835,
        0,
        0,
    ] {
        bmp.extend_from_slice(&field.to_le_bytes());
    }
    let mut state = 7_u32;
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 28) as f32;
            let (x, y) = (x as f32 / 97.0, y as f32 / 61.0);
            for phase in [0.0, 0.7, 1.9] {
                let wave = (x + phase).sin() * (y - phase).cos() + (x * y / 9.0).sin();
                bmp.push((120.0 + 52.0 * wave + noise) as u8);
            }
        }
        bmp.resize(54 + row_bytes * (y as usize + 1), 0);
    }
    bmp
}

fn stages(criterion: &mut Criterion) {
    let limits = Limits::default();
    let make = |source: &[u8], request: &ResizeOptions| {
        resize(source, request, &limits)
            .expect("the picture is good")
            .bytes
    };
    let large = drawn(WIDTH, HEIGHT);
    let small = drawn(SIDE, SIDE * HEIGHT / WIDTH);
    for format in [Format::Jpeg, Format::Webp, Format::Png] {
        let source = make(&large, &request(WIDTH, Some(format)));
        let mut group = criterion.benchmark_group(format.to_string());
        group.sample_size(20);
        group.throughput(Throughput::Elements(u64::from(WIDTH) * u64::from(HEIGHT)));
        let mut bench = |name: &str, source: &[u8], request: &ResizeOptions| {
            group.bench_function(name, |bencher| {
                bencher.iter(|| make(black_box(source), request));
            });
        };
        let nearest = ResizeOptions {
            filter: Filter::Nearest,
            ..request(1, Some(Format::Png))
        };
        bench("decode", &source, &nearest);
        bench("decode and resample", &source, &request(1, None));
        bench("encode", &small, &request(SIDE, Some(format)));
        bench("whole, fast", &source, &request(SIDE, None));
        let fine = ResizeOptions {
            profile: Profile::Fine,
            ..request(SIDE, None)
        };
        bench("whole, fine", &source, &fine);
        group.bench_function("inspect", |bencher| {
            bencher.iter(|| inspect(black_box(&source), &Limits::default()));
        });
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
