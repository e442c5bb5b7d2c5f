//! Runs one or several roles in this process until a stop signal, then lets them finish.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::imaging::ENGINE_VERSION;
use crate::processing::PixelProcesses;
use crate::settings::Settings;
use crate::storage::Storage;
use crate::{api, lifecycle, processing, telemetry, worker};

/// The roles of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roles {
    All,
    Api,
    Worker,
}

/// Checks the settings, starts logging and runs the roles to their end.
pub(super) fn run(settings: Settings, roles: Roles) -> Result<ExitCode> {
    settings.check()?;
    match roles {
        Roles::All => {}
        Roles::Api => settings.check_shared("api")?,
        Roles::Worker => settings.check_shared("worker")?,
    }
    telemetry::start(&settings.logs.filter)?;
    processing::return_freed_pictures();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run_roles(settings, roles));
    // Pictures that are still being resized are abandoned: they are resized after the next start.
    runtime.shutdown_background();
    outcome
}

async fn run_roles(settings: Settings, roles: Roles) -> Result<ExitCode> {
    let stop = lifecycle::stop_on_signal()?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        engine = ENGINE_VERSION,
        ?roles,
        log = ?settings.storage.log,
        table = ?settings.storage.table,
        concurrency = settings.worker.concurrency,
        memory_mib = settings.worker.memory_mib,
        "starting"
    );
    // Bind first, so that a port in use is reported before waiting for servers.
    let listener = match roles {
        Roles::All | Roles::Api => bind(settings.server.listen, "server.listen, --listen").await?,
        Roles::Worker => {
            bind(
                settings.worker.admin_listen,
                "worker.admin_listen, --admin-listen",
            )
            .await?
        }
    };
    let access = match roles {
        Roles::All | Roles::Api => Some(api::Access::open(&settings, listener.local_addr()?)?),
        Roles::Worker => None,
    };
    let storage = tokio::select! {
        storage = Storage::open_patiently(&settings) => storage?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let processes = PixelProcesses::new()?;
    tokio::select! {
        started = processes.start_ahead() => {
            started.context("cannot start the processes that work on pictures")?;
        }
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    }
    let url = format!("http://{}", listener.local_addr()?);
    let mut running = JoinSet::new();
    match access {
        Some(access) => {
            println!("picresize is ready at {url}");
            let (storage, processes) = (storage.clone(), processes.clone());
            let (settings, stop) = (settings.clone(), stop.clone());
            running.spawn(async move {
                api::serve(listener, storage, processes, &settings, access, stop)
                    .await
                    .context("the HTTP server stopped")
            });
        }
        None => {
            println!("picresize worker is ready; its health is at {url}/readyz");
            let (storage, settings, stop) = (storage.clone(), settings.clone(), stop.clone());
            running.spawn(async move {
                api::serve_health(listener, storage, &settings, stop)
                    .await
                    .context("the admin server stopped")
            });
        }
    }
    if roles != Roles::Api {
        let (storage, settings, stop) = (storage.clone(), settings.clone(), stop.clone());
        running.spawn(async move {
            worker::run(storage, processes, &settings, worker_name(), stop)
                .await
                .context("the worker stopped")
        });
    }
    let finished = finish(running, &settings, &stop).await;
    storage.close().await;
    finished
}

async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} ({setting})"))
}

/// Waits for the stop signal, then for work in progress, within the grace period.
async fn finish(
    mut running: JoinSet<Result<()>>,
    settings: &Settings,
    stop: &CancellationToken,
) -> Result<ExitCode> {
    // If one role stops by itself, the whole process stops, so that it can be restarted.
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = running.join_next() => ended,
    };
    stop.cancel();
    if let Some(ended) = ended {
        ended??;
    }
    let drained = tokio::time::timeout(settings.grace(), async {
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    });
    match drained.await {
        Ok(outcome) => outcome?,
        Err(_) => tracing::warn!(
            seconds = settings.lifecycle.grace_seconds,
            "not all work was finished in time; the rest will be delivered again"
        ),
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Names this worker in the table: the host and the process.
fn worker_name() -> String {
    format!("{}-{}", host_name(), std::process::id())
}

/// The host's name, from the system, because shells rarely export `HOSTNAME`. It is shortened,
/// because the table's column holds 255 characters for host and process together.
fn host_name() -> String {
    let name = gethostname::gethostname();
    let name = name.to_string_lossy();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_a_name() {
        let name = host_name();
        assert!(!name.is_empty());
        assert_eq!(name, name.trim());
        assert_eq!(worker_name(), format!("{name}-{}", std::process::id()));
    }
}
