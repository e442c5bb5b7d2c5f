//! Reads sources: only as many at once as fit into their memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

const MIB: u64 = 1 << 20;

/// The memory that sources share.
#[derive(Debug)]
pub(super) struct Sources {
    free_mib: Arc<Semaphore>,
    memory_mib: u32,
    max_bytes: u64,
}

/// The bytes of a source, and its part of the memory.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

impl Sources {
    /// `memory_mib` is the memory of all sources together. A file that is larger, or whose size is
    /// not known, waits until it is the only one. A file of more than `max_mib` is refused.
    pub(super) fn new(memory_mib: u64, max_mib: u64) -> Self {
        let memory_mib = memory_mib.clamp(1, u64::from(u32::MAX >> 3)) as u32;
        Self {
            free_mib: Arc::new(Semaphore::new(memory_mib as usize)),
            memory_mib,
            max_bytes: max_mib.saturating_mul(MIB),
        }
    }

    /// Reads a file, on a thread that may wait for the disk.
    pub(super) async fn read(&self, path: &Path) -> Result<Source> {
        let path = path.to_owned();
        let opened = spawn_blocking(move || open(&path)).await?;
        let (file, size) = opened.context("cannot be read")?;
        if let Some(size) = size
            && size > self.max_bytes
        {
            bail!(
                "the file has {size} bytes; the limit is {} (worker.memory_mib)",
                self.max_bytes
            );
        }
        let needed = size.map_or(self.memory_mib, |size| {
            u32::try_from(size.div_ceil(MIB)).unwrap_or(u32::MAX)
        });
        let memory = Arc::clone(&self.free_mib)
            .acquire_many_owned(needed.min(self.memory_mib))
            .await?;
        let most = self.max_bytes;
        let content = spawn_blocking(move || content(file, size, most)).await?;
        let bytes = content.context("cannot be read")?;
        if bytes.len() as u64 > most {
            bail!("the file has more than {most} bytes, the limit (worker.memory_mib)");
        }
        Ok(Source {
            bytes: bytes.into(),
            _memory: memory,
        })
    }
}

/// The open file, and its size. The size of a pipe or a device is not known.
fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let size = metadata.is_file().then_some(metadata.len());
    Ok((file, size))
}

/// The content of a file, but no more than one byte above the limit.
fn content(file: File, size: Option<u64>, most: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size.unwrap_or(0)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(size);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sources_take_their_memory_until_they_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::write(&path, vec![7; bytes]).unwrap();
            path
        };
        let (small, large) = (file("small", 3 << 19), file("large", 5 << 20));
        let sources = Sources::new(4, 8);
        let free = || sources.free_mib.available_permits();
        let first = sources.read(&small).await.unwrap();
        assert_eq!((first.bytes.len(), free()), (3 << 19, 2));
        let second = sources.read(&small).await.unwrap();
        assert_eq!(free(), 0);
        drop((first, second));
        let only = sources.read(&large).await.unwrap();
        assert_eq!((only.bytes.len(), free()), (5 << 20, 0));
        drop(only);
        assert_eq!(free(), 4);
    }

    #[tokio::test]
    async fn files_above_the_limit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![7; (1 << 20) + 1]).unwrap();
        let sources = Sources::new(1, 1);
        let refusal = sources.read(&path).await.unwrap_err().to_string();
        assert!(refusal.contains("has 1048577 bytes"), "{refusal}");
        // A device without an end.
        let endless = sources.read(Path::new("/dev/zero")).await.unwrap_err();
        let refusal = endless.to_string();
        assert!(refusal.contains("more than 1048576 bytes"), "{refusal}");
        assert_eq!(sources.free_mib.available_permits(), 1);
    }
}
