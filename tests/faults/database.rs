//! The MySQL server as the service sees it: behind a proxy, with a database on a disk of its own.

use std::os::unix::fs::chown;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::{Instant, sleep};

use super::disk::Disk;
use super::program::free_port;
use super::proxy::Proxy;
use super::services::{Addresses, home};

/// The server's user in the system of `scripts/services`.
const NOBODY: u32 = 65534;

pub(crate) struct Database {
    pub(crate) proxy: Proxy,
    pub(crate) port: u16,
    pub(crate) name: String,
    options: Opts,
    /// Or why there is none.
    pub(crate) disk: Result<Disk, String>,
}

impl Database {
    pub(crate) async fn new(addresses: &Addresses, name: &str) -> Self {
        let options = Opts::from_url(&addresses.mysql).unwrap();
        let server = format!("{}:{}", options.ip_or_hostname(), options.tcp_port());
        let port = free_port(26_000);
        let listen = ([127, 0, 0, 1], port).into();
        let proxy = Proxy::start(listen, server.parse().unwrap()).await;
        let mut database = Self {
            proxy,
            port,
            name: name.to_owned(),
            options,
            disk: Err(String::new()),
        };
        database.run(&format!("CREATE DATABASE {name}")).await;
        let folder = home().join("systems/mysql/srv/data").join(name);
        database.disk = Disk::mount(&folder, 1024);
        if database.disk.is_ok() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        database
    }

    pub(crate) fn user(&self) -> (&str, &str) {
        (self.options.user().unwrap(), self.options.pass().unwrap())
    }

    async fn connect(&self) -> Conn {
        let options = OptsBuilder::from_opts(self.options.clone()).prefer_socket(false);
        Conn::new(options).await.unwrap()
    }

    /// Runs a statement, past the proxy.
    pub(crate) async fn run(&self, statement: &str) {
        let mut connection = self.connect().await;
        connection.query_drop(statement).await.unwrap();
        connection.disconnect().await.unwrap();
    }

    pub(crate) async fn set_read_only(&self, read_only: bool) {
        let value = if read_only { "ON" } else { "OFF" };
        self.run(&format!("SET GLOBAL super_read_only = {value}"))
            .await;
        if !read_only {
            // The first statement sets this one too.
            self.run("SET GLOBAL read_only = OFF").await;
        }
    }

    /// Ends all connections of the service, again and again.
    pub(crate) async fn kill_connections(&self, until: Instant) {
        let mut connection = self.connect().await;
        while Instant::now() < until {
            let query = "SELECT id FROM performance_schema.processlist WHERE db = ?";
            let ids: Vec<u64> = connection.exec(query, (&self.name,)).await.unwrap();
            for id in ids {
                // It may have ended.
                let _ = connection.query_drop(format!("KILL {id}")).await;
            }
            sleep(Duration::from_millis(300)).await;
        }
        connection.disconnect().await.unwrap();
    }

    /// Holds a lock for a while. `statements` take it.
    pub(crate) async fn lock(&self, statements: &[String], hold: Duration) {
        let mut connection = self.connect().await;
        for statement in statements {
            connection.query_drop(statement).await.unwrap();
        }
        sleep(hold).await;
        connection.query_drop("ROLLBACK").await.unwrap();
        connection.query_drop("UNLOCK TABLES").await.unwrap();
        connection.disconnect().await.unwrap();
    }

    /// Removes the database.
    pub(crate) async fn remove(self) {
        self.run(&format!("DROP TABLE {}.pictures", self.name))
            .await;
        let Self { disk, .. } = &self;
        let is_mounted = disk.is_ok();
        let name = self.name.clone();
        if is_mounted {
            // The server cannot remove the folder while something is mounted there.
            let (options, proxy) = (self.options.clone(), self.proxy);
            drop(self.disk);
            drop(proxy);
            let mut connection = Conn::new(options).await.unwrap();
            connection
                .query_drop(format!("DROP DATABASE {name}"))
                .await
                .unwrap();
            connection.disconnect().await.unwrap();
            return;
        }
        self.run(&format!("DROP DATABASE {name}")).await;
    }
}
