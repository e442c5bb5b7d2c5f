//! The servers that `scripts/services` runs: starts, stops, kills and freezes their processes.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tokio::process::Command;

use super::plan::skipped;
use super::program::send;

pub(crate) const MYSQL: &str = "mysql";
pub(crate) const BROKERS: [&str; 3] = ["kafka.1", "kafka.2", "kafka.3"];

/// How a process ends or pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    /// As `kill -9` does.
    Kill,
    /// By a stop signal, which it may act on.
    Stop,
    /// It stands still, and its connections stay open.
    Freeze,
}

/// The addresses of servers that this suite may harm.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// Brokers without a proxy.
    pub(crate) kafka: String,
    /// For each broker: where its clients expect it, and where it is.
    pub(crate) proxied: Vec<(String, String)>,
    /// A URL.
    pub(crate) mysql: String,
}

impl Addresses {
    /// `None` if there are no such servers. Only those of `scripts/services` are harmed.
    pub(crate) fn find() -> Option<Self> {
        let read = |variable: &str| {
            let value = std::env::var(variable).ok();
            if value.is_none() {
                skipped(&format!("{variable} is not set (see scripts/services)"));
            }
            value
        };
        let kafka = read("PICRESIZE_TEST_KAFKA")?;
        let mysql = read("PICRESIZE_TEST_MYSQL")?;
        let proxied = read("PICRESIZE_TEST_KAFKA_PROXIED")?;
        for member in BROKERS.into_iter().chain([MYSQL]) {
            if process(member).is_none() {
                skipped(&format!(
                    "{member} is no process of this clone's scripts/services"
                ));
                return None;
            }
        }
        let pairs = proxied.split(',').map(|pair| {
            let (outside, inside) = pair.split_once('=').unwrap();
            (outside.to_owned(), inside.to_owned())
        });
        let proxied = pairs.collect();
        Some(Self {
            kafka,
            proxied,
            mysql,
        })
    }
}

/// The folder of the services.
pub(crate) fn home() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    target.join("services")
}

/// The process of a member, if it runs.
fn process(member: &str) -> Option<u32> {
    let file = home().join("run").join(member).join("pid");
    let id = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Path::new(&format!("/proc/{id}")).exists().then_some(id)
}

/// Takes a member away.
pub(crate) async fn take(member: &str, how: How) -> Result<(), String> {
    match how {
        How::Kill => script("kill", member).await,
        How::Stop => script("stop", member).await,
        How::Freeze => {
            let id = process(member).ok_or_else(|| format!("{member} does not run"))?;
            send(id, Signal::STOP);
            Ok(())
        }
    }
}

/// Brings a member back, however it was taken away. Without it, the account would blame the service.
pub(crate) async fn bring_back(member: &str) {
    if let Some(id) = process(member) {
        send(id, Signal::CONT);
    }
    if let Err(error) = script("start", member).await {
        panic!("{error}");
    }
}

fn command(action: &str, member: &str) -> std::process::Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
    let mut command = std::process::Command::new(script);
    command
        .args([action, member])
        .stdin(std::process::Stdio::null());
    command
}

async fn script(action: &str, member: &str) -> Result<(), String> {
    let output = Command::from(command(action, member))
        .output()
        .await
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or_default();
    let log = home().join("run").join(member).join("log");
    let log = log.display();
    Err(format!(
        "scripts/services {action} {member}: {last} ({log})"
    ))
}

/// Brings all members back when the suite ends, however it ends.
#[derive(Debug)]
pub(crate) struct Healing;

impl Drop for Healing {
    fn drop(&mut self) {
        for member in BROKERS.into_iter().chain([MYSQL]) {
            if let Some(id) = process(member) {
                send(id, Signal::CONT);
            }
            let _ = command("start", member).output();
        }
    }
}
