//! Brings the database to the schema that this program knows.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, ServerError};

use super::super::StoreError;
use super::options::MysqlOptions;
use super::store::connect;
use crate::operation::Digest;

/// The scripts, in order: each brings the table from the version before to its own.
const SCRIPTS: &[(&str, &str)] = &[(
    "sql/0001_pictures.sql",
    include_str!("../../../sql/0001_pictures.sql"),
)];
/// What the table's comment begins with; the version follows.
const COMMENT: &str = "picresize schema ";
/// How long a migration waits for another one to end.
const LOCK_SECONDS: u32 = 60;

/// See [`MysqlStore::migrate`](super::MysqlStore::migrate).
pub(super) async fn migrate(options: &MysqlOptions) -> Result<Vec<String>, StoreError> {
    let mut connection = connect(options, None).await?;
    lock(options, &mut connection).await?;
    let mut report = vec![use_database(options, &mut connection).await?];
    report.extend(run_scripts(options, &mut connection).await?);
    report.push(check_packet(options, &mut connection).await?);
    // The lock goes with the connection.
    connection
        .disconnect()
        .await
        .map_err(|error| options.explain(error))?;
    Ok(report)
}

/// Takes the lock that keeps other migrations of this database out.
async fn lock(options: &MysqlOptions, connection: &mut Conn) -> Result<(), StoreError> {
    // A lock's name has 64 characters at the most, as a database's may have.
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
        "another migration of the database {} has not ended in {LOCK_SECONDS} s",
        options.database
    ))))
}

async fn use_database(options: &MysqlOptions, connection: &mut Conn) -> Result<String, StoreError> {
    let name = format!("`{}`", options.database.replace('`', "``"));
    let database = &options.database;
    match connection.query_drop(format!("USE {name}")).await {
        Ok(()) => return Ok(format!("database {database}: there already")),
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
                "there is no database {database}, and the user {} may not make it: run `CREATE \
                 DATABASE {name}` as an administrator, or name one with mysql.migration_user",
                options.user
            )));
        }
        made => made.map_err(|error| options.explain(error))?,
    }
    connection
        .query_drop(format!("USE {name}"))
        .await
        .map_err(|error| options.explain(error))?;
    Ok(format!("database {database}: made"))
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
            "table pictures: schema {found}, there already"
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
                        "the user {} may not make or alter the table {}.pictures: name another \
                         with mysql.migration_user, or run {name} as an administrator ({})",
                        options.user, options.database, refusal.message
                    ))
                }
                _ => options.explain(error),
            })?;
        report.push(format!("table pictures: schema {}, by {name}", index + 1));
    }
    Ok(report)
}

/// `ER_DBACCESS_DENIED_ERROR`, `ER_TABLEACCESS_DENIED_ERROR`
const DENIED: [u16; 2] = [1044, 1142];

/// What is known of the table by its comment.
enum Schema {
    None,
    Version(usize),
    /// The table of someone else.
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
        "the table {}.pictures was made by a newer picresize (schema {version}, this one knows \
         {}): install that version here",
        options.database,
        SCRIPTS.len()
    ))
}

fn foreign(options: &MysqlOptions, comment: &str) -> StoreError {
    StoreError::Misconfigured(format!(
        "the table {}.pictures is not one of picresize, whose comment would be \"{COMMENT}{}\" and \
         is {comment:?}: name another database with mysql.database",
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
            "the table {database}.pictures has schema {version}, and {} is needed: run `picresize \
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

/// Checks that the server takes the largest picture.
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
