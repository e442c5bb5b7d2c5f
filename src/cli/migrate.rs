//! `picresize migrate`: prepares the table and the topics.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use super::config_file::ConfigFile;
use crate::storage::Storage;
use crate::telemetry;

/// Prepare the table and the topics
///
/// Creates what is missing, changes what differs, and reports what it did, what was already right,
/// and what you have to change yourself. Safe to run twice, and twice at the same time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize migrate --config /etc/picresize.toml
  PICRESIZE__MYSQL__MIGRATION_USER=root picresize migrate --wait 60")]
pub(super) struct Migrate {
    #[command(flatten)]
    config: ConfigFile,
    /// How long to wait for servers that do not answer yet
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

impl Migrate {
    pub(super) fn run(self) -> Result<ExitCode> {
        let settings = self.config.load()?;
        settings.check()?;
        telemetry::start(&settings.logs.filter)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let patience = Duration::from_secs(self.wait);
        let migrated = runtime
            .block_on(async { tokio::time::timeout(patience, Storage::migrate(&settings)).await });
        runtime.shutdown_background();
        let Ok(report) = migrated else {
            bail!(
                "gave up after {} seconds: the servers did not answer (--wait)",
                self.wait
            );
        };
        for line in report? {
            println!("{line}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
