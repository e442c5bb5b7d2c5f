//! Admits pictures: as many at once as there are cores, and only as many as fit into memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MIB: u64 = 1 << 20;

/// The cores and the memory that pictures share.
#[derive(Debug)]
pub(super) struct Admission {
    max_running: usize,
    cores: Arc<Semaphore>,
    memory_mib: Arc<Semaphore>,
    max_memory_mib: u32,
    /// The memory that sources hold.
    sources_mib: Arc<AtomicU32>,
}

/// The right to use a core. A picture that ends others must not get it back before its process has
/// ended.
#[derive(Debug)]
pub(super) struct Core {
    _permit: OwnedSemaphorePermit,
}

/// The memory that pictures may take.
#[derive(Debug)]
pub(super) struct Memory {
    _permit: OwnedSemaphorePermit,
}

/// The memory of a source that waits in this process, held as long as its bytes.
#[derive(Debug)]
pub struct SourceMemory {
    permit: OwnedSemaphorePermit,
    held: Arc<AtomicU32>,
}

impl Admission {
    /// `concurrency` is how many pictures are processed at once; 0 means one for each core.
    pub(super) fn new(concurrency: usize, memory_mib: u64) -> Self {
        let max_running = match concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            wanted => wanted,
        };
        let max_memory_mib =
            u32::try_from(memory_mib).map_or(u32::MAX >> 3, |mib| mib.min(u32::MAX >> 3));
        Self {
            max_running,
            cores: Arc::new(Semaphore::new(max_running)),
            memory_mib: Arc::new(Semaphore::new(max_memory_mib as usize)),
            max_memory_mib,
            sources_mib: Arc::default(),
        }
    }

    pub(super) fn max_running(&self) -> usize {
        self.max_running
    }

    /// Waits for a core.
    pub(super) async fn core(&self) -> Core {
        Core {
            _permit: permits(&self.cores, 1).await,
        }
    }

    /// Waits for memory for a source of at most this many bytes.
    pub(super) async fn source(&self, bytes: u64) -> SourceMemory {
        let permit = permits(&self.memory_mib, self.mib(bytes)).await;
        let count = permit.num_permits() as u32;
        self.sources_mib.fetch_add(count, Ordering::SeqCst);
        SourceMemory {
            permit,
            held: Arc::clone(&self.sources_mib),
        }
    }

    /// Waits for memory for a picture's pixels. More memory than there is waits for all of it but
    /// that of sources: those are released only when their own pictures are done.
    pub(super) async fn pixels(&self, bytes: u64) -> Memory {
        // Whoever asks for memory later waits behind this request, so the sources hold no more by
        // then.
        let sources = self.sources_mib.load(Ordering::SeqCst);
        let most = self.max_memory_mib.saturating_sub(sources);
        Memory {
            _permit: permits(&self.memory_mib, self.mib(bytes).min(most)).await,
        }
    }

    fn mib(&self, bytes: u64) -> u32 {
        let mib = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        mib.min(self.max_memory_mib)
    }
}

impl SourceMemory {
    /// Gives back what a source of this many bytes does not need.
    pub fn shrink(&mut self, bytes: u64) {
        let needed = usize::try_from(bytes.div_ceil(MIB)).unwrap_or(usize::MAX);
        let surplus = self.permit.num_permits().saturating_sub(needed);
        if let Some(surplus) = self.permit.split(surplus) {
            self.held
                .fetch_sub(surplus.num_permits() as u32, Ordering::SeqCst);
        }
    }
}

impl Drop for SourceMemory {
    fn drop(&mut self) {
        let count = self.permit.num_permits() as u32;
        self.held.fetch_sub(count, Ordering::SeqCst);
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
    use super::*;

    fn free(admission: &Admission) -> usize {
        admission.memory_mib.available_permits()
    }

    #[tokio::test]
    async fn more_memory_than_there_is_waits_for_all_of_it() {
        let admission = Admission::new(1, 4);
        let memory = admission.pixels(100 * MIB).await;
        assert_eq!(free(&admission), 0);
        drop(memory);
        assert_eq!(free(&admission), 4);
    }

    #[tokio::test]
    async fn sources_that_wait_do_not_block_each_other() {
        let admission = Admission::new(1, 8);
        let mut first = admission.source(3 * MIB).await;
        first.shrink(2 * MIB);
        let second = admission.source(MIB).await;
        // The second source is released only after its picture, so nobody can have all 8.
        let pixels = admission.pixels(100 * MIB).await;
        assert_eq!(free(&admission), 0);
        drop(pixels);
        drop((first, second));
        let all = admission.pixels(8 * MIB).await;
        assert_eq!(free(&admission), 0);
        drop(all);
    }
}
