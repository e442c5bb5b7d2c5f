//! Stops the process cleanly: turns stop signals into a cancellation token.

use tokio_util::sync::CancellationToken;

/// The exit code of a process that was interrupted (128 + SIGINT).
const ABORTED: i32 = 130;

/// A token that is cancelled by the first stop signal (SIGTERM, or Ctrl-C). The second one ends the
/// process at once; unfinished work is done after the next start.
///
/// # Errors
///
/// The signal handlers can't be installed.
pub fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut signals = Signals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping: finishing work in progress (signal again to stop at once)");
        token.cancel();
        signals.next().await;
        tracing::warn!("stopping at once");
        std::process::exit(ABORTED);
    });
    Ok(stop)
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
