//! `picresize serve`: every role in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::ConfigFile;
use crate::engine::Engine;
use crate::settings::Settings;
use crate::{api, lifecycle, telemetry, worker};

/// Run every role in one process, on an embedded log and table
///
/// Answers HTTP, resizes, and keeps everything in one folder: nothing else has to be installed.
/// Ends on SIGTERM or Ctrl-C, after finishing what was begun.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize serve
  picresize serve --listen 0.0.0.0:8080 --data /var/lib/picresize
  PICRESIZE__WORKER__CONCURRENCY=2 picresize serve --config /etc/picresize.toml")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Address and port to answer at; port 0 takes a free one [default: 127.0.0.1:8000]
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
        settings.check()?;
        telemetry::start(&settings.logs.filter)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(serve(settings));
        // A picture that is still being resized is not waited for: it is done after the next start.
        runtime.shutdown_background();
        outcome
    }
}

async fn serve(settings: Settings) -> Result<ExitCode> {
    let stop = lifecycle::stop_on_signal()?;
    let engine = Engine::open(&settings)?;
    let listen = settings.server.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen at {listen} (server.listen, --listen)"))?;
    println!("picresize is ready at http://{}", listener.local_addr()?);

    let mut roles = JoinSet::new();
    {
        let (engine, settings, stop) = (engine.clone(), settings.clone(), stop.clone());
        roles.spawn(async move {
            api::serve(listener, engine, &settings, stop)
                .await
                .context("the HTTP side ended")
        });
    }
    {
        let (settings, stop) = (settings.clone(), stop.clone());
        roles.spawn(async move {
            worker::run(engine, &settings, worker_name(), stop)
                .await
                .context("the worker ended")
        });
    }

    // A role that ends unasked takes the process with it: half a service helps nobody.
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = roles.join_next() => ended,
    };
    stop.cancel();
    if let Some(ended) = ended {
        ended??;
    }
    let drained = tokio::time::timeout(settings.grace(), async {
        while let Some(ended) = roles.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    match drained.await {
        Ok(outcome) => outcome?,
        Err(_) => tracing::warn!(
            seconds = settings.lifecycle.grace_seconds,
            "not everything was finished in time; the rest is done after the next start"
        ),
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Names this worker in the table: the host and the process.
fn worker_name() -> String {
    let host = ["HOSTNAME", "COMPUTERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| "localhost".to_owned());
    format!("{host}-{}", std::process::id())
}
