//! Runs the real program as a process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// The program's command: it only logs errors, and reads no settings file.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_picresize"));
    command
        .env("PICRESIZE__LOGS__FILTER", "error")
        .current_dir(std::env::temp_dir());
    command
}

/// A running program; killed when it goes out of scope.
pub(crate) struct Process {
    child: Child,
    /// The address in the line that it printed when it was ready.
    pub(crate) url: String,
}

impl Process {
    /// Starts `serve` on a folder and waits until it answers.
    pub(crate) fn serve(address: &str, data: &Path) -> Self {
        let mut command = program();
        command
            .args(["serve", "--listen", address, "--data"])
            .arg(data);
        Self::start(command)
    }

    /// Starts a role and waits until it says that it is ready.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        let url = ready
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .unwrap_or_else(|| panic!("{ready:?}"));
        let url = url.trim_end_matches("/readyz").to_owned();
        Self { child, url }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its pixel processes.
    #[cfg(target_os = "linux")]
    pub(crate) fn children(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has already ended if the test succeeded.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> Output {
    command.output().unwrap()
}

/// Starts a command, waits until it has logged `text`, and kills it.
pub(crate) fn wait_for_log(mut command: Command, text: &str) {
    let mut child = command
        .env("PICRESIZE__LOGS__FILTER", "warn")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        while stderr.read_line(&mut line).unwrap() > 0 {
            let _ = sender.send(std::mem::take(&mut line));
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while !seen.contains(text) {
        let left = deadline.saturating_duration_since(Instant::now());
        // None more: the process has ended, or says nothing.
        let Ok(line) = lines.recv_timeout(left) else {
            break;
        };
        seen.push_str(&line);
    }
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    reader.join().unwrap();
    let rest: String = lines.try_iter().collect();
    assert!(seen.contains(text), "{seen}");
    assert!(running, "it ended instead of waiting:\n{seen}{rest}");
}

/// A free address that can be kept over restarts.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// The processes that a process has started and that have not ended.
#[cfg(target_os = "linux")]
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // After the name in parentheses: the state, then the parent.
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = rest.split(' ');
        if fields.next() != Some("Z") && fields.next() == Some(&parent.to_string()) {
            children.push(pid);
        }
    }
    children
}

/// The sum of these lines of a process's status, in KiB; 0 if it has ended.
#[cfg(target_os = "linux")]
pub(crate) fn status_kib(pid: u32, names: &[&str]) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let wanted = lines.filter(|(name, _)| names.contains(name));
    let sizes = wanted.filter_map(|(_, size)| size.split_whitespace().next()?.parse::<u64>().ok());
    sizes.sum()
}
