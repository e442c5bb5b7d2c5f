//! Every picture of the corpus: good ones decode as in an independent reader, broken ones give a
//! clear error, and none crashes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::{corpus, files_below, request, skip};
use picresize_imaging::Format;
use picresize_imaging::{ImagingError, Limits, inspect, resize};

/// How a broken file must be detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// By its first bytes.
    AsNoPicture,
    ByItsHeader,
    ByItsBody,
}
use Refused::{AsNoPicture, ByItsBody, ByItsHeader};

/// The files that must be refused. The list follows from the files, not from what the code does.
const BROKEN: &[(&str, Refused, &str)] = &[
    (
        "bmp/images/Bad_badbitcount.bad_bmp",
        ByItsHeader,
        "30000 bits a pixel",
    ),
    (
        "bmp/images/Bad_badplanes.bad_bmp",
        ByItsHeader,
        "many planes",
    ),
    (
        "bmp/images/Bad_clrsUsed.bad_bmp",
        ByItsHeader,
        "4 milliard colours",
    ),
    (
        "bmp/images/Bad_height.bad_bmp",
        ByItsHeader,
        "2 milliard rows",
    ),
    (
        "bmp/images/Bad_pal8oversizepal.bad_bmp",
        ByItsHeader,
        "300 colours in 8 bits",
    ),
    (
        "bmp/images/Bad_reallybig.bad_bmp",
        ByItsHeader,
        "6 terapixels",
    ),
    (
        "bmp/images/Bad_rletopdown.bad_bmp",
        ByItsHeader,
        "RLE from the top",
    ),
    ("bmp/images/Bad_shortfile.bad_bmp", ByItsBody, "cut short"),
    (
        "bmp/images/Bad_unusual_extend_buffer_usage.bad_bmp",
        ByItsBody,
        "RLE beyond the rows",
    ),
    (
        "bmp/images/Bad_width.bad_bmp",
        ByItsHeader,
        "2 milliard columns",
    ),
    (
        "bmp/raw/windows_dibv5_dump.bin",
        AsNoPicture,
        "a BMP without its file header",
    ),
    (
        "ico/images/Bad_smile-incorrect-image-length.bad_ico",
        ByItsBody,
        "lengths disagree",
    ),
    ("jpg/expected_xmp.bin", AsNoPicture, "text"),
    (
        "tiff/testsuite/hpredict_cmyk.tiff",
        ByItsHeader,
        "five inks; no other reader takes it",
    ),
    ("pngsuite/xc1n0g08.png", ByItsHeader, "colour type 1"),
    ("pngsuite/xc9n2c08.png", ByItsHeader, "colour type 9"),
    (
        "pngsuite/xcrn0g04.png",
        AsNoPicture,
        "added carriage returns",
    ),
    (
        "pngsuite/xcsn0g01.png",
        ByItsBody,
        "wrong checksum of the data",
    ),
    ("pngsuite/xd0n2c08.png", ByItsHeader, "bit depth 0"),
    ("pngsuite/xd3n2c08.png", ByItsHeader, "bit depth 3"),
    ("pngsuite/xd9n2c08.png", ByItsHeader, "bit depth 99"),
    ("pngsuite/xdtn0g01.png", ByItsHeader, "no data"),
    (
        "pngsuite/xhdn0g08.png",
        ByItsHeader,
        "wrong checksum of the header",
    ),
    ("pngsuite/xlfn0g04.png", AsNoPicture, "added line feeds"),
    ("pngsuite/xs1n0g01.png", AsNoPicture, "signature"),
    ("pngsuite/xs2n0g01.png", AsNoPicture, "signature"),
    ("pngsuite/xs4n0g01.png", AsNoPicture, "signature"),
    ("pngsuite/xs7n0g01.png", AsNoPicture, "signature"),
];

