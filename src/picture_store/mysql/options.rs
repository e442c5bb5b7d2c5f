//! How to connect to the MySQL server, and what its errors mean to the operator.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mysql_async::{DriverError, IoError, Opts, OptsBuilder, ServerError, SslOpts};
use secrecy::{ExposeSecret, SecretString};

use super::super::StoreError;
use super::faults;

/// After this much idle time, TCP checks that the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps: more than there are.
const STATEMENTS: usize = 64;

const MIB: u64 = 1 << 20;
/// The largest possible `max_allowed_packet`.
const LARGEST_PACKET: u64 = 1 << 30;

/// A MySQL server, with the user and the database.
#[derive(Clone, Debug)]
pub struct MysqlOptions {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: SecretString,
    pub tls: TlsMode,
    /// PEM; trusted in addition to the system's certificates.
    pub ca_file: Option<PathBuf>,
    /// The most connections.
    pub connections: usize,
    /// The largest picture that must fit into a row.
    pub max_picture_bytes: u64,
}

/// Whether connections use TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    /// Encrypted, without checking the server's certificate.
    Required,
    /// Encrypted, with a certificate of a known authority for this host.
    Verified,
}

impl MysqlOptions {
    /// The server's name in messages.
    pub(super) fn server(&self) -> String {
        format!("MySQL at {}:{}", self.host, self.port)
    }

    /// The options of the driver, with or without a database. Statements wait for locks until
    /// `patience`, in whole seconds, is over.
    pub(super) fn driver(
        &self,
        database: Option<&str>,
        patience: Duration,
    ) -> Result<Opts, StoreError> {
        let seconds = patience.as_secs();
        let locks = format!("innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}");
        let options = OptsBuilder::default()
            .ip_or_hostname(&self.host)
            .tcp_port(self.port)
            .user(Some(&self.user))
            .pass(Some(self.password.expose_secret()))
            .db_name(database)
            .ssl_opts(self.tls_options()?)
            .tcp_keepalive(Some(KEEPALIVE))
            .prefer_socket(false)
            // Count the rows that matched, even if they did not change.
            .client_found_rows(true)
            .stmt_cache_size(STATEMENTS)
            .setup(vec![
                format!("SET SESSION sql_mode = 'TRADITIONAL', {locks}"),
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
            ]);
        Ok(options.into())
    }

