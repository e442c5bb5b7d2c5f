//! What the tests of imaging share: where the corpus is, and short requests.
use std::path::{Path, PathBuf};
use std::process::Command;

use picresize_imaging::ResizeOptions;

/// The folder of real pictures, or `None` with a word on why; missing is a failure in CI.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("PICRESIZE_PICTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/pictures"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("the pictures are not at {}", folder.display()));
    None
}

/// Says that a test is skipped, and why; in CI that is a failure.
pub(crate) fn skip(why: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{why}");
    eprintln!("SKIPPED: {why}");
}

/// Runs a program that has to succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Every file below a folder, in order.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if !["LICENSE", "README"]
            .iter()
            .any(|name| path.ends_with(name))
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A request from `key=value` words.
pub(crate) fn request(options: &str) -> ResizeOptions {
    let pairs = options.split_whitespace().map(|word| {
        word.split_once('=')
            .unwrap_or_else(|| panic!("{word:?} is not key=value"))
    });
    ResizeOptions::from_pairs(pairs).unwrap_or_else(|errors| panic!("{options}: {errors:?}"))
}
