//! Measures what this process uses. The files are opened before the process is confined.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::time::{ClockId, clock_gettime};

use crate::processing::protocol::Usage;

/// Measures the resources of this process.
pub(super) struct Meter {
    /// `/proc/self/statm`, where the system has it.
    sizes: Option<File>,
    page: u64,
}

impl Meter {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            sizes: File::open("/proc/self/statm").ok(),
            page: rustix::param::page_size() as u64,
        })
    }

    pub(super) fn read(&self) -> Usage {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        // In pages: the address space, the resident set, and the part of it that files back.
        let pages = self.pages().unwrap_or_default();
        Usage {
            cpu_seconds: time.tv_sec as u64 + 1,
            address_space: pages[0] * self.page,
            private: pages[1].saturating_sub(pages[2]) * self.page,
        }
    }

    fn pages(&self) -> Option<[u64; 3]> {
        let mut text = [0; 128];
        let length = self.sizes.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some([next()?, next()?, next()?])
    }
}
