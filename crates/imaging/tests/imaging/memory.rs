//! Compares the memory estimate with the measured peak, for every kind of picture and code path.
//!
//! Each case runs in a child process of its own (this test binary again), which reads its peak
//! resident memory from the kernel, less what was resident before and less code. Linux only.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;

use super::pictures::{decode, deep_png, drawing, make, opaque, png};
use super::support::{corpus, files_below, request};
use super::{heif, libheif, libjxl};
use picresize_imaging::{Format, ImagingError, Limits, fingerprint, inspect, sniff};

const CHILD: &str = "PICRESIZE_MEMORY_CHILD";
/// How far an estimate may exceed twice the measured peak: a small, flat picture needs less, which
/// is only known after decoding, and the kernel's count of pages lags.
const UNKNOWN_BYTES: u64 = 3 << 19;
/// An estimate above this must be at most twice the measured peak.
const LARGE_BYTES: u64 = 16 << 20;
/// How often a case is measured whose estimate seems too high. The largest peak counts.
const MEASUREMENTS: u32 = 3;

/// Used in place of options if the picture is only looked up.
const LOOK_UP: &str = "look-up";

/// Used in place of options if only the header is checked.
const HEADER: &str = "header";

struct Measured {
    /// Whether the work was completed.
    is_whole: bool,
    estimate: u64,
    used: u64,
}

/// The child process: resizes once and takes the result's fingerprint, or looks up once, and prints
/// the estimate and the measured peak.
#[test]
#[ignore = "the child process of the other tests here"]
fn child() {
    let Ok(case) = std::env::var(CHILD) else {
        return;
    };
    let (path, options) = case.split_once('\n').unwrap();
    let bytes = fs::read(path).unwrap();
    let limits = Limits::default();
    if sniff(&bytes).is_ok_and(|format| format == Format::Heic) {
        // Loads libheif, which happens at the first HEIC; the truncated file is refused at once.
        assert!(inspect(&bytes[..64], &Limits::default()).is_err());
    }
    bring_in_code();
    let mark = Mark::set();
    let source = inspect(&bytes, &Limits::default());
    if options == HEADER {
        let said = source.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        return println!("\nHEADER {} {said}", mark.peak());
    }
    let source = match source {
        Ok(source) => source,
        Err(error) => return println!("\nREFUSED {error}"),
    };
    if options == LOOK_UP {
        let found = source.fingerprint(&bytes, &limits);
        let used = mark.peak();
        // A broken or featureless picture may end before it needs any memory.
        let word = if found.is_some() { "USED" } else { "ENDED" };
        return println!("\n{word} {} {used}", source.fingerprint_bytes());
    }
    let request = request(options);
    let plan = match source.plan(&request, &limits) {
        Ok(plan) => plan,
        Err(error) => return println!("\nREFUSED {error}"),
    };
    let result = plan.resize(&bytes);
    if let Ok(resized) = &result {
        fingerprint(&resized.bytes, &limits);
    }
    let used = mark.peak();
    match result {
        Ok(_) => println!("\nUSED {} {used}", plan.memory_bytes()),
        Err(ImagingError::Body { reason, .. }) => println!("\nREFUSED {reason}"),
        Err(error) => panic!("{path} {options}: {error}"),
    }
}

/// Loads all code into memory by reading it. Otherwise the kernel loads parts of it during the
/// work, and the parts that it loads after the peak are wrongly subtracted from the peak.
pub(crate) fn bring_in_code() {
    let mut memory = File::open("/proc/self/mem").unwrap();
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        // Addresses, permissions, offset, device, inode and path (proc(5)).
        let fields: Vec<_> = line.split_whitespace().collect();
        let [addresses, permissions, .., path] = fields.as_slice() else {
            continue;
        };
        if !permissions.starts_with("r-") || !path.starts_with('/') {
            continue;
        }
        let (start, end) = addresses.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        memory.seek(SeekFrom::Start(start)).unwrap();
        let mut code = (&memory).take(end - start);
        io::copy(&mut code, &mut io::sink()).unwrap();
    }
}

/// The resident memory at a point in time, from which a later peak is measured.
pub(crate) struct Mark {
    resident: u64,
    code: u64,
}

impl Mark {
    pub(crate) fn set() -> Self {
        // Writing 5 resets the peak to what is resident now (proc(5)).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self {
            resident: status_bytes("VmRSS:"),
            code: status_bytes("RssFile:"),
        }
    }

    /// The peak since the mark, without the code of libraries loaded since: code is in memory once
    /// for all pictures.
    pub(crate) fn peak(&self) -> u64 {
        let code = status_bytes("RssFile:").saturating_sub(self.code);
        status_bytes("VmHWM:").saturating_sub(self.resident + code)
    }
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// What the header check says, and its peak.
pub(crate) fn header_peak(path: &Path) -> (String, u64) {
    let text = run(path, HEADER);
    let line = text.lines().find_map(|line| line.strip_prefix("HEADER "));
    let (peak, said) = line.unwrap().split_once(' ').unwrap();
    (said.to_owned(), peak.parse().unwrap())
}

