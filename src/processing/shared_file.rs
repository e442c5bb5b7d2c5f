//! The file in memory that this process shares with a pixel process.
//!
//! The parent writes and reads it, and never maps it: a child that shortens the file cannot hurt
//! the parent. The child maps it, so that a picture is not copied again.

use std::fs::File;
use std::io;

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

/// The first `length` bytes of the file.
pub(super) fn map(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the parent writes to the file only while this process waits for a request. At that
    // time nothing is mapped.
    #[allow(unsafe_code)]
    unsafe {
        // All pages at once: a picture is read from its beginning to its end.
        MmapOptions::new().len(length).populate().map(file)
    }
}
