//! `picresize api`: a process that only serves HTTP.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;

use super::config_file::ConfigFile;
use super::roles::{self, Roles};

/// Serve HTTP: accept requests, return results, serve the page
///
/// Needs a log and a table that other processes share (storage.log = "kafka", storage.table =
/// "mysql"); any number of these can run behind a load balancer. Waits for servers that do not
/// answer yet. On SIGTERM or Ctrl-C it finishes requests in progress, then stops.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize api --config /etc/picresize.toml
  PICRESIZE__STORAGE__LOG=kafka PICRESIZE__STORAGE__TABLE=mysql picresize api --listen 0.0.0.0:8000")]
pub(super) struct Api {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8000]
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
