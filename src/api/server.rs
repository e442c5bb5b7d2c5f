//! Accepts connections, within a limit of their number.
//!
//! The limit is below the limit of open files, so that files and other sockets can always be
//! opened. When it is reached, the connection whose client has been silent for the longest time gives
//! its slot to a new one. If all have a request, the new one is answered with 503.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::activity::{Activity, TimeLimits};
use super::budget::Budget;
use super::connection;
use super::problem::{Kind, Problem};

/// The most connections, unless the settings say otherwise.
const USUAL_MOST: usize = 1024;
/// The open files that connections leave to others, and to connections that are being closed.
const OTHER_FILES: usize = 256;
/// Connections that are answered with 503 at once; more are closed without an answer.
const MOST_REFUSED: usize = 64;
/// The pause after the system could not accept a connection.
const PAUSE: Duration = Duration::from_millis(200);

/// The limits of a server's connections.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// 0 derives it from the limit of open files.
    pub(super) max_connections: usize,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    /// The memory of answers, if there are large ones.
    pub(super) answers: Option<Arc<Budget>>,
}

/// Serves HTTP until `stop`, then finishes the requests in progress.
///
/// # Errors
///
/// The listener has no address.
pub(super) async fn serve<App>(
    listener: TcpListener,
    app: App,
    rules: Rules,
    stop: CancellationToken,
) -> io::Result<()>
where
    App: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
    App::Error: Into<std::convert::Infallible> + std::error::Error + Send + Sync,
    App::Future: Send + 'static,
{
    let address = listener.local_addr()?;
    let most = most_connections(rules.max_connections);
    tracing::debug!(%address, most, "accepting connections");
    let slots = Arc::new(ConnectionSlots::new(most));
    let limits = TimeLimits {
        header: rules.header_timeout,
        idle: rules.idle_timeout,
        write: rules.write_timeout,
        answers: rules.answers,
    };
    let (mut tasks, mut refused) = (JoinSet::new(), JoinSet::new());
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = tasks.join_next() => continue,
            Some(_) = refused.join_next() => continue,
            stream = accept(&listener, &slots) => stream,
        };
        if let Some(slot) = slots.claim() {
            // Answers are written as a whole, so waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            let (app, limits, stop) = (app.clone(), limits.clone(), stop.clone());
            tasks.spawn(async move {
                let (activity, evicted) = (Arc::clone(&slot.activity), slot.evicted.clone());
                connection::serve(stream, app, activity, limits, evicted, stop).await;
            });
        } else if refused.len() < MOST_REFUSED {
            let detail = format!("all {most} connections are in use; please try again");
            let problem = Problem::new(Kind::Unavailable, detail);
            refused.spawn(connection::refuse(stream, problem, stop.clone()));
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// The next connection. Whatever happens to one of them, the service goes on.
async fn accept(listener: &TcpListener, slots: &ConnectionSlots) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "a connection cannot be accepted");
                // Usually too many files are open.
                slots.evict();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether the client has left already.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// How many connections may be open at once: `wanted`, as far as the limit of open files allows it.
fn most_connections(wanted: usize) -> usize {
    let possible = open_files().map_or(usize::MAX, |files| {
        files.saturating_sub(OTHER_FILES).max(files / 2).max(1)
    });
    if wanted == 0 {
        return possible.min(USUAL_MOST);
    }
    if wanted > possible {
        tracing::warn!(
            wanted,
            possible,
            "server.max_connections is more than the limit of open files allows; raise that limit \
             (ulimit -n)"
        );
    }
    possible.min(wanted)
}

/// The limit of open files of this process, if it has one.
fn open_files() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.and_then(|files| usize::try_from(files).ok())
}

/// The slots of connections.
#[derive(Debug)]
struct ConnectionSlots {
    most: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next_id: u64,
    by_id: HashMap<u64, (Arc<Activity>, CancellationToken)>,
}

/// The slot of one connection, until this value is dropped.
struct Slot {
    slots: Arc<ConnectionSlots>,
    id: u64,
    activity: Arc<Activity>,
    /// Cancelled when the slot is given to another connection.
    evicted: CancellationToken,
}

impl ConnectionSlots {
    fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// A slot for a new connection, if one is free, or another connection can give its own.
    fn claim(self: &Arc<Self>) -> Option<Slot> {
        let is_full = self.open().by_id.len() >= self.most;
        if is_full && !self.evict() {
            return None;
        }
        let (activity, evicted) = (Activity::new(), CancellationToken::new());
        let mut open = self.open();
        let id = open.next_id;
        open.next_id += 1;
        open.by_id
            .insert(id, (Arc::clone(&activity), evicted.clone()));
        Some(Slot {
            slots: Arc::clone(self),
            id,
            activity,
            evicted,
        })
    }

    /// Closes the connection whose client has been silent for the longest time. Returns whether there
    /// is one.
    fn evict(&self) -> bool {
        let mut open = self.open();
        let idle = open.by_id.iter().filter_map(|(id, (activity, _))| {
            let since = activity.dispensable_since()?;
            Some((since, *id))
        });
        let Some((_, id)) = idle.min() else {
            return false;
        };
        if let Some((_, evicted)) = open.by_id.remove(&id) {
            evicted.cancel();
        }
        true
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_without_a_request_gives_its_slot() {
        let slots = Arc::new(ConnectionSlots::new(2));
        let first = slots.claim().unwrap();
        let second = slots.claim().unwrap();
        let third = slots.claim().unwrap();
        assert!(first.evicted.is_cancelled());
        assert!(!second.evicted.is_cancelled());
        drop(first);
        assert_eq!(slots.open().by_id.len(), 2);
        drop((second, third));
        assert_eq!(slots.open().by_id.len(), 0);
    }

    #[test]
    fn connections_leave_files_to_others() {
        assert!(most_connections(0) <= USUAL_MOST);
        assert_eq!(most_connections(3), 3);
    }
}
