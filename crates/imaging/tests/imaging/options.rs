//! Every option does what it says: each test fails if its option did nothing.

use super::pictures::{
    animation, decode, drawing, make, opaque, pixel, pixels, png, refusal, tagged,
};
use super::support::request;
use picresize_imaging::{Format, ResizeOptions};
use picresize_imaging::{Limits, resize};

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

/// Three stripes, red, green and blue, side by side or one below the other.
fn stripes(upright: bool) -> Vec<u8> {
    let colors = [[255, 0, 0], [0, 255, 0], [0, 0, 255]];
    let (width, height) = if upright { (90, 30) } else { (30, 90) };
    let pixels: Vec<u8> = (0..height)
        .flat_map(|y| (0..width).map(move |x| if upright { x } else { y } / 30))
        .flat_map(|stripe| colors[stripe])
        .collect();
    png(width as u32, height as u32, png::ColorType::Rgb, &pixels)
}

/// Of the three stripes, `cover` shows one, and `contain` shows all at one of three positions.
#[test]
fn each_of_the_nine_positions_is_another_place() {
    for (position, across, down) in [
        ("top-left", 0, 0),
        ("top", 1, 0),
        ("top-right", 2, 0),
        ("left", 0, 1),
        ("center", 1, 1),
        ("right", 2, 1),
        ("bottom-left", 0, 2),
        ("bottom", 1, 2),
        ("bottom-right", 2, 2),
    ] {
        for (upright, place) in [(true, across), (false, down)] {
            let source = stripes(upright);
            let options = format!("width=30 height=30 fit=cover position={position}");
            let shown = pixel(&pixels(&source, &options), 15, 15);
            let mut color = [0, 0, 0, 255];
            color[place] = 255;
            assert_eq!(shown, color, "{position}, upright stripes: {upright}");

            let options = format!("width=90 height=90 fit=contain position={position}");
            let boxed = pixels(&source, &options);
            for third in 0..3 {
                let center = 15 + 30 * third as u32;
                // Upright stripes lie across the whole width, and move up and down.
                let (x, y) = if upright { (45, center) } else { (center, 45) };
                let place = if upright { down } else { across };
                let visible = pixel(&boxed, x, y)[3] == 255;
                assert_eq!(visible, third == place, "{position} at {third}");
            }
        }
    }
}

