//! Every setting, its default and its check.
//!
//! Defaults, then a TOML file, then environment variables (`PICRESIZE__SECTION__KEY`), then flags:
//! the later wins. What is unknown or makes no sense is refused by name before anything starts.
//! `picresize.example.toml` explains each setting; a test keeps the two in step.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::imaging;

mod text;

/// The file read when no other is named.
pub const DEFAULT_FILE: &str = "picresize.toml";

const MIB: u64 = 1 << 20;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub engine: Engine,
    pub data: Data,
    pub kafka: Kafka,
    pub mysql: Mysql,
    pub events: Events,
    pub retention: Retention,
    pub server: Server,
    pub limits: Limits,
    pub worker: Worker,
    pub lifecycle: Lifecycle,
    pub logs: Logs,
}

/// What the log and the table are kept in.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    pub log: LogEngine,
    pub table: TableEngine,
}

/// What the log is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogEngine {
    /// A file of this process.
    #[default]
    Embedded,
    Kafka,
}

/// What the table is kept in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableEngine {
    /// A file of this process.
    #[default]
    Embedded,
    Mysql,
}

/// Where the embedded log and table live.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Created when missing; one process at a time owns it.
    #[serde(deserialize_with = "text::text")]
    pub folder: PathBuf,
}

/// The Kafka cluster that holds the log.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// What `migrate` makes new topics with.
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub retention_hours: u64,
    /// Memory for events that were fetched and wait.
    pub prefetch_mib: u64,
    /// Anything else that librdkafka is to be told, for producers and consumers alike. An
    /// underscore in a name stands for a dot.
    #[serde(deserialize_with = "text::texts")]
    pub properties: BTreeMap<String, String>,
}

/// The MySQL server that holds the table.
#[derive(Clone, PartialEq, Deserialize)]
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
    pub password: String,
    pub tls: Tls,
    /// A PEM file of the authorities to trust beside the system's; empty for none.
    #[serde(deserialize_with = "text::text")]
    pub ca_file: PathBuf,
    /// Connections at the most.
    pub connections: usize,
    /// The user of `migrate`; empty for the same as ever.
    #[serde(deserialize_with = "text::text")]
    pub migration_user: String,
    #[serde(deserialize_with = "text::text")]
    pub migration_password: String,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Off,
    /// Encrypted, whoever the server is.
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
    /// The picture rides in the event.
    #[default]
    Carried,
    /// The picture waits in the table, the event refers to it.
    ClaimCheck,
}

/// How long things are kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// How long an operation's pictures are kept; 0 for ever.
    pub keep_hours: u64,
    /// How long an operation that is gone is answered with 410 rather than 404.
    pub gone_hours: u64,
    /// Seconds between two looks for what is to be removed.
    pub sweep_seconds: u64,
}

/// The HTTP side.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a client may take to send a request's body.
    pub body_timeout_seconds: u64,
    /// Memory for the bodies of requests that are being received; more have to wait.
    pub upload_memory_mib: u64,
    /// Whether a request that was answered before is answered from the stored result.
    pub reuse_results: bool,
}

/// What one picture may be and cost.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a picture that is sent.
    pub max_picture_bytes: u64,
    /// Pixels of a picture that is sent, all frames together.
    pub max_source_pixels: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Pixels of one side of a result.
    pub max_side: u32,
    /// Pixels of a result, all frames together.
    pub max_result_pixels: u64,
    /// Bytes of a result.
    pub max_result_bytes: u64,
}

/// How work is done.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Pictures worked on at once; 0 means one for each core.
    pub concurrency: usize,
    /// Memory for pictures in work, by estimate; a picture that needs more is refused.
    pub memory_mib: u64,
    /// The consumer group that shares the requests.
    #[serde(deserialize_with = "text::text")]
    pub group: String,
    /// How often an operation is begun before it is set aside as failed.
    pub max_attempts: u32,
    /// Where a process that is only a worker tells of its health; port 0 takes a free one.
    pub admin_listen: SocketAddr,
}

