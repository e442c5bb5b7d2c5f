//! The file in memory that this process shares with a pixel process.
//!
//! The parent writes and reads it, and never maps it: a child that shortens the file cannot hurt
//! the parent. The child maps it, so that a picture is not copied again.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

/// A new, empty file that has no name.
pub(super) fn create() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, memfd_create};

        let file = memfd_create("picresize-picture", MemfdFlags::CLOEXEC)?;
        Ok(file.into())
    }
    #[cfg(not(target_os = "linux"))]
    tempfile::tempfile()
}

/// A mapping of at most this many bytes is kept for the next pictures.
const KEPT_BYTES: usize = 4 << 20;

/// The file as a pixel process sees it.
pub(super) struct View {
    file: File,
    /// The first bytes of the file. Mapping them again for each picture would take longer than a
    /// small picture does.
    kept: Option<Arc<Mmap>>,
}

/// Bytes of the file.
pub(super) struct Contents {
    mapped: Arc<Mmap>,
    length: usize,
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.mapped[..self.length]
    }
}

impl View {
    pub(super) fn of(file: File) -> Self {
        Self { file, kept: None }
    }

    /// The first `length` bytes of the file.
    pub(super) fn first(&mut self, length: usize) -> io::Result<Contents> {
        if let Some(mapped) = self.kept.as_ref().filter(|kept| kept.len() >= length) {
            let mapped = Arc::clone(mapped);
            return Ok(Contents { mapped, length });
        }
        let is_kept = length <= KEPT_BYTES;
        let mapped_bytes = if is_kept { KEPT_BYTES } else { length };
        // SAFETY: the parent writes to the file only while this process waits for a request. At that
        // time, no `Contents` are in use. Nothing is read behind the bytes that the parent wrote.
        #[allow(unsafe_code)]
        let mapped = unsafe {
            // All pages at once: a picture is read from its beginning to its end.
            MmapOptions::new()
                .len(mapped_bytes)
                .populate()
                .map(&self.file)
        };
        let mapped = Arc::new(mapped?);
        if is_kept {
            self.kept = Some(Arc::clone(&mapped));
        }
        Ok(Contents { mapped, length })
    }

    /// Replaces the first bytes of the file.
    pub(super) fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, 0)
    }
}
