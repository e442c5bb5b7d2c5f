//! Each section of the settings with its defaults, in the order of `picresize.example.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

use super::text;
use crate::imaging;

const MIB: u64 = 1 << 20;

/// All settings, by section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub storage: Storage,
    pub data: Data,
    pub kafka: Kafka,
    pub mysql: Mysql,
    pub events: Events,
    pub retention: Retention,
    pub access: Access,
    pub quotas: Quotas,
    pub server: Server,
    pub limits: Limits,
    pub worker: Worker,
    pub lifecycle: Lifecycle,
    pub logs: Logs,
}

/// Where the log and the table are kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub log: LogKind,
    pub table: TableKind,
}

/// The kind of storage of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// A file of this process.
    #[default]
    Embedded,
    Kafka,
}

/// The kind of storage of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// A file of this process.
    #[default]
    Embedded,
    Mysql,
}

/// Where the embedded log and table live.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Created if it is missing; one process at a time owns it.
    #[serde(deserialize_with = "text::text")]
    pub folder: PathBuf,
    /// The service is not ready when the folder's disk has less free space; 0 for no check.
    pub min_free_mib: u64,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("picresize-data"),
            min_free_mib: 64,
        }
    }
}

/// The Kafka cluster that holds the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// `host:port` of some brokers, with commas between.
    #[serde(deserialize_with = "text::text")]
    pub bootstrap_servers: String,
    #[serde(deserialize_with = "text::text")]
    pub requests_topic: String,
    #[serde(deserialize_with = "text::text")]
    pub events_topic: String,
    #[serde(deserialize_with = "text::text")]
    pub dead_letters_topic: String,
    /// How `migrate` creates topics.
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub retention_hours: u64,
    /// Memory for events that were fetched but not yet handled.
    pub prefetch_mib: u64,
    /// How long storing an event may take before its request is refused with 503. A picture of more
    /// than 1 MiB gets a second more for each 8 MiB.
    pub append_timeout_ms: u64,
    /// Any other property of librdkafka, for producers and consumers. An underscore in a name
    /// stands for a dot. Some values are passwords, so no value is ever shown.
    #[serde(deserialize_with = "text::texts")]
    pub properties: BTreeMap<String, SecretString>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            requests_topic: "picresize.requests".to_owned(),
            events_topic: "picresize.events".to_owned(),
            dead_letters_topic: "picresize.dead-letters".to_owned(),
            partitions: 12,
            replication: 3,
            min_insync_replicas: 2,
            retention_hours: 7 * 24,
            prefetch_mib: 64,
            append_timeout_ms: 2000,
            properties: BTreeMap::new(),
        }
    }
}

/// The MySQL server that holds the table.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mysql {
    #[serde(deserialize_with = "text::text")]
    pub host: String,
    pub port: u16,
    #[serde(deserialize_with = "text::text")]
    pub database: String,
    #[serde(deserialize_with = "text::text")]
    pub user: String,
    #[serde(deserialize_with = "text::text")]
    pub password: SecretString,
    pub tls: Tls,
    /// A PEM file of authorities to trust besides the system's; empty for none.
    #[serde(deserialize_with = "text::text")]
    pub ca_file: PathBuf,
    /// The most connections of one process; one of them only checks the server.
    pub connections: usize,
    /// The user of `migrate`; empty for `user`.
    #[serde(deserialize_with = "text::text")]
    pub migration_user: String,
    #[serde(deserialize_with = "text::text")]
    pub migration_password: SecretString,
}

impl Default for Mysql {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3306,
            database: "picresize".to_owned(),
            user: "picresize".to_owned(),
            password: SecretString::default(),
            tls: Tls::default(),
            ca_file: PathBuf::new(),
            connections: 10,
            migration_user: String::new(),
            migration_password: SecretString::default(),
        }
    }
}

/// Whether connections use TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Off,
    /// Encrypted, without checking the server's certificate.
    Required,
    /// Encrypted, with a certificate of a known authority for this host.
    Verified,
}

/// How events carry pictures.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Events {
    pub model: EventModel,
}

/// How events carry pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventModel {
    /// The event holds the picture.
    #[default]
    Carried,
    /// The table holds the picture, and the event refers to it.
    ClaimCheck,
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// How long an operation's pictures are kept; 0 for ever.
    pub keep_hours: f64,
    /// How long a request for a removed operation gets 410 instead of 404.
    pub gone_hours: f64,
    /// Seconds between two retention sweeps.
    pub sweep_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_hours: 30.0 * 24.0,
            gone_hours: 30.0 * 24.0,
            sweep_seconds: 60,
        }
    }
}

