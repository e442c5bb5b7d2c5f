//! The file in memory that this process shares with a pixel process.
//!
//! The parent writes and reads it, and never maps it: a child that shortens the file cannot hurt
//! the parent. The child maps it, so that a large picture is not copied again.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;

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

/// Pictures of fewer bytes are copied. Mapping them would take longer.
const MAPPED_FROM: usize = 128 << 10;

/// Bytes of the file.
pub(super) enum Contents {
    Copied(Vec<u8>),
    Mapped(Mmap),
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Mapped(bytes) => bytes,
        }
    }
}

/// The first `length` bytes of the file.
pub(super) fn read_or_map(file: &File, length: usize) -> io::Result<Contents> {
    if length < MAPPED_FROM {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        return Ok(Contents::Copied(bytes));
    }
    // SAFETY: the parent writes to the file only while this process waits for a request. At that
    // time nothing is mapped.
    #[allow(unsafe_code)]
    let mapped = unsafe {
        // All pages at once: a picture is read from its beginning to its end.
        MmapOptions::new().len(length).populate().map(file)
    };
    mapped.map(Contents::Mapped)
}
