//! JPEG, TIFF, GIF, PNG, BMP and ICO. The values were read by other readers: Pillow, and tifffile where
//! Pillow refuses a file.

use super::{fault, report};
use crate::jpegs;
use crate::pictures::{difference, make, pixels};
use crate::support::request;
use picresize_imaging::{Format, Limits, inspect, resize};

/// What most files show.
const PHOTO: [[u8; 4]; 4] = [
    [160, 100, 123, 255],
    [131, 111, 115, 255],
    [121, 170, 89, 255],
    [68, 120, 172, 255],
];
const DRAWING: [[u8; 4]; 4] = [
    [195, 197, 198, 255],
    [78, 184, 177, 255],
    [140, 77, 204, 255],
    [220, 30, 30, 255],
];
const TIFF: [[u8; 4]; 4] = [
    [191, 192, 198, 255],
    [87, 174, 162, 255],
    [138, 65, 190, 255],
    [220, 30, 30, 255],
];

const fn solid(r: u8, g: u8, b: u8) -> [[u8; 4]; 4] {
    [[r, g, b, 255]; 4]
}

/// The files with the colours of their quarters.
const PICTURES: &[(&str, [[u8; 4]; 4])] = &[
    ("bmp-os2v2.bmp", solid(200, 100, 50)),
    ("gif-501-frames.gif", solid(255, 0, 0)),
    ("gif-empty-frame.gif", solid(255, 0, 0)),
    (
        "gif-frame-larger-than-screen.gif",
        [
            [255, 0, 0, 255],
            [0, 0, 255, 255],
            [255, 0, 0, 255],
            [0, 0, 255, 255],
        ],
    ),
    ("gif-no-trailer.gif", solid(255, 0, 0)),
    ("gif-short-lzw.gif", solid(255, 0, 0)),
    ("gif-zero-bytes-before-trailer.gif", solid(255, 0, 0)),
    (
        "ico-32bit-mask-only.ico",
        [
            [0, 0, 0, 0],
            [200, 100, 50, 255],
            [0, 0, 0, 0],
            [200, 100, 50, 255],
        ],
    ),
    ("jpeg-17-stray-bytes-before-eoi.jpg", PHOTO),
    ("jpeg-adobe-transform-7.jpg", PHOTO),
    ("jpeg-cmyk-without-adobe-marker.jpg", DRAWING),
    ("jpeg-icc-duplicate-part.jpg", PHOTO),
    ("jpeg-iptc-xmp-rights.jpg", DRAWING),
    ("jpeg-no-eoi.jpg", PHOTO),
    ("jpeg-sampling-3x1-panic.jpg", PHOTO),
    ("jpeg-sampling-410-panic.jpg", PHOTO),
    ("jpeg-sos-se0.jpg", PHOTO),
    ("jpeg-stray-bytes-in-header.jpg", PHOTO),
    ("png-cgbi.png", solid(200, 100, 50)),
    (
        "png-exif-after-idat-imagemagick.png",
        [
            [141, 76, 203, 255],
            [195, 197, 198, 255],
            [219, 30, 31, 255],
            [78, 184, 177, 255],
        ],
    ),
    ("png-no-iend.png", DRAWING),
    (
        "png-raw-profile-exif.png",
        [
            [140, 77, 204, 255],
            [195, 197, 198, 255],
            [220, 30, 30, 255],
            [78, 184, 177, 255],
        ],
    ),
    (
        "png-trns-high-bits.png",
        [[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 255]],
    ),
    (
        "tiff-bigtiff-premultiplied.tif",
        [
            [47, 43, 50, 64],
            [27, 35, 34, 64],
            [100, 44, 141, 192],
            [165, 22, 22, 192],
        ],
    ),
    (
        "tiff-ccitt-g3.tif",
        [
            [252, 252, 252, 255],
            [206, 206, 206, 255],
            [60, 60, 60, 255],
            [0, 0, 0, 255],
        ],
    ),
    ("tiff-fillorder-2.tif", TIFF),
    (
        "tiff-gray-alpha.tif",
        [
            [45, 45, 45, 64],
            [33, 33, 33, 64],
            [63, 63, 63, 192],
            [53, 53, 53, 192],
        ],
    ),
    (
        "tiff-gray-float32.tif",
        [
            [192, 192, 192, 255],
            [155, 155, 155, 255],
            [89, 89, 89, 255],
            [70, 70, 70, 255],
        ],
    ),
    ("tiff-jpeg-ycbcr.tif", TIFF),
    ("tiff-palette.tif", TIFF),
    ("tiff-rgb-uint32.tif", TIFF),
    ("tiff-rgb-unspecified-extra-sample.tif", TIFF),
    ("tiff-tiled-planar-panic.tif", solid(60, 120, 180)),
];

