//! Every setting, its default and its check.
//!
//! Defaults, then a TOML file, then environment variables (`PICRESIZE__SECTION__KEY`), then flags:
//! the later wins. What is unknown or makes no sense is refused by name before anything starts.
//! `picresize.example.toml` explains each setting; a test keeps the two in step.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat};
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::imaging;

/// The file read when no other is named.
pub const DEFAULT_FILE: &str = "picresize.toml";

const MIB: u64 = 1 << 20;

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub data: Data,
    pub server: Server,
    pub limits: Limits,
    pub worker: Worker,
    pub lifecycle: Lifecycle,
    pub logs: Logs,
}

/// Where the embedded log and table live.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Created when missing; one process at a time owns it.
    pub folder: PathBuf,
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
    pub group: String,
    /// How often an operation is begun before it is set aside as failed.
    pub max_attempts: u32,
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
    pub filter: String,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("picresize-data"),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            body_timeout_seconds: 60,
            upload_memory_mib: 512,
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
        let environment = Environment::with_prefix("PICRESIZE")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true);
        let settings = sources.add_source(environment).build()?;
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
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                let problem = "is 0: the least is 1".to_owned();
                return Err(SettingsError::Value { key, problem });
            }
        }
        if worker.group.trim().is_empty() {
            return Err(SettingsError::Value {
                key: "worker.group",
                problem: "is empty: give the consumer group a name".to_owned(),
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let settings: Settings = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .build()?
            .try_deserialize()?;
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
