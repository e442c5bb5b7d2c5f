//! Runs libjxl's programs to write and read JPEG XL.
use std::path::Path;
use std::process::Command;

use crate::support::{run, skip};

/// Whether the programs are installed; if not, prints that a test is skipped.
pub(crate) fn is_here() -> bool {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if runs("cjxl") && runs("djxl") {
        return true;
    }
    let missing = "libjxl's programs cjxl and djxl are not installed";
    skip(missing);
    false
}

/// Writes `source`, which is JPEG or PNG, as JPEG XL.
pub(crate) fn encode(source: &Path, options: &str, target: &Path) {
    run(Command::new("cjxl")
        .args([source, target])
        .args(options.split(' ')));
}

/// Reads JPEG XL into a PNG.
pub(crate) fn decode(source: &Path, target: &Path) {
    run(Command::new("djxl").args([source, target]));
}
