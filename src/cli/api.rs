//! `picresize api`: the HTTP side alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;

use super::ConfigFile;
use super::roles::{self, Roles};

/// Answer HTTP: accept requests, look up results, serve the page
///
/// Needs a log and a table that other processes share (engine.log = "kafka", engine.table =
/// "mysql"); any number of these can run behind a load balancer. Waits for servers that do not
/// answer yet. Ends on SIGTERM or Ctrl-C, after answering what was asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize api --config /etc/picresize.toml
  PICRESIZE__ENGINE__LOG=kafka PICRESIZE__ENGINE__TABLE=mysql picresize api --listen 0.0.0.0:8000")]
pub(super) struct Api {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to answer at; port 0 takes a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Api {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut settings = self.config.load()?;
        if let Some(listen) = self.listen {
            settings.server.listen = listen;
        }
        roles::run(settings, Roles::Api)
    }
}
