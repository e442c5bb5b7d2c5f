//! `picresize check`: says what is wrong with a set-up, and how to mend it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::config_file::ConfigFile;
use crate::processing::PixelProcesses;
use crate::settings::Settings;
use crate::storage::{Storage, StorageError};

/// Check the settings, the log, the table and the sandbox
///
/// Prints a line for each part. The exit code is 1 if the service would not work.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize check
  picresize check --data /var/lib/picresize
  picresize check --config /etc/picresize.toml")]
pub(super) struct Check {
    /// Folder of the embedded log and table [default: picresize-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut settings = self.config.load()?;
        if let Some(data) = self.data {
            settings.data.folder = data;
        }
        settings.check()?;
        println!("settings: fine");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let is_fine = runtime.block_on(async {
            let storage = check_storage(&settings).await;
            let sandbox = check_sandbox().await;
            storage && sandbox
        });
        Ok(ExitCode::from(u8::from(!is_fine)))
    }
}

/// Whether the log and the table answer.
async fn check_storage(settings: &Settings) -> bool {
    let storage = match Storage::open_beside(settings).await {
        Ok(storage) => storage,
        Err(StorageError::NoLog(folder)) => {
            let folder = folder.display();
            println!("log: there is none in {folder} yet; `picresize serve` makes it");
            return true;
        }
        Err(error) => {
            println!("storage: {error}");
            return false;
        }
    };
    let mut is_fine = true;
    for (name, answer) in [
        ("log", storage.log.ping().await.map_err(|e| e.to_string())),
        (
            "table",
            storage.store.ping().await.map_err(|e| e.to_string()),
        ),
    ] {
        match answer {
            Ok(()) => println!("{name}: answers"),
            Err(error) => {
                println!("{name}: {error}");
                is_fine = false;
            }
        }
    }
    is_fine
}

/// Whether pictures can be processed. Less protection is reported, but works.
async fn check_sandbox() -> bool {
    let missing = match PixelProcesses::new() {
        Ok(processes) => processes.missing_protection().await,
        Err(error) => Err(error),
    };
    match missing {
        Ok(missing) if missing.is_empty() => println!("sandbox: pixel processes are confined"),
        Ok(missing) => {
            println!("sandbox: pixel processes work, but without some protection:");
            for what in missing {
                println!("  {what}");
            }
        }
        Err(error) => {
            println!("sandbox: {error}");
            return false;
        }
    }
    true
}
