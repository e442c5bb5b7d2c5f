//! High dynamic range, wide colours, and the container of AVIF.

use std::fs;

use crate::pictures::{pixel, pixels};
use crate::support::corpus;

/// The colours of a reported picture at places, each within a tolerance.
#[track_caller]
fn assert_colors(name: &str, options: &str, tolerance: u8, places: &[((u32, u32), [u8; 3])]) {
    let Some(pictures) = corpus() else { return };
    let file = fs::read(pictures.join("reports").join(name)).unwrap();
    let found = pixels(&file, options);
    for &((x, y), expected) in places {
        let [r, g, b, _] = pixel(&found, x, y);
        let mut pairs = [r, g, b].into_iter().zip(expected);
        assert!(
            pairs.all(|(found, expected)| found.abs_diff(expected) <= tolerance),
            "{name} at {x}, {y}: {:?} instead of {expected:?}",
            [r, g, b]
        );
    }
}

#[test]
fn pq_and_hlg_have_their_white_at_203_nits() {
    let gray = [43, 100, 136, 186, 255, 255];
    let places = gray.iter().enumerate();
    let places: Vec<_> = places
        .map(|(patch, value)| ((32 * patch as u32 + 16, 16), [*value; 3]))
        .collect();
    assert_colors("avif-pq.avif", "width=192", 1, &places);
    assert_colors("jxl-pq.jxl", "width=192", 1, &places);
    assert_colors("avif-hlg.avif", "width=192", 2, &[((144, 16), [255; 3])]);
    assert_colors("png-cicp-pq.png", "width=40", 1, &[((20, 20), [255; 3])]);
    let p3 = [((20, 20), [215, 93, 31])];
    assert_colors("png-cicp-displayp3.png", "width=40", 1, &p3);
}

#[test]
fn jpeg_xl_of_adobe_rgb_has_its_own_profile() {
    let lossless = [
        ((8, 8), [227, 100, 42]),
        ((24, 8), [0, 201, 67]),
        ((40, 8), [0, 35, 215]),
    ];
    assert_colors("jxl-adobergb-lossless.jxl", "width=80", 1, &lossless);
    let lossy = [
        ((8, 8), [227, 99, 42]),
        ((24, 8), [0, 202, 69]),
        ((40, 8), [0, 34, 215]),
    ];
    assert_colors("jxl-adobergb-lossy.jxl", "width=80", 4, &lossy);
}

#[test]
fn avif_of_every_shape_is_read() {
    let Some(pictures) = corpus() else { return };
    for (name, size) in [
        ("avif-clap.avif", (32, 32)),
        ("avif-grid.avif", (40, 30)),
        ("avif-animated.avif", (40, 30)),
        ("avif-cicp-2-16.avif", (40, 40)),
    ] {
        let file = fs::read(pictures.join("reports").join(name)).unwrap();
        let found = pixels(&file, &format!("width={}", size.0));
        assert_eq!(found.0, size, "{name}");
    }
}
