//! Runs statements, each with a time limit, and again if the server rolled them back.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};

use super::faults::Fault;
use super::limits::{SMALL, limit_for};
use super::options::MysqlOptions;
use super::pool::Pool;
use super::statements::Statements;
use super::values::id_value;
use crate::operation::OperationId;
use crate::picture_store::StoreError;

/// After this time, a call without an answer makes the pool find out whether the server is away.
const DOUBT_AFTER: Duration = Duration::from_secs(1);
/// And again after this time.
const DOUBT_AGAIN: Duration = Duration::from_secs(2);
/// How often a statement is run again that was rolled back, and the pauses before.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(20))
    .with_max_times(4);

/// A picture table on a server.
pub struct MysqlStore {
    pub(super) pool: Arc<Pool>,
    pub(super) statements: Statements,
}

/// The outcome of a statement.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// Rows that it matched.
    pub(super) matched: u64,
    pub(super) last_insert_id: Option<u64>,
}

impl MysqlStore {
    /// Runs a small statement that is safe to run twice. Its parameters are built again for every
    /// attempt.
    pub(super) async fn run(
        &self,
        sql: &str,
        parameters: &(dyn Fn() -> Vec<Value> + Sync),
    ) -> Result<Answer, StoreError> {
        self.run_within(SMALL, sql, parameters).await
    }

    /// Does the same with another time limit. If the server is away, it takes no longer than
    /// [`SMALL`].
    pub(super) async fn run_within(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &(dyn Fn() -> Vec<Value> + Sync),
    ) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let undone = Mutex::new(None);
        let mut answer = pin!(self.repeat(sql, parameters, &undone));
        let mut away = pin!(self.pool.until_away());
        let mut end = pin!(sleep_until(began + limit));
        let mut doubts = interval_at(began + DOUBT_AFTER, DOUBT_AGAIN);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                error = &mut away => return Err(error),
                () = &mut end => {
                    let undone = undone.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Err(undone.unwrap_or_else(|| {
                        // Other connections may be as old, and be just as dead.
                        self.pool.drop_idle();
                        self.pool.options.too_slow("a statement", limit)
                    }));
                }
                _ = doubts.tick() => self.pool.doubt(),
            }
        }
    }

    /// Runs a statement until it neither is rolled back nor loses its connection. `undone` gets the
    /// reason why it was rolled back last.
    async fn repeat(
        &self,
        sql: &str,
        parameters: &(dyn Fn() -> Vec<Value> + Sync),
        undone: &Mutex<Option<StoreError>>,
    ) -> Result<Answer, StoreError> {
        let mut pauses = PAUSES.build();
        let mut has_lost_one = false;
        loop {
            self.pool.admit().await?;
            let mut lease = self.pool.lease(has_lost_one).await?;
            let connection = lease.connection();
            let rows = connection.exec(sql, Params::Positional(parameters())).await;
            let error = match rows {
                Ok(rows) => {
                    let answer = Answer {
                        rows,
                        matched: connection.affected_rows(),
                        last_insert_id: connection.last_insert_id(),
                    };
                    lease.release();
                    if !sql.starts_with("SELECT") {
                        self.pool.note_change(None);
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            let error = self.pool.options.explain(error);
            match fault {
                Fault::Undone => {
                    lease.release();
                    let Some(pause) = pauses.next() else {
                        return Err(error);
                    };
                    *undone.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    sleep(pause).await;
                }
                Fault::Lost => {
                    lease.discard();
                    self.pool.drop_idle();
                    if has_lost_one {
                        self.pool.doubt();
                        return Err(error);
                    }
                    has_lost_one = true;
                }
                Fault::ReadOnly | Fault::Full => {
                    lease.discard();
                    self.pool.note_change(Some(&error));
                    return Err(error);
                }
                Fault::Unusable => {
                    lease.discard();
                    return Err(error);
                }
                Fault::Crowded | Fault::Failed => {
                    lease.release();
                    return Err(error);
                }
            }
        }
    }

    /// The picture in the first column of the only row.
    pub(super) async fn picture(
        &self,
        sql: &str,
        id: OperationId,
    ) -> Result<Option<Bytes>, StoreError> {
        let limit = limit_for(self.pool.options.max_picture_bytes);
        let answer = self.run_within(limit, sql, &|| vec![id_value(id)]).await?;
        let picture = answer.rows.into_iter().next().map(|mut row| {
            row.take_opt::<Option<Vec<u8>>, _>(0)
                .and_then(Result::ok)
                .flatten()
        });
        Ok(picture.flatten().map(Bytes::from))
    }
}

impl fmt::Debug for MysqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlStore")
            .field("options", &self.pool.options)
            .finish_non_exhaustive()
    }
}

/// Opens one connection, outside of the pool. Its statements wait for locks until `patience` is
/// over.
pub(super) async fn connect(
    options: &MysqlOptions,
    database: Option<&str>,
    patience: Duration,
) -> Result<Conn, StoreError> {
    let connection = Conn::new(options.driver(database, patience)?);
    timeout(SMALL, connection)
        .await
        .map_err(|_| options.too_slow("connecting", SMALL))?
        .map_err(|error| options.explain(error))
}
