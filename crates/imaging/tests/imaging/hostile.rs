//! Pictures that were made to take memory or time: the header check stays small, the resize stays below
//! its estimate, and the person who sent one gets a result or a sentence.
//!
//! As in `memory`, each case runs in a child process of its own, with a limit of address space and of
//! time. Linux only.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::memory::{Mark, bring_in_code};
use super::pictures::opaque;
use super::support::{corpus, files_below, request};
use picresize_imaging::{ImagingError, Limits, inspect};

mod bitmaps;
mod files;
mod tiff;

const CHILD: &str = "PICRESIZE_HOSTILE_CHILD";
/// What a header check may take, with three times the bytes of the file.
const HEADER_BYTES: u64 = 8 << 20;
/// How far the kernel's count may exceed an estimate: it counts whole pages, and those of the
/// allocator.
const PAGES: u64 = 1 << 20;

/// How a hostile picture must end.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// With a result.
    Done,
    /// With an error in which these words are.
    Refused(&'static str),
    /// With either of them.
    Either,
}
use Expected::{Done, Either, Refused};

/// The child process: reads the header, plans and resizes, and prints the peaks and the end.
#[test]
#[ignore = "the child process of the other tests here"]
fn child() {
    let Ok(case) = std::env::var(CHILD) else {
        return;
    };
    let (path, options) = case.split_once('\n').unwrap();
    let bytes = fs::read(path).unwrap();
    bring_in_code();
    let mark = Mark::set();
    let source = inspect(&bytes, &Limits::default());
    println!("\nHEADER {}", mark.peak());
    let resized = source.and_then(|source| {
        let plan = source.plan(&request(options), &Limits::default())?;
        let mark = Mark::set();
        let resized = plan.resize(&bytes);
        println!("RESIZE {} {}", plan.memory_bytes(), mark.peak());
        resized
    });
    match resized {
        Ok(_) => println!("DONE"),
        Err(error @ ImagingError::Encode { .. }) => panic!("{error}"),
        Err(error) => println!("REFUSED {error}"),
    }
}

