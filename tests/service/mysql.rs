//! Tests the table on MySQL and MariaDB: its migration, and the errors when something is wrong.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use picresize::operation::OperationId;
use picresize::picture_store::mysql::{MysqlOptions, MysqlStore, TlsMode};
use picresize::picture_store::{OperationStore, RetentionStore, StoreError};

use crate::support::{MARIADB, MYSQL, PATIENCE, address};

const SCRIPTS: [&str; 3] = [
    include_str!("../../sql/0001_pictures.sql"),
    include_str!("../../sql/0002_position.sql"),
    include_str!("../../sql/0003_tenant.sql"),
];

/// The servers on which all tests of this file run.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    Mysql,
    MariaDb,
}

impl Server {
    fn address(self) -> Option<Opts> {
        let address = match self {
            Self::Mysql => address(MYSQL, "MySQL"),
            Self::MariaDb => address(MARIADB, "MariaDB"),
        };
        Some(Opts::from_url(&address?).unwrap())
    }
}

/// A database and a user with a random name; both are removed when this is dropped.
pub(crate) struct TestDatabase {
    administrator: Opts,
    pub options: MysqlOptions,
}

impl TestDatabase {
    /// An empty database, if the server is available.
    pub(crate) fn empty(server: Server) -> Option<Self> {
        let address = server.address()?;
        let name = OperationId::generate().to_string().replace('-', "");
        let options = MysqlOptions {
            host: address.ip_or_hostname().to_owned(),
            port: address.tcp_port(),
            database: format!("test_{name}"),
            user: address.user().unwrap().to_owned(),
            password: address.pass().unwrap().into(),
            tls: TlsMode::Off,
            ca_file: None,
            connections: 4,
            max_picture_bytes: 64 << 20,
        };
        let administrator = OptsBuilder::from_opts(address).prefer_socket(false);
        Some(Self {
            administrator: administrator.into(),
            options,
        })
    }

    /// A database with the table, and a user with the four rights on it.
    pub(crate) async fn prepared(server: Server) -> Option<Self> {
        let mut database = Self::empty(server)?;
        MysqlStore::migrate(&database.options).await.unwrap();
        database
            .use_a_user_with("SELECT, INSERT, UPDATE, DELETE")
            .await;
        Some(database)
    }

    async fn use_a_user_with(&mut self, rights: &str) {
        let database = self.options.database.clone();
        let user = format!("u{}", &database[database.len() - 24..]);
        self.run(&format!("CREATE USER {user} IDENTIFIED BY 'pass word'"))
            .await;
        self.run(&format!("GRANT {rights} ON {database}.pictures TO {user}"))
            .await;
        self.options.user = user;
        self.options.password = "pass word".into();
    }

    pub(crate) async fn open(&self) -> Result<MysqlStore, StoreError> {
        MysqlStore::open(self.options.clone()).await
    }

    async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        MysqlStore::migrate(&self.options).await
    }

    /// Runs a statement as the administrator.
    async fn run(&self, sql: &str) {
        let mut connection = Conn::new(self.administrator.clone()).await.unwrap();
        connection.query_drop(sql).await.unwrap();
        connection.disconnect().await.unwrap();
    }

    /// Runs a script by hand, as an operator may do.
    async fn paste(&self, script: &str) {
        let database = &self.options.database;
        self.run(&format!(
            "CREATE DATABASE {database}; USE {database}; {script}"
        ))
        .await;
    }

    /// The error of `open`, which says what to do.
    async fn refusal(&self) -> String {
        match self.open().await {
            Err(StoreError::Misconfigured(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let administrator = self.administrator.clone();
        let database = self.options.database.clone();
        let user = format!("u{}", &database[database.len() - 24..]);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut connection = Conn::new(administrator).await.unwrap();
                for sql in [
                    format!("DROP DATABASE IF EXISTS {database}"),
                    format!("DROP USER IF EXISTS {user}"),
                ] {
                    connection.query_drop(sql).await.unwrap();
                }
            });
        });
        let _ = thread.join();
    }
}

