//! The real program as a child process that can be killed, stopped and started again.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::plan;

/// How long a start may take while everything that it needs is there.
const START: Duration = Duration::from_secs(60);

/// A role of the program. Its log is a file that all its starts share.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    pub(crate) fn new(
        name: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        logs: &Path,
    ) -> Self {
        std::fs::create_dir_all(logs).unwrap();
        let log = logs.join(format!("{name}.log"));
        File::create(&log).unwrap();
        Self {
            name: name.to_owned(),
            arguments: arguments.iter().copied().map(str::to_owned).collect(),
            environment: environment.to_vec(),
            log,
            child: None,
        }
    }

    pub(crate) fn set(&mut self, variable: &str, value: Option<&str>) {
        self.environment.retain(|(name, _)| name != variable);
        let new = value.map(|value| (variable.to_owned(), value.to_owned()));
        self.environment.extend(new);
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().append(true).open(&self.log).unwrap();
        let child = Command::new(plan::program())
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let stdout = self.child.as_mut().unwrap().stdout.take().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = timeout(START, stdout.read_line(&mut line)).await;
        let is_ready = matches!(read, Ok(Ok(_))) && line.contains("ready");
        assert!(
            is_ready,
            "{} is not ready: {}",
            self.name,
            self.log.display()
        );
    }

    pub(crate) async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// As `kill -9` does.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    /// Waits for its end; `None` if it still runs after this time.
    pub(crate) async fn ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let ended = timeout(patience, self.child.as_mut().unwrap().wait()).await;
        let status = ended.ok()?.unwrap();
        self.child = None;
        Some(status)
    }

    /// Sends a stop signal and waits for the end. Returns the exit code.
    pub(crate) async fn stop(&mut self, patience: Duration) -> Result<(), String> {
        self.signal(Signal::TERM);
        let outcome = match self.ended(patience).await {
            Some(status) if status.success() => return Ok(()),
            Some(status) => format!("{} ended with {status} after SIGTERM", self.name),
            None => format!("{} still ran {patience:?} after SIGTERM", self.name),
        };
        self.kill().await;
        Err(outcome)
    }

    /// Its pixel processes.
    pub(crate) fn children(&self) -> Vec<u32> {
        let id = self.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        // The kernel lists the children of each thread.
        let mut found = numbers(&children.unwrap_or_default());
        for task in std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
        {
            let path = task.unwrap().path().join("children");
            found.extend(numbers(&std::fs::read_to_string(path).unwrap_or_default()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How long its log is.
    pub(crate) fn log_length(&self) -> u64 {
        std::fs::metadata(&self.log).unwrap().len()
    }

    /// What it logged behind this length.
    pub(crate) fn logged_since(&self, length: u64) -> String {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(length)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The most memory that it had, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    }
}

fn numbers(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Sends a signal. The process may have ended.
pub(crate) fn send(id: u32, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    let _ = kill_process(id, signal);
}

/// A free port that no outgoing connection takes, so that it can be used again after a restart.
pub(crate) fn free_port(from: u16) -> u16 {
    (from..32_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}
