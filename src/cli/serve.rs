//! `picresize serve`: every role in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::config_file::ConfigFile;
use super::roles::{self, Roles};

/// Run every role in one process, on an embedded log and table
///
/// Serves HTTP, resizes, and keeps everything in one folder: nothing else has to be installed.
/// With storage.log and storage.table set, it runs on Kafka and MySQL instead.
/// On SIGTERM or Ctrl-C it finishes work in progress, then stops.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize serve
  picresize serve --listen 0.0.0.0:8080 --data /var/lib/picresize
  PICRESIZE__WORKER__CONCURRENCY=2 picresize serve --config /etc/picresize.toml")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Folder for the log and the table [default: picresize-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut settings = self.config.load()?;
        if let Some(listen) = self.listen {
            settings.server.listen = listen;
        }
        if let Some(data) = self.data {
            settings.data.folder = data;
        }
        roles::run(settings, Roles::All)
    }
}