/// Runs the tests on each server that is available.
macro_rules! on_each_server {
    ($($test:ident)*) => {
        on_each_server!(@on_mysql Mysql $($test)*);
        on_each_server!(@on_mariadb MariaDb $($test)*);
    };
    (@$place:ident $server:ident $($test:ident)*) => {
        mod $place {
            use super::{Server, TestDatabase, promises};
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    if let Some(database) = TestDatabase::empty(Server::$server) {
                        promises::$test(database).await;
                    }
                }
            )*
        }
    };
}

on_each_server! {
    an_empty_server_is_prepared_once
    two_migrations_at_once_both_end_well
    pasted_scripts_agree_with_migrate
    an_older_table_is_brought_up_to_date
    a_newer_table_is_left_alone
    the_table_of_someone_else_is_left_alone
    a_user_with_four_rights_is_enough
    a_user_with_fewer_rights_is_told
    a_wrong_password_is_told
    a_missing_database_is_told
    a_missing_table_is_told
    a_packet_that_is_too_small_is_told
    a_server_that_is_not_there_may_come
    a_server_that_stops_answering_is_given_up
    connections_can_be_encrypted
    locks_are_waited_for
    tables_answer_by_their_indexes
}

mod faults;

mod promises {
    use super::*;

    pub(super) async fn an_empty_server_is_prepared_once(database: TestDatabase) {
        let first = database.migrate().await.unwrap();
        assert!(first[0].ends_with("created"), "{first:?}");
        assert!(first[1].ends_with("by sql/0001_pictures.sql"), "{first:?}");
        assert!(first[2].ends_with("by sql/0002_position.sql"), "{first:?}");
        assert!(first[3].ends_with("by sql/0003_tenant.sql"), "{first:?}");
        database.open().await.unwrap();
        let second = database.migrate().await.unwrap();
        assert!(second[0].ends_with("already there"), "{second:?}");
        assert!(second[1].ends_with("already there"), "{second:?}");
    }

    pub(super) async fn two_migrations_at_once_both_end_well(database: TestDatabase) {
        let reports = tokio::join!(database.migrate(), database.migrate(), database.migrate());
        let reports = [reports.0, reports.1, reports.2].map(Result::unwrap);
        let makers = reports
            .iter()
            .filter(|report| report[1].contains("by sql/0001"));
        assert_eq!(makers.count(), 1, "{reports:?}");
        database.open().await.unwrap();
    }

    pub(super) async fn pasted_scripts_agree_with_migrate(database: TestDatabase) {
        database.paste(&SCRIPTS.concat()).await;
        database.open().await.unwrap();
        let report = database.migrate().await.unwrap();
        assert!(report[1].ends_with("already there"), "{report:?}");
    }

    pub(super) async fn an_older_table_is_brought_up_to_date(database: TestDatabase) {
        database.paste(SCRIPTS[0]).await;
        let refusal = database.refusal().await;
        assert!(refusal.contains("has schema 1, but 3"), "{refusal}");
        let report = database.migrate().await.unwrap();
        assert!(
            report[1].ends_with("changed by sql/0002_position.sql"),
            "{report:?}"
        );
        database.open().await.unwrap();
    }

    pub(super) async fn a_newer_table_is_left_alone(database: TestDatabase) {
        database
            .paste("CREATE TABLE pictures (id INT) COMMENT = 'picresize schema 99'")
            .await;
        for refusal in [
            database.refusal().await,
            database.migrate().await.unwrap_err().to_string(),
        ] {
            assert!(refusal.contains("newer picresize"), "{refusal}");
            assert!(refusal.contains("schema 99"), "{refusal}");
        }
    }

