//! JPEG with flaws that cost no pixel: such a file gives the same bytes as the one without the flaw, in
//! results of every size and format. A picture of which a part is missing is refused.

use super::jpegs::{KINDS, Kind, data_start, segments, without};
use super::pictures::{make, opaque, pixels};
use super::support::request;
use picresize_imaging::{ImagingError, Limits, Resized, inspect, resize};

const SIZE: (u32, u32) = (150, 110);

/// Options that take each route: the project's own decoder, libjpeg-turbo's planes, and its pixels.
const WAYS: [&str; 6] = [
    "width=20",
    "width=40",
    "width=60",
    "width=140",
    "width=40 format=png",
    "width=140 format=webp profile=fine",
];

fn rgb() -> Vec<u8> {
    let source = opaque(SIZE.0, SIZE.1);
    let rgba = pixels(&source, &format!("width={} height={}", SIZE.0, SIZE.1)).1;
    let (pixels, _) = rgba.as_chunks::<4>();
    pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect()
}

fn pictures() -> Vec<(&'static Kind, Vec<u8>)> {
    let rgb = rgb();
    KINDS
        .iter()
        .map(|kind| (kind, kind.encode(&rgb, SIZE)))
        .collect()
}

fn attempt(jpeg: &[u8], options: &str) -> Result<Resized, ImagingError> {
    resize(jpeg, &request(options), &Limits::default())
}

/// Every way gives the bytes that the picture without the flaw gives.
fn check_same(name: &str, flaw: &str, flawed: &[u8], whole: &[u8]) {
    for options in WAYS {
        let expected = make(whole, options).bytes;
        let found = attempt(flawed, options)
            .unwrap_or_else(|error| panic!("{name}, {flaw}, {options}: {error}"));
        assert!(
            found.bytes == expected,
            "{name}, {flaw}, {options}: another picture"
        );
    }
}

fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], &length[..], payload].concat()
}

/// Puts bytes before the segment with this marker.
fn before(jpeg: &[u8], wanted: u8, bytes: &[u8]) -> Vec<u8> {
    let (_, start, _) = *segments(jpeg)
        .iter()
        .find(|(marker, ..)| *marker == wanted)
        .unwrap();
    [&jpeg[..start], bytes, &jpeg[start..]].concat()
}

/// Puts bytes after the start of the picture.
fn first(jpeg: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&jpeg[..2], bytes, &jpeg[2..]].concat()
}

fn noise(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 37 % 251) as u8).collect()
}

#[test]
fn stray_bytes_in_the_header_are_harmless() {
    for (kind, jpeg) in pictures() {
        for stray in [&b"\0"[..], b"\0\x55\0\x55", b"abc\xff\0def", &noise(3_000)] {
            for marker in [0xdb, 0xda] {
                check_same(
                    kind.name,
                    "stray bytes",
                    &before(&jpeg, marker, stray),
                    &jpeg,
                );
            }
        }
        // Any number of 0xff is allowed before a marker.
        check_same(
            kind.name,
            "fill bytes",
            &before(&jpeg, 0xdb, &[0xff; 9]),
            &jpeg,
        );
    }
}

#[test]
fn stray_bytes_before_the_end_are_harmless() {
    for (kind, jpeg) in pictures() {
        if kind.arithmetic {
            // Arithmetic data has no end of its own: the decoder reads stray bytes as data.
            continue;
        }
        let (data, end) = jpeg.split_at(jpeg.len() - 2);
        for count in [1, 16, 17, 40, 1_000] {
            for stray in [vec![0; count], noise(count)] {
                let flawed = [data, &stray, end].concat();
                check_same(kind.name, "stray bytes at the end", &flawed, &jpeg);
            }
        }
        check_same(
            kind.name,
            "fill bytes",
            &[data, &[0xff; 5], end].concat(),
            &jpeg,
        );
        check_same(
            kind.name,
            "bytes after the end",
            &[&jpeg, b"PADDING".as_slice()].concat(),
            &jpeg,
        );
    }
}

#[test]
fn a_missing_end_is_harmless_if_all_rows_are_there() {
    for (kind, jpeg) in pictures() {
        if kind.arithmetic {
            continue;
        }
        for cut in [1, 2] {
            check_same(kind.name, "no end", &jpeg[..jpeg.len() - cut], &jpeg);
        }
    }
}

