//! The picture table on a MySQL or MariaDB server.
//!
//! Every statement is independent: there are no transactions, so no locks are held while the server
//! waits for this program. Its `WHERE` clause limits what a statement may change.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::time::timeout;

use self::limits::SMALL;
pub use self::options::{MysqlOptions, TlsMode};
use self::pool::Pool;
use self::statements::Statements;
pub use self::store::MysqlStore;
use self::store::connect;
use super::{StoreError, sql};

mod breaker;
mod deposits;
mod faults;
mod limits;
mod lookup;
mod migrate;
mod operations;
mod options;
mod playback;
mod pool;
mod retention;
mod statements;
mod store;
mod values;

/// How long the checks of [`MysqlStore::open`] may take.
const CHECKS: Duration = Duration::from_secs(5);

impl MysqlStore {
    /// Connects, and checks the server, the database, the table and the user's rights.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the server can't be reached, else
    /// [`StoreError::Misconfigured`].
    pub async fn open(options: MysqlOptions) -> Result<Self, StoreError> {
        let statements = timeout(CHECKS, Self::check(&options))
            .await
            .map_err(|_| options.too_slow("checking the table", CHECKS))??;
        Ok(Self {
            pool: Pool::new(options)?,
            statements,
        })
    }

    async fn check(options: &MysqlOptions) -> Result<Statements, StoreError> {
        let explain = |error| options.explain(error);
        let mut connection = connect(options, Some(&options.database), SMALL).await?;
        migrate::check_schema(options, &mut connection).await?;
        let version: Option<String> = connection
            .query_first("SELECT VERSION()")
            .await
            .map_err(explain)?;
        let statements = Statements::of(&version.unwrap_or_default());
        // The server checks rights and columns.
        for sql in [
            statements.begin(),
            statements.insert(1).1,
            retention::FORGET,
            &sql::select("id = ?"),
        ] {
            connection.prep(sql).await.map_err(explain)?;
        }
        migrate::check_packet(options, &mut connection).await?;
        connection.disconnect().await.map_err(explain)?;
        Ok(statements)
    }

    /// Creates the database and the table, or brings the table to the schema of this program, as
    /// the user of the options. Waits for another migration of the same database. Returns one line
    /// for each thing that was done or was already right.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the server can't be reached, else
    /// [`StoreError::Misconfigured`]. Completed steps are kept, and are not repeated by the next
    /// call.
    pub async fn migrate(options: &MysqlOptions) -> Result<Vec<String>, StoreError> {
        migrate::migrate(options).await
    }
}
