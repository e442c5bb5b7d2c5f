//! The three separate steps: inspecting a header, planning, and resizing.

use picresize_imaging::{Format, Limits, fingerprint, inspect, resize};

use super::jpegs::KINDS;
use super::made::jxl;
use super::pictures::{animation, deep_png, drawing, make, opaque, png, tagged};
use super::support::{corpus, files_below, request};

const OPTIONS: [&str; 6] = [
    "width=20",
    "width=300 profile=fine",
    "width=70 height=50 fit=cover position=smart format=png",
    "width=30 format=webp",
    "width=30 format=jpeg max_bytes=2000",
    "width=2 filter=nearest",
];

/// Pictures of each kind that is written here, in two sizes.
fn pictures() -> Vec<Vec<u8>> {
    let mut pictures = vec![animation(3), tagged()];
    for (width, height) in [(160, 120), (61, 200)] {
        let (clear, opaque) = (drawing(width, height), opaque(width, height));
        for format in ["jpeg", "webp", "gif", "avif"] {
            let options = format!("width={width} format={format}");
            pictures.push(make(&opaque, &options).bytes);
            pictures.push(make(&clear, &format!("{options} quality=95")).bytes);
        }
        let animated = format!("width={width} format=webp");
        pictures.push(make(&animation(3), &animated).bytes);
        let lossless = format!("width={width} format=webp lossless=true");
        pictures.push(make(&opaque, &lossless).bytes);
        let gray = vec![99; (width * height) as usize];
        pictures.push(png(width, height, png::ColorType::Grayscale, &gray));
        pictures.push(deep_png(width, height, png::ColorType::Grayscale, &gray));
        pictures.extend([clear, opaque]);
    }
    let rgb: Vec<u8> = (0..130 * 90 * 3_u32)
        .map(|at| (at * at / 700) as u8)
        .collect();
    pictures.extend(KINDS.iter().map(|kind| kind.encode(&rgb, (130, 90))));
    pictures.push(jxl(&rgb, (130, 90), png::ColorType::Rgb, false));
    pictures
}

#[test]
fn a_plan_makes_what_it_says_again_and_again() {
    let limits = Limits::default();
    for picture in pictures() {
        let source = inspect(&picture, &Limits::default()).unwrap();
        assert_eq!(
            source.fingerprint(&picture, &limits),
            fingerprint(&picture, &limits)
        );
        for options in OPTIONS {
            let request = request(options);
            let expected = resize(&picture, &request, &limits);
            let found = source.plan(&request, &limits).and_then(|plan| {
                let first = plan.resize(&picture)?;
                let facts = (plan.format(), plan.width(), plan.height(), plan.frames());
                assert_eq!(
                    facts,
                    (first.format, first.width, first.height, first.frames)
                );
                assert!(first.bytes == plan.clone().resize(&picture)?.bytes);
                Ok(first)
            });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert!(found.bytes == expected.bytes),
                (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected.to_string()),
                (found, expected) => panic!("{options}: {found:?}, not {expected:?}"),
            }
        }
    }
}

/// A caller that mixes up two pictures gets an error, or a picture that means nothing.
#[test]
fn the_bytes_of_another_picture_do_no_harm() {
    let limits = Limits::default();
    let mut pictures = pictures();
    pictures.extend([Vec::new(), b"\xff\xd8\xff".to_vec()]);
    if let Some(folder) = corpus() {
        for format in ["bmp", "tiff"] {
            let files = files_below(&folder.join("formats/test-images").join(format));
            let small = files.iter().filter_map(|file| std::fs::read(file).ok());
            pictures.extend(small.filter(|bytes| bytes.len() < 40_000).take(12));
        }
    }
    let mut errors = 0;
    for inspected in &pictures {
        let Ok(source) = inspect(inspected, &Limits::default()) else {
            continue;
        };
        for options in &OPTIONS[..4] {
            let Ok(plan) = source.plan(&request(options), &limits) else {
                continue;
            };
            for bytes in &pictures {
                errors += u32::from(plan.resize(bytes).is_err());
            }
        }
        for bytes in &pictures {
            let _ = source.fingerprint(bytes, &limits);
        }
    }
    assert!(errors > 1000, "{errors} mix-ups were found out");
}

/// A photograph in a format that is only read gives JPEG, or WebP if it may be transparent. The plan
/// tells before anything is decoded.
#[test]
fn the_plan_tells_the_format_of_a_source_that_is_only_read() {
    let (rgb, rgba) = ([90; 40 * 30 * 3], [90; 40 * 30 * 4]);
    let opaque = jxl(&rgb, (40, 30), png::ColorType::Rgb, false);
    let clear = jxl(&rgba, (40, 30), png::ColorType::Rgba, false);
    for (source, options, expected) in [
        (&opaque, "width=20", Format::Jpeg),
        (
            &opaque,
            "width=20 format=same progressive=true",
            Format::Jpeg,
        ),
        (&opaque, "width=20 lossless=true", Format::Png),
        (&opaque, "width=20 palette=8", Format::Png),
        (&opaque, "width=20 format=avif", Format::Avif),
        (
            &opaque,
            "width=20 height=20 fit=contain background=#ff000080",
            Format::Webp,
        ),
        (&clear, "width=20", Format::Webp),
        (&clear, "width=20 background=#ff0000", Format::Jpeg),
        (&clear, "width=20 lossless=true", Format::Png),
        (&clear, "width=17000 height=1", Format::Png),
    ] {
        let source = inspect(source, &Limits::default()).unwrap();
        let plan = source.plan(&request(options), &Limits::default()).unwrap();
        assert_eq!(plan.format(), expected, "{options}");
    }
}
