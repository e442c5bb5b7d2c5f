//! Writes results to files: decides which files may be replaced, and replaces them atomically.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::usage::Usage;
use crate::imaging;
use crate::operation::{Format, ResizeOptions};

/// The number of bytes at the start of a file that are read to detect its format.
const HEADER_BYTES: u64 = 4096;

/// Each file once, even if several links lead to it.
pub(super) fn without_repeats(files: &[PathBuf]) -> Vec<&Path> {
    let mut seen = HashSet::new();
    let place = |file: &Path| fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    files.retain(|file| seen.insert(place(file)));
    files
}

/// Which files the user allows to be replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    /// Files that exist and are not among the sources.
    pub(super) overwrite: bool,
    /// Sources, each by its own result.
    pub(super) in_place: bool,
}

/// One picture to resize.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) from: PathBuf,
    pub(super) to: Target,
    /// The existing file that may be replaced.
    replaces: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) enum Target {
    File(PathBuf),
    /// The name follows from the source's name and the result's format.
    Folder(PathBuf),
    /// The source itself.
    Source,
}

/// The identity of a file, independent of the path that leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// `None` if there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Task {
    pub(super) fn new(from: &Path, to: Target) -> Self {
        Self {
            from: from.to_owned(),
            to,
            replaces: None,
        }
    }

    /// The path of a result in this format.
    fn path(&self, format: Format) -> PathBuf {
        match &self.to {
            Target::File(path) => path.clone(),
            Target::Folder(folder) => {
                let stem = self.from.file_stem().unwrap_or_default();
                folder.join(stem).with_added_extension(format.extension())
            }
            Target::Source => self.from.clone(),
        }
    }

    /// Writes the result. An existing file stays unchanged until the whole result has been written.
    pub(super) fn write(&self, bytes: &[u8], format: Format) -> Result<()> {
        let path = self.path(format);
        if let Target::Source = self.to {
            // The content may have changed since the check.
            check_name(&path, format)?;
        }
        let written = if self.replaces.as_ref() == Some(&path) {
            replace(&path, bytes)
        } else {
            create(&path, bytes)
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&path).into()),
            written => written.with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

/// Refuses tasks that would replace a file that may not be replaced, before anything is written.
/// Records for each task which file it may replace, so that a file created later is kept.
pub(super) fn check(
    tasks: &mut [Task],
    request: &ResizeOptions,
    permission: Permission,
) -> Result<(), Usage> {
    let sources: HashSet<_> = tasks
        .iter()
        .filter_map(|task| Identity::of(&task.from))
        .collect();
    let mut results = HashMap::new();
    for task in tasks {
        let path = match (&task.to, result_format(&task.from, request)) {
            (Target::File(path), _) => path.clone(),
            (Target::Folder(_), Some(format)) => task.path(format),
            (Target::Source, Some(format)) => {
                check_name(&task.from, format)?;
                task.from.clone()
            }
            // The source cannot be read. It fails later, with its own error.
            (_, None) => continue,
        };
        // Resolve links, because a link may lead to the path of another result.
        let place = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        task.replaces = may_replace(task, &path, &sources, permission)?.then_some(path);
        if let Some(earlier) = results.insert(place, task.from.clone()) {
            return Err(Usage(format!(
                "the results of {} and {} would be the same file: write them to different folders",
                earlier.display(),
                task.from.display()
            )));
        }
    }
    Ok(())
}

/// Whether a file exists at `path`. An error if it exists and may not be replaced.
fn may_replace(
    task: &Task,
    path: &Path,
    sources: &HashSet<Identity>,
    permission: Permission,
) -> Result<bool, Usage> {
    // A dangling link also counts as a file.
    if fs::symlink_metadata(path).is_err() {
        return Ok(false);
    }
    if path.is_dir() {
        return Err(Usage(format!(
            "{} is a folder: use --out-dir to write results there under their own names",
            path.display()
        )));
    }
    // Devices and pipes, such as /dev/stdout, are written to and not replaced.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Ok(true);
    }
    let identity = Identity::of(path);
    let is_source = identity
        .as_ref()
        .is_some_and(|identity| sources.contains(identity));
    if is_source && !permission.in_place {
        return Err(Usage(format!(
            "{} is also a source: name another file, or use --in-place to replace it",
            path.display()
        )));
    }
    if is_source && identity != Identity::of(&task.from) {
        return Err(Usage(format!(
            "{} would be replaced by the result of {}, but it is also a source: choose another \
             folder",
            path.display(),
            task.from.display()
        )));
    }
    if !is_source && !permission.overwrite {
        return Err(exists(path));
    }
    Ok(true)
}

fn exists(path: &Path) -> Usage {
    Usage(format!(
        "{} already exists: name another file, or use --overwrite to replace it (use --out-dir or \
         --in-place for several pictures)",
        path.display()
    ))
}

/// A source that is replaced keeps its name, so its result must have the format of its extension.
fn check_name(path: &Path, result: Format) -> Result<(), Usage> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let named = Format::from_name(&extension.to_lowercase()).or_else(|| source_format(path));
    if named == Some(result) {
        return Ok(());
    }
    Err(Usage(format!(
        "{} cannot be replaced with --in-place: its result is {result}, but its name has another \
         extension; use --out-dir instead",
        path.display()
    )))
}

/// The format of the result, if it is already known. Whether a picture is transparent is not: the
/// result of an HEIC file that is may get another extension.
fn result_format(from: &Path, request: &ResizeOptions) -> Option<Format> {
    match request.format {
        Some(format) => Some(format),
        None => imaging::result_format(source_format(from)?, false, request).ok(),
    }
}

fn source_format(path: &Path) -> Option<Format> {
    // Opening a pipe would wait for its writer.
    let is_file = fs::metadata(path).ok()?.is_file();
    if !is_file {
        return None;
    }
    let mut header = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEADER_BYTES).read_to_end(&mut header).ok()?;
    imaging::sniff(&header).ok()
}

/// Writes a new file. Fails if it exists.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = temporary(path, bytes, 0o666)?;
    file.persist_noclobber(path)?;
    Ok(())
}

/// Replaces an existing file. A link is kept, and the file it leads to is replaced, if there is one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = fs::metadata(path);
    if there.as_ref().is_ok_and(|there| !there.is_file()) {
        // Devices and pipes are written to directly.
        return fs::write(path, bytes);
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // The existing file may be private, so nobody else reads its successor either.
    let file = temporary(&path, bytes, 0o600)?;
    if let Ok(there) = there {
        fs::set_permissions(file.path(), Metadata::permissions(&there))?;
    }
    // The rename drops the old content, so the new content must be on the disk before it.
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}

/// A temporary file beside `path` with these bytes. It is removed unless it is renamed. It has
/// the permissions `mode`, less the umask.
fn temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(".picresize-")
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}