/// How the process ends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// How long a stop signal waits for work that was begun.
    pub grace_seconds: u64,
}

/// What is logged, on standard error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// A level, or a list of `target=level` (the syntax of tracing's `EnvFilter`).
    #[serde(deserialize_with = "text::text")]
    pub filter: String,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("picresize-data"),
        }
    }
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
            properties: BTreeMap::new(),
        }
    }
}

impl Default for Mysql {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 3306,
            database: "picresize".to_owned(),
            user: "picresize".to_owned(),
            password: String::new(),
            tls: Tls::default(),
            ca_file: PathBuf::new(),
            connections: 10,
            migration_user: String::new(),
            migration_password: String::new(),
        }
    }
}

/// Without the passwords.
impl fmt::Debug for Mysql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            database,
            user,
            password: _,
            tls,
            ca_file,
            connections,
            migration_user,
            migration_password: _,
        } = self;
        f.debug_struct("Mysql")
            .field("host", host)
            .field("port", port)
            .field("database", database)
            .field("user", user)
            .field("password", &"…")
            .field("tls", tls)
            .field("ca_file", ca_file)
            .field("connections", connections)
            .field("migration_user", migration_user)
            .field("migration_password", &"…")
            .finish()
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_hours: 30 * 24,
            gone_hours: 30 * 24,
            sweep_seconds: 60,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            body_timeout_seconds: 60,
            upload_memory_mib: 512,
            reuse_results: true,
        }
    }
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
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            concurrency: 0,
            memory_mib: 1024,
            group: "picresize-workers".to_owned(),
            max_attempts: 3,
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self { grace_seconds: 30 }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
        }
    }
}

/// A setting that is unknown, malformed or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Read(#[from] config::ConfigError),
    #[error("the setting {key} {problem}")]
    Value { key: &'static str, problem: String },
}

