//! Reads the source of a resize: only as many at once as fit into the memory of sources.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::processing::{Memory, Processor};

/// The bytes of a source, and their part of the memory.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) bytes: Bytes,
    _memory: Memory,
}

impl Source {
    /// Reads a file, on a thread that may wait for the disk. A file whose size is not known waits
    /// until it is the only source. A file of more than `max_bytes` is refused.
    pub(super) async fn read(path: &Path, processor: &Processor, max_bytes: u64) -> Result<Self> {
        let path = path.to_owned();
        let opened = spawn_blocking(move || open(&path)).await?;
        let (file, size) = opened.context("cannot be read")?;
        if let Some(size) = size
            && size > max_bytes
        {
            bail!("the file has {size} bytes; the limit is {max_bytes} (worker.memory_mib)");
        }
        let memory = processor.source_memory(size.unwrap_or(u64::MAX)).await;
        let content = spawn_blocking(move || content(file, size, max_bytes)).await?;
        let bytes = content.context("cannot be read")?;
        if bytes.len() as u64 > max_bytes {
            bail!("the file has more than {max_bytes} bytes, the limit (worker.memory_mib)");
        }
        Ok(Self {
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
    use crate::processing::{PixelProcesses, ProcessorOptions};
    use crate::settings::Settings;

    /// No picture is processed here, so no process is started.
    fn processor() -> Processor {
        let mut options = ProcessorOptions::of(&Settings::default());
        // A quarter is for sources, which have a copy each: 4 MiB of files at once.
        options.memory_mib = 32;
        Processor::new(PixelProcesses::new().unwrap(), options)
    }

    #[tokio::test]
    async fn sources_take_their_memory_until_they_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            std::fs::write(&path, vec![7; bytes]).unwrap();
            path
        };
        let (small, large) = (file("small", 2 << 20), file("large", 5 << 20));
        let processor = processor();
        let free = || processor.free_source_mib();
        let read = |path| Source::read(path, &processor, 8 << 20);
        assert_eq!(free(), 8);
        let first = read(&small).await.unwrap();
        assert_eq!((first.bytes.len(), free()), (2 << 20, 4));
        let second = read(&small).await.unwrap();
        assert_eq!(free(), 0);
        drop((first, second));
        let only = read(&large).await.unwrap();
        assert_eq!((only.bytes.len(), free()), (5 << 20, 0));
        drop(only);
        assert_eq!(free(), 8);
    }

    #[tokio::test]
    async fn files_above_the_limit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![7; (1 << 20) + 1]).unwrap();
        let processor = processor();
        let read = |path| Source::read(path, &processor, 1 << 20);
        let refusal = read(&path).await.unwrap_err().to_string();
        assert!(refusal.contains("has 1048577 bytes"), "{refusal}");
        // A device without an end.
        let endless = read(Path::new("/dev/zero")).await.unwrap_err();
        let refusal = endless.to_string();
        assert!(refusal.contains("more than 1048576 bytes"), "{refusal}");
        assert_eq!(processor.free_source_mib(), 8);
    }
}
