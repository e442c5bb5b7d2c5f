//! Tests what calls cost while the server is frozen, slow, read-only, or ends connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use picresize::operation::EventPosition;
use picresize::picture_store::mysql::MysqlStore;
use picresize::picture_store::{DepositStore, OperationStore, RetentionStore, StoreError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Server, TestDatabase};
use crate::contract::store::{finished, queued};
use crate::support::PATIENCE;

on_each_server! {
    a_frozen_server_costs_two_seconds_once
    connections_that_are_killed_are_replaced
    a_statement_that_is_killed_is_run_again
    a_lock_that_stays_costs_two_seconds
    a_read_only_table_is_told_and_heals
    a_deposited_picture_is_once_in_the_binary_log
}

/// What a call may take: 2 s, and some time for a busy machine.
const AT_MOST: Duration = Duration::from_secs(5);

/// Forwards connections to the server. While it is frozen, it accepts them and forwards nothing, as
/// a stopped process does.
struct Proxy {
    port: u16,
    is_frozen: watch::Sender<bool>,
}

impl Proxy {
    async fn before(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server: SocketAddr = format!("{host}:{port}").parse().unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            is_frozen: watch::Sender::new(false),
        };
        let is_frozen = proxy.is_frozen.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, is_frozen.clone()));
            }
        });
        proxy
    }

    fn freeze(&self, is_frozen: bool) {
        self.is_frozen.send_replace(is_frozen);
    }
}

async fn connect(client: TcpStream, server: SocketAddr, mut is_frozen: watch::Receiver<bool>) {
    if is_frozen.wait_for(|is_frozen| !is_frozen).await.is_err() {
        return;
    }
    let server = TcpStream::connect(server).await.unwrap();
    let (client, server) = (client.into_split(), server.into_split());
    let mut directions = JoinSet::new();
    for (mut from, mut to) in [(client.0, server.1), (server.0, client.1)] {
        let mut is_frozen = is_frozen.clone();
        directions.spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            loop {
                let read = from.read(&mut bytes).await.unwrap_or(0);
                let is_closed = is_frozen.wait_for(|is_frozen| !is_frozen).await.is_err();
                if read == 0 || is_closed || to.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        });
    }
    // Dropping the other direction closes both connections.
    directions.join_next().await;
}

/// Waits until `holds` returns true.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl TestDatabase {
    async fn administrator(&self) -> Conn {
        Conn::new(self.administrator.clone()).await.unwrap()
    }

    async fn migrated(&self) -> MysqlStore {
        self.migrate().await.unwrap();
        self.open().await.unwrap()
    }

    /// The connections that use this database, with the state of their statement if there is one.
    async fn connections(&self, administrator: &mut Conn) -> Vec<(u64, Option<String>)> {
        let sql = format!(
            "SELECT id, info FROM information_schema.processlist WHERE db = '{}'",
            self.options.database
        );
        administrator.query(sql).await.unwrap()
    }

    /// A connection that holds the lock of every row.
    async fn lock_rows(&self) -> Conn {
        let mut other = self.administrator().await;
        let table = format!("{}.pictures", self.options.database);
        let sql = format!("BEGIN; SELECT id FROM {table} FOR UPDATE");
        other.query_drop(sql).await.unwrap();
        other
    }
}

fn is_unavailable(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_))
}

async fn erase(store: &MysqlStore, operation: &picresize::operation::Operation) -> bool {
    store.erase(operation.id, Timestamp::now()).await.unwrap()
}

mod promises {
    use super::*;