impl Settings {
    /// Reads the settings: `file`, or [`DEFAULT_FILE`] when it is there, and the environment.
    ///
    /// # Errors
    ///
    /// The first setting that is not to be accepted, by name. Flags come later, so the caller
    /// [checks](Self::check) once they are in.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut sources = Config::builder();
        sources = match file {
            Some(path) => sources.add_source(File::from(path).format(FileFormat::Toml)),
            None => sources.add_source(File::new(DEFAULT_FILE, FileFormat::Toml).required(false)),
        };
        let settings = sources.add_source(environment()).build()?;
        Ok(settings.try_deserialize()?)
    }

    /// Checks what a type cannot.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, by name.
    pub fn check(&self) -> Result<(), SettingsError> {
        let (server, limits, worker) = (&self.server, &self.limits, &self.worker);
        let at_least_one = [
            ("server.body_timeout_seconds", server.body_timeout_seconds),
            ("limits.max_picture_bytes", limits.max_picture_bytes),
            ("limits.max_source_pixels", limits.max_source_pixels),
            ("limits.max_frames", limits.max_frames.into()),
            ("limits.max_side", limits.max_side.into()),
            ("limits.max_result_pixels", limits.max_result_pixels),
            ("limits.max_result_bytes", limits.max_result_bytes),
            ("worker.memory_mib", worker.memory_mib),
            ("worker.max_attempts", worker.max_attempts.into()),
            ("kafka.retention_hours", self.kafka.retention_hours),
            ("kafka.prefetch_mib", self.kafka.prefetch_mib),
            ("mysql.connections", self.mysql.connections as u64),
            ("retention.sweep_seconds", self.retention.sweep_seconds),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                let problem = "is 0: the least is 1".to_owned();
                return Err(SettingsError::Value { key, problem });
            }
        }
        self.check_names()?;
        self.check_replicas()?;
        self.check_engines()?;
        if let Err(error) = EnvFilter::builder().parse(&self.logs.filter) {
            return Err(SettingsError::Value {
                key: "logs.filter",
                problem: format!("is {:?}: {error}", self.logs.filter),
            });
        }
        let one_body = self.max_body_bytes().div_ceil(MIB);
        if server.upload_memory_mib < one_body {
            return Err(SettingsError::Value {
                key: "server.upload_memory_mib",
                problem: format!(
                    "is {}: one body may take {one_body} MiB (limits.max_picture_bytes is {})",
                    server.upload_memory_mib, limits.max_picture_bytes
                ),
            });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), SettingsError> {
        let (kafka, mysql) = (&self.kafka, &self.mysql);
        let names = [
            ("worker.group", &self.worker.group),
            ("kafka.bootstrap_servers", &kafka.bootstrap_servers),
            ("kafka.requests_topic", &kafka.requests_topic),
            ("kafka.events_topic", &kafka.events_topic),
            ("kafka.dead_letters_topic", &kafka.dead_letters_topic),
            ("mysql.host", &mysql.host),
            ("mysql.database", &mysql.database),
            ("mysql.user", &mysql.user),
        ];
        match names.iter().find(|(_, name)| name.trim().is_empty()) {
            Some((key, _)) => Err(SettingsError::Value {
                key,
                problem: "is empty: give a name".to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn check_replicas(&self) -> Result<(), SettingsError> {
        let kafka = &self.kafka;
        let counts = [
            ("kafka.partitions", kafka.partitions, i32::MAX),
            ("kafka.replication", kafka.replication, i16::MAX.into()),
            (
                "kafka.min_insync_replicas",
                kafka.min_insync_replicas,
                kafka.replication,
            ),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(SettingsError::Value {
                    key,
                    problem: format!("is {value}: it has to be from 1 to {most}"),
                });
            }
        }
        Ok(())
    }

    fn check_engines(&self) -> Result<(), SettingsError> {
        match (self.engine.log, self.engine.table) {
            (LogEngine::Kafka, TableEngine::Embedded) => Err(SettingsError::Value {
                key: "engine.table",
                problem: "is embedded while engine.log is kafka: the processes that share the log \
                          would each save to a table of their own; set engine.table to mysql"
                    .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Checks that the log and the table can be shared with other processes, which `role` needs.
    ///
    /// # Errors
    ///
    /// The engine that can't be shared.
    pub fn check_shared(&self, role: &str) -> Result<(), SettingsError> {
        let alone = |key, other| SettingsError::Value {
            key,
            problem: format!(
                "is embedded, and an embedded one belongs to a single process: `picresize {role}` \
                 needs {other}, or use `picresize serve`"
            ),
        };
        match self.engine {
            Engine {
                log: LogEngine::Embedded,
                ..
            } => Err(alone("engine.log", "kafka")),
            Engine {
                table: TableEngine::Embedded,
                ..
            } => Err(alone("engine.table", "mysql")),
            _ => Ok(()),
        }
    }

    /// Bytes of the largest record of the log: a picture of the largest size, and its headers.
    pub fn max_record_bytes(&self) -> u64 {
        self.limits.max_picture_bytes + 64 * 1024
    }

    /// How long an operation's pictures are kept, unless for ever.
    pub fn keep(&self) -> Option<Duration> {
        let hours = self.retention.keep_hours;
        (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3600)))
    }

    /// How long an operation that is gone is remembered.
    pub fn remember(&self) -> Duration {
        Duration::from_secs(self.retention.gone_hours.saturating_mul(3600))
    }

    /// The time between two looks for what is to be removed.
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.retention.sweep_seconds)
    }

    /// Bytes of a request's body: a picture of the largest size in base64, and room for the rest.
    pub fn max_body_bytes(&self) -> u64 {
        self.limits.max_picture_bytes.div_ceil(3) * 4 + 64 * 1024
    }

    /// The limits in the words of the imaging module.
    pub fn imaging_limits(&self) -> imaging::Limits {
        imaging::Limits {
            max_side: self.limits.max_side,
            max_source_pixels: self.limits.max_source_pixels,
            max_result_pixels: self.limits.max_result_pixels,
            max_frames: self.limits.max_frames,
            max_memory_bytes: self.worker.memory_mib * MIB,
            max_result_bytes: self.limits.max_result_bytes,
        }
    }

    /// How long a client may take to send a request's body.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.server.body_timeout_seconds)
    }

    /// How long a stop signal waits for work that was begun.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.lifecycle.grace_seconds)
    }
}

