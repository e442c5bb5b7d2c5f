//! Every option does what it says: each test fails if its option did nothing. And the bytes of
//! results: the same on any thread and in any build.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

#[path = "imaging/support.rs"]
mod support;

use std::io::Cursor;

use picresize::imaging::{ENGINE_VERSION, ImagingError, Limits, Resized, resize};
use picresize::operation::{Digest, Format, ResizeRequest};
use support::request;

/// A colourful picture with edges, ramps and a half-transparent corner, as PNG of Rgba.
fn drawing(width: u32, height: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let disc = (x as i64 - 60).pow(2) + (y as i64 - 40).pow(2) < 900;
            let stripe = (x / 7 + y / 5) % 2 == 0;
            let red = if disc { 230 } else { (x * 255 / width) as u8 };
            let green = if stripe {
                200
            } else {
                (y * 255 / height) as u8
            };
            let alpha = if x + y < 30 { 96 } else { 255 };
            pixels.extend([red, green, 255 - red / 2, alpha]);
        }
    }
    png(width, height, png::ColorType::Rgba, &pixels)
}

/// The same without transparency.
fn opaque(width: u32, height: u32) -> Vec<u8> {
    let rgba = decode(&drawing(width, height)).1;
    let (pixels, _) = rgba.as_chunks::<4>();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    png(width, height, png::ColorType::Rgb, &rgb)
}