#[test]
fn enlarge_decides_whether_a_small_picture_grows() {
    let source = opaque(60, 40);
    for (fit, grown) in [
        ("fill", (300, 300)),
        ("cover", (300, 300)),
        ("contain", (300, 300)),
        ("inside", (300, 200)),
        ("outside", (450, 300)),
    ] {
        let size = |enlarge: bool| {
            let options = format!("width=300 height=300 fit={fit} enlarge={enlarge}");
            pixels(&source, &options)
        };
        assert_eq!(size(true).0, grown, "{fit}");
        let kept = size(false);
        assert!(kept != size(true), "{fit}");
        if fit == "contain" {
            // The canvas is as large as asked for, the picture on it as large as it was.
            assert_eq!(kept.0, grown);
            assert_eq!(pixel(&kept, 119, 150)[3], 0);
            assert_eq!(pixel(&kept, 120, 150)[3], 255);
        } else {
            assert!(kept.0.0 <= 60 && kept.0.1 <= 40, "{fit}: {:?}", kept.0);
        }
    }
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

/// JPEG and WebP that keep their format have a code path of their own, for luma and chroma planes.
#[test]
fn options_do_the_same_to_a_picture_that_keeps_its_format() {
    for format in ["jpeg", "webp"] {
        let options = format!("width=200 format={format} quality=95");
        let source = make(&opaque(200, 150), &options).bytes;
        let results: Vec<_> = [
            "",
            "filter=catmullrom",
            "filter=mitchell",
            "filter=bilinear",
            "filter=box",
            "filter=nearest",
            "quality=30",
            "quality=95",
            "max_bytes=1200",
            "sharpen=60",
            "profile=fine",
            "height=71",
            "height=71 fit=cover",
            "height=71 fit=cover position=left",
            "height=71 fit=cover position=smart",
            "height=71 fit=contain",
            "height=71 fit=contain background=#f00",
        ]
        .into_iter()
        .map(|more| (more, make(&source, &format!("width=71 {more}")).bytes))
        .collect();
        for (index, (more, bytes)) in results.iter().enumerate() {
            let same = results[..index].iter().find(|(_, other)| other == bytes);
            assert!(
                same.is_none(),
                "{format}: {more:?} is as {:?}",
                same.unwrap().0
            );
        }
        let size = |more: &str| {
            let (_, bytes) = results.iter().find(|(name, _)| *name == more).unwrap();
            bytes.len()
        };
        assert!(size("quality=30") < size("") && size("") < size("quality=95"));
        assert!((600..=1200).contains(&size("max_bytes=1200")), "{format}");
    }
    let jpeg = make(&opaque(200, 150), "width=200 format=jpeg").bytes;
    for (progressive, marker) in [(true, 0xc2), (false, 0xc0)] {
        let bytes = make(&jpeg, &format!("width=71 progressive={progressive}")).bytes;
        assert!(bytes.windows(2).any(|pair| pair == [0xff, marker]));
    }
    let webp = make(&opaque(200, 150), "width=200 format=webp").bytes;
    let lossless = make(&webp, "width=71 lossless=true").bytes;
    assert_eq!(pixels(&lossless, "width=71"), pixels(&webp, "width=71"));
}

/// Black and white pixels side by side have half the light: sRGB 188. The mean of the stored values
/// would be 128.
#[test]
fn every_profile_averages_light() {
    let board: Vec<u8> = (0..64 * 64)
        .map(|n| if (n + n / 64) % 2 == 0 { 0 } else { 255 })
        .collect();
    let source = png(64, 64, png::ColorType::Grayscale, &board);
    let middle = |profile: &str| {
        let options = format!("width=16 filter=box profile={profile}");
        pixel(&pixels(&source, &options), 8, 8)[0]
    };
    assert!(middle("fast").abs_diff(188) <= 1, "{}", middle("fast"));
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
    let gif = |options: &str| make(&source, &format!("width=90 format=gif {options}")).bytes;
    let colors_of_gif = |options: &str| {
        let (_, pixels) = pixels(&gif(options), "width=90");
        let mut colors = pixels.as_chunks::<4>().0.to_vec();
        colors.sort_unstable();
        colors.dedup();
        colors.len()
    };
    assert!(colors_of_gif("") > 16);
    assert!((9..=16).contains(&colors_of_gif("palette=16")));

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
    assert_eq!(message, "width: 20001 is too large; the maximum is 20000");
    let message = refusal(&source, "width=17000 height=1 format=webp");
    assert_eq!(
        message,
        "width: 17000 is too large for webp; the limit is 16383"
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
        max_memory_bytes: 100_000,
        ..Limits::default()
    };
    let error = resize(&source, &request("width=5"), &limits)
        .unwrap_err()
        .to_string();
    assert!(error.contains("100000"), "{error}");
}

#[test]
fn color_and_metadata_decide_what_travels_along() {
    let source = tagged();
    let contains = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    // Chroma at half the size would differ more than the profiles.
    for format in ["jpeg", "png", "webp lossless=true"] {
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

/// AVIF is written without a profile, and GIF without either.
#[test]
fn avif_carries_what_is_kept() {
    let source = tagged();
    let says_ann = |options: &str| {
        let avif = make(&source, &format!("height=30 format=avif {options}")).bytes;
        assert_eq!(pixels(&avif, "height=30").0, (15, 30));
        avif.windows(3).any(|part| part == b"Ann")
    };
    assert!(!says_ann(""));
    assert!(says_ann("metadata=keep") && says_ann("metadata=copyright"));
}

#[test]
fn animations_stay_animations() {
    let source = animation(6);
    for format in ["gif", "webp"] {
        let resized = make(&source, &format!("width=32 format={format}"));
        assert_eq!((resized.width, resized.height, resized.frames), (32, 24, 6));
        let source = picresize_imaging::inspect(&resized.bytes, &Limits::default()).unwrap();
        assert_eq!(source.frames(), 6, "{format}");
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
    assert_eq!(
        error.to_string(),
        "the picture has 6 frames; the limit is 5"
    );
}

#[test]
fn the_default_request_changes_nothing_else() {
    let request = ResizeOptions {
        width: Some(60),
        ..ResizeOptions::default()
    };
    let source = opaque(60, 40);
    let resized = resize(&source, &request, &Limits::default()).unwrap();
    assert_eq!(decode(&resized.bytes), decode(&source));
}