/// The mean difference of a channel at which a reading is right.
const MOST: f64 = 3.0;

#[test]
fn every_file_shows_what_other_readers_show() {
    let mut wrong = Vec::new();
    for (name, expected) in PICTURES {
        for options in [
            "width=40",
            "width=40 profile=fine",
            "width=120 filter=bilinear",
        ] {
            wrong.extend(fault(name, options, *expected, MOST));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Neither the size nor the format of the result decides whether a file is read.
#[test]
fn every_jpeg_is_read_by_every_route() {
    let names = PICTURES.iter().map(|(name, _)| *name);
    for name in names.filter(|name| name.starts_with("jpeg")) {
        let Some(bytes) = report(name) else { return };
        let source = inspect(&bytes, &Limits::default()).unwrap();
        for width in [20, 30, 60, 80, 100, 120, 200, source.width()] {
            let resized = make(&bytes, &format!("width={width} format=jpeg quality=92"));
            let (size, jpeg) = jpegs::decode(&resized.bytes);
            let (png_size, rgba) = pixels(&bytes, &format!("width={width}"));
            assert_eq!(size, png_size, "{name}");
            let rgb: Vec<u8> = rgba
                .chunks(4)
                .flat_map(|pixel| pixel[..3].to_vec())
                .collect();
            let apart = difference(&jpeg, &rgb);
            assert!(apart < 8.0, "{name} at {width}: they differ by {apart:.1}");
        }
    }
}

#[test]
fn turned_pictures_are_turned() {
    for name in [
        "png-raw-profile-exif.png",
        "png-exif-after-idat-imagemagick.png",
    ] {
        let Some(bytes) = report(name) else { return };
        assert_eq!(pixels(&bytes, "width=30").0, (30, 40), "{name}");
    }
}

#[test]
fn animations_keep_all_their_frames() {
    for (name, frames) in [
        ("gif-no-trailer.gif", 2),
        ("gif-zero-bytes-before-trailer.gif", 3),
        ("gif-empty-frame.gif", 3),
        ("gif-frame-larger-than-screen.gif", 1),
        ("gif-short-lzw.gif", 1),
    ] {
        let Some(bytes) = report(name) else { return };
        for format in ["gif", "webp"] {
            let resized = make(&bytes, &format!("width=20 format={format}"));
            assert_eq!((resized.frames, resized.height), (frames, 20), "{name}");
        }
    }
}

/// A still result needs one frame, an animated one all.
#[test]
fn only_the_frames_that_a_result_needs_are_limited() {
    let Some(bytes) = report("gif-501-frames.gif") else {
        return;
    };
    let resized = make(&bytes, "width=4 format=png");
    assert_eq!((resized.frames, resized.format), (1, Format::Png));
    let refusal = resize(&bytes, &request("width=4"), &Limits::default()).unwrap_err();
    assert!(
        refusal.to_string().contains("501 frames; the limit is 500"),
        "{refusal}"
    );
}

#[test]
fn a_grey_profile_does_not_get_into_a_picture_of_colours() {
    let Some(bytes) = report("jpeg-gray-icc.jpg") else {
        return;
    };
    for (format, is_kept) in [("webp", false), ("jpeg", true), ("png", true)] {
        let kept = make(&bytes, &format!("width=40 color=keep format={format}")).bytes;
        let profile = memchr::memmem::find(&kept, b"GRAY");
        let stored = format == "png" && memchr::memmem::find(&kept, b"iCCP").is_some();
        assert_eq!(profile.is_some() || stored, is_kept, "{format}");
    }
    // The colours are converted instead.
    let converted = make(&bytes, "width=40 format=webp lossless=true").bytes;
    let kept = make(&bytes, "width=40 format=webp lossless=true color=keep").bytes;
    assert_eq!(converted, kept);
}

#[test]
fn rights_stay_in_the_result() {
    let Some(bytes) = report("jpeg-iptc-xmp-rights.jpg") else {
        return;
    };
    let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    let jpeg = |metadata: &str| make(&bytes, &format!("width=40 metadata={metadata}")).bytes;
    for metadata in ["copyright", "keep"] {
        let result = jpeg(metadata);
        assert!(has(&result, "Photoshop 3.0"), "{metadata}");
        assert!(has(&result, "rights"), "{metadata}");
    }
    let stripped = jpeg("strip");
    assert!(!has(&stripped, "Photoshop 3.0") && !has(&stripped, "rights"));
}