    fn tls_options(&self) -> Result<Option<SslOpts>, StoreError> {
        let options = match self.tls {
            TlsMode::Off => return Ok(None),
            TlsMode::Required => SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
            TlsMode::Verified => SslOpts::default(),
        };
        let Some(path) = &self.ca_file else {
            return Ok(Some(options));
        };
        let unusable = |reason: &dyn fmt::Display| {
            StoreError::Misconfigured(format!(
                "the certificates in {} (mysql.ca_file) cannot be used: {reason}",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(unusable(&"the file contains no PEM certificate"));
        }
        Ok(Some(
            options.with_root_certs(vec![text.into_bytes().into()]),
        ))
    }

    /// Explains an error of the driver to the operator.
    pub(super) fn explain(&self, error: mysql_async::Error) -> StoreError {
        match &error {
            mysql_async::Error::Server(refusal) => match self.remedy(refusal) {
                Some(sentence) => StoreError::Misconfigured(format!(
                    "{sentence} ({} says: {})",
                    self.server(),
                    refusal.message
                )),
                None => match faults::sentence(refusal) {
                    Some(sentence) => {
                        let text = format!("{sentence} ({})", refusal.message);
                        self.unavailable(std::io::Error::other(text))
                    }
                    None => self.unavailable(refusal.clone()),
                },
            },
            mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                StoreError::Misconfigured(format!(
                    "{} does not offer TLS: enable it there, or set mysql.tls to off",
                    self.server()
                ))
            }
            mysql_async::Error::Driver(DriverError::PacketTooLarge) => self.packet_too_large(),
            mysql_async::Error::Driver(
                driver @ (DriverError::UnknownAuthPlugin { .. }
                | DriverError::MysqlOldPasswordDisabled
                | DriverError::CleartextPluginDisabled),
            ) => StoreError::Misconfigured(format!(
                "the user {} of {} uses an unsupported login method: use caching_sha2_password \
                 ({driver})",
                self.user,
                self.server()
            )),
            mysql_async::Error::Io(IoError::Tls(tls)) if is_about_trust(tls) => {
                StoreError::Misconfigured(format!(
                    "the certificate of {} is not trusted: set mysql.ca_file to its authority, \
                     and mysql.host to the host name in the certificate ({tls})",
                    self.server()
                ))
            }
            mysql_async::Error::Io(IoError::Io(io)) => {
                self.unavailable(std::io::Error::new(io.kind(), io.to_string()))
            }
            _ => self.unavailable(error),
        }
    }

    /// What to do about an error of the server that retrying does not fix.
    fn remedy(&self, error: &ServerError) -> Option<String> {
        let Self { database, user, .. } = self;
        Some(match error.code {
            // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
            1045 | 1698 => {
                format!("the user {user} is refused: check mysql.user and mysql.password")
            }
            // ER_HOST_NOT_PRIVILEGED
            1130 => format!(
                "the user {user} may not connect from this host: allow this host on \
                 the server"
            ),
            // ER_MUST_CHANGE_PASSWORD, its login variant, ER_ACCOUNT_HAS_BEEN_LOCKED
            1820 | 1862 | 3118 | 4151 => {
                format!(
                    "the account of {user} is locked, or its password expired: unlock or \
                     renew it on the server"
                )
            }
            // ER_SECURE_TRANSPORT_REQUIRED
            3159 => "only encrypted connections are accepted: set mysql.tls to required or \
                     verified"
                .to_owned(),
            // ER_DBACCESS_DENIED_ERROR
            1044 => format!(
                "the database {database} does not exist, or the user {user} may not use it: run \
                 `picresize migrate`, and grant {user} its rights on the database"
            ),
            // ER_BAD_DB_ERROR
            1049 => format!("the database {database} does not exist: run `picresize migrate`"),
            // ER_NO_SUCH_TABLE
            1146 => {
                format!("the database {database} has no table pictures: run `picresize migrate`")
            }
            // ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR
            1142 | 1143 => format!(
                "the user {user} lacks a right: grant it SELECT, INSERT, UPDATE and DELETE on \
                 {database}.pictures"
            ),
            // ER_SPECIFIC_ACCESS_DENIED_ERROR
            1227 => format!("the user {user} lacks a right"),
            // ER_BAD_FIELD_ERROR
            1054 => format!(
                "the table {database}.pictures does not have the schema that its comment says: \
                 check who changed it"
            ),
            _ => return None,
        })
    }

    /// The smallest `max_allowed_packet` for the largest picture, in whole MiB.
    pub(super) fn packet_bytes(&self) -> u64 {
        let mib = self.max_picture_bytes.div_ceil(MIB) + 1;
        mib.saturating_mul(MIB)
    }

    pub(super) fn packet_too_large(&self) -> StoreError {
        let needed = self.packet_bytes();
        if needed > LARGEST_PACKET {
            return StoreError::Misconfigured(format!(
                "no max_allowed_packet of {} is large enough for pictures of {} bytes: set \
                 limits.max_result_bytes and limits.max_picture_bytes to at most {}",
                self.server(),
                self.max_picture_bytes,
                LARGEST_PACKET - MIB
            ));
        }
        StoreError::Misconfigured(format!(
            "{} does not accept pictures of {} bytes: set max_allowed_packet = {needed} or more \
             in its section [mysqld] and restart it, or run `SET PERSIST max_allowed_packet = \
             {needed}` (MariaDB: SET GLOBAL)",
            self.server(),
            self.max_picture_bytes
        ))
    }

    pub(super) fn unavailable(&self, error: impl Error + Send + Sync + 'static) -> StoreError {
        StoreError::Unavailable(Box::new(Unavailable {
            server: self.server(),
            source: Box::new(error),
        }))
    }

    /// It took longer than `limit`.
    pub(super) fn too_slow(&self, what: &str, limit: Duration) -> StoreError {
        let text = format!("{what} took longer than {} s", limit.as_secs_f64());
        self.unavailable(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{server}: {source}")]
struct Unavailable {
    server: String,
    source: Box<dyn Error + Send + Sync>,
}

/// The TLS library reports a fault of a certificate only as text.
fn is_about_trust(error: &mysql_async::TlsError) -> bool {
    error.to_string().contains("certificate")
}
