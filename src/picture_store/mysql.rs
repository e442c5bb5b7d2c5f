//! The picture table on a MySQL or MariaDB server.
//!
//! Every statement stands for itself: there are no transactions, so nothing is locked while a
//! server waits for this program. What a statement may change is said in its `WHERE`.

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
}
