//! `picresize worker`: the worker alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;

use super::ConfigFile;
use super::roles::{self, Roles};

/// Consume requests, resize, save the results
///
/// Needs a log and a table that other processes share (engine.log = "kafka", engine.table =
/// "mysql"); as many of these can share the work as the requests topic has partitions. Waits for
/// servers that do not answer yet. Ends on SIGTERM or Ctrl-C, after finishing what was begun.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize worker --config /etc/picresize.toml
  picresize worker --admin-listen 127.0.0.1:9091")]
pub(super) struct Worker {
    #[command(flatten)]
    config: ConfigFile,
    /// Where /healthz and /readyz are answered; port 0 takes a free one [default: 127.0.0.1:9090]
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