/// Who may use the service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    pub mode: AccessMode,
    /// The file of keys; empty for `keys` in the data folder, if the table is embedded.
    #[serde(deserialize_with = "text::text")]
    pub keys_file: PathBuf,
    /// More keys: lines as in the file, separated by line breaks or semicolons.
    #[serde(deserialize_with = "text::text")]
    pub keys: String,
    /// Secrets that sign links, with commas between; the first is the current one.
    #[serde(deserialize_with = "text::text")]
    pub secrets: SecretString,
    /// Names of the service that a request's `Host` may have, with commas between.
    #[serde(deserialize_with = "text::text")]
    pub allowed_hosts: String,
    /// Other sites whose pages may use the service, with commas between.
    #[serde(deserialize_with = "text::text")]
    pub allowed_origins: String,
}

/// Who is let in without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// Nobody, once there is a key. Without keys, the service listens only on this machine.
    #[default]
    Keys,
    /// Everybody.
    Open,
}

/// The limits of each tenant; 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    pub requests_per_minute: u32,
    /// Millions of bytes of posted pictures.
    pub megabytes_per_minute: u32,
    /// Millions of pixels of posted pictures.
    pub megapixels_per_minute: u32,
    /// Operations in progress.
    pub operations: u32,
}

/// Settings of the HTTP server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at once; 0 derives the number from the limit of open files.
    pub max_connections: usize,
    /// How long a client may take to send a request's header.
    pub header_timeout_seconds: u64,
    /// How long a connection is kept open without a request.
    pub idle_timeout_seconds: u64,
    /// How long a client may take to send a request's body.
    pub body_timeout_seconds: u64,
    /// How long a client may pause while it sends a body.
    pub body_pause_seconds: u64,
    /// How long a client may pause while it reads an answer.
    pub write_timeout_seconds: u64,
    /// Memory for the bodies of requests, until they are stored; further requests wait.
    pub upload_memory_mib: u64,
    /// Memory for results that are being sent; further requests wait.
    pub answer_memory_mib: u64,
    /// How long a request waits for memory.
    pub memory_wait_seconds: u64,
    /// How long the log and the table may take to accept a request.
    pub storage_timeout_seconds: u64,
    /// Whether a repeated request is answered from the stored result.
    pub reuse_results: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            max_connections: 0,
            header_timeout_seconds: 10,
            idle_timeout_seconds: 60,
            body_timeout_seconds: 60,
            body_pause_seconds: 10,
            write_timeout_seconds: 30,
            upload_memory_mib: 512,
            answer_memory_mib: 128,
            memory_wait_seconds: 10,
            storage_timeout_seconds: 2,
            reuse_results: true,
        }
    }
}

/// Limits of pictures and results.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a picture that a client sends.
    pub max_picture_bytes: u64,
    /// Pixels of a picture that a client sends, all frames together.
    pub max_source_pixels: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Pixels of one side of a result.
    pub max_side: u32,
    /// Pixels of a result, all frames together.
    pub max_result_pixels: u64,
    /// Bytes of a result.
    pub max_result_bytes: u64,
    /// Bytes of one block of metadata, decompressed.
    pub max_metadata_bytes: u64,
    /// Processor time of one picture, in seconds: by estimate before it begins, and while it runs.
    pub max_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        let imaging = imaging::Limits::default();
        Self {
            max_picture_bytes: 32 * MIB,
            max_source_pixels: imaging.max_source_pixels,
            max_frames: imaging.max_frames,
            max_side: imaging.max_side,
            max_result_pixels: imaging.max_result_pixels,
            max_result_bytes: imaging.max_result_bytes,
            max_metadata_bytes: imaging.max_metadata_bytes,
            max_seconds: imaging.max_seconds,
        }
    }
}

/// Settings of the worker.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Pictures processed at once; 0 means one for each core.
    pub concurrency: usize,
    /// Memory for the pictures being processed, by estimate; a picture that needs more is refused.
    pub memory_mib: u64,
    /// The consumer group that shares the requests.
    #[serde(deserialize_with = "text::text")]
    pub group: String,
    /// How many pixel processes a picture may end before its operation fails and its event becomes a
    /// dead letter.
    pub max_attempts: u32,
    /// Where a process that is only a worker answers health checks; port 0 takes a free one.
    pub admin_listen: SocketAddr,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            concurrency: 0,
            memory_mib: 1024,
            group: "picresize-workers".to_owned(),
            max_attempts: 2,
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
        }
    }
}

/// Settings of stopping the process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// How long work in progress may take to finish after a stop signal.
    pub grace_seconds: u64,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { grace_seconds: 30 }
    }
}

/// Settings of the log messages on standard error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// A level, or a list of `target=level` (the syntax of tracing's `EnvFilter`).
    #[serde(deserialize_with = "text::text")]
    pub filter: String,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}
