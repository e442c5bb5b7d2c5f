//! Creates or updates the MySQL table, and checks its schema at the start.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, ServerError};

use super::super::StoreError;
use super::options::MysqlOptions;
use super::store::connect;
use crate::operation::Digest;

/// The scripts, in order: each brings the table from the previous version to its own.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "sql/0001_pictures.sql",
        include_str!("../../../sql/0001_pictures.sql"),
    ),
    (
        "sql/0002_position.sql",
        include_str!("../../../sql/0002_position.sql"),
    ),
    (
        "sql/0003_tenant.sql",
        include_str!("../../../sql/0003_tenant.sql"),
    ),
];
/// What the table's comment begins with; the version follows.
const COMMENT: &str = "picresize schema ";
/// How long a migration waits for another one.
const LOCK_SECONDS: u32 = 60;
/// How long a statement waits for the locks of others.
const PATIENCE: Duration = Duration::from_secs(10);

/// See [`MysqlStore::migrate`](super::MysqlStore::migrate).
pub(super) async fn migrate(options: &MysqlOptions) -> Result<Vec<String>, StoreError> {
    let mut connection = connect(options, None, PATIENCE).await?;
    lock(options, &mut connection).await?;
    let mut report = vec![use_database(options, &mut connection).await?];
    report.extend(run_scripts(options, &mut connection).await?);
    report.push(check_packet(options, &mut connection).await?);
    report.push(binary_log(options, &mut connection).await?);
    // The lock is released with the connection.
    connection
        .disconnect()
        .await
        .map_err(|error| options.explain(error))?;
    Ok(report)
}

/// Takes the lock that allows only one migration of this database at a time.
async fn lock(options: &MysqlOptions, connection: &mut Conn) -> Result<(), StoreError> {
    // The name of a lock may have at most 64 characters, like that of a database.
    let digest = Digest::of(options.database.as_bytes()).to_string();
    let name = format!("picresize-migrate-{}", &digest[..32]);
    let taken: Option<Option<u8>> = connection
        .exec_first("SELECT GET_LOCK(?, ?)", (name, LOCK_SECONDS))
        .await
        .map_err(|error| options.explain(error))?;
    if taken.flatten() == Some(1) {
        return Ok(());
    }
    Err(options.unavailable(std::io::Error::other(format!(
        "another migration of the database {} did not end within {LOCK_SECONDS} s",
        options.database
    ))))
}

async fn use_database(options: &MysqlOptions, connection: &mut Conn) -> Result<String, StoreError> {
    let name = format!("`{}`", options.database.replace('`', "``"));
    let database = &options.database;
    match connection.query_drop(format!("USE {name}")).await {
        Ok(()) => return Ok(format!("database {database}: already there")),
        Err(mysql_async::Error::Server(ServerError {
            code: NO_DATABASE, ..
        })) => {}
        Err(error) => return Err(options.explain(error)),
    }
    let made = connection
        .query_drop(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))
        .await;
    match made {
        Err(mysql_async::Error::Server(error)) if error.code == DATABASE_DENIED => {
            return Err(StoreError::Misconfigured(format!(
                "the database {database} does not exist, and the user {} may not create it: run \
                 `CREATE DATABASE {name}` as an administrator, or set mysql.migration_user to a \
                 user who may",
                options.user
            )));
        }
        made => made.map_err(|error| options.explain(error))?,
    }
    connection
        .query_drop(format!("USE {name}"))
        .await
        .map_err(|error| options.explain(error))?;
    Ok(format!("database {database}: created"))
}

/// `ER_BAD_DB_ERROR`
const NO_DATABASE: u16 = 1049;
/// `ER_DBACCESS_DENIED_ERROR`
const DATABASE_DENIED: u16 = 1044;

async fn run_scripts(
    options: &MysqlOptions,
    connection: &mut Conn,
) -> Result<Vec<String>, StoreError> {
    let found = match schema(options, connection).await? {
        Schema::None => 0,
        Schema::Version(version) if version > SCRIPTS.len() => {
            return Err(newer(options, version));
        }
        Schema::Version(version) => version,
        Schema::Foreign(comment) => return Err(foreign(options, &comment)),
    };
    if found == SCRIPTS.len() {
        return Ok(vec![format!(
            "table pictures: schema {found}, already there"
        )]);
    }
    let mut report = Vec::new();
    for (index, (name, script)) in SCRIPTS.iter().enumerate().skip(found) {
        connection
            .query_drop(*script)
            .await
            .map_err(|error| match &error {
                mysql_async::Error::Server(refusal) if DENIED.contains(&refusal.code) => {
                    StoreError::Misconfigured(format!(
                        "the user {} may not create or alter the table {}.pictures: set \
                         mysql.migration_user to a user who may, or run {name} as an \
                         administrator ({})",
                        options.user, options.database, refusal.message
                    ))
                }
                _ => options.explain(error),
            })?;
        let done = if index == 0 { "created" } else { "changed" };
        report.push(format!(
            "table pictures: schema {}, {done} by {name}",
            index + 1
        ));
    }
    Ok(report)
}