/// The settings of the environment. All of them are text, which a setting of another type parses:
/// parsed here, the text `007` would become the number 7.
fn environment() -> Environment {
    Environment::with_prefix("PICRESIZE")
        .prefix_separator("__")
        .separator("__")
}

#[cfg(test)]
mod tests {
    use config::{Value, ValueKind};

    use super::*;

    fn unchecked(text: &str) -> Result<Settings, SettingsError> {
        let file = File::from_str(text, FileFormat::Toml);
        let settings = Config::builder().add_source(file).build()?;
        Ok(settings.try_deserialize()?)
    }

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let settings = unchecked(text)?;
        settings.check()?;
        Ok(settings)
    }

    fn example() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("picresize.example.toml");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_example_file_shows_the_defaults() {
        assert_eq!(read(&example()).unwrap(), Settings::default());
    }

    #[test]
    fn the_example_file_explains_every_setting() {
        // The derived Debug form names every field there is.
        let fields = format!("{:#?}", Settings::default());
        let keys = fields
            .lines()
            .filter_map(|line| line.trim().split_once(": "))
            .filter(|(_, value)| !value.ends_with('{'))
            .map(|(key, _)| key);
        let example = example();
        for key in keys {
            let line = format!("\n{key} = ");
            assert!(example.contains(&line), "{key} is not in the example");
        }
    }

    fn from_environment(variables: &[(String, String)]) -> Result<Settings, SettingsError> {
        let source = variables.iter().cloned().collect();
        let environment = environment().source(Some(source));
        let settings = Config::builder().add_source(environment).build()?;
        Ok(settings.try_deserialize()?)
    }

    /// Every setting of the example file, with its section and its default.
    fn every_setting() -> Vec<(String, String, ValueKind)> {
        let sections: BTreeMap<String, BTreeMap<String, Value>> = Config::builder()
            .add_source(File::from_str(&example(), FileFormat::Toml))
            .build()
            .unwrap()
            .try_deserialize()
            .unwrap();
        let mut settings = Vec::new();
        for (section, values) in sections {
            for (key, value) in values {
                settings.push((section.clone(), key, value.kind));
            }
        }
        settings
    }

    /// Texts that could be taken for something else.
    const TEXTS: &[&str] = &[
        "007", "1e5", "true", "0x10", "+1", "no", " 1 ", "1.50", "NaN", "",
    ];

    #[test]
    fn every_setting_is_read_from_the_environment_as_from_a_file() {
        for text in TEXTS {
            let (mut file, mut variables) = (String::new(), Vec::new());
            for (section, key, default) in every_setting() {
                let name = format!("PICRESIZE__{section}__{key}").to_uppercase();
                let (name, value) = match default {
                    ValueKind::I64(number) => (name, (number + 1).to_string()),
                    ValueKind::Boolean(flag) => (name, (!flag).to_string()),
                    ValueKind::Table(_) => {
                        file += &format!("{section}.{key}.sasl_password = \"{text}\"\n");
                        let name = format!("{name}__SASL_PASSWORD");
                        variables.push((name, (*text).to_owned()));
                        continue;
                    }
                    ValueKind::String(default) => {
                        let value = match (section.as_str(), key.as_str()) {
                            ("engine", "log") => "kafka",
                            ("engine", "table") => "mysql",
                            ("mysql", "tls") => "verified",
                            ("events", "model") => "claim-check",
                            _ if default.parse::<SocketAddr>().is_ok() => "127.0.0.1:7",
                            _ => text,
                        };
                        file += &format!("{section}.{key} = \"{value}\"\n");
                        variables.push((name, value.to_owned()));
                        continue;
                    }
                    other => panic!("{section}.{key} is {other:?}"),
                };
                file += &format!("{section}.{key} = {value}\n");
                variables.push((name, value));
            }
            let file = unchecked(&file).unwrap();
            assert_eq!(from_environment(&variables).unwrap(), file, "{text:?}");
            assert_eq!(file.data.folder, Path::new(text));
            assert_eq!(file.mysql.password, *text);
            assert_eq!(file.kafka.properties["sasl_password"], *text);
            assert_eq!(file.limits.max_frames, Limits::default().max_frames + 1);
            assert!(!file.server.reuse_results);
        }
    }

    #[test]
    fn what_is_no_number_is_refused_where_one_is_needed() {
        for (name, value, named) in [
            ("PICRESIZE__MYSQL__PORT", "70000", "mysql.port"),
            ("PICRESIZE__LIMITS__MAX_SIDE", "-1", "limits.max_side"),
            ("PICRESIZE__WORKER__MEMORY_MIB", "1e3", "worker.memory_mib"),
            (
                "PICRESIZE__SERVER__REUSE_RESULTS",
                "perhaps",
                "server.reuse_results",
            ),
        ] {
            let variable = (name.to_owned(), value.to_owned());
            let error = from_environment(&[variable]).unwrap_err().to_string();
            assert!(error.contains(named), "{name}={value} gives {error:?}");
        }
    }

    /// A number has lost how it was written: 1_000 and 1000, 1e5 and 100000.0 are the same.
    #[test]
    fn text_without_quotes_is_refused_by_name_and_not_repeated() {
        for (section, key, default) in every_setting() {
            let text = match default {
                ValueKind::String(default) if default.parse::<SocketAddr>().is_err() => {
                    format!("[{section}]\n{key} = ")
                }
                ValueKind::Table(_) => format!("[{section}.{key}]\nx = "),
                _ => continue,
            };
            for value in ["4711", "4711e5", "true"] {
                let error = read(&format!("{text}{value}")).unwrap_err().to_string();
                assert!(
                    error.contains(&format!("{section}.{key}")),
                    "{text}{value} gives {error:?}"
                );
                assert!(!error.contains("4711"), "{error:?} tells a password");
            }
        }
        let error = read("[mysql]\npassword = 4711").unwrap_err().to_string();
        assert!(error.contains("write it in quotes"), "{error}");
    }

    #[test]
    fn wrong_and_unknown_settings_are_refused_by_name() {
        for (text, named) in [
            ("[server]\nlisten = \"here\"", "server.listen"),
            ("[server]\nlisen = \"127.0.0.1:1\"", "lisen"),
            ("[serve]\n", "serve"),
            ("[limits]\nmax_side = -1", "limits.max_side"),
            ("[limits]\nmax_side = 0", "limits.max_side"),
            ("[worker]\nconcurrency = \"many\"", "worker.concurrency"),
            ("[worker]\ngroup = \"\"", "worker.group"),
            ("[logs]\nfilter = \"a=b=c\"", "logs.filter"),
            ("[engine]\nlog = \"rabbit\"", "rabbit"),
            ("[engine]\nlog = \"kafka\"", "engine.table"),
            ("[kafka]\npartitions = 0", "kafka.partitions"),
            ("[kafka]\nreplication = 1", "kafka.min_insync_replicas"),
            ("[kafka]\nevents_topic = \"\"", "kafka.events_topic"),
            ("[mysql]\ntls = \"perhaps\"", "perhaps"),
            ("[events]\nmodel = \"x\"", "events.model"),
            (
                "[server]\nupload_memory_mib = 1",
                "server.upload_memory_mib",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?} gives {error:?}");
        }
    }
}