/// Good files that this library reads, but the other readers cannot be compared with.
const NO_MEASURE: &[(&str, &str)] = &[
    (
        "bmp/images/V3_A1_R5_G5_B5.bmp",
        "Pillow drops the alpha bit",
    ),
    (
        "bmp/images/V3_A1_R5_G5_B5_Top_Down.bmp",
        "Pillow drops the alpha bit",
    ),
    (
        "bmp/images/V3_X4_R4_G4_B4.bmp",
        "ImageMagick makes 15 of 15 to 240",
    ),
    (
        "bmp/images/V3_X4_R4_G4_B4_Top_Down.bmp",
        "ImageMagick makes 15 of 15 to 240",
    ),
    ("bmp/images/pal2.bmp", "neither reads 2 bits"),
    ("bmp/images/pal2color.bmp", "neither reads 2 bits"),
    (
        "bmp/images/pal4rlecut.bmp",
        "neither reads rows that end early",
    ),
    (
        "bmp/images/pal4rletrns.bmp",
        "pixels that RLE skips have no defined colour",
    ),
    (
        "bmp/images/rgb16-231.bmp",
        "ImageMagick shifts where it should scale",
    ),
    (
        "bmp/images/rgb24prof2.bmp",
        "neither applies the profile; `reports` has a test",
    ),
    ("bmp/images/rgb32-111110.bmp", "ImageMagick invents alpha"),
    ("bmp/images/rgb32bf.bmp", "ImageMagick invents alpha"),
    (
        "bmp/images/rgba16-1924.bmp",
        "ImageMagick shifts where it should scale",
    ),
    (
        "bmp/images/rgba32-61754.bmp",
        "ImageMagick shifts where it should scale",
    ),
    (
        "gif/anim/border_touching_layers.gif",
        "Pillow paints the background colour, browsers do not",
    ),
    (
        "gif/anim/issue_1455_undersized.gif",
        "Pillow paints the background colour, browsers do not",
    ),
    (
        "gif/anim/oob.gif",
        "both enlarge the screen for a frame that stands over",
    ),
    (
        "gif/simple/issue_1455_oversized.gif",
        "both enlarge the screen for a frame that stands over",
    ),
    (
        "ico/images/multiple_entries_with_different_bit_depth.ico",
        "Pillow takes fewer bits",
    ),
    (
        "ico/images/two-entry-order-test.ico",
        "two entries of one size and depth: either is right",
    ),
    (
        "png/transparency/tbbn0g04.png",
        "Pillow drops the transparent gray",
    ),
    ("pngsuite/tbbn0g04.png", "Pillow drops the transparent gray"),
];

/// The largest mean difference of a channel, of 255, and the largest difference of one sample. The
/// decoders round 16 bits to 8 differently and compute profiles differently.
const MEAN: f64 = 0.6;
const MOST: u32 = 2;

fn entry<'a, T>(list: &'a [(&str, T, &str)], path: &Path) -> Option<&'a T> {
    let found = list.iter().find(|(name, ..)| path.ends_with(name));
    found.map(|(_, value, _)| value)
}

fn corpus_files(pictures: &Path) -> Vec<PathBuf> {
    ["formats/test-images", "pngsuite", "orientation", "photos"]
        .iter()
        .flat_map(|folder| files_below(&pictures.join(folder)))
        .collect()
}

