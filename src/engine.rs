//! Opens the log and the table that the settings name.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event_log::embedded::EmbeddedLog;
use crate::event_log::{EventLog, LogError};
use crate::picture_store::embedded::EmbeddedStore;
use crate::picture_store::{PictureStore, StoreError};
use crate::settings::Settings;

/// An open log and table, ready to be shared.
#[derive(Clone, Debug)]
pub struct Engine {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn PictureStore>,
    /// Held as long as anyone uses the folder.
    _folder: Arc<DataFolder>,
}

/// Why the engine can't be opened; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(
        "{} is in use by another picresize process: stop that one, or give this one a folder of its own with --data",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("the data folder {} cannot be used", .path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Opens what the settings name, making what is missing.
    ///
    /// # Errors
    ///
    /// See [`EngineError`].
    pub fn open(settings: &Settings) -> Result<Self, EngineError> {
        let folder = DataFolder::own(&settings.data.folder)?;
        Ok(Self {
            log: Arc::new(EmbeddedLog::open(&folder.path.join("log.sqlite"))?),
            store: Arc::new(EmbeddedStore::open(&folder.path.join("pictures.sqlite"))?),
            _folder: Arc::new(folder),
        })
    }
}

/// A data folder that belongs to this process. The lock goes with the process, however it ends.
#[derive(Debug)]
struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    fn own(path: &Path) -> Result<Self, EngineError> {
        let unusable = |source| EngineError::Folder {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(EngineError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}
