//! The estimate of processor time, and the refusal of plans that would take too long.
//!
//! Plans need only a header, so most sources here are a header without pixels.

use std::time::{Duration, Instant};

use picresize_imaging::{Format, ImagingError, Limits, Plan, inspect};

use super::pictures::{animation, drawing, make, opaque};
use super::support::{corpus, files_below, request};

/// The header of a BMP of 24 bits.
fn bmp_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"BM\0\0\0\0\0\0\0\0".to_vec();
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
        header.extend_from_slice(&field.to_le_bytes());
    }
    header
}

/// A small JPEG whose frame header has another size.
fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let mut jpeg = make(&opaque(64, 48), "width=64 format=jpeg").bytes;
    let at = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
    jpeg
}

fn plan(source: &[u8], options: &str) -> Result<Plan, ImagingError> {
    // Memory has tests of its own.
    let limits = Limits {
        max_memory_bytes: u64::MAX,
        ..Limits::default()
    };
    inspect(source, &limits)?.plan(&request(options), &limits)
}

fn duration(source: &[u8], options: &str) -> Duration {
    plan(source, options)
        .unwrap_or_else(|error| panic!("{options}: {error}"))
        .duration()
}

#[test]
fn work_out_of_proportion_is_refused_by_value_and_limit() {
    let source = bmp_header(4700, 4700);
    let limits = Limits {
        max_memory_bytes: u64::MAX,
        max_seconds: 3,
        ..Limits::default()
    };
    let cases = [
        ("width=4700 format=avif", "13"),
        ("width=4700 format=avif max_bytes=500000", "102"),
        ("width=4700 format=webp lossless=true", "24"),
        ("width=4700 format=webp max_bytes=500000", "15"),
    ];
    for (options, seconds) in cases {
        let refusal = inspect(&source, &limits)
            .unwrap()
            .plan(&request(options), &limits);
        let expected = format!(
            "the picture would take about {seconds} seconds of processor time; the limit is 3"
        );
        match refusal {
            Err(ImagingError::TooLarge(message)) => assert_eq!(message, expected, "{options}"),
            other => panic!("{options}: {other:?}"),
        }
    }
    let refusal = plan(&source, "width=4700 format=avif max_bytes=500000").unwrap_err();
    assert!(
        refusal.to_string().ends_with("; the limit is 60"),
        "{refusal}"
    );
}

#[test]
fn ordinary_work_is_accepted() {
    let sources = [jpeg_header(6144, 4096), bmp_header(6144, 4096)];
    let formats = Format::ALL
        .into_iter()
        .filter(|format| format.is_writable());
    for format in formats.map(Format::name) {
        for more in ["", "quality=95", "profile=fine", "sharpen=50"] {
            for source in &sources {
                duration(source, &format!("width=6144 format={format} {more}"));
                duration(
                    source,
                    &format!("width=400 format={format} {more} max_bytes=9000"),
                );
            }
        }
    }
    for source in &sources {
        duration(source, "width=6144 format=webp lossless=true");
        duration(source, "width=6144 format=png palette=256 profile=fine");
        duration(
            source,
            "width=6144 format=jpeg progressive=true max_bytes=900000",
        );
        duration(source, "width=2000 format=avif max_bytes=100000");
    }
}

#[test]
fn photographs_are_accepted_at_their_own_size() {
    let Some(folder) = corpus() else {
        return;
    };
    for file in files_below(&folder.join("photos")) {
        let source = std::fs::read(&file).unwrap();
        let width = inspect(&source, &Limits::default()).unwrap().width();
        let formats = Format::ALL
            .into_iter()
            .filter(|format| format.is_writable());
        for format in formats.map(Format::name) {
            duration(&source, &format!("width={width} format={format}"));
        }
    }
}

#[test]
fn more_work_takes_longer() {
    let orders = [
        ["width=100", "width=200", "width=400"],
        [
            "width=400 format=jpeg",
            "width=400 format=png",
            "width=400 format=avif",
        ],
        [
            "width=400 format=webp",
            "width=400 format=webp quality=100",
            "width=400 format=webp lossless=true",
        ],
        [
            "width=400 format=avif quality=50",
            "width=400 format=avif",
            "width=400 format=avif max_bytes=1",
        ],
        [
            "width=400 format=jpeg",
            "width=400 format=jpeg max_bytes=1 quality=30",
            "width=400 format=jpeg max_bytes=1",
        ],
        [
            "width=400",
            "width=400 profile=fine",
            "width=400 profile=fine sharpen=9",
        ],
    ];
    let source = opaque(300, 200);
    for order in orders {
        let times = order.map(|options| duration(&source, options));
        assert!(
            times.is_sorted() && times[0] < times[2],
            "{order:?}: {times:?}"
        );
    }
    let times = [10, 100, 1000].map(|side| duration(&bmp_header(side, side), "width=10"));
    assert!(times.is_sorted() && times[0] < times[1], "{times:?}");
    assert!(
        duration(&opaque(99, 99), "width=99") < duration(&drawing(99, 99), "width=99 format=webp")
    );
}

#[test]
fn each_frame_of_an_animation_counts() {
    for options in [
        "width=64",
        "width=64 format=webp",
        "width=64 format=webp max_bytes=9000",
    ] {
        let one = duration(&animation(2), options) / 2;
        assert_eq!(duration(&animation(20), options), one * 20, "{options}");
    }
    // Other formats get the first frame.
    let still = "width=64 format=png";
    assert_eq!(
        duration(&animation(2), still),
        duration(&animation(20), still)
    );
}

/// Prints measured and estimated times of a photograph; above two seconds, they must be within a
/// factor of three.
/// Meaningful with an optimised build only:
///
/// ```sh
/// cargo test --release -p picresize-imaging --test imaging -- --ignored --nocapture measured
/// ```
#[test]
#[ignore = "takes a minute, and measures"]
fn measured() {
    let Some(folder) = corpus() else {
        return;
    };
    let source = std::fs::read(folder.join("photos/photo-01-2048x1358.jpg")).unwrap();
    for options in [
        "format=jpeg",
        "format=png",
        "format=png palette=256",
        "format=gif",
        "format=webp",
        "format=webp lossless=true",
        "format=webp max_bytes=100000",
        "format=avif",
        "format=avif quality=100",
        "format=avif max_bytes=100000",
    ] {
        let plan = plan(&source, &format!("width=2048 {options}")).unwrap();
        let start = Instant::now();
        plan.resize(&source).unwrap();
        let (found, expected) = (start.elapsed(), plan.duration());
        println!("{options}: {found:.2?}, estimated {expected:.2?}");
        if found > Duration::from_secs(2) {
            assert!(expected < found * 3 && found < expected * 3, "{options}");
        }
    }
}
