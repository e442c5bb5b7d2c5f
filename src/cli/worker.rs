//! `picresize worker`: a process that only resizes.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;

use super::config_file::ConfigFile;
use super::roles::{self, Roles};

/// Take requests from the log, resize the pictures, save the results
///
/// Needs a log and a table that other processes share (storage.log = "kafka", storage.table =
/// "mysql"); as many workers can share the work as the requests topic has partitions. Waits for
/// servers that do not answer yet. On SIGTERM or Ctrl-C it finishes work in progress, then stops.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize worker --config /etc/picresize.toml
  picresize worker --admin-listen 127.0.0.1:9091")]
pub(super) struct Worker {
    #[command(flatten)]
    config: ConfigFile,
    /// Where to serve /healthz and /readyz; port 0 takes a free one [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
}

impl Worker {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut settings = self.config.load()?;
        if let Some(listen) = self.admin_listen {
            settings.worker.admin_listen = listen;
        }
        roles::run(settings, Roles::Worker)
    }
}
