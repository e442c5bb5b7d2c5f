//! Provides a log and a table on a real Kafka cluster and a real MySQL server.

use std::process::Command;

use config::{Config, Environment};
use picresize::operation::OperationId;
use picresize::settings::Settings;

use crate::process::{Process, program, run, text};
use crate::support::{Cluster, MYSQL, address};

/// A new log and table that processes can share.
pub(crate) struct Shared {
    environment: Vec<(String, String)>,
}

impl Shared {
    /// Their addresses, if Kafka and MySQL are available. Nothing is created yet.
    pub(crate) fn new() -> Option<Self> {
        let bootstrap_servers = Cluster::Kraft.bootstrap_servers()?;
        let server = address(MYSQL, "MySQL")?;
        let server = server.strip_prefix("mysql://").unwrap();
        let (credentials, place) = server.trim_end_matches('/').rsplit_once('@').unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        let (host, port) = place.rsplit_once(':').unwrap();
        let name = OperationId::generate().to_string().replace('-', "");
        let settings = [
            ("STORAGE__LOG", "kafka"),
            ("STORAGE__TABLE", "mysql"),
            ("KAFKA__BOOTSTRAP_SERVERS", &bootstrap_servers),
            ("KAFKA__REQUESTS_TOPIC", &format!("test.{name}.requests")),
            ("KAFKA__EVENTS_TOPIC", &format!("test.{name}.events")),
            ("KAFKA__DEAD_LETTERS_TOPIC", &format!("test.{name}.dead")),
            ("WORKER__GROUP", &format!("test.{name}")),
            ("MYSQL__HOST", host),
            ("MYSQL__PORT", port),
            ("MYSQL__DATABASE", &format!("test_{name}")),
            ("MYSQL__USER", user),
            ("MYSQL__PASSWORD", password),
            // The same picture must be processed again.
            ("SERVER__REUSE_RESULTS", "false"),
        ];
        let environment = settings
            .into_iter()
            .map(|(key, value)| (format!("PICRESIZE__{key}"), value.to_owned()))
            .collect();
        Some(Self { environment })
    }

    /// Prepared by `migrate`, as a user would.
    pub(crate) fn prepared() -> Option<Self> {
        Some(Self::new()?.migrated())
    }

    pub(crate) fn migrated(self) -> Self {
        let migrated = run(self.command(&["migrate"]));
        assert!(migrated.status.success(), "{}", text(&migrated.stderr));
        self
    }

    /// The same settings as in the environment of the processes, for a service in this process.
    pub(crate) fn settings(&self) -> Settings {
        let environment = Environment::with_prefix("PICRESIZE")
            .prefix_separator("__")
            .separator("__")
            .source(Some(self.environment.iter().cloned().collect()));
        let settings = Config::builder().add_source(environment).build();
        settings.unwrap().try_deserialize().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .envs(self.environment.iter().cloned());
        command
    }

    pub(crate) fn with(mut self, setting: &str, value: &str) -> Self {
        let name = format!("PICRESIZE__{setting}");
        self.environment.retain(|(key, _)| *key != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn api(&self) -> Process {
        Process::start(self.command(&["api", "--listen", "127.0.0.1:0"]))
    }

    pub(crate) fn worker(&self) -> Process {
        Process::start(self.command(&["worker", "--admin-listen", "127.0.0.1:0"]))
    }
}
