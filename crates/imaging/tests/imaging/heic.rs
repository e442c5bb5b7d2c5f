//! HEIC files written by libheif's encoder program decode to the original pictures, and as libheif
//! itself decodes them.

use std::fs;

use super::heif::{tiled, turned};
use super::libheif;
use super::pictures::{
    Pixels, decode, deep_png, difference, difference_as_read, drawing, make, next_random, opaque,
    pixel, pixel_bytes, pixels, png, tagged,
};
use super::support::{corpus, request};
use picresize_imaging::Format;
use picresize_imaging::{ImagingError, Limits, inspect, resize};

const SIZE: (u32, u32) = (90, 61);

/// A picture as HEIC.
fn heic(picture: &[u8], options: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let extension = if picture.starts_with(b"\xff\xd8") {
        "jpg"
    } else {
        "png"
    };
    let source = folder.path().join("a").with_extension(extension);
    let target = folder.path().join("a.heic");
    fs::write(&source, picture).unwrap();
    libheif::encode(&source, options, &target);
    fs::read(target).unwrap()
}

#[test]
fn heic_is_read_as_libheif_reads_it() {
    let Some(pictures) = corpus() else { return };
    if !libheif::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, read) = (folder.path().join("a.heic"), folder.path().join("a.png"));
    for (picture, options) in [
        ("photos/photo-02-2048x1365.jpg", "-q 60"),
        ("photos/photo-02-2048x1365.jpg", "-q 60 -p chroma=422"),
        ("photos/photo-02-2048x1365.jpg", "-q 60 -p chroma=444"),
        ("photos/photo-gray.jpg", "-q 60"),
        ("pngsuite/basn2c08.png", "-L -p chroma=444"),
        ("pngsuite/basn6a08.png", "-L -p chroma=444"),
        ("orientation/Landscape_6.jpg", "-q 60"),
    ] {
        // Far from the smallest file in a fraction of the time.
        let options = &format!("{options} -p preset=ultrafast");
        libheif::encode(&pictures.join(picture), options, &file);
        libheif::decode(&file, &read);
        let mean = difference_as_read(&file, &read);
        assert!(mean < 0.5, "{picture} {options}: {mean}");
    }
}

/// The drawing in each of PNG's colour types, and what HEIC may turn it into.
#[test]
fn heic_is_read_as_it_was_drawn() {
    if !libheif::is_here() {
        return;
    }
    let (_, rgba) = decode(&drawing(SIZE.0, SIZE.1));
    let (rgba, _) = rgba.as_chunks::<4>();
    for color in [
        png::ColorType::Grayscale,
        png::ColorType::GrayscaleAlpha,
        png::ColorType::Rgb,
        png::ColorType::Rgba,
    ] {
        let samples = rgba.iter().flat_map(|&[r, g, b, a]| match color {
            png::ColorType::Grayscale => vec![g],
            png::ColorType::GrayscaleAlpha => vec![g, a],
            png::ColorType::Rgb => vec![r, g, b],
            _ => vec![r, g, b, a],
        });
        let samples: Vec<u8> = samples.collect();
        let plain = png(SIZE.0, SIZE.1, color, &samples);
        let deep = deep_png(SIZE.0, SIZE.1, color, &samples);
        for (picture, options, bytes) in [
            (&plain, "-q 95 -p chroma=444", 1),
            (&deep, "-q 95 -p chroma=444 -b 10", 2),
            (&deep, "-q 95 -p chroma=444 -b 12", 2),
        ] {
            let file = heic(picture, options);
            let source = inspect(&file, &Limits::default()).unwrap();
            assert_eq!(
                (source.format(), source.width(), source.height()),
                (Format::Heic, SIZE.0, SIZE.1)
            );
            assert_eq!(pixel_bytes(&file), color.samples() * bytes);
            for options in ["width=90 height=61", "width=40"] {
                let found = pixels(&file, options);
                let expected = pixels(&plain, options);
                assert_eq!(found.0, expected.0);
                let mean = difference(&found.1, &expected.1);
                assert!(mean < 3.0, "{color:?}, {bytes} bytes, {options}: {mean}");
            }
        }
    }
}

