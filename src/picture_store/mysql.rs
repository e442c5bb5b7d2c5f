//! The picture table on a MySQL or MariaDB server.
//!
//! Every statement stands for itself: there are no transactions, so nothing is locked while a
//! server waits for this program. What a statement may change is said in its `WHERE`.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, Params, Pool, Row, ServerError, Value};

use super::row::{self, Columns, LOST_DEPOSIT, OPERATION_COLUMNS, RENEW_DEPOSIT};
use super::{Begun, FinishedPicture, Page, PictureStore, StoreError};
use crate::operation::{Digest, Fingerprint, Operation, OperationId, ResizeRequest};

mod migrate;
mod options;

pub use options::{MysqlOptions, TlsMode};

/// How long a connection may be waited for, and how long one may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a statement may take: a large picture on a slow network takes a while.
const STATEMENT_LIMIT: Duration = Duration::from_secs(60);
/// `ER_LOCK_WAIT_TIMEOUT` and `ER_LOCK_DEADLOCK`: the statement was undone and may be tried again.
const UNDONE: [u16; 2] = [1205, 1213];
/// How often such a statement is tried.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

const INSERT: &str = "INSERT INTO pictures (id, status, request, source_format, source_width,
        source_height, source_bytes, source_digest, position, queued_at, expires_at, source)
    VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON DUPLICATE KEY UPDATE
        position = COALESCE(position, IF(request = ? AND source_digest = ?, ?, NULL))";

/// The answer holds the number of the attempt as the ID that was inserted last.
const BEGIN: &str = "UPDATE pictures
    SET status = 'processing', attempts = LAST_INSERT_ID(attempts + 1), worker = ?,
        started_at = ?, position = COALESCE(position, ?), expires_at = COALESCE(expires_at, ?)
    WHERE id = ? AND status IN ('queued', 'processing')";

const FORGET: &str = "DELETE FROM pictures
    WHERE status IN ('expired', 'erased') AND expires_at < ? LIMIT ?";

/// A picture table on a server.
pub struct MysqlStore {
    options: MysqlOptions,
    driver: Opts,
    pool: Mutex<Pool>,
}

/// What a statement came to.
struct Answer {
    rows: Vec<Row>,
    /// Rows that it matched.
    matched: u64,
    last_insert_id: Option<u64>,
}

impl MysqlStore {
    /// Connects, and checks that server, database, table and user's rights are as they have to be.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the server can't be reached, else
    /// [`StoreError::Misconfigured`].
    pub async fn open(options: MysqlOptions) -> Result<Self, StoreError> {
        let driver = options.driver(Some(&options.database))?;
        let mut connection = connect(&options, Some(&options.database)).await?;
        migrate::check_schema(&options, &mut connection).await?;
        // The server checks rights and columns.
        for sql in [INSERT, BEGIN, FORGET, &select("id = ?")] {
            connection
                .prep(sql)
                .await
                .map_err(|error| options.explain(error))?;
        }
        migrate::check_packet(&options, &mut connection).await?;
        connection
            .disconnect()
            .await
            .map_err(|error| options.explain(error))?;
        Ok(Self {
            pool: Mutex::new(Pool::new(driver.clone())),
            driver,
            options,
        })
    }

    /// Makes the database and the table, or brings the table to the schema of this program, with
    /// the user of the options. Returns what was done and what was right already, a line each.
    /// Another migration of the same database is waited for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the server can't be reached, else
    /// [`StoreError::Misconfigured`]. What was done until then is kept, and not done again.
    pub async fn migrate(options: &MysqlOptions) -> Result<Vec<String>, StoreError> {
        migrate::migrate(options).await
    }

