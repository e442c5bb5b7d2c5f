//! Writes the seeds of every target into `corpus/`: small good pictures of every kind, made in code.
//! Existing files stay. `scripts/fuzz` runs it.
//!
//! HEIC, and lossy JPEG XL, have no encoder in Rust. They are made by `heif-enc` and `cjxl` if the
//! system has them.

// The instrumentation calls the fuzzer's runtime.
use libfuzzer_sys as _;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use picresize_imaging::{Limits, OPTIONS, resize};
use picresize_imaging_fuzz::{encode_jpeg, options};
use turbojpeg::Subsamp;

#[path = "seeds/pictures.rs"]
mod pictures;

use pictures::{HEIGHT, WIDTH};

fn main() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut pictures = Vec::new();
    written_here(&mut pictures)?;
    read_only(&mut pictures)?;
    if let Err(error) = by_programs(&mut pictures) {
        eprintln!("seeds: no HEIC and no lossy JPEG XL: {error:#}");
    }
    for (format, name, bytes) in &pictures {
        write(&corpus.join(format!("decode_{format}")), name, bytes)?;
        write(&corpus.join("header"), name, bytes)?;
        // One byte for each option. The first sets a width, the second none, and so on.
        let choices = [[129; 1].as_slice(), &vec![0; OPTIONS.len() - 1]].concat();
        write(
            &corpus.join("resize"),
            name,
            &[&choices, bytes.as_slice()].concat(),
        )?;
        if *format == "jpeg" {
            let file = [&[0], bytes.as_slice()].concat();
            write(&corpus.join("jpeg_differential"), name, &file)?;
        }
    }
    for kind in (1..=47).step_by(2) {
        let input = [
            &[kind, 21, 70],
            pictures::rgb().get(..300).unwrap_or_default(),
        ]
        .concat();
        write(
            &corpus.join("jpeg_differential"),
            &format!("good-{kind}"),
            &input,
        )?;
    }
    metadata(&corpus.join("metadata"))
}

type Picture = (&'static str, String, Vec<u8>);

/// What the library writes itself, and PNG and JPEG of other kinds.
fn written_here(pictures: &mut Vec<Picture>) -> Result<()> {
    let opaque = pictures::png(png::ColorType::Rgb, png::BitDepth::Eight)?;
    let clear = pictures::png(png::ColorType::Rgba, png::BitDepth::Eight)?;
    let animation = pictures::apng()?;
    let limits = Limits::default();
    let requests: [(&'static str, &[(&str, &str)]); 7] = [
        ("jpeg", &[]),
        ("jpeg", &[("progressive", "true")]),
        ("webp", &[]),
        ("webp", &[("lossless", "true")]),
        ("gif", &[]),
        ("avif", &[("quality", "60")]),
        ("png", &[("palette", "7")]),
    ];
    for (number, (format, more)) in requests.into_iter().enumerate() {
        for (kind, source) in [
            ("opaque", &opaque),
            ("clear", &clear),
            ("animated", &animation),
        ] {
            let pairs = [&[("width", "24"), ("format", format)], more].concat();
            let bytes = resize(source, &options(&pairs), &limits)?.bytes;
            pictures.push((format, format!("{kind}-{number}"), bytes));
        }
    }
    for (name, subsamp) in [
        ("444", Subsamp::None),
        ("422", Subsamp::Sub2x1),
        ("440", Subsamp::Sub1x2),
        ("411", Subsamp::Sub4x1),
        ("gray", Subsamp::Gray),
    ] {
        for is_progressive in [false, true] {
            let size = (WIDTH as usize, HEIGHT as usize);
            let bytes = encode_jpeg(&pictures::rgb(), size, subsamp, is_progressive);
            pictures.push(("jpeg", format!("{name}-{is_progressive}"), bytes));
        }
    }
    for color in [
        png::ColorType::Grayscale,
        png::ColorType::GrayscaleAlpha,
        png::ColorType::Rgb,
        png::ColorType::Rgba,
    ] {
        for depth in [png::BitDepth::Eight, png::BitDepth::Sixteen] {
            let bytes = pictures::png(color, depth)?;
            pictures.push(("png", format!("{color:?}-{depth:?}"), bytes));
        }
    }
    pictures.push(("png", "animated".to_owned(), animation));
    Ok(())
}

/// Formats that are only read, and AVIF with ten bits.
fn read_only(pictures: &mut Vec<Picture>) -> Result<()> {
    for bits in [1, 2, 4, 8, 16, 24, 32] {
        pictures.push(("bmp", format!("{bits}"), pictures::bmp(bits)));
    }
    pictures.push(("bmp", "runs".to_owned(), pictures::bmp_of_runs()));
    pictures.push(("bmp", "masks".to_owned(), pictures::bmp_of_masks()));
    for (name, bytes) in pictures::tiffs() {
        pictures.push(("tiff", name, bytes));
    }
    pictures.push((
        "ico",
        "png".to_owned(),
        pictures::ico(&pictures::png(png::ColorType::Rgba, png::BitDepth::Eight)?),
    ));
    pictures.push((
        "ico",
        "bmp".to_owned(),
        pictures::ico(&pictures::icon_bmp()),
    ));
    for (name, bytes) in pictures::jxls()? {
        pictures.push(("jxl", name, bytes));
    }
    pictures.push(("avif", "ten-bits".to_owned(), pictures::deep_avif()?));
    Ok(())
}

fn by_programs(pictures: &mut Vec<Picture>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("picresize-seeds-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let source = folder.join("source.png");
    fs::write(
        &source,
        pictures::png(png::ColorType::Rgb, png::BitDepth::Eight)?,
    )?;
    let made = [
        ("jxl", "cjxl", "lossy", &["-q", "80"][..]),
        ("jxl", "cjxl", "progressive", &["-q", "60", "-p"]),
        ("heic", "heif-enc", "lossy", &["-q", "50"]),
        ("heic", "heif-enc", "lossless", &["-L"]),
    ]
    .into_iter()
    .try_for_each(|(format, program, name, arguments)| {
        let result = folder.join(format!("{name}.{format}"));
        run(program, arguments, &source, &result)?;
        pictures.push((format, name.to_owned(), fs::read(&result)?));
        Ok(())
    });
    fs::remove_dir_all(&folder)?;
    made
}

fn run(program: &str, arguments: &[&str], source: &PathBuf, result: &PathBuf) -> Result<()> {
    let mut command = Command::new(program);
    match program {
        "cjxl" => command.arg(source).arg(result).args(arguments),
        _ => command.args(arguments).arg("-o").arg(result).arg(source),
    };
    let output = command.output().with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{program}: {said}");
    Ok(())
}

/// The first byte chooses the block, the second the request.
fn metadata(folder: &Path) -> Result<()> {
    let mut profile = moxcms::ColorProfile::new_adobe_rgb().encode()?;
    // The creation time of the profile.
    profile[24..36].fill(0);
    let exif = pictures::exif();
    let text = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>".to_vec();
    let contents = [
        exif.clone(),
        profile.clone(),
        text.clone(),
        exif,
        pictures::stored_zlib(&profile),
        pictures::stored_zlib(&text),
    ];
    for (kind, content) in contents.iter().enumerate() {
        for request in [0, 1, 2, 5, 8, 16, 26] {
            let input = [&[kind as u8, request], content.as_slice()].concat();
            write(folder, &format!("{kind}-{request}"), &input)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("seed-{name}"));
    fs::write(&path, bytes).with_context(|| path.display().to_string())
}
