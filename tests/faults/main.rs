//! Injects faults while the real program works, follows every operation to its end, and gives an
//! account: nothing may be lost, wrong, stuck or blamed. See docs/faults.md.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

mod account;
mod brokers;
mod damage;
mod database;
mod disk;
mod embedded;
mod load;
mod operate;
mod picture;
mod plan;
mod program;
mod proxy;
mod round;
mod servers;
mod servers_faults;
mod services;

/// The halves do not run at once, because each measures how long operations wait.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_survives_its_faults() {
    let _turn = ONE_AT_A_TIME.lock().await;
    embedded::run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_survive_their_faults() {
    let _turn = ONE_AT_A_TIME.lock().await;
    servers::run().await;
}