#[test]
fn a_picture_that_is_cut_is_refused() {
    for (kind, jpeg) in pictures() {
        let start = data_start(&jpeg);
        let at = |part: usize| start + (jpeg.len() - start) * part / 100;
        for place in [at(1), at(40), at(80), at(97)] {
            for end in [&b""[..], b"\xff\xd9"] {
                if kind.arithmetic && !end.is_empty() {
                    // Zeros are data to the decoder, so that nothing tells such a picture.
                    continue;
                }
                let cut = [&jpeg[..place], end].concat();
                for options in WAYS {
                    if kind.progressive && !end.is_empty() && options == "width=20" {
                        // At an eighth of the size, scans of fine detail are not read.
                        continue;
                    }
                    let error = attempt(&cut, options).err();
                    assert!(error.is_some(), "{} cut to {place}, {options}", kind.name);
                }
            }
        }
    }
}

/// A cut between two scans leaves a picture that every decoder takes for whole, but a blurred one.
#[test]
fn missing_scans_are_missed() {
    for (kind, jpeg) in pictures().into_iter().filter(|(kind, _)| kind.progressive) {
        let scans: Vec<_> = jpeg
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| *pair == [0xff, 0xda])
            .collect();
        assert!(scans.len() > 3);
        let last = scans[scans.len() - 1].0;
        let cut = &jpeg[..last];
        for options in WAYS {
            assert!(attempt(cut, options).is_err(), "{}, {options}", kind.name);
        }
    }
}

#[test]
fn a_second_start_is_harmless() {
    for (kind, jpeg) in pictures() {
        check_same(kind.name, "two starts", &first(&jpeg, &jpeg[..2]), &jpeg);
        check_same(
            kind.name,
            "a start in the header",
            &before(&jpeg, 0xdb, &jpeg[..2]),
            &jpeg,
        );
    }
}

#[test]
fn every_version_of_jfif_is_read() {
    for (kind, jpeg) in pictures() {
        let Some(at) = jpeg.windows(5).position(|five| five == b"JFIF\0") else {
            continue;
        };
        for version in [0, 2, 3, 255] {
            let mut flawed = jpeg.clone();
            flawed[at + 5] = version;
            check_same(kind.name, "JFIF", &flawed, &jpeg);
        }
    }
}

/// An unknown transform is YCbCr or YCCK; markers that are too short do not count.
#[test]
fn unknown_transforms_of_adobe_are_read() {
    let adobe = |transform| {
        segment(
            0xee,
            &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat(),
        )
    };
    for (kind, jpeg) in pictures() {
        let plain = without(&jpeg, |marker, _| matches!(marker, 0xe0 | 0xee));
        let components = if kind.is_ink() { 4 } else { 3 };
        if matches!(kind.name, "gray" | "RGB") {
            continue;
        }
        let (known, unknown) = match components {
            4 => (2, [1, 3, 7, 255]),
            _ => (1, [2, 3, 7, 255]),
        };
        let whole = first(&plain, &adobe(known));
        for transform in unknown {
            check_same(
                kind.name,
                "transform",
                &first(&plain, &adobe(transform)),
                &whole,
            );
        }
        let short = segment(0xee, b"Adobe\0\x64\0\0");
        check_same(kind.name, "a short marker", &first(&plain, &short), &plain);
        check_same(
            kind.name,
            "a short header",
            &first(&plain, &segment(0xe0, b"JFIF\0\x01\x01")),
            &plain,
        );
    }
}

/// With the range of coefficients that some cameras write, and every other one.
#[test]
fn sequential_pictures_have_all_coefficients_in_a_scan() {
    for (kind, jpeg) in pictures().into_iter().filter(|(kind, _)| !kind.progressive) {
        let start = data_start(&jpeg);
        for range in [[0, 0, 0], [0, 63, 1], [1, 5, 0x10], [255, 255, 255]] {
            let mut flawed = jpeg.clone();
            flawed[start - 3..start].copy_from_slice(&range);
            check_same(kind.name, "range", &flawed, &jpeg);
        }
    }
}

