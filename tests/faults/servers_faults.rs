//! The faults of the half on servers: how each is injected and mended.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::embedded::kill_a_child;
use super::program::Program;
use super::proxy::Mode;
use super::servers::{STOP, Servers};
use super::services::{How, MYSQL, bring_back, take};

/// How a proxy cuts connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    Delay,
    Drop,
    Reset,
}

impl Cut {
    fn mode(self) -> Mode {
        match self {
            Self::Delay => Mode::Delay(Duration::from_millis(300)),
            Self::Drop => Mode::Drop,
            Self::Reset => Mode::Reset,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Worker(How),
    AllWorkers(How),
    /// Longer than a member of a group may be silent.
    WorkerPastSession,
    WorkerJoinsAndLeaves,
    PixelProcesses,
    Api(How),
    Broker(How),
    /// The leader of a partition.
    Leader(How),
    BrokerCut(Cut),
    /// Fewer are left than must store an event.
    TwoBrokers(How),
    /// For so many seconds.
    AllBrokers(How, u64),
    AllBrokersCut(Cut, u64),
    Mysql(How),
    MysqlCut(Cut),
    MysqlReadOnly,
    MysqlConnections,
    MysqlTableLocked,
    MysqlRowsLocked,
    MysqlFull,
    RetentionPassed,
}

/// The faults, their names, and whether a small run has them.
pub(crate) const FAULTS: &[(Fault, &str, bool)] = &[
    (Fault::Worker(How::Kill), "worker killed", true),
    (
        Fault::Worker(How::Stop),
        "worker stopped and started",
        false,
    ),
    (Fault::Worker(How::Freeze), "worker frozen", false),
    (
        Fault::WorkerPastSession,
        "worker frozen past its session",
        false,
    ),
    (Fault::AllWorkers(How::Kill), "all workers killed", false),
    (Fault::AllWorkers(How::Freeze), "all workers frozen", false),
    (
        Fault::WorkerJoinsAndLeaves,
        "a worker joins and leaves",
        false,
    ),
    (Fault::PixelProcesses, "pixel processes killed", false),
    (Fault::Api(How::Kill), "api killed", true),
    (Fault::Api(How::Stop), "api stopped and started", false),
    (Fault::Api(How::Freeze), "api frozen", false),
    (Fault::Broker(How::Kill), "broker killed", false),
    (Fault::Broker(How::Freeze), "broker frozen", true),
    (Fault::Leader(How::Stop), "leader stopped", false),
    (Fault::Leader(How::Kill), "leader killed", false),
    (Fault::BrokerCut(Cut::Delay), "broker cut: delay", false),
    (Fault::BrokerCut(Cut::Drop), "broker cut: drop", false),
    (Fault::BrokerCut(Cut::Reset), "broker cut: reset", false),
    (
        Fault::TwoBrokers(How::Kill),
        "two of three brokers killed",
        false,
    ),
    (
        Fault::TwoBrokers(How::Freeze),
        "two of three brokers frozen",
        false,
    ),
    (
        Fault::AllBrokers(How::Kill, 6),
        "all brokers killed for 6 s",
        false,
    ),
    (
        Fault::AllBrokers(How::Kill, 20),
        "all brokers killed for 20 s",
        false,
    ),
    (
        Fault::AllBrokers(How::Kill, 60),
        "all brokers killed for 60 s",
        false,
    ),
    (
        Fault::AllBrokers(How::Freeze, 20),
        "all brokers frozen for 20 s",
        false,
    ),
    (
        Fault::AllBrokers(How::Freeze, 60),
        "all brokers frozen for 60 s",
        false,
    ),
    (
        Fault::AllBrokersCut(Cut::Delay, 6),
        "all brokers cut for 6 s: delay",
        false,
    ),
    (
        Fault::AllBrokersCut(Cut::Drop, 6),
        "all brokers cut for 6 s: drop",
        true,
    ),
    (
        Fault::AllBrokersCut(Cut::Drop, 60),
        "all brokers cut for 60 s: drop",
        false,
    ),
    (
        Fault::AllBrokersCut(Cut::Reset, 6),
        "all brokers cut for 6 s: reset",
        false,
    ),
    (
        Fault::AllBrokersCut(Cut::Reset, 20),
        "all brokers cut for 20 s: reset",
        false,
    ),
    (Fault::Mysql(How::Kill), "MySQL killed", false),
    (Fault::Mysql(How::Stop), "MySQL stopped and started", false),
    (Fault::Mysql(How::Freeze), "MySQL frozen", true),
    (Fault::MysqlCut(Cut::Delay), "MySQL cut: delay", false),
    (Fault::MysqlCut(Cut::Drop), "MySQL cut: drop", false),
    (Fault::MysqlCut(Cut::Reset), "MySQL cut: reset", true),
    (Fault::MysqlReadOnly, "MySQL read-only", false),
    (Fault::MysqlConnections, "MySQL connections killed", false),
    (Fault::MysqlTableLocked, "MySQL table locked", false),
    (Fault::MysqlRowsLocked, "MySQL rows locked", false),
    (Fault::MysqlFull, "MySQL disk full", false),
    (
        Fault::RetentionPassed,
        "retention passes a stopped group",
        true,
    ),
];

impl Fault {
    /// How long it lasts.
    pub(crate) fn hold(self, is_full: bool) -> Duration {
        let usual = if is_full { 8 } else { 3 };
        Duration::from_secs(match self {
            Self::AllBrokers(_, seconds) | Self::AllBrokersCut(_, seconds) => seconds,
            // Sessions last for 15 s.
            Self::WorkerPastSession => 20,
            _ => usual,
        })
    }
}

const ALL: [usize; 3] = [0, 1, 2];

/// Injects a fault and mends it.
pub(crate) async fn play(fault: Fault, servers: &mut Servers, hold: Duration) -> Vec<String> {
    let mut unmet = Vec::new();
    let until = Instant::now() + hold;
    let database = &servers.database;
    let brokers = &servers.brokers;
    let some = servers.random.below(3) as usize;
    match fault {
        Fault::Worker(how) => {
            away(
                &mut servers.workers[some % 2..=some % 2],
                how,
                hold,
                &mut unmet,
            )
            .await;
        }
        Fault::WorkerPastSession => {
            let worker = &mut servers.workers[some % 2..=some % 2];
            away(worker, How::Freeze, hold, &mut unmet).await;
        }
        Fault::AllWorkers(how) => away(&mut servers.workers, how, hold, &mut unmet).await,
        Fault::Api(how) => {
            away(
                &mut servers.apis[some % 2..=some % 2],
                how,
                hold,
                &mut unmet,
            )
            .await;
        }
        Fault::WorkerJoinsAndLeaves => {
            let mut third = servers.worker("worker-3");
            third.start().await;
            sleep(hold).await;
            unmet.extend(third.stop(STOP).await.err());
        }
        Fault::PixelProcesses => {
            while Instant::now() < until {
                kill_a_child(&servers.workers[some % 2], &mut servers.random).await;
            }
        }
        Fault::Broker(how) => {
            brokers.take(&[some], how, &mut unmet).await;
            sleep(hold).await;
            brokers.bring_back(&[some]).await;
        }
        Fault::Leader(how) => {
            let leader = brokers.leader(&servers.requests_topic).await;
            brokers.take(&[leader], how, &mut unmet).await;
            sleep(hold).await;
            brokers.bring_back(&[leader]).await;
        }
        Fault::TwoBrokers(how) => {
            let two = [some, (some + 1) % 3];
            brokers.take(&two, how, &mut unmet).await;
            sleep(hold).await;
            brokers.bring_back(&two).await;
        }
        Fault::AllBrokers(how, _) => {
            brokers.take(&ALL, how, &mut unmet).await;
            sleep(hold).await;
            brokers.bring_back(&ALL).await;
        }
        Fault::BrokerCut(cut) => {
            brokers.cut(Some(some), cut.mode());
            sleep(hold).await;
            brokers.cut(Some(some), Mode::Open);
        }
        Fault::AllBrokersCut(cut, _) => {
            brokers.cut(None, cut.mode());
            sleep(hold).await;
            brokers.cut(None, Mode::Open);
        }
        Fault::Mysql(how) => {
            unmet.extend(take(MYSQL, how).await.err());
            sleep(hold).await;
            bring_back(MYSQL).await;
        }
        Fault::MysqlCut(cut) => {
            database.proxy.set(cut.mode());
            sleep(hold).await;
            database.proxy.set(Mode::Open);
        }
        Fault::MysqlReadOnly => {
            database.set_read_only(true).await;
            sleep(hold).await;
            database.set_read_only(false).await;
        }
        Fault::MysqlConnections => database.kill_connections(until).await,
        Fault::MysqlTableLocked => {
            let lock = format!("LOCK TABLES {}.pictures WRITE", database.name);
            database.lock(&[lock], hold).await;
        }
        Fault::MysqlRowsLocked => {
            let lock = format!("SELECT id FROM {}.pictures FOR UPDATE", database.name);
            database
                .lock(&["START TRANSACTION".to_owned(), lock], hold)
                .await;
        }
        Fault::MysqlFull => {
            let disk = database.disk.as_ref().unwrap();
            disk.fill(0);
            sleep(hold).await;
            disk.empty();
        }
        Fault::RetentionPassed => {
            for worker in &mut servers.workers {
                unmet.extend(worker.stop(STOP).await.err());
            }
            sleep(hold).await;
            servers.brokers.expire(&servers.requests_topic).await;
            for worker in &mut servers.workers {
                worker.start().await;
            }
        }
    }
    unmet
}

/// Takes programs away for a while.
async fn away(programs: &mut [Program], how: How, hold: Duration, unmet: &mut Vec<String>) {
    for program in &mut *programs {
        match how {
            How::Kill => program.kill().await,
            How::Stop => unmet.extend(program.stop(STOP).await.err()),
            How::Freeze => program.signal(Signal::STOP),
        }
    }
    sleep(hold).await;
    for program in programs {
        match how {
            How::Kill | How::Stop => program.start().await,
            How::Freeze => program.signal(Signal::CONT),
        }
    }
}
