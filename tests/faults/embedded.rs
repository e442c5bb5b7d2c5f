//! The embedded half: `picresize serve` on a data folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::damage::{Damage, DamagedCopy};
use super::disk::Disk;
use super::picture::Pictures;
use super::plan::{Plan, Random, folder};
use super::program::{Program, free_port, send};
use super::round::{RoundOptions, Rounds};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Kills,
    Restart,
    ShortGrace,
    Freeze,
    FullDisk,
    ReadOnlyFiles,
    Damage(&'static str, Damage),
    SecondProcess,
    PixelProcesses,
    ClockBack,
}

const LOG: &str = "log.sqlite";
const TABLE: &str = "pictures.sqlite";

/// The faults, their names, and whether a small run has them.
const FAULTS: &[(Fault, &str, bool)] = &[
    (Fault::Kills, "killed at random", true),
    (Fault::Restart, "stopped and started", false),
    (
        Fault::ShortGrace,
        "three stops, grace shorter than work",
        true,
    ),
    (Fault::Freeze, "frozen", false),
    (Fault::FullDisk, "disk full", true),
    (Fault::ReadOnlyFiles, "files read-only at the start", true),
    (Fault::Damage(LOG, Damage::Truncated), "log truncated", true),
    (
        Fault::Damage(TABLE, Damage::Truncated),
        "table truncated",
        false,
    ),
    (
        Fault::Damage(LOG, Damage::Foreign),
        "log is another file",
        false,
    ),
    (
        Fault::Damage(TABLE, Damage::Foreign),
        "table is another file",
        true,
    ),
    (Fault::Damage(LOG, Damage::Lost), "log lost", false),
    (Fault::Damage(TABLE, Damage::Lost), "table lost", true),
    (
        Fault::SecondProcess,
        "a second process on the folder",
        false,
    ),
    (Fault::PixelProcesses, "pixel processes killed", true),
    (Fault::ClockBack, "clock set back by an hour", false),
];

/// How long a process may take to refuse a folder.
const REFUSAL: Duration = Duration::from_secs(10);
/// How long a process may take to end after a stop signal: the grace period, and a little.
const STOP: Duration = Duration::from_secs(10);

pub(crate) async fn run() {
    let plan = Plan::new();
    let folder = folder();
    let home = tempfile::Builder::new()
        .prefix("embedded")
        .tempdir_in(&folder)
        .unwrap();
    let mut half = Embedded::new(&plan, home.path(), &folder).await;
    for fault in plan.choose(FAULTS) {
        half.inject(fault).await;
    }
    half.close().await;
}

/// A service on a folder.
struct Service {
    program: Program,
    data: PathBuf,
    url: String,
}

