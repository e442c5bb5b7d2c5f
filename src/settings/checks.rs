//! Checks that the values of the settings make sense, alone and together.

use tracing_subscriber::EnvFilter;

use super::load::SettingsError;
use super::sections::{LogKind, Settings, TableKind};

const MIB: u64 = 1 << 20;
/// The most pictures at once: each has a process of its own.
const MOST_CONCURRENCY: usize = 4096;

impl Settings {
    /// Checks what the types of the settings can't check.
    ///
    /// # Errors
    ///
    /// The first setting that makes no sense, by name.
    pub fn check(&self) -> Result<(), SettingsError> {
        let (server, limits, worker) = (&self.server, &self.limits, &self.worker);
        let at_least_one = [
            (
                "server.header_timeout_seconds",
                server.header_timeout_seconds,
            ),
            ("server.idle_timeout_seconds", server.idle_timeout_seconds),
            ("server.body_timeout_seconds", server.body_timeout_seconds),
            ("server.body_pause_seconds", server.body_pause_seconds),
            ("server.write_timeout_seconds", server.write_timeout_seconds),
            ("server.memory_wait_seconds", server.memory_wait_seconds),
            (
                "server.storage_timeout_seconds",
                server.storage_timeout_seconds,
            ),
            ("limits.max_picture_bytes", limits.max_picture_bytes),
            ("limits.max_source_pixels", limits.max_source_pixels),
            ("limits.max_frames", limits.max_frames.into()),
            ("limits.max_side", limits.max_side.into()),
            ("limits.max_result_pixels", limits.max_result_pixels),
            ("limits.max_result_bytes", limits.max_result_bytes),
            ("limits.max_metadata_bytes", limits.max_metadata_bytes),
            ("limits.max_seconds", limits.max_seconds.into()),
            ("worker.memory_mib", worker.memory_mib),
            ("worker.max_attempts", worker.max_attempts.into()),
            ("kafka.retention_hours", self.kafka.retention_hours),
            ("kafka.prefetch_mib", self.kafka.prefetch_mib),
            ("retention.sweep_seconds", self.retention.sweep_seconds),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                let problem = "is 0: it must be at least 1".to_owned();
                return Err(SettingsError::Value { key, problem });
            }
        }
        let hours = [
            ("retention.keep_hours", self.retention.keep_hours),
            ("retention.gone_hours", self.retention.gone_hours),
        ];
        for (key, value) in hours {
            if !(value >= 0.0 && value.is_finite()) {
                let problem = format!("is {value}: it must be a number of at least 0");
                return Err(SettingsError::Value { key, problem });
            }
        }
        if worker.concurrency > MOST_CONCURRENCY {
            return Err(SettingsError::Value {
                key: "worker.concurrency",
                problem: format!(
                    "is {}: it must be at most {MOST_CONCURRENCY}",
                    worker.concurrency
                ),
            });
        }
        if self.mysql.connections < 2 {
            return Err(SettingsError::Value {
                key: "mysql.connections",
                problem: format!("is {}: it must be at least 2", self.mysql.connections),
            });
        }
        self.check_names()?;
        self.check_replicas()?;
        self.check_append_timeout()?;
        self.check_storage()?;
        if let Err(error) = EnvFilter::builder().parse(&self.logs.filter) {
            return Err(SettingsError::Value {
                key: "logs.filter",
                problem: format!("is {:?}: {error}", self.logs.filter),
            });
        }
        self.check_memory()
    }

    /// Checks that the largest body and the largest result fit into their memory.
    fn check_memory(&self) -> Result<(), SettingsError> {
        let (server, limits) = (&self.server, &self.limits);
        let one_result = limits.max_result_bytes.div_ceil(MIB);
        if server.answer_memory_mib < one_result {
            return Err(SettingsError::Value {
                key: "server.answer_memory_mib",
                problem: format!(
                    "is {}: one result may take {one_result} MiB (limits.max_result_bytes is {})",
                    server.answer_memory_mib, limits.max_result_bytes
                ),
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
                    problem: format!("is {value}: it must be from 1 to {most}"),
                });
            }
        }
        Ok(())
    }

    /// A shorter time refuses events that a busy cluster would store; a longer one keeps clients
    /// waiting for a cluster that is away.
    fn check_append_timeout(&self) -> Result<(), SettingsError> {
        let milliseconds = self.kafka.append_timeout_ms;
        if (100..=60_000).contains(&milliseconds) {
            return Ok(());
        }
        Err(SettingsError::Value {
            key: "kafka.append_timeout_ms",
            problem: format!("is {milliseconds}: it must be from 100 to 60000"),
        })
    }

    fn check_storage(&self) -> Result<(), SettingsError> {
        if self.storage.log == LogKind::Kafka && self.storage.table == TableKind::Embedded {
            let problem = "is embedded while storage.log is kafka: each process that shares the \
                           log would save to a table of its own; set storage.table to mysql";
            return Err(SettingsError::Value {
                key: "storage.table",
                problem: problem.to_owned(),
            });
        }
        Ok(())
    }

    /// Checks that the log and the table can be shared with other processes, which `role` needs.
    ///
    /// # Errors
    ///
    /// The setting that names storage which can't be shared.
    pub fn check_shared(&self, role: &str) -> Result<(), SettingsError> {
        let alone = |key, other| SettingsError::Value {
            key,
            problem: format!(
                "is embedded, which only one process can use: set it to {other} for `picresize \
                 {role}`, or run `picresize serve`"
            ),
        };
        if self.storage.log == LogKind::Embedded {
            return Err(alone("storage.log", "kafka"));
        }
        if self.storage.table == TableKind::Embedded {
            return Err(alone("storage.table", "mysql"));
        }
        Ok(())
    }
}