/// `ER_DBACCESS_DENIED_ERROR`, `ER_TABLEACCESS_DENIED_ERROR`
const DENIED: [u16; 2] = [1044, 1142];

/// The state of the table according to its comment.
enum Schema {
    None,
    Version(usize),
    /// A table of another program.
    Foreign(String),
}

async fn schema(options: &MysqlOptions, connection: &mut Conn) -> Result<Schema, StoreError> {
    let comment: Option<String> = connection
        .query_first(
            "SELECT table_comment FROM information_schema.tables
             WHERE table_schema = DATABASE() AND table_name = 'pictures'",
        )
        .await
        .map_err(|error| options.explain(error))?;
    let Some(comment) = comment else {
        return Ok(Schema::None);
    };
    let version = comment
        .strip_prefix(COMMENT)
        .and_then(|version| version.parse().ok());
    Ok(version.map_or(Schema::Foreign(comment), Schema::Version))
}

fn newer(options: &MysqlOptions, version: usize) -> StoreError {
    StoreError::Misconfigured(format!(
        "the table {}.pictures was created by a newer picresize (schema {version}; this version \
         knows {}): install that version",
        options.database,
        SCRIPTS.len()
    ))
}

fn foreign(options: &MysqlOptions, comment: &str) -> StoreError {
    StoreError::Misconfigured(format!(
        "the table {}.pictures does not belong to picresize: its comment should be \
         \"{COMMENT}{}\" but is {comment:?}; set mysql.database to another database",
        options.database,
        SCRIPTS.len()
    ))
}

/// Checks that the table has the schema that this program was written for.
pub(super) async fn check_schema(
    options: &MysqlOptions,
    connection: &mut Conn,
) -> Result<(), StoreError> {
    let database = &options.database;
    match schema(options, connection).await? {
        Schema::Version(version) if version == SCRIPTS.len() => Ok(()),
        Schema::Version(version) if version > SCRIPTS.len() => Err(newer(options, version)),
        Schema::Version(version) => Err(StoreError::Misconfigured(format!(
            "the table {database}.pictures has schema {version}, but {} is needed: run `picresize \
             migrate`",
            SCRIPTS.len()
        ))),
        Schema::Foreign(comment) => Err(foreign(options, &comment)),
        Schema::None => Err(StoreError::Misconfigured(format!(
            "the database {database} has no table pictures that the user {} may see: run \
             `picresize migrate`, and grant {} SELECT, INSERT, UPDATE and DELETE on \
             {database}.pictures",
            options.user, options.user
        ))),
    }
}

/// Checks that the server accepts the largest picture.
pub(super) async fn check_packet(
    options: &MysqlOptions,
    connection: &mut Conn,
) -> Result<String, StoreError> {
    let bytes: Option<u64> = connection
        .query_first("SELECT @@max_allowed_packet")
        .await
        .map_err(|error| options.explain(error))?;
    let bytes = bytes.unwrap_or_default();
    if bytes < options.packet_bytes() {
        return Err(options.packet_too_large());
    }
    Ok(format!(
        "max_allowed_packet: {bytes}, enough for pictures of {} bytes",
        options.max_picture_bytes
    ))
}

/// Says whether the binary log repeats the pictures of a row with each change of the row.
async fn binary_log(options: &MysqlOptions, connection: &mut Conn) -> Result<String, StoreError> {
    let found: Option<(bool, String)> = connection
        .query_first("SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_row_image")
        .await
        .map_err(|error| options.explain(error))?;
    Ok(match found {
        Some((true, image)) if image.eq_ignore_ascii_case("FULL") => {
            "binlog_row_image: FULL, so that the binary log repeats a row's pictures with each \
             change; to write them once, set it to NOBLOB, or grant picresize's user \
             SESSION_VARIABLES_ADMIN (MariaDB: BINLOG ADMIN) ON *.*"
                .to_owned()
        }
        Some((true, image)) => format!("binlog_row_image: {image}, pictures are written once"),
        _ => "binary log: off".to_owned(),
    })
}
