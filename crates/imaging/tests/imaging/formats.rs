//! Formats that the library reads but cannot write: JPEG XL, and AVIF that is rotated, mirrored or
//! has 10 bits.

use super::heif::turned;
use super::libjxl;
use super::made::{avif, boxed_jxl, jxl};
use super::pictures::{
    Pixels, decode, difference, difference_as_read, drawing, pixel_bytes, pixels, png,
};
use super::support::{corpus, request};
use picresize_imaging::Format;
use picresize_imaging::{ImagingError, Limits, inspect, resize};

const SIZE: (u32, u32) = (90, 61);

/// The drawing's samples in each of PNG's color types.
fn samples(color: png::ColorType) -> Vec<u8> {
    let (_, rgba) = decode(&drawing(SIZE.0, SIZE.1));
    let (rgba, _) = rgba.as_chunks::<4>();
    rgba.iter()
        .flat_map(|&[r, g, b, a]| match color {
            png::ColorType::Grayscale => vec![g],
            png::ColorType::GrayscaleAlpha => vec![g, a],
            png::ColorType::Rgb => vec![r, g, b],
            _ => vec![r, g, b, a],
        })
        .collect()
}

const COLORS: [png::ColorType; 4] = [
    png::ColorType::Grayscale,
    png::ColorType::GrayscaleAlpha,
    png::ColorType::Rgb,
    png::ColorType::Rgba,
];

/// The files are lossless, so each gives the same pixels as a PNG of them.
#[test]
fn jpeg_xl_is_read_as_it_was_drawn() {
    for color in COLORS {
        let samples = samples(color);
        let plain = png(SIZE.0, SIZE.1, color, &samples);
        for deep in [false, true] {
            // The writer's files of these are wrong: libjxl's own of such pixels are read well.
            let has_alpha = matches!(color, png::ColorType::GrayscaleAlpha | png::ColorType::Rgba);
            if deep && has_alpha {
                continue;
            }
            let jxl = jxl(&samples, SIZE, color, deep);
            let source = inspect(&jxl, &Limits::default()).unwrap();
            assert_eq!(
                (source.format(), source.width(), source.height()),
                (Format::Jxl, SIZE.0, SIZE.1)
            );
            let bytes = if deep { 2 } else { 1 };
            assert_eq!(source.has_alpha(), has_alpha);
            assert_eq!(pixel_bytes(&jxl), color.samples() * bytes);
            for options in ["width=90 height=61", "width=40"] {
                let (size, found) = pixels(&jxl, options);
                let (expected_size, expected) = pixels(&plain, options);
                assert_eq!(size, expected_size);
                let pairs = found.iter().zip(&expected);
                let most = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(most <= 1, "{color:?}, deep: {deep}, {options}: {most}");
            }
        }
    }
}

/// The decoder gets files in parts, and a box may begin at the end of a part.
#[test]
fn jpeg_xl_may_have_a_box_anywhere() {
    let color = png::ColorType::Rgb;
    let codestream = jxl(&samples(color), SIZE, color, false);
    let expected = pixels(&codestream, "width=40");
    for start in (4080..4104).chain(8180..8196) {
        let found = pixels(&boxed_jxl(&codestream, start), "width=40");
        assert!(found == expected, "the box begins at {start}");
    }
}

#[test]
fn jpeg_xl_that_is_cut_short_is_refused() {
    let color = png::ColorType::Rgb;
    let jxl = jxl(&samples(color), SIZE, color, false);
    for length in [20, jxl.len() / 2, jxl.len() - 1] {
        let result = resize(&jxl[..length], &request("width=40"), &Limits::default());
        assert!(
            matches!(
                result,
                Err(ImagingError::Header { .. } | ImagingError::Body { .. })
            ),
            "{length} of {} bytes: {result:?}",
            jxl.len()
        );
    }
}

/// Lossy and lossless, recompressed JPEG, several passes, rotated: the library decodes libjxl's
/// files as libjxl does.
#[test]
fn jpeg_xl_of_libjxl_is_read_as_libjxl_reads_it() {
    let Some(pictures) = corpus() else { return };
    if !libjxl::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, read) = (folder.path().join("a.jxl"), folder.path().join("a.png"));
    for (picture, options) in [
        (
            "photos/photo-02-2048x1365.jpg",
            "--distance=1 --lossless_jpeg=0",
        ),
        ("photos/photo-02-2048x1365.jpg", "--lossless_jpeg=1"),
        ("photos/photo-gray.jpg", "--distance=2 --lossless_jpeg=0"),
        (
            "orientation/Landscape_6.jpg",
            "--distance=1 --lossless_jpeg=0",
        ),
        (
            "photos/photo-01-2048x1365.png",
            "--distance=1 --progressive",
        ),
        ("photos/photo-01-2048x1365.png", "--distance=1 --modular=1"),
        ("photos/photo-01-2048x1365.png", "--distance=0 --effort=3"),
    ] {
        libjxl::encode(&pictures.join(picture), options, &file);
        libjxl::decode(&file, &read);
        let mean = difference_as_read(&file, &read);
        assert!(mean < 0.1, "{picture} {options}: {mean}");
    }
}

#[test]
fn avif_of_10_bits_is_read_as_it_was_drawn() {
    for (color, tolerance) in [(png::ColorType::Rgb, 3.0), (png::ColorType::Rgba, 3.0)] {
        let samples = samples(color);
        let plain = png(SIZE.0, SIZE.1, color, &samples);
        for (deep, bytes) in [(true, 2), (false, 1)] {
            let avif = avif(&samples, SIZE, color, deep);
            assert_eq!(pixel_bytes(&avif), color.samples() * bytes);
            for options in ["width=90 height=61", "width=40"] {
                let found = pixels(&avif, options);
                let expected = pixels(&plain, options);
                let mean = difference(&found.1, &expected.1);
                assert!(
                    mean <= tolerance,
                    "{color:?}, deep: {deep}, {options}: {mean}"
                );
            }
        }
    }
}

#[test]
fn avif_is_turned_and_mirrored_as_its_boxes_say() {
    let plain = avif(
        &samples(png::ColorType::Rgb),
        SIZE,
        png::ColorType::Rgb,
        false,
    );
    let upright = Pixels::of(pixels(&plain, "width=90 height=61"));
    for turns in 0..4 {
        for mirror in [None, Some(0), Some(1)] {
            let expected = upright.turned_as_boxes_say(turns, mirror);
            let (width, height) = (expected.0, expected.1);
            let file = turned(&plain, turns, mirror);
            let source = inspect(&file, &Limits::default()).unwrap();
            assert_eq!((source.width(), source.height()), (width, height));
            let found = Pixels::of(pixels(&file, &format!("width={width} height={height}")));
            assert!(found.2 == expected.2, "{turns} turns, mirrored: {mirror:?}");
        }
    }
}