impl Service {
    fn new(name: &str, data: PathBuf, logs: &Path) -> Self {
        let port = free_port(25_000);
        let listen = format!("127.0.0.1:{port}");
        let arguments = [
            "serve",
            "--listen",
            &listen,
            "--data",
            data.to_str().unwrap(),
        ];
        let environment = [
            ("PICRESIZE__LIFECYCLE__GRACE_SECONDS", "1"),
            ("PICRESIZE__DATA__MIN_FREE_MIB", "1"),
            ("PICRESIZE__LOGS__FILTER", "info"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let program = Program::new(name, &arguments, &environment, logs);
        Self {
            program,
            data,
            url: format!("http://{listen}"),
        }
    }
}

struct Embedded {
    rounds: Rounds,
    random: Random,
    main: Service,
    /// A service on a small disk of its own; or why there is none.
    small: Result<(Disk, Service), String>,
}

impl Embedded {
    async fn new(plan: &Plan, home: &Path, folder: &Path) -> Self {
        let logs = folder.join("logs/embedded");
        let pictures = Pictures::new(home);
        let account = Account::new("embedded", plan);
        let mut main = Service::new("serve", home.join("data"), &logs);
        main.program.start().await;
        let disk = Disk::mount(&folder.join("small-disk"), 256);
        let small = match disk {
            Ok(disk) => {
                let data = disk.folder().join("data");
                let mut service = Service::new("serve-small-disk", data, &logs);
                service.program.start().await;
                Ok((disk, service))
            }
            Err(error) => Err(format!("no disk can be mounted: {error}")),
        };
        Self {
            rounds: Rounds::new(plan.clone(), pictures, account),
            random: Random::new(plan.seed),
            main,
            small,
        }
    }

    async fn inject(&mut self, fault: Fault) {
        let (_, name, _) = FAULTS.iter().find(|(known, ..)| *known == fault).unwrap();
        let is_small_disk = matches!(fault, Fault::FullDisk | Fault::ReadOnlyFiles);
        let Self {
            rounds,
            random,
            main,
            small,
        } = self;
        let (disk, service) = match (is_small_disk, small) {
            (false, _) => (None, main),
            (true, Ok((disk, service))) => (Some(&*disk), service),
            (true, Err(reason)) => return rounds.skip(name, reason),
        };
        if fault == Fault::ClockBack && faketime().is_none() {
            return rounds.skip(name, "libfaketime is not installed");
        }
        let hold = if rounds.plan.is_full { 4 } else { 2 };
        let hold = match fault {
            Fault::ShortGrace => Duration::from_secs(5),
            _ => Duration::from_secs(hold),
        };
        let options = RoundOptions {
            name: (*name).to_owned(),
            urls: vec![service.url.clone()],
            hold,
            slow: u64::from(fault == Fault::ShortGrace),
            may_fail: false,
            may_be_late: fault == Fault::Freeze,
        };
        let length = service.program.log_length();
        let row = rounds
            .run(options, play(fault, service, disk, random, hold))
            .await;
        let (main, small) = (&self.main, &self.small);
        let service = match (is_small_disk, small) {
            (true, Ok((_, service))) => service,
            _ => main,
        };
        let logged = service.program.logged_since(length);
        row.warnings = warnings(&logged);
        self.rounds.settle();
    }

    async fn close(mut self) {
        let mut services = vec![&mut self.main];
        if let Ok((_, small)) = &mut self.small {
            services.push(small);
        }
        for service in services {
            self.rounds.read_again(&service.url).await;
            let name = service.program.name.clone();
            let memory = service.program.peak_mib();
            self.rounds.account.memory.insert(name, memory);
            service.program.kill().await;
        }
        drop(self.small);
        self.rounds.account.close(&self.rounds.plan);
    }
}

/// Warnings and errors in a log.
pub(crate) fn warnings(logged: &str) -> usize {
    let is_warning = |line: &&str| line.contains(" WARN ") || line.contains("ERROR ");
    logged.lines().filter(is_warning).count()
}

/// Injects a fault and mends it.
async fn play(
    fault: Fault,
    service: &mut Service,
    disk: Option<&Disk>,
    random: &mut Random,
    hold: Duration,
) -> Vec<String> {
    let until = Instant::now() + hold;
    let program = &mut service.program;
    let mut unmet = Vec::new();
    match fault {
        Fault::Kills => {
            while Instant::now() < until {
                let alive = random.between(Duration::from_millis(20), Duration::from_millis(900));
                sleep(alive).await;
                program.kill().await;
                program.start().await;
            }
        }
        Fault::Restart => {
            unmet.extend(program.stop(STOP).await.err());
            program.start().await;
        }
        Fault::ShortGrace => {
            for _ in 0..3 {
                // Long enough to begin the slow pictures, and too short to end them.
                sleep(Duration::from_millis(1200)).await;
                unmet.extend(program.stop(STOP).await.err());
                program.start().await;
            }
        }
        Fault::Freeze => {
            program.signal(Signal::STOP);
            sleep(hold).await;
            program.signal(Signal::CONT);
        }
        Fault::FullDisk => {
            let disk = disk.unwrap();
            disk.fill(random.below(200));
            sleep(hold).await;
            disk.empty();
        }
        Fault::ReadOnlyFiles => {
            let disk = disk.unwrap();
            program.kill().await;
            match disk.set_read_only(true) {
                Ok(()) => {
                    unmet.extend(refused(program, service.data.to_str().unwrap()).await);
                    disk.set_read_only(false).unwrap();
                }
                Err(error) => unmet.push(format!("the disk cannot be made read-only: {error}")),
            }
            program.start().await;
        }
        Fault::Damage(file, damage) => {
            unmet.extend(program.stop(STOP).await.err());
            let copy = DamagedCopy::new(&service.data, file, damage);
            program.start().await;
            let logs = folder().join("logs/embedded");
            let copied = copy.folder().to_owned();
            let mut damaged = Service::new("serve-damaged", copied, &logs);
            unmet.extend(refused(&mut damaged.program, file).await);
        }
        Fault::SecondProcess => {
            let logs = folder().join("logs/embedded");
            let mut second = Service::new("serve-second", service.data.clone(), &logs);
            let expected = "in use by another picresize process";
            unmet.extend(refused(&mut second.program, expected).await);
        }
        Fault::PixelProcesses => {
            while Instant::now() < until {
                kill_a_child(program, random).await;
            }
        }
        Fault::ClockBack => {
            program.kill().await;
            program.set("LD_PRELOAD", faketime());
            program.set("FAKETIME", Some("-3600s"));
            program.set("FAKETIME_DONT_FAKE_MONOTONIC", Some("1"));
            program.start().await;
            sleep(hold).await;
            program.kill().await;
            for variable in ["LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"] {
                program.set(variable, None);
            }
            program.start().await;
        }
    }
    unmet
}

/// Kills one pixel process, then waits: a picture that ends two processes is rightly blamed.
pub(crate) async fn kill_a_child(program: &Program, random: &mut Random) {
    let children = program.children();
    if !children.is_empty() {
        let child = children[random.below(children.len() as u64) as usize];
        send(child, Signal::KILL);
    }
    let pause = random.between(Duration::from_millis(600), Duration::from_millis(900));
    sleep(pause).await;
}

/// Starts a program that must end by itself with a sentence that has these words.
async fn refused(program: &mut Program, words: &str) -> Option<String> {
    let length = program.log_length();
    program.spawn();
    let ended = program.ended(REFUSAL).await;
    let said = program.logged_since(length);
    let lines = said.lines().filter(|line| !line.trim().is_empty()).count();
    let last = said.lines().last().unwrap_or_default();
    match ended {
        None => {
            program.kill().await;
            Some(format!(
                "it still ran after {REFUSAL:?}; its last words: {last}"
            ))
        }
        Some(status) if status.code() != Some(1) => Some(format!(
            "it ended with {status} instead of 1; its last words: {last}"
        )),
        _ if !said.contains(words) => Some(format!("it did not say {words:?}: {said}")),
        _ if lines > 4 => Some(format!("it said {lines} lines: {said}")),
        _ => None,
    }
}

/// The library that changes the clock of one process, if it is installed.
fn faketime() -> Option<&'static str> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib64/faketime/libfaketime.so.1",
    ];
    places.into_iter().find(|place| Path::new(place).exists())
}