#[test]
fn broken_files_get_a_clear_error_and_good_ones_a_result() {
    let Some(pictures) = corpus() else { return };
    let limits = Limits::default();
    let mut wrong = Vec::new();
    for path in corpus_files(&pictures) {
        let bytes = std::fs::read(&path).unwrap();
        let expected = entry(BROKEN, &path).copied();
        let (found, message) = match inspect(&bytes, &Limits::default()) {
            Err(error @ ImagingError::NotAPicture(_)) => (Some(AsNoPicture), error.to_string()),
            Err(error) => (Some(ByItsHeader), error.to_string()),
            Ok(_) => match resize(&bytes, &request("width=40 height=30"), &limits) {
                Ok(resized) => {
                    assert_eq!((resized.width, resized.height), (40, 30), "{path:?}");
                    (None, String::new())
                }
                Err(error @ ImagingError::Body { .. }) => (Some(ByItsBody), error.to_string()),
                Err(error) => panic!("{path:?}: {error}"),
            },
        };
        if found != expected || (found.is_some() && message.len() < 20) {
            wrong.push(format!("{path:?}: {found:?} ({message}), not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn good_files_look_as_another_reader_sees_them() {
    let Some(pictures) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut pairs = String::new();
    for (number, path) in corpus_files(&pictures).iter().enumerate() {
        let no_measure = NO_MEASURE.iter().any(|(name, _)| path.ends_with(name));
        if entry(BROKEN, path).is_some() || no_measure {
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        let source = inspect(&bytes, &Limits::default()).unwrap();
        let options = format!(
            "format=png width={} height={}",
            source.width(),
            source.height()
        );
        let resized = resize(&bytes, &request(&options), &Limits::default());
        let resized = resized.unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let result = folder.path().join(format!("{number}.png"));
        std::fs::write(&result, resized.bytes).unwrap();
        writeln!(pairs, "{}\t{}", path.display(), result.display()).unwrap();
    }
    let Some(lines) = compare(&pairs) else { return };
    assert_eq!(lines.lines().count(), pairs.lines().count());
    let mut wrong = Vec::new();
    let mut readers = BTreeMap::new();
    for line in lines.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        *readers.entry(fields[1].to_owned()).or_insert(0) += 1;
        let close = fields[1] != "none"
            && fields[2].parse::<f64>().unwrap() <= MEAN
            && fields[3].parse::<u32>().unwrap() <= MOST;
        if !close {
            wrong.push(line);
        }
    }
    eprintln!("compared: {readers:?}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Runs the comparison in Python; `None` if Python or its libraries are missing.
fn compare(pairs: &str) -> Option<String> {
    let has_pillow = Command::new("python3")
        .args(["-c", "import PIL.ImageCms"])
        .status()
        .is_ok_and(|status| status.success());
    if !has_pillow {
        skip("python3 with Pillow is missing");
        return None;
    }
    let mut child = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imaging/compare.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let pairs = pairs.to_owned();
    let writer = std::thread::spawn(move || input.write_all(pairs.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// All eight are the same landscape; they only differ in a lossy rotation before it.
#[test]
fn the_eight_orientations_come_out_alike() {
    let Some(pictures) = corpus() else { return };
    let pixels = |number: u32| {
        let path = pictures.join(format!("orientation/Landscape_{number}.jpg"));
        let bytes = std::fs::read(path).unwrap();
        let options = "width=300 height=150 fit=cover position=left format=png";
        let resized = resize(&bytes, &request(options), &Limits::default()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(resized.bytes))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    };
    let upright = pixels(1);
    for number in 2..=8 {
        let turned = pixels(number);
        assert_eq!(turned.len(), upright.len());
        let pairs = upright.iter().zip(&turned);
        let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let mean = sum as f64 / upright.len() as f64;
        assert!(
            mean < 3.0,
            "orientation {number}: mean difference {mean:.2}"
        );
    }
}

/// A truncated file gives an error or a whole picture, never a panic.
#[test]
fn files_cut_short_are_refused() {
    let Some(pictures) = corpus() else { return };
    let formats = pictures.join("formats/test-images");
    let mut files = vec![pictures.join("photos/photo-gray.jpg")];
    files.push(formats.join("jpg/progressive/cat.jpg"));
    files.push(formats.join("png/interlaced/basi2c08.png"));
    files.push(formats.join("webp/lossy_images/simple-rgb.webp"));
    files.push(formats.join("webp/lossless_images/simple.webp"));
    files.push(formats.join("gif/simple/sample_1.gif"));
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        for share in [5, 20, 50, 90] {
            let cut = &bytes[..bytes.len() * share / 100];
            let result = resize(cut, &request("width=20"), &Limits::default());
            assert!(result.is_err(), "{path:?} cut to {share} %");
        }
        let few = inspect(&bytes[..16], &Limits::default());
        assert!(
            matches!(few, Err(ImagingError::Header { .. })),
            "{path:?}: {few:?}"
        );
        let format = inspect(&bytes, &Limits::default()).unwrap().format();
        assert!(matches!(
            format,
            Format::Jpeg | Format::Png | Format::Webp | Format::Gif
        ));
    }
}