/// Runs a case in a child and returns what is wrong with its end.
fn fault(path: &Path, options: &str, expected: Expected) -> Option<String> {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 4000000; exec timeout 60 \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::child", "--ignored", "--nocapture"])
        .env(CHILD, format!("{}\n{options}", path.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let name = path.file_name().unwrap().to_string_lossy();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Some(format!("{name} {options}: {}: {text}{said}", output.status));
    }
    let find = |word: &str| text.lines().find_map(|line| line.strip_prefix(word));
    let header: u64 = find("HEADER ").unwrap().parse().unwrap();
    let most = HEADER_BYTES + 3 * fs::metadata(path).unwrap().len();
    if header > most {
        return Some(format!("{name}: the header check took {header} of {most}"));
    }
    if let Some((estimate, used)) = find("RESIZE ").and_then(|line| line.split_once(' ')) {
        let (estimate, used): (u64, u64) = (estimate.parse().unwrap(), used.parse().unwrap());
        if used > estimate + PAGES {
            return Some(format!(
                "{name} {options}: took {used}, estimated {estimate}"
            ));
        }
    }
    let refusal = find("REFUSED ");
    match (expected, refusal) {
        (Either, _) | (Done, None) => None,
        (Refused(words), Some(refusal)) if refusal.contains(words) => None,
        _ => Some(format!("{name} {options}: {refusal:?}, not {expected:?}")),
    }
}

/// Runs cases with two kinds of options, and fails with all that is wrong.
fn check(cases: &[(&str, Vec<u8>, Expected)]) {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        for options in ["width=20", "width=20 metadata=keep color=keep format=png"] {
            wrong.extend(fault(&file, options, *expected));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A profile is needed for the colours, a text is not.
#[test]
fn compressed_chunks_of_png_are_bounded() {
    let zeros = files::zlib(&vec![0; 64 << 20]);
    let chunk = |name: &[u8; 4], start: &[u8]| (*name, [start, &zeros].concat());
    let xmp = chunk(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0");
    let text = chunk(b"zTXt", b"Comment\0\0");
    let profile = chunk(b"iCCP", b"icc\0\0");
    let png = opaque(40, 30);
    let refused = Refused("colour profile has more than 1048576 bytes");
    check(&[
        (
            "icc.png",
            files::png(&png, std::slice::from_ref(&profile)),
            refused,
        ),
        (
            "xmp.png",
            files::png(&png, std::slice::from_ref(&xmp)),
            Done,
        ),
        ("texts.png", files::png(&png, &vec![text; 20]), Done),
        ("xmps.png", files::png(&png, &vec![xmp; 20]), Done),
        (
            "plain.png",
            files::png(&png, &[(*b"iTXt", files::plain_xmp(5 << 20))]),
            Done,
        ),
        (
            "icc.ico",
            files::ico(16, &files::png(&files::rgba(16), &[profile])),
            Done,
        ),
    ]);
}

#[test]
fn many_chunks_of_png_are_bounded() {
    let empty = |name: &[u8; 4]| (*name, Vec::new());
    let png = opaque(40, 30);
    check(&[
        (
            "unknown.png",
            files::png(&png, &vec![empty(b"abCd"); 300_000]),
            Done,
        ),
        (
            "data.png",
            files::png(&png, &vec![empty(b"IDAT"); 300_000]),
            Done,
        ),
        (
            "exif.png",
            files::png(&png, &vec![(*b"eXIf", vec![7; 4_000]); 1_000]),
            Done,
        ),
    ]);
}

/// A picture is resized without an EXIF block that would take far more memory than it has bytes.
#[test]
fn fields_of_exif_that_share_a_value_are_bounded() {
    let png = opaque(40, 30);
    let jpeg = files::jpeg(40, 30);
    let in_png = |exif: Vec<u8>| files::png(&png, &[(*b"eXIf", exif)]);
    let in_jpeg = |exif: Vec<u8>| {
        files::with_segments(&jpeg, 0xe1, &[[b"Exif\0\0", exif.as_slice()].concat()])
    };
    let in_webp = |exif: Vec<u8>| files::webp(&[(*b"EXIF", exif)]);
    check(&[
        ("bytes.png", in_png(files::exif(3_000, 7, 900_000)), Done),
        ("strings.png", in_png(files::exif(3_000, 2, 900_000)), Done),
        ("one-string.png", in_png(files::exif(1, 2, 1_000_000)), Done),
        ("fields.png", in_png(files::exif(65_000, 3, 1)), Done),
        ("bytes.jpg", in_jpeg(files::exif(2_700, 1, 32_000)), Done),
        ("strings.jpg", in_jpeg(files::exif(2_700, 2, 32_000)), Done),
        (
            "rationals.webp",
            in_webp(files::exif(2_700, 5, 100_000)),
            Done,
        ),
        ("to-itself.png", in_png(files::exif_to_itself()), Done),
        ("to-itself.jpg", in_jpeg(files::exif_to_itself()), Done),
        ("large.webp", in_webp(files::exif(1, 7, 5 << 20)), Done),
    ]);
}

#[test]
fn profiles_stored_as_they_are_are_bounded() {
    let large = vec![7; 5 << 20];
    let parts: Vec<_> = large
        .chunks(65_000)
        .map(|part| [b"ICC_PROFILE\0\x01\xff", part].concat())
        .collect();
    let jpeg = files::jpeg(40, 30);
    let refused = Refused("colour profile has");
    check(&[
        (
            "large.jpg",
            files::with_segments(&jpeg, 0xe2, &parts),
            refused,
        ),
        (
            "large.webp",
            files::webp(&[(*b"ICCP", large.clone())]),
            refused,
        ),
        (
            "large.gif",
            files::gif((40, 30), &[(40, 30)], Some(&large)),
            refused,
        ),
        (
            "large.tif",
            files::tiff(&[(
                34_675,
                7,
                large.len() as u32,
                files::TiffValue::Bytes(large),
            )]),
            refused,
        ),
    ]);
}

/// Every tag is parsed, and some many times.
#[test]
fn tags_of_profiles_that_share_their_data_are_bounded() {
    let png = opaque(300, 200);
    let with = |profile: &[u8]| {
        files::png(
            &png,
            &[(
                *b"iCCP",
                [b"icc\0\0".as_slice(), &files::zlib(profile)].concat(),
            )],
        )
    };
    let lut = |count| files::profile(&files::lut(), &vec![*b"A2B0"; count], 1_000_000);
    check(&[
        ("tags.png", with(&lut(30_000)), Done),
        ("few-tags.png", with(&lut(90)), Done),
        ("lut.png", with(&lut(1)), Done),
        (
            "words.png",
            with(&files::profile(
                &files::words(),
                &[*b"desc", *b"cprt"],
                900_000,
            )),
            Done,
        ),
        (
            "curves.png",
            with(&files::profile(
                &files::curve(),
                &[*b"rTRC", *b"gTRC", *b"bTRC"],
                900_000,
            )),
            Done,
        ),
    ]);
}

#[test]
fn frames_larger_than_the_screen_are_bounded() {
    let most = (65_535, 65_535);
    check(&[
        (
            "frame.gif",
            files::gif((10, 10), &[most], None),
            Refused("limit"),
        ),
        (
            "frames.gif",
            files::gif((10, 10), &vec![(12_000, 12_000); 400], None),
            Refused("beyond the screen"),
        ),
        (
            "many.gif",
            files::gif((10, 10), &vec![(1, 1); 100_000], None),
            // A still result needs one frame only.
            Either,
        ),
        ("frame.png", files::apng((40, 30), (4_000, 4_000)), Either),
        (
            "animation.webp",
            files::animated_webp((40, 30), (4_000, 4_000)),
            Either,
        ),
    ]);
}

#[test]
fn sizes_in_bmp_and_ico_are_bounded() {
    check(&[
        ("rle.bmp", files::bmp(3_000, 3_000, 8, 1), Either),
        ("long.bmp", files::bmp(2_000_000, 1, 8, 1), Either),
        (
            "large.bmp",
            files::bmp(40_000, 40_000, 8, 1),
            Refused("pixels"),
        ),
        ("colours.bmp", files::bmp(10, 10, 8, u32::MAX), Either),
        (
            "large.ico",
            files::ico(16, &files::rgba(2_000)),
            Refused("16 × 16"),
        ),
        (
            "nested.ico",
            files::ico(16, &files::ico(16, &files::rgba(16))),
            Either,
        ),
    ]);
}

/// Scans without coefficients, and segments of a few bytes, before and after the coded data.
#[test]
fn scans_and_segments_of_jpeg_are_bounded() {
    let jpeg = files::jpeg(40, 30);
    check(&[
        (
            "scans.jpg",
            files::scans(3_000, 3_000, 20_000),
            Refused("scans"),
        ),
        (
            "scans-of-many-pixels.jpg",
            files::scans(9_000, 9_000, 200),
            Refused("201 scans; the limit for a picture of this size is 123"),
        ),
        ("fewer-scans.jpg", files::scans(3_000, 3_000, 400), Either),
        (
            "segments.jpg",
            files::with_segments(
                &jpeg,
                0xe2,
                &vec![b"ICC_PROFILE\0\x01\x01".to_vec(); 300_000],
            ),
            Either,
        ),
        (
            "segments-at-the-end.jpg",
            files::with_segments_at_the_end(
                &jpeg,
                0xe2,
                &vec![b"ICC_PROFILE\0\x01\x01".to_vec(); 300_000],
            ),
            Either,
        ),
        (
            "exifs.jpg",
            files::with_segments(&jpeg, 0xe1, &vec![b"Exif\0\0MM".to_vec(); 300_000]),
            Done,
        ),
    ]);
}

/// Files that have starved the program. Those of other formats have tests beside their codecs.
#[test]
fn files_that_did_harm_do_none() {
    let Some(folder) = corpus().map(|pictures| pictures.join("hostile")) else {
        return;
    };
    let mut wrong = Vec::new();
    if folder.is_dir() {
        for file in files_below(&folder) {
            let kind = file.extension().and_then(|kind| kind.to_str());
            if matches!(kind, Some("png" | "jpg" | "tif")) {
                wrong.extend(fault(&file, "width=20", Either));
                wrong.extend(fault(&file, "width=20 metadata=keep", Either));
                wrong.extend(fault(&file, "width=20 metadata=copyright", Either));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
