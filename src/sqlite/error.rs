//! Why a call to a SQLite file failed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Shared by all writes of a group that could not be committed.
    #[error(transparent)]
    Commit(Arc<rusqlite::Error>),
    /// The write is in effect, but a power cut may undo it.
    #[error("the write-ahead log could not be synced: {0}")]
    Sync(Arc<std::io::Error>),
    #[error(
        "{path} was written by a newer version of picresize (schema {found}; this version knows \
         {known})"
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    /// Its content is wrong, so waiting does not help.
    #[error("{} cannot be used: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
    /// The writer has stopped.
    #[error("the database does not accept writes")]
    Closed,
}

impl DatabaseError {
    /// Names the file if SQLite says that its content is wrong.
    pub(super) fn of_file(self, path: &Path) -> Self {
        let reason = match &self {
            Self::Sqlite(error) => damage(error),
            Self::Commit(error) => damage(error),
            _ => None,
        };
        reason.map_or(self, |reason| Self::Damaged {
            path: path.to_owned(),
            reason,
        })
    }
}

fn damage(error: &rusqlite::Error) -> Option<String> {
    let code = error.sqlite_error_code()?;
    let is_damage = matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase);
    is_damage.then(|| format!("it is damaged ({error})"))
}