fn png(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An animation of `frames` frames: a square that walks over a still ground.
fn animation(frames: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette = [0, 0, 0, 255, 0, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut bytes, 64, 48, &palette).unwrap();
    encoder.set_repeat(gif::Repeat::Infinite).unwrap();
    for number in 0..frames {
        let mut pixels = vec![2; 64 * 48];
        for y in 10..20 {
            let start = y * 64 + usize::from(number) * 6;
            pixels[start..start + 10].fill(1);
        }
        let mut frame = gif::Frame::from_indexed_pixels(64, 48, pixels, None);
        frame.delay = 5 + number;
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

fn make(source: &[u8], options: &str) -> Resized {
    resize(source, &request(options), &Limits::default())
        .unwrap_or_else(|error| panic!("{options}: {error}"))
}

fn refusal(source: &[u8], options: &str) -> String {
    match resize(source, &request(options), &Limits::default()) {
        Err(ImagingError::Option(error)) => error.to_string(),
        other => panic!("{options}: {:?}", other.map(|resized| resized.format)),
    }
}

/// Size and Rgba samples of a PNG.
fn decode(bytes: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::ALPHA | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    if info.color_type == png::ColorType::GrayscaleAlpha {
        let (pairs, _) = pixels.as_chunks::<2>();
        pixels = pairs.iter().flat_map(|&[y, a]| [y, y, y, a]).collect();
    }
    ((info.width, info.height), pixels)
}

/// The pixels of a result that was asked for as PNG.
fn pixels(source: &[u8], options: &str) -> ((u32, u32), Vec<u8>) {
    let resized = make(source, &format!("{options} format=png"));
    let (size, pixels) = decode(&resized.bytes);
    assert_eq!(size, (resized.width, resized.height));
    (size, pixels)
}

fn pixel(picture: &((u32, u32), Vec<u8>), x: u32, y: u32) -> [u8; 4] {
    let start = (y * picture.0.0 + x) as usize * 4;
    picture.1[start..start + 4].try_into().unwrap()
}

#[test]
fn width_height_and_fit_decide_the_size() {
    let source = drawing(200, 100);
    for (options, size) in [
        ("width=50", (50, 25)),
        ("height=50", (100, 50)),
        ("width=50 height=50", (50, 50)),
        ("width=50 height=50 fit=cover", (50, 50)),
        ("width=50 height=50 fit=contain", (50, 50)),
        ("width=50 height=50 fit=inside", (50, 25)),
        ("width=50 height=50 fit=outside", (100, 50)),
        ("width=900 height=900 fit=inside enlarge=false", (200, 100)),
        ("width=900 height=900 fit=inside", (900, 450)),
        ("width=1 height=1", (1, 1)),
        ("width=10000 height=1", (10_000, 1)),
        ("width=10000", (10_000, 5_000)),
    ] {
        let resized = make(&source, options);
        assert_eq!((resized.width, resized.height), size, "{options}");
    }
    for (width, height) in [(1, 1), (1, 300), (300, 1)] {
        assert_eq!(
            pixels(&drawing(width, height), "width=50 height=50").0,
            (50, 50)
        );
    }
    let stretched = pixels(&source, "width=50 height=50").1;
    let covered = pixels(&source, "width=50 height=50 fit=cover").1;
    let contained = pixels(&source, "width=50 height=50 fit=contain").1;
    assert!(stretched != covered && covered != contained && contained != stretched);
}

#[test]
fn position_chooses_the_part_and_smart_finds_the_detail() {
    let part = |position: &str| {
        let options = format!("width=50 height=50 fit=cover position={position}");
        pixels(&opaque(200, 100), &options)
    };
    assert!(part("left") != part("center") && part("center") != part("right"));
    // A flat picture with a busy corner.
    let mut flat = vec![128; 300 * 100 * 3];
    for y in 20..80 {
        for x in 230..290 {
            flat[(y * 300 + x) * 3..][..3].fill(if (x / 4 + y / 4) % 2 == 0 { 0 } else { 255 });
        }
    }
    let source = png(300, 100, png::ColorType::Rgb, &flat);
    let detail = |position: &str| {
        let options = format!("width=50 height=50 fit=cover position={position}");
        let values = pixels(&source, &options).1;
        values
            .iter()
            .filter(|value| !(120..=136).contains(*value))
            .count()
    };
    assert!(detail("smart") > 2 * detail("center"));
}

#[test]
fn background_shows_beside_and_below() {
    let source = drawing(200, 100);
    let boxed = pixels(&source, "width=50 height=50 fit=contain background=#102030");
    assert_eq!(pixel(&boxed, 25, 0), [0x10, 0x20, 0x30, 255]);
    let boxed = pixels(&source, "width=50 height=50 fit=contain");
    assert_eq!(pixel(&boxed, 25, 0), [0; 4]);
    let below = pixels(&source, "width=200 background=#ff0000");
    assert_eq!(pixel(&below, 0, 0)[3], 255);
    assert_ne!(
        pixel(&below, 0, 0),
        pixel(&pixels(&source, "width=200"), 0, 0)
    );
    let jpeg = |options: &str| make(&make(&source, options).bytes, "width=200 format=png").bytes;
    let white = decode(&jpeg("width=200 format=jpeg")).1;
    let black = decode(&jpeg("width=200 format=jpeg background=black")).1;
    assert!(white[0] > black[0], "{} {}", white[0], black[0]);
}

#[test]
fn format_decides_the_format() {
    let source = drawing(60, 40);
    let beginnings: [(&str, Format, &[u8]); 5] = [
        ("jpeg", Format::Jpeg, b"\xff\xd8\xff"),
        ("png", Format::Png, b"\x89PNG"),
        ("webp", Format::Webp, b"RIFF"),
        ("gif", Format::Gif, b"GIF89a"),
        ("avif", Format::Avif, b"\0\0\0"),
    ];
    for (name, format, beginning) in beginnings {
        let resized = make(&source, &format!("width=30 format={name}"));
        assert_eq!(resized.format, format);
        assert!(resized.bytes.starts_with(beginning), "{name}");
        let is_avif = resized.bytes[4..12] == *b"ftypavif";
        assert_eq!(is_avif, format == Format::Avif);
        // What was written can be read.
        assert_eq!(pixels(&resized.bytes, "width=30").0, (30, 20));
    }
    assert_eq!(make(&source, "width=30").format, Format::Png);
}

#[test]
fn quality_and_max_bytes_decide_the_bytes() {
    let source = opaque(200, 150);
    for format in ["jpeg", "webp", "avif"] {
        let bytes = |options: &str| {
            make(&source, &format!("width=160 format={format} {options}"))
                .bytes
                .len()
        };
        assert!(bytes("quality=30") < bytes("quality=90"), "{format}");
        let limit = bytes("quality=60");
        let found = bytes(&format!("max_bytes={limit}"));
        assert!(
            found <= limit && found > bytes("quality=40"),
            "{format}: {found} of {limit}"
        );
    }
    let message = refusal(&source, "width=160 format=jpeg max_bytes=100");
    assert!(
        message.starts_with("max_bytes: 100 is too small"),
        "{message}"
    );
    let message = refusal(&source, "width=160 max_bytes=100");
    assert!(message.contains("no quality to lower"), "{message}");
}

#[test]
fn every_filter_is_another() {
    let source = opaque(200, 150);
    let names = [
        "lanczos3",
        "catmullrom",
        "mitchell",
        "bilinear",
        "box",
        "nearest",
    ];
    let results = names.map(|name| pixels(&source, &format!("width=71 filter={name}")));
    for (index, result) in results.iter().enumerate() {
        assert!(!results[..index].contains(result), "{}", names[index]);
    }
}

/// Black and white pixels side by side are half the light: sRGB 188. In the picture's own values
/// their mean is 128.
#[test]
fn fine_means_linear_light() {
    let board: Vec<u8> = (0..64 * 64)
        .map(|n| if (n + n / 64) % 2 == 0 { 0 } else { 255 })
        .collect();
    let source = png(64, 64, png::ColorType::Grayscale, &board);
    let middle = |profile: &str| {
        let options = format!("width=16 filter=box profile={profile}");
        pixel(&pixels(&source, &options), 8, 8)[0]
    };
    assert!(middle("fast").abs_diff(128) <= 1, "{}", middle("fast"));
    assert!(middle("fine").abs_diff(188) <= 1, "{}", middle("fine"));
}

#[test]
fn progressive_lossless_palette_and_sharpen_do_what_they_say() {
    let source = opaque(200, 150);
    let has_progressive_frame = |options: &str| {
        let jpeg = make(&source, options).bytes;
        jpeg.windows(2).any(|marker| marker == [0xff, 0xc2])
    };
    assert!(!has_progressive_frame("width=90 format=jpeg"));
    assert!(has_progressive_frame(
        "width=90 format=jpeg progressive=true"
    ));

    let expected = pixels(&source, "width=90");
    let through_webp = |options: &str| {
        let webp = make(&source, &format!("width=90 format=webp {options}")).bytes;
        pixels(&webp, "width=90")
    };
    assert_eq!(through_webp("lossless=true"), expected);
    assert_ne!(through_webp(""), expected);

    let colors = |options: &str| {
        let (_, pixels) = pixels(&source, options);
        let mut colors = pixels.as_chunks::<4>().0.to_vec();
        colors.sort_unstable();
        colors.dedup();
        colors.len()
    };
    assert!(colors("width=90") > 256);
    assert!((9..=16).contains(&colors("width=90 palette=16")));

    let contrast = |options: &str| {
        let (_, pixels) = pixels(&source, options);
        let pairs = pixels.as_chunks::<4>().0.windows(2);
        pairs
            .map(|pair| u64::from(pair[0][1].abs_diff(pair[1][1])))
            .sum::<u64>()
    };
    assert!(contrast("width=90 sharpen=50") > contrast("width=90") * 11 / 10);

    for (options, field) in [
        ("width=9 format=jpeg lossless=true", "lossless: "),
        ("width=9 format=png progressive=true", "progressive: "),
        ("width=9 format=webp palette=16", "palette: "),
        ("width=9 format=avif color=keep", "color: "),
    ] {
        let message = refusal(&source, options);
        assert!(message.starts_with(field), "{message}");
    }
}

#[test]
fn sides_over_a_limit_are_refused_by_their_field() {
    let source = drawing(200, 100);
    let message = refusal(&source, "width=20001");
    assert_eq!(message, "width: 20001 is too large: the most is 20000");
    let message = refusal(&source, "width=17000 height=1 format=webp");
    assert_eq!(
        message,
        "width: 17000 is too large for webp: the most is 16383"
    );
    let limits = Limits {
        max_source_pixels: 19_999,
        ..Limits::default()
    };
    let error = resize(&source, &request("width=5"), &limits)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("20000 pixels") && error.contains("19999"),
        "{error}"
    );
    let limits = Limits {
        max_memory_bytes: 1_000_000,
        ..Limits::default()
    };
    let error = resize(&source, &request("width=5"), &limits)
        .unwrap_err()
        .to_string();
    assert!(error.contains("1000000"), "{error}");
}

/// A JPEG with EXIF (turned by a quarter, by "Ann") and an Adobe RGB profile.
fn tagged() -> Vec<u8> {
    let jpeg = make(&opaque(80, 40), "width=80 format=jpeg quality=95").bytes;
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
    exif.extend(b"\x01\x3b\0\x02\0\0\0\x04Ann\0");
    exif.extend([0; 4]);
    let mut profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    // The time at which the profile was made.
    profile[24..36].fill(0);
    let icc = [b"ICC_PROFILE\0\x01\x01".as_slice(), &profile].concat();
    let mut tagged = jpeg[..2].to_vec();
    for (marker, payload) in [(0xe1, exif), (0xe2, icc)] {
        tagged.extend([0xff, marker]);
        tagged.extend((payload.len() as u16 + 2).to_be_bytes());
        tagged.extend(payload);
    }
    tagged.extend(&jpeg[2..]);
    tagged
}

#[test]
fn color_and_metadata_decide_what_travels_along() {
    let source = tagged();
    let contains = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    for format in ["jpeg", "png", "webp"] {
        let options = |more: &str| format!("height=30 format={format} quality=100 {more}");
        let plain = make(&source, &options(""));
        assert_eq!((plain.width, plain.height), (15, 30), "the turn is applied");
        assert!(!contains(&plain.bytes, b"Ann"));
        let kept = make(&source, &options("metadata=keep"));
        let credited = make(&source, &options("metadata=copyright"));
        assert!(contains(&kept.bytes, b"Ann") && contains(&credited.bytes, b"Ann"));
        assert!(kept.bytes.len() > credited.bytes.len(), "keep keeps more");
        for resized in [&kept, &credited] {
            // Read again, it isn't turned a second time.
            let again = make(&resized.bytes, "height=30");
            assert_eq!((again.width, again.height), (15, 30));
        }
        let profiled = make(&source, &options("color=keep"));
        assert!(
            profiled.bytes.len() > plain.bytes.len() + 100,
            "{format}: the profile is there"
        );
        // A viewer that follows the profile sees the same colours.
        let converted = pixels(&plain.bytes, "height=30 filter=nearest").1;
        let followed = pixels(&profiled.bytes, "height=30 filter=nearest").1;
        let ignored = pixels(&profiled.bytes, "height=30 filter=nearest color=keep").1;
        let distance = |a: &[u8], b: &[u8]| -> u64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum()
        };
        assert!(
            distance(&converted, &followed) * 2 < distance(&converted, &ignored),
            "{format}"
        );
    }
}

#[test]
fn animations_stay_animations() {
    let source = animation(6);
    for format in ["gif", "webp"] {
        let resized = make(&source, &format!("width=32 format={format}"));
        assert_eq!((resized.width, resized.height, resized.frames), (32, 24, 6));
        let source = picresize::imaging::inspect(&resized.bytes).unwrap();
        assert_eq!(source.frames, 6, "{format}");
    }
    let still = make(&source, "width=32 format=png filter=nearest");
    assert_eq!(still.frames, 1);
    assert_eq!(pixel(&decode(&still.bytes), 2, 7), [255, 0, 0, 255]);
    let gif = make(&source, "width=64").bytes;
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(gif.as_slice()).unwrap();
    for number in 0..6 {
        let frame = decoder.read_next_frame().unwrap().unwrap();
        assert_eq!(frame.delay, 5 + number);
    }
    assert_eq!(decoder.repeat(), gif::Repeat::Infinite);
    let limits = Limits {
        max_frames: 5,
        ..Limits::default()
    };
    let error = resize(&source, &request("width=32"), &limits).unwrap_err();
    assert_eq!(error.to_string(), "the picture has 6 frames: the most is 5");
}

/// The cases whose bytes are pinned.
const PINNED: &[(&str, &str)] = &[
    ("png", "width=71"),
    ("png", "width=71 filter=mitchell sharpen=30 palette=40"),
    ("png", "width=90 height=90 fit=contain background=#336699"),
    ("png", "width=71 format=jpeg"),
    (
        "png",
        "width=71 format=jpeg quality=95 progressive=true profile=fine",
    ),
    ("png", "width=71 format=webp"),
    ("png", "width=71 format=webp lossless=true"),
    ("png", "width=71 format=gif"),
    ("png", "width=71 format=avif"),
    (
        "png",
        "width=50 height=50 fit=cover position=smart format=jpeg max_bytes=1500",
    ),
    ("jpeg", "width=50 height=30"),
    ("webp", "width=50 profile=fine"),
    ("avif", "width=50 format=png"),
    ("gif", "width=50"),
    ("gif", "width=50 format=webp"),
    ("tagged", "height=30 metadata=keep"),
    ("tagged", "height=30 color=keep format=png"),
];

fn pinned_source(kind: &str) -> Vec<u8> {
    let drawn = drawing(160, 120);
    match kind {
        "png" => drawn,
        "gif" => animation(4),
        "tagged" => tagged(),
        format => make(&drawn, &format!("width=160 format={format}")).bytes,
    }
}

fn pinned_digests() -> String {
    PINNED
        .iter()
        .map(|(kind, options)| {
            let digest = Digest::of(&make(&pinned_source(kind), options).bytes);
            format!("{} {kind} {options}\n", &digest.to_string()[..16])
        })
        .collect()
}

/// The bytes may only change together with the engine version: when this fails, raise
/// `ENGINE_VERSION` and run with `PICRESIZE_PIN=1` to write the file anew.
#[test]
fn results_are_the_pinned_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imaging/pinned.txt");
    let found = format!("engine {ENGINE_VERSION}\n{}", pinned_digests());
    if std::env::var_os("PICRESIZE_PIN").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn threads_do_not_change_the_bytes() {
    let alone = pinned_digests();
    for count in [2, 8] {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(pinned_digests)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), alone);
            }
        });
    }
}

#[test]
fn the_default_request_changes_nothing_else() {
    let request = ResizeRequest {
        width: Some(60),
        ..ResizeRequest::default()
    };
    let source = opaque(60, 40);
    let resized = resize(&source, &request, &Limits::default()).unwrap();
    assert_eq!(decode(&resized.bytes), decode(&source));
}
