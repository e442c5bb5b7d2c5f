//! What processes take, from `/proc`: processor time, memory, open handles, bytes written.
//!
//! A group is one or more processes with all of their descendants: the pixel processes of a service
//! are its children.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Watched {
    /// Measure this process and its descendants; may be given several times. Processes with the
    /// same label are added up
    #[arg(long = "pid", value_name = "[LABEL=]PID")]
    pids: Vec<String>,
    /// Measure every process of this program, and its descendants
    #[arg(long = "name", value_name = "[LABEL=]NAME")]
    names: Vec<String>,
    /// Measure what this folder takes on disk; may be given several times
    #[arg(long = "data", value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
enum Root {
    Pid(u32),
    Name(String),
}

/// Groups of processes by their labels.
#[derive(Clone, Debug)]
pub(crate) struct Groups(BTreeMap<String, Vec<Root>>);

/// What a group has taken since it began, or holds at the moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) processes: u32,
    pub(crate) cpu_seconds: f64,
    pub(crate) written_bytes: u64,
    /// Memory of its own, and its share of what several processes share (PSS).
    pub(crate) memory_bytes: u64,
    pub(crate) handles: u64,
}

struct Process {
    pid: u32,
    parent: u32,
    name: String,
    /// Of it, and of its children that have ended.
    cpu_seconds: f64,
}

impl Watched {
    pub(crate) fn groups(&self) -> Result<Groups> {
        let mut groups = BTreeMap::<String, Vec<Root>>::new();
        for text in &self.pids {
            let (label, pid) = text.split_once('=').unwrap_or(("service", text));
            let pid = pid
                .parse()
                .with_context(|| format!("--pid {text}: not a process ID"))?;
            ensure!(
                Path::new(&format!("/proc/{pid}/stat")).exists(),
                "--pid {text}: there is no such process here, or no /proc"
            );
            groups
                .entry(label.to_owned())
                .or_default()
                .push(Root::Pid(pid));
        }
        for text in &self.names {
            let (label, name) = text.split_once('=').unwrap_or((text, text));
            groups
                .entry(label.to_owned())
                .or_default()
                .push(Root::Name(name.to_owned()));
        }
        Ok(Groups(groups))
    }
}

impl Groups {
    /// Processor time and bytes written: quick, so that it can be taken at an exact moment.
    pub(crate) fn totals(&self) -> BTreeMap<String, Usage> {
        self.measure(false)
    }

    /// Everything. Reading the memory of a large process takes milliseconds.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        self.measure(true)
    }

    fn measure(&self, memory: bool) -> BTreeMap<String, Usage> {
        if self.0.is_empty() {
            return BTreeMap::new();
        }
        let all = processes();
        let measured = self.0.iter().map(|(label, roots)| {
            let mut usage = Usage::default();
            for process in members(&all, roots) {
                usage.processes += 1;
                usage.cpu_seconds += process.cpu_seconds;
                usage.written_bytes += field(process.pid, "io", "write_bytes:");
                if memory {
                    usage.memory_bytes += memory_bytes(process.pid);
                    let handles = fs::read_dir(format!("/proc/{}/fd", process.pid));
                    usage.handles += handles.map_or(0, |it| it.count() as u64);
                }
            }
            (label.clone(), usage)
        });
        measured.collect()
    }
}

/// The roots and all of their descendants, each once.
fn members<'a>(all: &'a [Process], roots: &[Root]) -> Vec<&'a Process> {
    let is_root = |process: &Process| {
        roots.iter().any(|root| match root {
            Root::Pid(pid) => process.pid == *pid,
            Root::Name(name) => process.name == *name && process.pid != std::process::id(),
        })
    };
    let mut members: BTreeSet<u32> = all
        .iter()
        .filter(|it| is_root(it))
        .map(|it| it.pid)
        .collect();
    loop {
        let children = all.iter().filter(|it| members.contains(&it.parent));
        let children = Vec::from_iter(children.map(|it| it.pid));
        let before = members.len();
        members.extend(children);
        if members.len() == before {
            break;
        }
    }
    all.iter().filter(|it| members.contains(&it.pid)).collect()
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets, and may contain some itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = Vec::from_iter(fields.split_ascii_whitespace());
    let ticks = fields
        .get(11..15)?
        .iter()
        .map(|it| it.parse::<u64>().unwrap_or(0));
    let program = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = program.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = Path::new(&*String::from_utf8_lossy(program))
        .file_name()?
        .to_owned();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_string_lossy().into_owned(),
        cpu_seconds: ticks.sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64,
    })
}

/// PSS, or the resident size where this user may not read it.
fn memory_bytes(pid: u32) -> u64 {
    match field(pid, "smaps_rollup", "Pss:") {
        0 => field(pid, "status", "VmRSS:") * 1024,
        kilobytes => kilobytes * 1024,
    }
}

/// The first number after a name in a file of a process; 0 if it cannot be read.
fn field(pid: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Processor time of this process.
pub(crate) fn own_cpu_seconds() -> f64 {
    process(std::process::id()).map_or(0.0, |process| process.cpu_seconds)
}

/// What a folder takes on disk, with everything in it.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // It was removed meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_group_has_its_processes_and_their_children() {
        // The shell stays, and waits for `cat`, which waits for its input.
        let mut shell = Command::new("sh")
            .args(["-c", "cat; exit 3"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let watched = Watched {
            pids: vec![format!("shell={}", shell.id())],
            ..Watched::default()
        };
        let groups = watched.groups().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let usage = loop {
            let usage = groups.usage()["shell"];
            if usage.processes == 2 {
                break usage;
            }
            assert!(Instant::now() < deadline, "`cat` did not start");
        };
        assert!(usage.memory_bytes > 0 && usage.handles >= 6, "{usage:?}");
        drop(shell.stdin.take());
        assert_eq!(shell.wait().unwrap().code(), Some(3));
        assert_eq!(groups.usage()["shell"].processes, 0);
        let unknown = Watched {
            pids: vec!["none".to_owned()],
            ..Watched::default()
        };
        assert!(unknown.groups().unwrap_err().to_string().contains("none"));
    }
}