    pub(super) async fn the_table_of_someone_else_is_left_alone(database: TestDatabase) {
        database
            .paste("CREATE TABLE pictures (id INT) COMMENT = 'holidays'")
            .await;
        for refusal in [
            database.refusal().await,
            database.migrate().await.unwrap_err().to_string(),
        ] {
            assert!(refusal.contains("\"holidays\""), "{refusal}");
            assert!(refusal.contains("mysql.database"), "{refusal}");
        }
    }

    pub(super) async fn a_user_with_four_rights_is_enough(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        database
            .use_a_user_with("SELECT, INSERT, UPDATE, DELETE")
            .await;
        database.open().await.unwrap().ping().await.unwrap();
        // The migration finds nothing to do.
        database.migrate().await.unwrap();
    }

    pub(super) async fn a_user_with_fewer_rights_is_told(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        database.use_a_user_with("SELECT, INSERT, UPDATE").await;
        let refusal = database.refusal().await;
        assert!(
            refusal.contains("grant it SELECT, INSERT, UPDATE and DELETE"),
            "{refusal}"
        );
    }

    pub(super) async fn a_wrong_password_is_told(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        database.options.password = "wrong".into();
        let refusal = database.refusal().await;
        assert!(refusal.contains("check mysql.user and"), "{refusal}");
        assert!(database.migrate().await.is_err());
    }

    pub(super) async fn a_missing_database_is_told(mut database: TestDatabase) {
        let refusal = database.refusal().await;
        assert!(refusal.contains("run `picresize migrate`"), "{refusal}");
        // A user who may not create it.
        database.migrate().await.unwrap();
        database.use_a_user_with("SELECT").await;
        let name = database.options.database.clone();
        database.options.database = format!("{name}_other");
        let refusal = database.migrate().await.unwrap_err().to_string();
        assert!(refusal.contains(&database.options.database), "{refusal}");
        assert!(
            refusal.contains("mysql.migration_user") || refusal.contains("grant"),
            "{refusal}"
        );
        database.options.database = name;
    }

    pub(super) async fn a_missing_table_is_told(database: TestDatabase) {
        database.paste("").await;
        let refusal = database.refusal().await;
        assert!(refusal.contains("no table pictures"), "{refusal}");
        assert!(refusal.contains("run `picresize migrate`"), "{refusal}");
        // A database that is dropped later.
        database.migrate().await.unwrap();
        let store = database.open().await.unwrap();
        let name = &database.options.database;
        database.run(&format!("DROP TABLE {name}.pictures")).await;
        let error = store.ping().await.unwrap_err();
        assert!(matches!(error, StoreError::Misconfigured(_)), "{error:?}");
    }

    pub(super) async fn a_packet_that_is_too_small_is_told(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        database.options.max_picture_bytes = 900 << 20;
        for refusal in [
            database.refusal().await,
            database.migrate().await.unwrap_err().to_string(),
        ] {
            assert!(
                refusal.contains("max_allowed_packet = 944766976"),
                "{refusal}"
            );
        }
        database.options.max_picture_bytes = 2_000_000_000;
        let refusal = database.refusal().await;
        assert!(refusal.contains("limits.max_result_bytes"), "{refusal}");
    }

    pub(super) async fn a_server_that_is_not_there_may_come(mut database: TestDatabase) {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = std::mem::replace(
            &mut database.options.port,
            unused.local_addr().unwrap().port(),
        );
        drop(unused);
        let error = database.open().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
        database.options.port = port;
    }

    pub(super) async fn a_server_that_stops_answering_is_given_up(mut database: TestDatabase) {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = std::mem::replace(
            &mut database.options.port,
            silent.local_addr().unwrap().port(),
        );
        let began = Instant::now();
        let error = database.open().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(began.elapsed() < PATIENCE / 2);
        database.options.port = port;
    }

