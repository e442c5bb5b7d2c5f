//! The picture table on a MySQL or MariaDB server.
//!
//! Every statement is independent: there are no transactions, so no locks are held while the server
//! waits for this program. Its `WHERE` clause limits what a statement may change.

use std::sync::Mutex;

use mysql_async::Pool;
use mysql_async::prelude::Queryable;

pub use self::options::{MysqlOptions, TlsMode};
pub use self::store::MysqlStore;
use self::store::connect;
use super::{StoreError, sql};

mod deposits;
mod lookup;
mod migrate;
mod operations;
mod options;
mod playback;
mod retention;
mod store;
mod values;

impl MysqlStore {
    /// Connects, and checks the server, the database, the table and the user's rights.
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
        for sql in [
            operations::insert(),
            operations::BEGIN.to_owned(),
            retention::FORGET.to_owned(),
            sql::select("id = ?"),
        ] {
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
