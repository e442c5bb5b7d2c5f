//! The pool of connections, and how a statement is run: within a time, and again when the server
//! undid it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Params, Pool, Row, ServerError, Value};

use super::options::MysqlOptions;
use super::values::id_value;
use crate::operation::OperationId;
use crate::picture_store::StoreError;

/// How long a connection may be waited for, and how long one may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a statement may take: a large picture on a slow network takes a while.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// `ER_LOCK_WAIT_TIMEOUT` and `ER_LOCK_DEADLOCK`: the statement was undone and may be tried again.
const UNDONE: [u16; 2] = [1205, 1213];
/// The pauses before such a statement is tried again, and how often.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(20))
    .with_max_times(4);

/// A picture table on a server.
pub struct MysqlStore {
    pub(super) options: MysqlOptions,
    pub(super) driver: Opts,
    pub(super) pool: Mutex<Pool>,
}

/// What a statement came to.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    /// Rows that it matched.
    pub(super) matched: u64,
    pub(super) last_insert_id: Option<u64>,
}

/// Why a statement did not run.
enum Failure {
    /// The server undid it: it may be tried again at once.
    Undone(StoreError),
    Other(StoreError),
}

impl MysqlStore {
    /// Runs a statement that can be run twice. Its parameters are made anew for every try.
    pub(super) async fn run(
        &self,
        sql: &str,
        parameters: &(dyn Fn() -> Vec<Value> + Sync),
    ) -> Result<Answer, StoreError> {
        (|| self.attempt(sql, parameters()))
            .retry(PAUSES)
            .when(|failure| matches!(failure, Failure::Undone(_)))
            .await
            .map_err(|failure| match failure {
                Failure::Undone(error) | Failure::Other(error) => error,
            })
    }

    async fn attempt(&self, sql: &str, parameters: Vec<Value>) -> Result<Answer, Failure> {
        let pool = self.pool().clone();
        let connection = tokio::time::timeout(CONNECT_LIMIT, pool.get_conn()).await;
        let mut connection = connection
            .map_err(|_| Failure::Other(self.options.too_slow("a connection", CONNECT_LIMIT)))?
            .map_err(|error| self.failure(error))?;
        let answer = async {
            let rows = connection.exec(sql, Params::Positional(parameters)).await?;
            Ok(Answer {
                rows,
                matched: connection.affected_rows(),
                last_insert_id: connection.last_insert_id(),
            })
        };
        let Ok(answer) = tokio::time::timeout(STATEMENT_LIMIT, answer).await else {
            // The host may be gone, and its connections would block the pool for long.
            *self.pool() = Pool::new(self.driver.clone());
            let error = self.options.too_slow("a statement", STATEMENT_LIMIT);
            return Err(Failure::Other(error));
        };
        answer.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: mysql_async::Error) -> Failure {
        let is_undone = matches!(&error,
            mysql_async::Error::Server(ServerError { code, .. }) if UNDONE.contains(code));
        let error = self.options.explain(error);
        if is_undone {
            Failure::Undone(error)
        } else {
            Failure::Other(error)
        }
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture in the first column of the only row.
    pub(super) async fn picture(
        &self,
        sql: &str,
        id: OperationId,
    ) -> Result<Option<Bytes>, StoreError> {
        let answer = self.run(sql, &|| vec![id_value(id)]).await?;
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
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Opens one connection, outside of the pool.
pub(super) async fn connect(
    options: &MysqlOptions,
    database: Option<&str>,
) -> Result<Conn, StoreError> {
    let connection = Conn::new(options.driver(database)?);
    tokio::time::timeout(CONNECT_LIMIT, connection)
        .await
        .map_err(|_| options.too_slow("connecting", CONNECT_LIMIT))?
        .map_err(|error| options.explain(error))
}