    pub(super) async fn connections_can_be_encrypted(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        database.options.tls = TlsMode::Required;
        match database.open().await {
            Ok(store) => store.ping().await.unwrap(),
            // This server has no certificate.
            Err(StoreError::Misconfigured(sentence)) => {
                assert!(sentence.contains("does not offer TLS"), "{sentence}");
                return;
            }
            Err(other) => panic!("{other:?}"),
        }
        // The server's own certificate is not signed by a known authority.
        database.options.tls = TlsMode::Verified;
        let refusal = database.refusal().await;
        assert!(refusal.contains("mysql.ca_file"), "{refusal}");
        let not_pem = tempfile::NamedTempFile::new().unwrap();
        database.options.ca_file = Some(not_pem.path().to_owned());
        let refusal = database.refusal().await;
        assert!(refusal.contains("contains no PEM certificate"), "{refusal}");
    }

    /// Another connection's lock on the row is released before the statement gives up.
    pub(super) async fn locks_are_waited_for(database: TestDatabase) {
        database.migrate().await.unwrap();
        let store = database.open().await.unwrap();
        let operation = crate::contract::store::queued("100");
        store.enqueue(&operation).await.unwrap();
        let mut other = Conn::new(database.administrator.clone()).await.unwrap();
        other
            .query_drop(format!(
                "USE {}; BEGIN; SELECT id FROM pictures FOR UPDATE",
                database.options.database
            ))
            .await
            .unwrap();
        let erase = tokio::spawn(async move {
            let erased = store.erase(operation.id, jiff::Timestamp::now()).await;
            erased.unwrap()
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!erase.is_finished());
        other.query_drop("COMMIT").await.unwrap();
        assert!(erase.await.unwrap());
        other.disconnect().await.unwrap();
    }

    /// Answers from an empty table show nothing, so the query plans are checked.
    pub(super) async fn tables_answer_by_their_indexes(database: TestDatabase) {
        database.migrate().await.unwrap();
        let mut connection = Conn::new(database.administrator.clone()).await.unwrap();
        let database = &database.options.database;
        connection
            .query_drop(format!("USE {database}"))
            .await
            .unwrap();
        // Enough rows to make reading all of them expensive.
        connection
            .query_drop(
                "INSERT INTO pictures (id, status, request, source_format, source_width,
                     source_height, source_bytes, source_digest, fingerprint, position, queued_at,
                     expires_at)
                 SELECT UUID(), IF(RAND() < 0.5, 'done', 'queued'), '[]', 'png', 1, 1, 1,
                     SHA2(UUID(), 256),
                     CONV(SUBSTR(SHA2(UUID(), 256), 1, 15), 16, 10), '1:1', NOW(3),
                     NOW(3) + INTERVAL 1 DAY
                 FROM information_schema.columns LIMIT 2000",
            )
            .await
            .unwrap();
        connection
            .query_drop("ANALYZE TABLE pictures")
            .await
            .unwrap();
        for (condition, parameter, index) in [
            ("id = ?", "x", "PRIMARY"),
            ("source_digest = ?", "x", "pictures_source"),
            ("result_digest = ?", "x", "pictures_result"),
            ("band2 IN (?, 7)", "9", "pictures_band2"),
            (
                "status IN ('expired', 'erased') AND expires_at < ?",
                "2020-01-01",
                "pictures_expiry",
            ),
            (
                "status IN ('queued', 'processing', 'done', 'failed') AND expires_at <= ?",
                "2020-01-01",
                "pictures_expiry",
            ),
            (
                "status = 'queued' AND position IS NULL AND source IS NOT NULL AND queued_at < ?",
                "2020-01-01",
                "pictures_position",
            ),
        ] {
            let sql = format!(
                "EXPLAIN FORMAT=TRADITIONAL SELECT fingerprint, queued_at FROM pictures WHERE \
                 {condition}"
            );
            let plan: Vec<mysql_async::Row> = connection.exec(sql, (parameter,)).await.unwrap();
            let key: Option<String> = plan[0].get("key").unwrap();
            assert!(
                key.as_deref() == Some(index) || key.is_none() && condition.starts_with("id"),
                "{condition}: {key:?}"
            );
        }
        connection.disconnect().await.unwrap();
    }
}
