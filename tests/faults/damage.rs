//! Copies of a data folder with a damaged file.

use std::fs;
use std::path::{Path, PathBuf};

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Damage {
    Truncated,
    Foreign,
    Lost,
}

/// A copy of a folder, removed at the end. A copy, because a program that should refuse the folder
/// and does not may write into it.
pub(crate) struct DamagedCopy {
    folder: PathBuf,
}

impl DamagedCopy {
    /// The process that owns the folder must have ended.
    pub(crate) fn new(original: &Path, file: &str, damage: Damage) -> Self {
        let folder = original.with_extension("damaged");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(original).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let is_damaged = name.to_str().unwrap().starts_with(file);
            // Journals are lost with their file.
            if !is_damaged && entry.metadata().unwrap().is_file() {
                fs::copy(entry.path(), folder.join(name)).unwrap();
            }
        }
        let damaged = folder.join(file);
        match damage {
            Damage::Lost => {}
            Damage::Truncated => {
                let length = fs::copy(original.join(file), &damaged).unwrap();
                let file = fs::OpenOptions::new().write(true).open(damaged);
                file.unwrap().set_len(length / 2).unwrap();
            }
            Damage::Foreign => {
                let line = "This is a letter to the editor, and no database at all.\n";
                fs::write(damaged, line.repeat(2000)).unwrap();
            }
        }
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for DamagedCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
