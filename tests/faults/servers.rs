//! The half on servers: two `api`s and two `worker`s on three Kafka brokers and MySQL.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::account::Account;
use super::brokers::Brokers;
use super::database::Database;
use super::embedded::warnings;
use super::picture::Pictures;
use super::plan::{Plan, Random, folder};
use super::program::{Program, free_port};
use super::round::{RoundOptions, Rounds};
use super::servers_faults::{FAULTS, Fault, play};
use super::services::{Addresses, Healing, How};

/// How long a role may take to end after a stop signal.
pub(crate) const STOP: Duration = Duration::from_secs(20);

pub(crate) async fn run() {
    let Some(addresses) = Addresses::find() else {
        return;
    };
    let _healing = Healing;
    let plan = Plan::new();
    let folder = folder();
    let home = tempfile::Builder::new()
        .prefix("servers")
        .tempdir_in(&folder)
        .unwrap();
    let mut half = Half::new(&plan, &addresses, home.path(), &folder).await;
    for fault in plan.choose(FAULTS) {
        half.inject(fault).await;
    }
    half.close().await;
}

/// The roles and what they stand on.
pub(crate) struct Servers {
    pub(crate) apis: Vec<Program>,
    pub(crate) workers: Vec<Program>,
    pub(crate) brokers: Brokers,
    pub(crate) database: Database,
    pub(crate) requests_topic: String,
    pub(crate) random: Random,
    environment: Vec<(String, String)>,
    logs: PathBuf,
}

impl Servers {
    async fn new(plan: &Plan, addresses: &Addresses, logs: PathBuf) -> (Self, Vec<String>) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let name = format!("faults_{}", since.unwrap().as_millis());
        let brokers = Brokers::new(addresses).await;
        let database = Database::new(addresses, &name).await;
        let requests_topic = format!("{name}.requests");
        let (user, password) = database.user();
        let environment = [
            ("STORAGE__LOG", "kafka"),
            ("STORAGE__TABLE", "mysql"),
            ("KAFKA__BOOTSTRAP_SERVERS", &brokers.bootstrap_servers),
            ("KAFKA__REQUESTS_TOPIC", &requests_topic),
            ("KAFKA__EVENTS_TOPIC", &format!("{name}.events")),
            ("KAFKA__DEAD_LETTERS_TOPIC", &format!("{name}.dead")),
            ("KAFKA__PARTITIONS", "6"),
            ("WORKER__GROUP", &name),
            ("MYSQL__HOST", "127.0.0.1"),
            ("MYSQL__PORT", &database.port.to_string()),
            ("MYSQL__DATABASE", &name),
            ("MYSQL__USER", user),
            ("MYSQL__PASSWORD", password),
            ("LOGS__FILTER", "info"),
        ];
        let environment = environment
            .map(|(key, value)| (format!("PICRESIZE__{key}"), value.to_owned()))
            .to_vec();
        let mut servers = Self {
            apis: Vec::new(),
            workers: Vec::new(),
            brokers,
            database,
            requests_topic,
            random: Random::new(plan.seed),
            environment,
            logs,
        };
        servers.migrate().await;
        let mut urls = Vec::new();
        for name in ["api-1", "api-2"] {
            let listen = format!("127.0.0.1:{}", free_port(27_000));
            let mut api = servers.program(name, &["api", "--listen", &listen]);
            api.start().await;
            servers.apis.push(api);
            urls.push(format!("http://{listen}"));
        }
        for name in ["worker-1", "worker-2"] {
            let mut worker = servers.worker(name);
            worker.start().await;
            servers.workers.push(worker);
        }
        (servers, urls)
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Program {
        Program::new(name, arguments, &self.environment, &self.logs)
    }

    pub(crate) fn worker(&self, name: &str) -> Program {
        self.program(name, &["worker", "--admin-listen", "127.0.0.1:0"])
    }

    async fn migrate(&self) {
        let mut migrate = self.program("migrate", &["migrate"]);
        migrate.spawn();
        let status = migrate.ended(Duration::from_secs(60)).await;
        let is_prepared = status.is_some_and(|status| status.success());
        assert!(is_prepared, "{}", migrate.logged_since(0));
    }

    fn programs(&mut self) -> impl Iterator<Item = &mut Program> {
        self.apis.iter_mut().chain(&mut self.workers)
    }
}

struct Half {
    rounds: Rounds,
    servers: Servers,
    urls: Vec<String>,
}

impl Half {
    async fn new(plan: &Plan, addresses: &Addresses, home: &Path, folder: &Path) -> Self {
        let pictures = Pictures::new(home);
        let account = Account::new("servers", plan);
        let logs = folder.join("logs/servers");
        let (servers, urls) = Servers::new(plan, addresses, logs).await;
        let rounds = Rounds::new(plan.clone(), pictures, account);
        Self {
            rounds,
            servers,
            urls,
        }
    }

    async fn inject(&mut self, fault: Fault) {
        let (_, name, _) = FAULTS.iter().find(|(known, ..)| *known == fault).unwrap();
        let Self {
            rounds,
            servers,
            urls,
        } = self;
        if fault == Fault::MysqlFull
            && let Err(reason) = &servers.database.disk
        {
            let reason = format!("no disk can be mounted: {reason}");
            return rounds.skip(name, &reason);
        }
        let hold = fault.hold(rounds.plan.is_full);
        let options = RoundOptions {
            name: (*name).to_owned(),
            urls: urls.clone(),
            hold,
            slow: 0,
            may_fail: fault == Fault::RetentionPassed,
            may_be_late: fault == Fault::Api(How::Freeze),
        };
        let lengths: Vec<u64> = servers
            .programs()
            .map(|program| program.log_length())
            .collect();
        let row = rounds.run(options, play(fault, servers, hold)).await;
        let logs = servers.programs().zip(lengths);
        row.warnings = logs
            .map(|(program, length)| warnings(&program.logged_since(length)))
            .sum();
        rounds.settle();
    }

    async fn close(mut self) {
        let url = self.urls[0].clone();
        self.rounds.read_again(&url).await;
        for program in self.servers.programs() {
            let (name, memory) = (program.name.clone(), program.peak_mib());
            self.rounds.account.memory.insert(name, memory);
            program.kill().await;
        }
        self.servers.database.remove().await;
        self.rounds.account.close(&self.rounds.plan);
    }
}
