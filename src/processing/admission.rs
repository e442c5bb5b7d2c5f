//! Admits pictures: as many at once as there are cores, and only as many as fit into memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: u64 = 1 << 20;
/// What most pictures need no more of: photographs of ten megapixels, reduced.
const USUAL_BYTES: u64 = 32 * MIB;

/// The cores and the memory that pictures share.
///
/// Sources have a share of the memory for themselves. A picture holds its source while it waits for
/// its pixels, so pictures that took both from one share could wait for each other for ever.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) cores: Cores,
    sources: Share,
    pixels: Share,
    usual_bytes: u64,
}

/// The cores that pictures share.
#[derive(Debug)]
pub(super) struct Cores {
    count: usize,
    free: Arc<Semaphore>,
}

/// A part of the memory, in MiB.
#[derive(Debug)]
struct Share {
    total: u32,
    free: Arc<Semaphore>,
}

/// The right to use a core, or all of them.
#[derive(Debug)]
pub(super) struct Core {
    _permit: OwnedSemaphorePermit,
}

/// Reserved memory, held as long as the bytes it stands for.
#[derive(Debug)]
pub struct Memory(OwnedSemaphorePermit);

impl Admission {
    /// `concurrency` is how many pictures are processed at once; 0 means one for each core.
    pub(super) fn new(concurrency: usize, memory_mib: u64) -> Self {
        let total = u32::try_from(memory_mib).map_or(u32::MAX >> 3, |mib| mib.min(u32::MAX >> 3));
        let sources = (total / 4).max(1);
        let pixels = (total - sources).max(1);
        let cores = Cores::new(concurrency);
        Self {
            usual_bytes: USUAL_BYTES.min(u64::from(pixels) * MIB / (cores.count as u64 + 1)),
            cores,
            sources: Share::of(sources),
            pixels: Share::of(pixels),
        }
    }

    /// The memory for a picture's pixels that is reserved before its need is known. Most pictures
    /// need less.
    pub(super) fn usual_bytes(&self) -> u64 {
        self.usual_bytes
    }

    /// Waits for memory for a source of at most this many bytes, and for its copy in a shared file.
    pub(super) async fn source(&self, bytes: u64) -> Memory {
        self.sources.take(bytes.saturating_mul(2)).await
    }

    #[cfg(test)]
    pub(super) fn free_source_mib(&self) -> usize {
        self.sources.free.available_permits()
    }

    /// Waits for memory for a picture's pixels. More memory than there is waits for all of it, so
    /// such a picture is alone.
    pub(super) async fn pixels(&self, bytes: u64) -> Memory {
        self.pixels.take(bytes).await
    }
}

impl Cores {
    /// `count` is how many pictures are processed at once; 0 means one for each core.
    pub(super) fn new(count: usize) -> Self {
        let count = match count {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        Self {
            count,
            free: Arc::new(Semaphore::new(count)),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Waits for a core; if the picture must be `alone`, until no other one has a core.
    pub(super) async fn take(&self, alone: bool) -> Core {
        let count = if alone { self.count } else { 1 };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Core {
            _permit: permits(&self.free, count).await,
        }
    }
}

impl Share {
    fn of(mib: u32) -> Self {
        Self {
            total: mib,
            free: Arc::new(Semaphore::new(mib as usize)),
        }
    }

    async fn take(&self, bytes: u64) -> Memory {
        let mib = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        Memory(permits(&self.free, mib.min(self.total)).await)
    }
}

impl Memory {
    /// Gives back what this many bytes do not need.
    pub fn shrink(&mut self, bytes: u64) {
        let needed = usize::try_from(bytes.div_ceil(MIB)).unwrap_or(usize::MAX);
        let surplus = self.0.num_permits().saturating_sub(needed);
        drop(self.0.split(surplus));
    }

    /// Gives back what a source of this many bytes and its copy do not need.
    pub fn shrink_to_source(&mut self, bytes: u64) {
        self.shrink(bytes.saturating_mul(2));
    }
}

async fn permits(semaphore: &Arc<Semaphore>, count: u32) -> OwnedSemaphorePermit {
    Arc::clone(semaphore)
        .acquire_many_owned(count)
        .await
        .expect("these semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn more_memory_than_there_is_waits_for_all_of_it() {
        let admission = Admission::new(1, 4);
        let mut memory = admission.pixels(100 * MIB).await;
        assert_eq!(admission.pixels.free.available_permits(), 0);
        memory.shrink(MIB);
        assert_eq!(admission.pixels.free.available_permits(), 2);
        drop(memory);
        assert_eq!(admission.pixels.free.available_permits(), 3);
    }

    /// The worker reserves a source before it has an event, and keeps that for as long as none comes.
    #[tokio::test]
    async fn sources_and_pixels_do_not_wait_for_each_other() {
        let admission = Admission::new(4, 1024);
        let first = admission.pixels(700 * MIB).await;
        let mut sources = Vec::new();
        for _ in 0..4 {
            sources.push(admission.source(32 * MIB).await);
        }
        let next = admission.source(32 * MIB);
        let large = admission.pixels(1024 * MIB);
        tokio::pin!(next, large);
        let soon = Duration::from_millis(1);
        assert!(tokio::time::timeout(soon, &mut next).await.is_err());
        assert!(tokio::time::timeout(soon, &mut large).await.is_err());
        drop(first);
        drop(large.await);
        sources.pop();
        drop(next.await);
    }
}