    pub(super) async fn a_frozen_server_costs_two_seconds_once(mut database: TestDatabase) {
        database.migrate().await.unwrap();
        let proxy = Proxy::before(&database.options.host, database.options.port).await;
        let port = std::mem::replace(&mut database.options.port, proxy.port);
        let store = Arc::new(database.open().await.unwrap());
        let mut administrator = database.administrator().await;
        let operation = queued("100");
        store.enqueue(&operation).await.unwrap();
        for _ in 0..3 {
            proxy.freeze(true);
            let began = Instant::now();
            let mut calls = JoinSet::new();
            for number in 0..24 {
                let (store, operation) = (Arc::clone(&store), operation.clone());
                calls.spawn(async move {
                    if number % 2 == 0 {
                        store.find(operation.id).await.map(|_| ())
                    } else {
                        let bytes = Bytes::from(vec![7; 8 << 20]);
                        store.deposit(&queued("101"), bytes).await
                    }
                });
            }
            for outcome in calls.join_all().await {
                assert!(is_unavailable(&outcome.unwrap_err()));
            }
            assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
            let first = store.ping().await.unwrap_err().to_string();
            assert!(first.contains("away since"), "{first}");
            // Calls fail at once now.
            let began = Instant::now();
            for _ in 0..1000 {
                let error = store.find(operation.id).await.unwrap_err();
                assert_eq!(error.to_string(), first);
            }
            assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());

            proxy.freeze(false);
            let thawed = Instant::now();
            until("the table comes back", async || store.ping().await.is_ok()).await;
            assert!(thawed.elapsed() < AT_MOST, "{:?}", thawed.elapsed());
            let mut calls = JoinSet::new();
            for _ in 0..24 {
                let (store, id) = (Arc::clone(&store), operation.id);
                calls.spawn(async move { store.find(id).await.unwrap().unwrap() });
            }
            calls.join_all().await;
            let most = database.options.connections;
            until("no connection is left over", async || {
                database.connections(&mut administrator).await.len() <= most
            })
            .await;
        }
        database.options.port = port;
    }

    pub(super) async fn connections_that_are_killed_are_replaced(database: TestDatabase) {
        let store = database.migrated().await;
        let operation = queued("100");
        store.enqueue(&operation).await.unwrap();
        let mut administrator = database.administrator().await;
        for _ in 0..5 {
            let connections = database.connections(&mut administrator).await;
            assert!(!connections.is_empty());
            for (id, _) in connections {
                let _ = administrator.query_drop(format!("KILL {id}")).await;
            }
            assert!(store.find(operation.id).await.unwrap().is_some());
        }
    }

    pub(super) async fn a_statement_that_is_killed_is_run_again(database: TestDatabase) {
        let store = Arc::new(database.migrated().await);
        let operation = queued("100");
        store.enqueue(&operation).await.unwrap();
        let mut other = database.lock_rows().await;
        let erasing = tokio::spawn({
            let (store, operation) = (Arc::clone(&store), operation.clone());
            async move { erase(&store, &operation).await }
        });
        let mut killed = None;
        until("the statement waits", async || {
            let connections = database.connections(&mut other).await;
            let waiting =
                |info: &Option<String>| info.as_ref().is_some_and(|sql| sql.starts_with("UPDATE"));
            killed = connections
                .iter()
                .find(|(_, info)| waiting(info))
                .map(|(id, _)| *id);
            killed.is_some()
        })
        .await;
        other
            .query_drop(format!("KILL QUERY {}; COMMIT", killed.unwrap()))
            .await
            .unwrap();
        assert!(erasing.await.unwrap());
    }

    /// One row that is locked for long keeps no other call waiting.
    pub(super) async fn a_lock_that_stays_costs_two_seconds(database: TestDatabase) {
        let store = database.migrated().await;
        let operation = queued("100");
        store.enqueue(&operation).await.unwrap();
        let mut other = database.lock_rows().await;
        let began = Instant::now();
        let erased = store.erase(operation.id, Timestamp::now()).await;
        let error = erased.unwrap_err();
        assert!(is_unavailable(&error), "{error:?}");
        assert!(error.to_string().contains("holds a lock"), "{error}");
        assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
        assert!(store.find(operation.id).await.unwrap().is_some());
        until("the statement ends on the server too", async || {
            let connections = database.connections(&mut other).await;
            connections
                .iter()
                .all(|(_, info)| !info.as_ref().is_some_and(|sql| sql.starts_with("UPDATE")))
        })
        .await;
        other.query_drop("COMMIT").await.unwrap();
        assert!(erase(&store, &operation).await);
    }

    pub(super) async fn a_read_only_table_is_told_and_heals(database: TestDatabase) {
        let store = database.migrated().await;
        let operation = queued("100");
        store.enqueue(&operation).await.unwrap();
        let mut administrator = database.administrator().await;
        let name = &database.options.database;
        let sql = format!("ALTER DATABASE {name} READ ONLY = 1");
        if administrator.query_drop(sql).await.is_err() {
            // MariaDB has read-only servers only, which would end other tests.
            return;
        }
        let error = store
            .begin(&operation, "worker", Timestamp::now())
            .await
            .unwrap_err();
        assert!(is_unavailable(&error), "{error:?}");
        assert!(error.to_string().contains("read-only"), "{error}");
        assert!(store.find(operation.id).await.unwrap().is_some());
        let sql = format!("ALTER DATABASE {name} READ ONLY = 0");
        administrator.query_drop(sql).await.unwrap();
        assert!(erase(&store, &operation).await);
    }

    /// Only if the server writes a binary log. Other tests write to it too, so several pictures are
    /// tried, and the least growth counts.
    pub(super) async fn a_deposited_picture_is_once_in_the_binary_log(database: TestDatabase) {
        let store = database.migrated().await;
        let mut administrator = database.administrator().await;
        let size = async |administrator: &mut Conn| -> Option<u64> {
            let sql = "SELECT @@GLOBAL.log_bin";
            let is_on: Option<bool> = administrator.query_first(sql).await.unwrap();
            if is_on != Some(true) {
                return None;
            }
            let logs: Vec<mysql_async::Row> =
                administrator.query("SHOW BINARY LOGS").await.unwrap();
            Some(logs.iter().map(|log| log.get::<u64, _>(1).unwrap()).sum())
        };
        let bytes = 400_000_u64;
        let mut growth = Vec::new();
        for number in 0..5 {
            let Some(before) = size(&mut administrator).await else {
                return;
            };
            let mut operation = queued(&format!("{}", 200 + number));
            // Bytes that no compression makes less of.
            let mut random = 7_u64 + number;
            let picture = Vec::from_iter((0..bytes).map(|_| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (random >> 56) as u8
            }));
            store.deposit(&operation, picture.into()).await.unwrap();
            operation.position = Some(EventPosition {
                partition: 1,
                offset: i64::try_from(number).unwrap(),
            });
            store.enqueue(&operation).await.unwrap();
            let now = Timestamp::now();
            store.begin(&operation, "worker", now).await.unwrap();
            let result = finished(vec![1; 1000]);
            store.complete(operation.id, result, now).await.unwrap();
            assert!(erase(&store, &operation).await);
            growth.push(size(&mut administrator).await.unwrap() - before);
        }
        let least = *growth.iter().min().unwrap();
        assert!(least * 10 <= bytes * 11, "{growth:?} bytes for {bytes}");
    }
}