    /// Runs a statement that can be run twice. Its parameters are made anew for every try.
    async fn run(
        &self,
        sql: &str,
        parameters: &(dyn Fn() -> Vec<Value> + Sync),
    ) -> Result<Answer, StoreError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.attempt(sql, parameters()).await? {
                Err(mysql_async::Error::Server(ServerError { code, .. }))
                    if UNDONE.contains(&code) => {}
                ended => return ended.map_err(|error| self.options.explain(error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        let last = self.attempt(sql, parameters()).await?;
        last.map_err(|error| self.options.explain(error))
    }

    async fn attempt(
        &self,
        sql: &str,
        parameters: Vec<Value>,
    ) -> Result<mysql_async::Result<Answer>, StoreError> {
        let pool = self.pool().clone();
        let connection = tokio::time::timeout(CONNECT_LIMIT, pool.get_conn()).await;
        let mut connection = connection
            .map_err(|_| self.options.too_slow("a connection", CONNECT_LIMIT))?
            .map_err(|error| self.options.explain(error))?;
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
            return Err(self.options.too_slow("a statement", STATEMENT_LIMIT));
        };
        Ok(answer)
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn insert(
        &self,
        operation: &Operation,
        picture: Option<&Bytes>,
    ) -> Result<(), StoreError> {
        let source = &operation.source;
        let position = operation.position.map(|at| at.to_string());
        self.run(INSERT, &|| {
            vec![
                id_value(operation.id),
                row::request_text(&operation.request).into(),
                source.format.name().into(),
                source.width.into(),
                source.height.into(),
                source.bytes.into(),
                source.digest.to_string().into(),
                position.clone().into(),
                time_value(operation.queued_at),
                operation.expires_at.map(time_value).into(),
                picture.map(|bytes| bytes.to_vec()).into(),
                row::request_text(&operation.request).into(),
                source.digest.to_string().into(),
                position.clone().into(),
            ]
        })
        .await?;
        Ok(())
    }

    /// Writes the result of an operation whose status is one of `statuses`, and, when there is
    /// one, the request it answers. Says whether there was such an operation.
    async fn put_result(
        &self,
        id: OperationId,
        statuses: &str,
        request: Option<&ResizeRequest>,
        picture: &FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let facts = &picture.facts;
        let sql = format!(
            "UPDATE pictures
             SET status = 'done', request = COALESCE(?, request), result_format = ?,
                 result_width = ?, result_height = ?, result_bytes = ?, result_digest = ?,
                 fingerprint = ?, engine = ?, finished_at = ?, result = ?
             WHERE id = ? AND status IN ({statuses})"
        );
        let answer = self
            .run(&sql, &|| {
                vec![
                    request.map(row::request_text).into(),
                    facts.format.name().into(),
                    facts.width.into(),
                    facts.height.into(),
                    facts.bytes.into(),
                    facts.digest.to_string().into(),
                    picture
                        .fingerprint
                        .map(|print| print.0.cast_signed())
                        .into(),
                    picture.engine.into(),
                    time_value(now),
                    picture.bytes.to_vec().into(),
                    id_value(id),
                ]
            })
            .await?;
        Ok(answer.matched > 0)
    }

    /// The picture in the first column of the only row.
    async fn picture(&self, sql: &str, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        let answer = self.run(sql, &|| vec![id_value(id)]).await?;
        let picture = answer.rows.into_iter().next().map(|mut row| {
            row.take_opt::<Option<Vec<u8>>, _>(0)
                .and_then(Result::ok)
                .flatten()
        });
        Ok(picture.flatten().map(Bytes::from))
    }
}

#[async_trait]
impl PictureStore for MysqlStore {
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError> {
        self.insert(operation, None).await
    }

    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let mut row = self.find(operation.id).await?;
        if row.is_none() {
            self.insert(operation, None).await?;
            row = self.find(operation.id).await?;
        }
        match row {
            Some(row) if !row.asks_the_same_as(operation) => return Ok(Begun::Taken),
            Some(row) if row.status.is_final() => return Ok(Begun::Finished),
            _ => {}
        }
        let answer = self
            .run(BEGIN, &|| {
                vec![
                    worker.into(),
                    time_value(now),
                    operation.position.map(|at| at.to_string()).into(),
                    operation.expires_at.map(time_value).into(),
                    id_value(operation.id),
                ]
            })
            .await?;
        let attempt = answer.last_insert_id.filter(|_| answer.matched > 0);
        Ok(match attempt {
            Some(attempt) => Begun::Attempt(u32::try_from(attempt).unwrap_or(u32::MAX)),
            // Finished by someone else since it was looked at.
            None => Begun::Finished,
        })
    }

    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.put_result(id, "'queued', 'processing'", None, &picture, now)
            .await
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let answer = self
            .run(
                "UPDATE pictures
                 SET status = 'failed', failure = ?, engine = ?, finished_at = ?
                 WHERE id = ? AND status IN ('queued', 'processing')",
                &|| vec![reason.into(), engine.into(), time_value(now), id_value(id)],
            )
            .await?;
        Ok(answer.matched > 0)
    }

    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError> {
        let answer = self.run(&select("id = ?"), &|| vec![id_value(id)]).await?;
        answer.rows.first().map(row::operation).transpose()
    }

    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture("SELECT result FROM pictures WHERE id = ?", id)
            .await
    }

    async fn deposit(&self, operation: &Operation, picture: Bytes) -> Result<(), StoreError> {
        // In this order: a row that the sweep discards in between is added again.
        let renewed = self.run(RENEW_DEPOSIT, &|| {
            vec![
                time_value(operation.queued_at),
                operation.expires_at.map(time_value).into(),
                id_value(operation.id),
                row::request_text(&operation.request).into(),
                operation.source.digest.to_string().into(),
            ]
        });
        if renewed.await?.matched > 0 {
            return Ok(());
        }
        self.insert(operation, Some(&picture)).await
    }

    async fn withdraw(&self, id: OperationId) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM pictures
             WHERE id = ? AND status IN ('queued', 'expired') AND position IS NULL",
            &|| vec![id_value(id)],
        )
        .await?;
        Ok(())
    }

    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError> {
        self.picture(
            "SELECT source FROM pictures WHERE id = ? AND LENGTH(source) > 0",
            id,
        )
        .await
    }

    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM pictures WHERE id = ? AND source IS NOT NULL";
        let answer = self.run(sql, &|| vec![id_value(id)]).await?;
        Ok(!answer.rows.is_empty())
    }

    async fn twin(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError> {
        let sql = select(
            "source_digest = ? AND request = ? AND engine = ? AND id <> ?
                 AND status = 'done' AND result IS NOT NULL
             ORDER BY queued_at DESC LIMIT 1",
        );
        let answer = self
            .run(&sql, &|| {
                vec![
                    operation.source.digest.to_string().into(),
                    row::request_text(&operation.request).into(),
                    engine.into(),
                    id_value(operation.id),
                ]
            })
            .await?;
        let twin = answer.rows.first().map(row::operation).transpose()?;
        Ok(twin.map(|twin| twin.id))
    }

    async fn copy_result(
        &self,
        id: OperationId,
        twin: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let answer = self
            .run(
                "UPDATE pictures AS mine JOIN pictures AS twin ON twin.id = ?
                 SET mine.status = 'done', mine.result_format = twin.result_format,
                     mine.result_width = twin.result_width,
                     mine.result_height = twin.result_height,
                     mine.result_bytes = twin.result_bytes,
                     mine.result_digest = twin.result_digest,
                     mine.fingerprint = twin.fingerprint, mine.engine = twin.engine,
                     mine.result = twin.result, mine.finished_at = ?
                 WHERE mine.id = ? AND mine.status IN ('queued', 'processing')
                     AND twin.status = 'done' AND twin.result IS NOT NULL",
                &|| vec![id_value(twin), time_value(now), id_value(id)],
            )
            .await?;
        Ok(answer.matched > 0)
    }

    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeRequest,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.put_result(id, "'done'", Some(request), &picture, now)
            .await
    }

    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError> {
        let answer = self
            .run(
                "UPDATE pictures
                 SET status = 'queued', failure = NULL, attempts = 0, worker = NULL, engine = NULL,
                     started_at = NULL, finished_at = NULL
                 WHERE id = ? AND status = 'failed'",
                &|| vec![id_value(id)],
            )
            .await?;
        Ok(answer.matched > 0)
    }

    async fn with_digest(&self, digest: Digest, page: Page) -> Result<Vec<Operation>, StoreError> {
        // As far as the page reaches, from each index, which has the newest last.
        let newest = |digest| {
            format!(
                "(SELECT id AS found FROM pictures
                  WHERE {digest} = ? AND status NOT IN ('expired', 'erased')
                  ORDER BY queued_at DESC, id DESC LIMIT ?)"
            )
        };
        let sql = format!(
            "SELECT {OPERATION_COLUMNS} FROM ({} UNION {}) AS newest
                 JOIN pictures ON pictures.id = newest.found
             ORDER BY queued_at DESC, id DESC LIMIT ? OFFSET ?",
            newest("source_digest"),
            newest("result_digest")
        );
        let answer = self
            .run(&sql, &|| {
                let digest = digest.to_string();
                let reach = u64::from(page.skip) + u64::from(page.take);
                vec![
                    digest.clone().into(),
                    reach.into(),
                    digest.into(),
                    reach.into(),
                    page.take.into(),
                    page.skip.into(),
                ]
            })
            .await?;
        answer.rows.iter().map(row::operation).collect()
    }

    async fn similar(
        &self,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError> {
        // Stories are read only for the rows of the answer.
        let candidates = row::candidates("id");
        let sql = format!(
            "SELECT distance, {OPERATION_COLUMNS}
             FROM (SELECT candidates.id AS found, candidates.queued_at AS at,
                       BIT_COUNT(candidates.fingerprint ^ CAST(? AS SIGNED)) AS distance
                   FROM ({candidates}) AS candidates
                       STRAIGHT_JOIN pictures AS other ON other.id = candidates.id
                   WHERE BIT_COUNT(candidates.fingerprint ^ CAST(? AS SIGNED)) <= ?
                       AND other.source_digest <> ? AND NOT other.result_digest <=> ?
                   ORDER BY distance, at DESC, found DESC LIMIT ? OFFSET ?) AS near
                 JOIN pictures ON pictures.id = near.found
             ORDER BY distance, queued_at DESC, id DESC"
        );
        let bits = fingerprint.0.cast_signed();
        let answer = self
            .run(&sql, &|| {
                let mut values: Vec<Value> = vec![bits.into()];
                values.extend(row::probes(fingerprint).map(Value::from));
                values.extend([
                    bits.into(),
                    distance.into(),
                    except.to_string().into(),
                    except.to_string().into(),
                    page.take.into(),
                    page.skip.into(),
                ]);
                values
            })
            .await?;
        let near = answer.rows.iter().map(|row| {
            let operation = row::operation(row)?;
            let distance = column(row, "distance").map_err(|reason| StoreError::Corrupt {
                id: operation.id.to_string(),
                reason,
            })?;
            Ok((distance, operation))
        });
        near.collect()
    }

    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError> {
        let answer = self
            .run(
                "UPDATE pictures
                 SET status = 'expired', fingerprint = NULL, result = NULL,
                     source = IF(source IS NULL, NULL, '')
                 WHERE status IN ('queued', 'processing', 'done', 'failed') AND expires_at <= ?
                 LIMIT ?",
                &|| vec![time_value(now), most.into()],
            )
            .await?;
        Ok(answer.matched)
    }

    async fn forget(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let answer = self
            .run(FORGET, &|| vec![time_value(before), most.into()])
            .await?;
        Ok(answer.matched)
    }

    async fn has_lost_deposits(&self, before: Timestamp) -> Result<bool, StoreError> {
        let sql = format!("SELECT id FROM pictures WHERE {LOST_DEPOSIT} LIMIT 1");
        let answer = self.run(&sql, &|| vec![time_value(before)]).await?;
        Ok(!answer.rows.is_empty())
    }

    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let sql = format!("DELETE FROM pictures WHERE {LOST_DEPOSIT} LIMIT ?");
        let answer = self
            .run(&sql, &|| vec![time_value(before), most.into()])
            .await?;
        Ok(answer.matched)
    }

    async fn erase(&self, id: OperationId, now: Timestamp) -> Result<bool, StoreError> {
        let answer = self
            .run(
                "UPDATE pictures
                 SET expires_at = IF(status = 'erased', expires_at, ?), status = 'erased',
                     fingerprint = NULL, result = NULL, source = IF(source IS NULL, NULL, '')
                 WHERE id = ?",
                &|| vec![time_value(now), id_value(id)],
            )
            .await?;
        Ok(answer.matched > 0)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run("SELECT id FROM pictures LIMIT 1", &Vec::new)
            .await?;
        Ok(())
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
async fn connect(options: &MysqlOptions, database: Option<&str>) -> Result<Conn, StoreError> {
    let connection = Conn::new(options.driver(database)?);
    tokio::time::timeout(CONNECT_LIMIT, connection)
        .await
        .map_err(|_| options.too_slow("connecting", CONNECT_LIMIT))?
        .map_err(|error| options.explain(error))
}

/// Selects the stories of the rows for which `condition` holds.
fn select(condition: &str) -> String {
    format!("SELECT {OPERATION_COLUMNS} FROM pictures WHERE {condition}")
}

fn id_value(id: OperationId) -> Value {
    id.to_string().into()
}

/// A `DATETIME(3)` in UTC. What is finer than milliseconds is cut off, the server would round it.
fn time_value(time: Timestamp) -> Value {
    let time = TimeZone::UTC.to_datetime(time);
    Value::Date(
        time.year().max(0).cast_unsigned(),
        time.month().cast_unsigned(),
        time.day().cast_unsigned(),
        time.hour().cast_unsigned(),
        time.minute().cast_unsigned(),
        time.second().cast_unsigned(),
        u32::from(time.millisecond().cast_unsigned()) * 1000,
    )
}

impl Columns for Row {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        column(self, name)
    }

    fn number(&self, name: &str) -> Result<Option<i64>, String> {
        column(self, name)
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let time = match column(self, name)? {
            Value::NULL => return Ok(None),
            Value::Date(year, month, day, hour, minute, second, micros) => DateTime::new(
                year.cast_signed(),
                month.cast_signed(),
                day.cast_signed(),
                hour.cast_signed(),
                minute.cast_signed(),
                second.cast_signed(),
                micros.cast_signed() * 1000,
            ),
            other => return Err(format!("{other:?} is not a time")),
        };
        time.and_then(|time| TimeZone::UTC.to_timestamp(time))
            .map(Some)
            .map_err(|error| error.to_string())
    }
}

fn column<T: mysql_async::prelude::FromValue>(row: &Row, name: &str) -> Result<T, String> {
    row.get_opt(name)
        .ok_or("there is no such column")?
        .map_err(|error| error.to_string())
}
