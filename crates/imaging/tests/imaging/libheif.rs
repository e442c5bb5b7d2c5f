//! Runs libheif's programs to write and read HEIC.
use std::path::Path;
use std::process::Command;

use crate::support::{run, skip};

/// Whether the programs are installed, with an HEVC encoder; if not, prints that a test is skipped.
pub(crate) fn is_here() -> bool {
    let says = |program: &str, option: &str| {
        let output = Command::new(program).arg(option).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let encoders = says("heif-enc", "--list-encoders");
    let missing = if encoders.is_none() || says("heif-convert", "--help").is_none() {
        "libheif's programs heif-enc and heif-convert are not installed"
    } else if !encoders.is_some_and(|list| list.contains("x265")) {
        "libheif's program heif-enc has no encoder of HEVC"
    } else {
        return true;
    };
    skip(missing);
    false
}

/// Writes `source`, which is JPEG or PNG, as HEIC.
pub(crate) fn encode(source: &Path, options: &str, target: &Path) {
    run(Command::new("heif-enc")
        .args(options.split_whitespace())
        .args([Path::new("-o"), target, source]));
}

/// Reads HEIC into a PNG.
pub(crate) fn decode(source: &Path, target: &Path) {
    run(Command::new("heif-convert").args([source, target]));
}
