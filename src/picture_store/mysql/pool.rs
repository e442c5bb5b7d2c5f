//! The connections to the server, and the probes that find out whether it answers.
//!
//! The driver's own pool keeps a connection until its last statement is answered, which may be
//! never. This one gives up a connection at once, ends its statement on the server, and so never
//! uses more connections than the settings allow.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use jiff::{Timestamp, TimestampRound, Unit};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::faults::Fault;
use super::limits::SMALL;
use super::options::MysqlOptions;
use crate::picture_store::StoreError;

/// An idle connection is closed after this time.
const IDLE: Duration = Duration::from_secs(60);
/// A connection that was idle for longer is tried with a ping first: the server may have closed it.
const FRESH: Duration = Duration::from_secs(1);
/// How long a probe may take while calls wait for its outcome. With the time before the doubt, a
/// call takes at most [`SMALL`].
const FIRST_PROBE: Duration = Duration::from_millis(900);
/// How long a statement waits for a lock before it is rolled back and run again.
const LOCK: Duration = Duration::from_secs(1);
/// Keeps pictures that do not change out of the binary log. MariaDB also writes the text of each
/// statement to it, with the picture; MySQL takes that part for a comment.
const SHORT_BINARY_LOG: &str = "SET SESSION binlog_row_image = 'NOBLOB'
    /*M! , binlog_annotate_row_events = OFF */";
/// Answers without reading more than one page.
pub(super) const PING: &str = "SELECT id FROM pictures WHERE id = ''";

/// The connections of one process.
pub(super) struct Pool {
    pub(super) options: MysqlOptions,
    driver: Opts,
    /// One for each connection that runs statements.
    permits: Arc<Semaphore>,
    /// For the one connection besides these, which probes the server and ends statements.
    spare: Semaphore,
    idle: Mutex<Idle>,
    breaker: watch::Sender<Breaker>,
    /// When the server began to refuse changes, if it does.
    refusing: Mutex<Option<Instant>>,
    /// Whether the user is not allowed to shorten the binary log.
    has_full_images: AtomicBool,
}

#[derive(Default)]
struct Idle {
    /// Counts how often the connections were given up. One of an older generation is not kept.
    generation: u64,
    /// The one that was used last is at the end.
    connections: Vec<(Conn, Instant)>,
}

/// A connection in use. Dropping it gives up the connection and ends its statement on the server.
pub(super) struct Lease {
    pool: Arc<Pool>,
    connection: Option<Conn>,
    permit: Option<OwnedSemaphorePermit>,
    generation: u64,
}

impl Pool {
    pub(super) fn new(options: MysqlOptions) -> Result<Arc<Self>, StoreError> {
        let driver = options.driver(Some(&options.database), LOCK)?;
        let permits = options.connections.saturating_sub(1).max(1);
        Ok(Arc::new(Self {
            options,
            driver,
            permits: Arc::new(Semaphore::new(permits)),
            spare: Semaphore::new(1),
            idle: Mutex::default(),
            breaker: watch::Sender::default(),
            refusing: Mutex::default(),
            has_full_images: AtomicBool::new(false),
        }))
    }

