//! Looks at each part of the storage by itself, and creates nothing that stays. Each function
//! returns what is fine, or why the service would not work.

use std::io::{self, ErrorKind, Write};
use std::path::{self, Path, PathBuf};

use super::{
    Disk, LOG_FILE, StorageError, TABLE_FILE, check_files, is_embedded, open_log, open_store,
};
use crate::settings::{LogKind, Settings, TableKind};

/// Whether the data folder can be written, or created, and its disk has room. `None` if nothing is
/// embedded.
pub(crate) fn data(settings: &Settings) -> Option<Result<String, StorageError>> {
    is_embedded(settings).then(|| {
        let folder = &settings.data.folder;
        let there = try_folder(folder).map_err(|source| StorageError::Folder {
            path: folder.clone(),
            source,
        })?;
        let disk = Disk::of(settings).map(|disk| disk.at(there));
        match disk.and_then(|disk| disk.shortage()) {
            Some(shortage) => Err(StorageError::Shortage(shortage)),
            None => Ok(format!("{} can be written", folder.display())),
        }
    })
}

/// Whether the log answers.
pub(crate) async fn log(settings: &Settings) -> Result<String, StorageError> {
    if settings.storage.log == LogKind::Embedded && is_missing(settings, LOG_FILE) {
        // What is wrong with the table is said of the table.
        if let Err(lost @ StorageError::LostLog(_)) = check_files(settings).await {
            return Err(lost);
        }
        return Ok(not_yet(settings));
    }
    open_log(settings).await?.ping().await?;
    Ok("answers".to_owned())
}

/// Whether the table answers.
pub(crate) async fn table(settings: &Settings) -> Result<String, StorageError> {
    if settings.storage.table == TableKind::Embedded && is_missing(settings, TABLE_FILE) {
        if let Err(lost @ StorageError::LostTable(_)) = check_files(settings).await {
            return Err(lost);
        }
        return Ok(not_yet(settings));
    }
    open_store(settings).await?.ping().await?;
    Ok("answers".to_owned())
}

fn is_missing(settings: &Settings, file: &str) -> bool {
    !settings.data.folder.join(file).exists()
}

fn not_yet(settings: &Settings) -> String {
    let folder = settings.data.folder.display();
    format!("there is none in {folder} yet; `picresize serve` makes it")
}

/// Writes a file in the folder and removes it. If the folder is missing, the file is written where
/// the folder would be created. Returns where it was written.
fn try_folder(folder: &Path) -> io::Result<PathBuf> {
    let there = nearest(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".picresize-")
        .tempfile_in(&there)?;
    file.write_all(b"picresize check")?;
    file.as_file().sync_all()?;
    Ok(there)
}

/// The folder, or the nearest one above it that exists.
fn nearest(folder: &Path) -> io::Result<PathBuf> {
    let folder = path::absolute(folder)?;
    let mut nearest = folder.as_path();
    // A link to nothing counts as existing: no folder can be created there.
    while let Err(error) = nearest.symlink_metadata() {
        match nearest.parent() {
            Some(above) if error.kind() == ErrorKind::NotFound => nearest = above,
            _ => return Err(error),
        }
    }
    Ok(nearest.to_owned())
}