#[test]
fn a_profile_in_parts_that_do_not_fit_is_left_out() {
    let profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let part = |number: u8, count: u8, bytes: &[u8]| {
        segment(
            0xe2,
            &[b"ICC_PROFILE\0".as_slice(), &[number, count], bytes].concat(),
        )
    };
    let half = profile.len() / 2;
    let (one, other) = profile.split_at(half);
    let jpeg = KINDS[0].encode(&rgb(), SIZE);
    for (flaw, parts) in [
        ("missing", vec![part(1, 2, one)]),
        ("doubled", vec![part(1, 1, &profile), part(1, 1, &profile)]),
        (
            "one doubled",
            vec![part(1, 2, one), part(2, 2, other), part(2, 2, other)],
        ),
        ("misnumbered", vec![part(0, 2, one), part(1, 2, other)]),
        ("too high", vec![part(1, 2, one), part(3, 2, other)]),
        ("other counts", vec![part(1, 2, one), part(2, 3, other)]),
        ("no count", vec![part(1, 0, &profile)]),
        ("without a number", vec![segment(0xe2, b"ICC_PROFILE\0")]),
    ] {
        check_same("4:2:0", flaw, &first(&jpeg, &parts.concat()), &jpeg);
    }
    // In another order it is a profile.
    let whole = first(&jpeg, &part(1, 1, &profile));
    let swapped = first(&jpeg, &[part(2, 2, other), part(1, 2, one)].concat());
    check_same("4:2:0", "in another order", &swapped, &whole);
    assert!(make(&whole, "width=40").bytes != make(&jpeg, "width=40").bytes);
}

/// Without Adobe's marker, CMYK is stored as Adobe stores it: so say all other readers.
#[test]
fn inks_have_one_meaning() {
    let rgb = rgb();
    let marked = KINDS
        .iter()
        .find(|kind| kind.name == "CMYK")
        .unwrap()
        .encode(&rgb, SIZE);
    let plain = without(&marked, |marker, _| marker == 0xee);
    assert!(plain.len() < marked.len());
    check_same("CMYK", "no marker", &plain, &marked);
}

/// The height may come after the first scan (T.81, B.2.5).
#[test]
fn a_late_height_is_read() {
    for (kind, jpeg) in pictures().into_iter().filter(|(kind, _)| !kind.progressive) {
        let (_, start, _) = *segments(&jpeg)
            .iter()
            .find(|(marker, ..)| matches!(marker, 0xc0 | 0xc1 | 0xc9))
            .unwrap();
        let mut late = jpeg[..jpeg.len() - 2].to_vec();
        late[start + 5..start + 7].fill(0);
        late.extend([0xff, 0xdc, 0, 4, 0, SIZE.1 as u8, 0xff, 0xd9]);
        check_same(kind.name, "a late height", &late, &jpeg);
    }
}

/// Some writers give all components the same identifier.
#[test]
fn components_may_share_an_identifier() {
    let jpeg = KINDS[0].encode(&rgb(), SIZE);
    let mut shared = jpeg.clone();
    for (marker, start, _) in segments(&jpeg) {
        let (first, step) = match marker {
            0xc0 => (start + 10, 3),
            0xda => (start + 5, 2),
            _ => continue,
        };
        for component in 0..3 {
            shared[first + step * component] = 0;
        }
    }
    check_same("4:2:0", "one identifier", &shared, &jpeg);
}

/// What no decoder reads is refused at the door, by its name.
#[test]
fn kinds_that_are_not_read_are_named() {
    let jpeg = KINDS[0].encode(&rgb(), SIZE);
    let (_, start, _) = *segments(&jpeg)
        .iter()
        .find(|(marker, ..)| *marker == 0xc0)
        .unwrap();
    for (change, word) in [
        ((1, 0xc5), "hierarchical"),
        ((1, 0xcb), "lossless JPEG with arithmetic"),
        ((4, 12), "12 bits"),
        ((11, 0x32), "no whole ratio"),
    ] {
        let mut other = jpeg.clone();
        other[start + change.0] = change.1;
        if change.0 == 11 {
            other[start + 14] = 0x21;
        }
        let error = inspect(&other, &Limits::default()).unwrap_err();
        assert!(matches!(error, ImagingError::Header { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}