    /// A connection for one statement. `is_new` asks for one that was not used before.
    pub(super) async fn lease(self: &Arc<Self>, is_new: bool) -> Result<Lease, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let mut lease = Lease {
            pool: Arc::clone(self),
            connection: None,
            permit: permit.ok(),
            generation: self.idle().generation,
        };
        let idle = if is_new { None } else { self.take_idle() };
        if let Some((connection, since)) = idle {
            let connection = lease.connection.insert(connection);
            if since.elapsed() <= FRESH || connection.ping().await.is_ok() {
                return Ok(lease);
            }
            lease.discard();
            self.drop_idle();
        }
        lease.generation = self.idle().generation;
        match self.connect().await {
            Ok(connection) => lease.connection = Some(connection),
            Err(error) => {
                if !answers(&error) {
                    self.doubt();
                }
                return Err(self.options.explain(error));
            }
        }
        Ok(lease)
    }

    /// Opens a connection. There is no time limit here: whoever waits has one.
    async fn connect(&self) -> Result<Conn, mysql_async::Error> {
        let mut connection = Conn::new(self.driver.clone()).await?;
        if !self.has_full_images.load(Ordering::Relaxed) {
            let set = connection.query_drop(SHORT_BINARY_LOG);
            match set.await {
                Err(mysql_async::Error::Server(_)) => {
                    self.has_full_images.store(true, Ordering::Relaxed);
                }
                set => set?,
            }
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<(Conn, Instant)> {
        self.idle().connections.pop()
    }

    /// Closes all idle connections. Those in use are closed after their statement.
    pub(super) fn drop_idle(&self) {
        let connections = {
            let mut idle = self.idle();
            idle.generation += 1;
            std::mem::take(&mut idle.connections)
        };
        connections.into_iter().for_each(|(conn, _)| close(conn));
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is known whether the server answers. An error says that it does not.
    pub(super) async fn admit(&self) -> Result<(), StoreError> {
        if !self.breaker.borrow().is_closed() {
            let mut breaker = self.breaker.subscribe();
            let _ = breaker.wait_for(|breaker| !breaker.is_doubted()).await;
        }
        self.outage().map_or(Ok(()), Err)
    }

    /// Waits until the server is away.
    pub(super) async fn until_away(&self) -> StoreError {
        let mut breaker = self.breaker.subscribe();
        loop {
            let _ = breaker.wait_for(|breaker| breaker.outage().is_some()).await;
            if let Some(error) = self.outage() {
                return error;
            }
        }
    }

    fn outage(&self) -> Option<StoreError> {
        let reason = self.breaker.borrow().outage()?;
        Some(StoreError::Unavailable(reason.as_ref().into()))
    }

    /// Finds out whether the server answers, if that is not being done.
    pub(super) fn doubt(self: &Arc<Self>) {
        let mut starts = false;
        self.breaker.send_if_modified(|breaker| {
            starts = breaker.doubt();
            starts
        });
        if starts {
            tokio::spawn(probe_until_it_answers(Arc::downgrade(self)));
        }
    }

    /// Connects and reads from the table. An error says why the server does not answer.
    async fn probe(&self, limit: Duration) -> Result<(), StoreError> {
        let probe = async {
            let _spare = self.spare.acquire().await;
            let mut connection = self.connect().await?;
            connection.query_drop(PING).await?;
            close(connection);
            Ok(())
        };
        match timeout(limit, probe).await {
            Ok(Err(error)) if !answers(&error) => Err(self.options.explain(error)),
            Ok(_) => Ok(()),
            Err(_) => Err(self.options.too_slow("an answer", limit)),
        }
    }

    /// Ends a statement that nobody waits for, so that it does not occupy the server.
    async fn kill(&self, connection: u32) {
        let kill = async {
            let _spare = self.spare.acquire().await;
            let mut spare = Conn::new(self.driver.clone()).await?;
            // An error says that it has already ended.
            let _ = spare.query_drop(format!("KILL {connection}")).await;
            close(spare);
            Ok::<_, mysql_async::Error>(())
        };
        let _ = timeout(FIRST_PROBE, kill).await;
    }

    /// Notes that the server took a change or refused one. The log says when that begins and ends.
    pub(super) fn note_change(&self, refusal: Option<&StoreError>) {
        let mut refusing = self.refusing.lock().unwrap_or_else(PoisonError::into_inner);
        match (refusal, &*refusing) {
            (Some(error), None) => {
                tracing::warn!(%error, "the table takes no changes");
                *refusing = Some(Instant::now());
            }
            (None, Some(since)) => {
                let seconds = since.elapsed().as_secs();
                tracing::info!(seconds, "the table takes changes again");
                *refusing = None;
            }
            _ => {}
        }
    }
}

/// Whether the error is an answer of a server that works, but not for this user or not now.
fn answers(error: &mysql_async::Error) -> bool {
    matches!(error, mysql_async::Error::Server(_)) && Fault::of(error) != Fault::Lost
}

/// Probes the server until it answers, or until the pool is gone.
async fn probe_until_it_answers(pool: Weak<Pool>) {
    loop {
        let pause = {
            let Some(pool) = pool.upgrade() else { return };
            let is_away = pool.breaker.borrow().outage().is_some();
            let limit = if is_away { SMALL } else { FIRST_PROBE };
            match pool.probe(limit).await {
                Ok(()) => {
                    let now = Instant::now();
                    let mut outage = None;
                    pool.breaker
                        .send_modify(|breaker| outage = breaker.probe_succeeded(now));
                    if let Some(outage) = outage {
                        let seconds = format!("{:.1}", outage.as_secs_f64());
                        tracing::info!(%seconds, "the table answers again");
                    }
                    return;
                }
                Err(error) => note_failed_probe(&pool, &error),
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Returns how long to wait before the next probe.
fn note_failed_probe(pool: &Pool, error: &StoreError) -> Duration {
    let second = TimestampRound::new().smallest(Unit::Second);
    let since = Timestamp::now().round(second).unwrap_or_default();
    let error = match error {
        StoreError::Unavailable(error) => error.to_string(),
        other => other.to_string(),
    };
    let reason = format!("{error} (away since {since})");
    let mut failed = None;
    pool.breaker.send_modify(|breaker| {
        failed = Some(breaker.probe_failed(&reason, Instant::now(), chance()));
    });
    let Some(failed) = failed else {
        return Duration::ZERO;
    };
    if failed.is_first {
        tracing::warn!(%error, "the table is away: calls fail until it answers again");
        pool.drop_idle();
    }
    failed.pause
}

/// A random number from 0 to 1.
fn chance() -> f64 {
    // Each state has random keys.
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

impl Lease {
    pub(super) fn connection(&mut self) -> &mut Conn {
        self.connection
            .as_mut()
            .expect("a lease has a connection until it is given back")
    }

    /// Gives the connection back, to be used again.
    pub(super) fn release(mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let now = Instant::now();
        let mut unused = Vec::new();
        let mut idle = self.pool.idle();
        if idle.generation == self.generation {
            idle.connections.push((connection, now));
            let is_old = |(_, since): &(Conn, Instant)| now.duration_since(*since) > IDLE;
            let old = idle.connections.partition_point(is_old);
            unused.extend(idle.connections.drain(..old).map(|(conn, _)| conn));
        } else {
            unused.push(connection);
        }
        drop(idle);
        unused.into_iter().for_each(close);
    }

    /// Closes a connection that has no statement.
    pub(super) fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let id = connection.id();
        close(connection);
        // A server that is away notices by itself, as soon as it goes on.
        if !self.pool.breaker.borrow().is_closed() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
            runtime.spawn(async move {
                pool.kill(id).await;
                drop(permit);
            });
        }
    }
}

/// Closes a connection at once. The driver would first read the rest of an answer, which may never
/// come: when its future is dropped, it closes the socket.
fn close(connection: Conn) {
    let goodbye = std::pin::pin!(connection.disconnect());
    let _ = goodbye.poll(&mut Context::from_waker(Waker::noop()));
}
