//! Files and folders that only this user may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

/// Makes a folder, and those above it, if there is none.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}

/// Opens a file to write to it, and makes it if there is none. Its content stays. A symbolic link is
/// refused, because it could lead to a file of somebody else.
///
/// # Errors
///
/// It cannot be opened, or is a symbolic link.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new();
    file.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        file.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    }
    file.open(path)
}

/// Writes a new file durably, to be renamed to the one that it replaces in the folder.
///
/// # Errors
///
/// It cannot be written.
pub(crate) fn write_temporary(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    // Only its user may read a temporary file.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Whether this is a symbolic link.
pub(crate) fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn nobody_else_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let inner = folder.path().join("a/b");
        make_folder(&inner).unwrap();
        assert_eq!(
            (mode(&inner), mode(inner.parent().unwrap())),
            (0o700, 0o700)
        );
        let file = inner.join("file");
        open_file(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        std::fs::write(&file, "kept").unwrap();
        open_file(&file).unwrap();
        let link = inner.join("link");
        symlink(&file, &link).unwrap();
        assert!(is_link(&link) && !is_link(&file));
        assert!(open_file(&link).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    }
}
