//! Writes damaged copies of good pictures, the same ones every time, to be given to a program that
//! must survive them:
//!
//! ```sh
//! cargo run --package picresize-imaging --example mutations -- PICTURES DAMAGED 40
//! picresize resize DAMAGED/* --out-dir RESULTS --width 64
//! ```
//!
//! Takes every picture below a folder that can be resized, and writes as many copies of each as the
//! last argument says. A copy is named after its picture and its number.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use picresize_imaging::{Limits, ResizeOptions, inspect};

mod mutator;

/// Larger pictures make a run slow, and damage far from the header shows little.
const MAX_BYTES: u64 = 256 << 10;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [from, to, copies] = arguments.as_slice() else {
        bail!("usage: mutations PICTURES DAMAGED COPIES");
    };
    let copies: u64 = copies
        .parse()
        .with_context(|| format!("{copies} is no number"))?;
    fs::create_dir_all(to)?;
    let mut pictures = 0;
    for path in files_below(Path::new(from))? {
        if fs::metadata(&path)?.len() > MAX_BYTES {
            continue;
        }
        let picture = fs::read(&path)?;
        if !is_good(&picture) {
            continue;
        }
        pictures += 1;
        let inside = path.strip_prefix(from)?.display().to_string();
        let name = inside.replace(['/', '\\'], "-");
        for number in 0..copies {
            let damaged = mutator::mutate(&picture, mutator::seed(&name, number));
            fs::write(Path::new(to).join(format!("{number:03}-{name}")), damaged)?;
        }
    }
    println!("{pictures} pictures, {copies} copies of each");
    Ok(())
}

/// Whether the header can be read and a small result can be planned. Decoding is left to the program
/// under test.
fn is_good(picture: &[u8]) -> bool {
    let options = ResizeOptions {
        width: Some(64),
        ..ResizeOptions::default()
    };
    let limits = Limits::default();
    inspect(picture, &limits).is_ok_and(|source| source.plan(&options, &limits).is_ok())
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}