/// What the child process prints.
fn run(path: &Path, options: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::child", "--ignored", "--nocapture"])
        .env(CHILD, format!("{}\n{options}", path.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}", path.display());
    text.into_owned()
}

/// Returns `None` if the picture was refused.
fn measure(path: &Path, options: &str) -> Option<Measured> {
    let text = run(path, options);
    if text.lines().any(|line| line.starts_with("REFUSED")) {
        return None;
    }
    let find = |word: &str| text.lines().find_map(|line| line.strip_prefix(word));
    let (line, is_whole) = match find("USED ") {
        Some(line) => (line, true),
        None => (find("ENDED ").unwrap(), false),
    };
    let (estimate, used) = line.split_once(' ').unwrap();
    Some(Measured {
        is_whole,
        estimate: estimate.parse().unwrap(),
        used: used.parse().unwrap(),
    })
}

/// Measures a case and adds it to `wrong` if it is out of bounds, so that one run shows all.
/// Returns `false` if the picture was refused.
fn is_measured(path: &Path, options: &str, wrong: &mut Vec<String>) -> bool {
    let Some(mut measured) = measure(path, options) else {
        return false;
    };
    let is_too_high = |measured: &Measured| {
        let unknown = match measured.estimate > LARGE_BYTES {
            true => 0,
            false => UNKNOWN_BYTES,
        };
        measured.is_whole && measured.estimate > 2 * measured.used + unknown
    };
    for _ in 1..MEASUREMENTS {
        if is_too_high(&measured)
            && let Some(again) = measure(path, options)
            && again.used > measured.used
        {
            measured = again;
        }
    }
    let (estimate, used) = (measured.estimate, measured.used);
    let name = path.file_name().unwrap().to_string_lossy();
    let line = format!(
        "{name} {options}: estimate {} KiB, used {} KiB, {:.2} times",
        estimate / 1024,
        used / 1024,
        estimate as f64 / used as f64
    );
    if std::env::var_os("PICRESIZE_SHOW_MEMORY").is_some() {
        eprintln!("{line}");
    }
    if estimate < used || is_too_high(&measured) {
        wrong.push(line);
    }
    true
}

/// Measures a case that must not be refused.
fn check(path: &Path, options: &str, wrong: &mut Vec<String>) {
    if !is_measured(path, options, wrong) {
        wrong.push(format!("{} {options}: refused", path.display()));
    }
}

/// Measures each way in which a format is read.
fn check_as_source(path: &Path, wrong: &mut Vec<String>) {
    for options in [
        "width=512 format=jpeg",
        "width=512 format=jpeg profile=fine",
        LOOK_UP,
    ] {
        check(path, options, wrong);
    }
}

#[test]
fn estimates_hold_over_the_corpus() {
    let Some(pictures) = corpus() else { return };
    let mut wrong = Vec::new();
    let (mut measured, mut refused) = (0, 0);
    for folder in ["photos", "formats/test-images", "orientation"] {
        for file in files_below(&pictures.join(folder)) {
            for options in ["width=512 height=512 fit=inside quality=80", LOOK_UP] {
                match is_measured(&file, options, &mut wrong) {
                    true => measured += 1,
                    false => refused += 1,
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    // `corpus` knows which files are broken: one in fifteen.
    assert!(
        measured > 10 * refused,
        "{measured} measured, {refused} refused"
    );
}

#[test]
fn estimates_hold_for_every_code_path() {
    let Some(pictures) = corpus() else { return };
    let photo = |name: &str| pictures.join("photos").join(name);
    let mut wrong = Vec::new();
    for options in [
        "width=1000",
        "width=1000 format=png",
        "width=1000 format=webp",
        "width=1000 format=webp lossless=true",
        "width=600 format=avif",
        "width=1000 format=gif",
        "width=1000 format=png palette=64",
        "width=1000 format=jpeg progressive=true quality=95",
        "width=1000 profile=fine",
        "width=1000 sharpen=50",
        "width=3000",
        "width=1000 quality=95",
        "width=3000 format=gif",
        "width=3000 format=png palette=64",
        "width=2000 height=2000 fit=contain background=red",
        "width=500 height=1000 fit=cover position=smart",
    ] {
        let options = options.replace("red", "#f00");
        check(&photo("photo-02-2048x1365.jpg"), &options, &mut wrong);
        check(&photo("photo-01-2048x1365.png"), &options, &mut wrong);
    }
    for (name, options) in [
        ("photo-02-2048x1365.jpg", "width=800 max_bytes=60000"),
        ("photo-01-2048x1332.webp", "width=1000 profile=fine"),
        ("mosaic-progressive-4096x2664.jpg", "width=300 profile=fine"),
        ("photo-gray.jpg", "width=1000 profile=fine format=webp"),
    ] {
        check(&photo(name), options, &mut wrong);
    }
    let formats = pictures.join("formats/test-images");
    for (name, options) in [
        ("gif/anim/large-gif-anim-combine.gif", "width=900"),
        (
            "gif/anim/large-gif-anim-full-frame-replace.gif",
            "width=900 format=webp",
        ),
        ("webp/extended_images/anim.webp", "width=900 format=gif"),
        ("png/apng/ball.png", "width=700 format=webp"),
    ] {
        check(&formats.join(name), options, &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Lossy ones and repacked JPEG are computed in floats, lossless ones in integers.
#[test]
fn estimates_hold_for_jpeg_xl() {
    let Some(pictures) = corpus() else { return };
    if !libjxl::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (picture, name, options) in [
        (
            "photo-01-2048x1365.png",
            "lossy.jxl",
            "--distance=1 --effort=3",
        ),
        (
            "photo-01-2048x1365.png",
            "lossless.jxl",
            "--distance=0 --effort=3",
        ),
        (
            "photo-gray.jpg",
            "gray.jxl",
            "--distance=1 --lossless_jpeg=0 --effort=3",
        ),
        (
            "photo-gray.jpg",
            "gray-lossless.jxl",
            "--distance=0 --lossless_jpeg=0 --effort=3",
        ),
        (
            "photo-02-2048x1365.jpg",
            "repacked.jxl",
            "--lossless_jpeg=1",
        ),
    ] {
        let file = folder.path().join(name);
        libjxl::encode(&pictures.join("photos").join(picture), options, &file);
        check_as_source(&file, &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Opaque and transparent; written by the encoder here.
#[test]
fn estimates_hold_for_avif() {
    let Some(pictures) = corpus() else { return };
    let folder = tempfile::tempdir().unwrap();
    let photo = fs::read(pictures.join("photos/photo-02-2048x1365.jpg")).unwrap();
    let mut wrong = Vec::new();
    for (picture, name) in [(photo, "opaque.avif"), (drawing(1200, 900), "clear.avif")] {
        let file = folder.path().join(name);
        let options = "width=1200 format=avif";
        fs::write(&file, make(&picture, options).bytes).unwrap();
        check_as_source(&file, &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every kind of planes, transparency, 10 bits, and tiles as cameras write them.
#[test]
fn estimates_hold_for_heic() {
    let Some(pictures) = corpus() else { return };
    if !libheif::is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (clear, deep) = (
        folder.path().join("clear.png"),
        folder.path().join("deep.png"),
    );
    let (size, rgba) = decode(&drawing(2000, 1400));
    fs::write(&clear, drawing(2000, 1400)).unwrap();
    let (pixels, _) = rgba.as_chunks::<4>();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    fs::write(&deep, deep_png(size.0, size.1, png::ColorType::Rgb, &rgb)).unwrap();
    // Of an odd height, which is written as a tile that is cut.
    let odd = folder.path().join("odd.png");
    let gray: Vec<u8> = pixels.iter().skip(2000).map(|pixel| pixel[1]).collect();
    fs::write(&odd, png(2000, 1399, png::ColorType::Grayscale, &gray)).unwrap();
    let photo = |name: &str| pictures.join("photos").join(name);
    let mut files = Vec::new();
    for (picture, name, options) in [
        (photo("photo-02-2048x1365.jpg"), "half", "-q 80"),
        (
            photo("photo-02-2048x1365.jpg"),
            "full",
            "-q 80 -p chroma=444",
        ),
        (photo("photo-01-2048x1365.png"), "lossless", "-L"),
        (photo("photo-gray.jpg"), "gray", "-q 80"),
        (photo("mosaic-4096x2664.jpg"), "large", "-q 60"),
        (odd, "gray-odd", "-q 80"),
        (clear, "clear", "-q 80"),
        (deep, "deep", "-q 80 -b 10"),
        (pictures.join("pngsuite/basn2c08.png"), "small", "-q 80"),
    ] {
        let file = folder.path().join(name).with_extension("heic");
        libheif::encode(&picture, &format!("{options} -p preset=veryfast"), &file);
        files.push(file);
    }
    let (tile, tiles) = (
        folder.path().join("tile.heic"),
        folder.path().join("tiles.heic"),
    );
    let picture = folder.path().join("tile.png");
    fs::write(&picture, opaque(512, 512)).unwrap();
    libheif::encode(&picture, "-q 80", &tile);
    let tile = fs::read(tile).unwrap();
    let whole = heif::tiled(&tile, (512, 512), (8, 6), (4032, 3024));
    fs::write(&tiles, whole).unwrap();
    files.push(tiles);

    let mut wrong = Vec::new();
    for file in files {
        check_as_source(&file, &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The README promises that a JPEG of 25 megapixels is resized to 512 in less than 50 MB.
#[test]
fn a_large_photograph_stays_small() {
    let Some(pictures) = corpus() else { return };
    let photo = pictures.join("photos/mosaic-6144x3996.jpg");
    let measured = measure(&photo, "width=512 height=512 fit=inside").unwrap();
    assert!(measured.used < 50_000_000, "{} bytes", measured.used);
}
