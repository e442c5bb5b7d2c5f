//! `picresize check`: says what is wrong with a set-up, and how to mend it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Error, Result};

use super::config_file::ConfigFile;
use crate::processing::PixelProcesses;
use crate::settings::Settings;
use crate::storage::check;

/// Check the settings, the data folder and its disk, the log, the table and the sandbox
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

/// Whether the data folder, the log and the table can be used. Each is looked at, whatever the
/// others say.
async fn check_storage(settings: &Settings) -> bool {
    let data = check::data(settings);
    let (log, table) = tokio::join!(check::log(settings), check::table(settings));
    let mut is_fine = true;
    for (part, found) in [("data", data), ("log", Some(log)), ("table", Some(table))] {
        match found {
            Some(Ok(what)) => println!("{part}: {what}"),
            Some(Err(error)) => {
                // With the causes.
                println!("{part}: {:#}", Error::new(error));
                is_fine = false;
            }
            None => {}
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
            println!("sandbox: {:#}", Error::new(error));
            return false;
        }
    }
    true
}