/// Half-transparent orange with premultiplied alpha.
#[test]
fn premultiplied_colors_become_straight() {
    if !libheif::is_here() {
        return;
    }
    let samples: Vec<u8> = [100, 50, 0, 128].repeat(64 * 64);
    let picture = png(64, 64, png::ColorType::Rgba, &samples);
    let options = "-q 95 -p chroma=444";
    let straight = heic(&picture, options);
    let premultiplied = heic(&picture, &format!("{options} --premultiplied-alpha"));
    for (file, expected) in [
        (straight, [100, 50, 0, 128]),
        (premultiplied, [199, 100, 0, 128]),
    ] {
        let found = pixel(&pixels(&file, "width=64"), 32, 32);
        let pairs = found.iter().zip(&expected);
        let most = pairs
            .map(|(a, b): (&u8, &u8)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(most <= 4, "{found:?}, not {expected:?}");
    }
}

/// The EXIF block asks for a quarter turn, which HEIC ignores; the profile is applied.
#[test]
fn exif_and_profile_are_kept_and_nothing_is_turned_by_exif() {
    if !libheif::is_here() {
        return;
    }
    let jpeg = tagged();
    let file = heic(&jpeg, "-q 95 -p chroma=444");
    let source = inspect(&file, &Limits::default()).unwrap();
    assert_eq!((source.width(), source.height()), (80, 40));

    // As the JPEG is stored, but for colour, which libheif's program makes finer without smoothing.
    let expected = Pixels::of(pixels(&jpeg, "width=40 height=80")).turned();
    let found = pixels(&file, "width=80 height=40").1;
    let mean = difference(&found, expected.2.as_flattened());
    assert!(mean < 10.0, "{mean}");
    let unconverted = pixels(&file, "width=80 height=40 color=keep").1;
    let mean = difference(&found, &unconverted);
    assert!(mean > 2.0, "the profile changes colours: {mean}");

    let has = |bytes: &[u8], wanted: &[u8]| bytes.windows(wanted.len()).any(|part| part == wanted);
    let kept = make(&file, "width=80 format=jpeg metadata=keep color=keep").bytes;
    assert!(has(&kept, b"Ann") && has(&kept, b"ICC_PROFILE"));
    assert_eq!(
        inspect(&kept, &Limits::default()).unwrap().width(),
        80,
        "it stays upright"
    );
    let stripped = make(&file, "width=80 format=jpeg").bytes;
    assert!(!has(&stripped, b"Ann") && !has(&stripped, b"ICC_PROFILE"));
}

#[test]
fn heic_is_turned_and_mirrored_as_its_boxes_say() {
    if !libheif::is_here() {
        return;
    }
    // Smaller ones are written as a tile that is cut.
    let plain = heic(&opaque(90, 66), "-q 95 -p chroma=444");
    let upright = Pixels::of(pixels(&plain, "width=90 height=66"));
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

/// Tiled, as cameras store their pictures; the last tiles extend beyond the edge.
#[test]
fn heic_of_tiles_is_put_together() {
    if !libheif::is_here() {
        return;
    }
    let tile = heic(&opaque(128, 64), "-q 95 -p chroma=444");
    let upright = Pixels::of(pixels(&tile, "width=128"));
    let file = tiled(&tile, (128, 64), (3, 2), (300, 100));
    let source = inspect(&file, &Limits::default()).unwrap();
    assert_eq!((source.width(), source.height()), (300, 100));
    let found = Pixels::of(pixels(&file, "width=300"));
    let expected = upright.map(300, 100, |x, y| (x % 128, y % 64));
    assert!(found.2 == expected.2);
}

/// A size in the container that differs from the stream's.
#[test]
fn heic_that_lies_about_its_size_is_refused() {
    if !libheif::is_here() {
        return;
    }
    let file = heic(&opaque(90, 66), "-q 80");
    let at = file.windows(4).position(|part| part == b"ispe").unwrap() + 8;
    for (width, height) in [(80_u32, 66_u32), (90, 100), (9, 6), (10_000, 6_000)] {
        let mut lying = file.clone();
        lying[at..at + 4].copy_from_slice(&width.to_be_bytes());
        lying[at + 4..at + 8].copy_from_slice(&height.to_be_bytes());
        let result = resize(&lying, &request("width=40"), &Limits::default());
        assert!(
            matches!(result, Err(ImagingError::Body { .. })),
            "{width} × {height}: {result:?}"
        );
    }
}

#[test]
fn heic_that_is_cut_short_or_damaged_ends_in_an_error_or_a_picture() {
    if !libheif::is_here() {
        return;
    }
    let file = heic(&drawing(SIZE.0, SIZE.1), "-q 60");
    let attempt = |bytes: &[u8]| resize(bytes, &request("width=40"), &Limits::default());
    for length in (12..file.len()).step_by(1 + file.len() / 400) {
        let result = attempt(&file[..length]);
        assert!(
            result.is_err(),
            "{length} of {} bytes: {result:?}",
            file.len()
        );
    }
    // An error or a picture of the right size is allowed, but no panic.
    let mut random = 1;
    for _ in 0..400 {
        let mut damaged = file.clone();
        for _ in 0..3 {
            random = next_random(random);
            let at = (random >> 8) as usize % damaged.len();
            random = next_random(random);
            damaged[at] ^= (random >> 24) as u8;
        }
        if let Ok(resized) = attempt(&damaged) {
            assert_eq!(resized.width, 40);
        }
    }
}

/// Image sequences without a still picture.
#[test]
fn what_libheif_cannot_read_is_refused_in_its_words() {
    if !libheif::is_here() {
        return;
    }
    let sequence = b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc\0\0\0\x08moov";
    let refusal = inspect(sequence, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(
        refusal.starts_with("the heic header cannot be read: libheif reports: "),
        "{refusal}"
    );
}
