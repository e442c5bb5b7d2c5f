//! A small disk of its own, which can be full or read-only.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory. It is unmounted at the end.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts a new one of this size there. Only root may.
    pub(crate) fn mount(folder: &Path, mib: u32) -> Result<Self, String> {
        // One that a killed run left behind.
        let _ = Command::new("umount").arg("--lazy").arg(folder).output();
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={mib}m");
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes all of its room but this.
    pub(crate) fn fill(&self, left_kib: u64) {
        let mut ballast = std::fs::File::create(self.folder.join("ballast")).unwrap();
        let block = vec![0; 64 << 10];
        let mut written = 0;
        while ballast.write_all(&block).is_ok() {
            written += block.len() as u64;
        }
        // The service may have taken some meanwhile.
        ballast
            .set_len(written.saturating_sub(left_kib * 1024))
            .unwrap();
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.folder.join("ballast")).unwrap();
    }

    /// Nothing may have a file open for writing.
    pub(crate) fn set_read_only(&self, read_only: bool) -> Result<(), String> {
        let mode = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        run(Command::new("mount").args(["-o", mode]).arg(&self.folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(&self.folder)
            .output();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("mount: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
