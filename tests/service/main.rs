//! Tests the whole service as its users see it: over HTTP, on every storage, and killed at times.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

mod accept;
mod access;
mod check;
mod claim_check;
mod connections;
mod contract;
mod corpus;
mod embedded_files;
mod errors;
mod faulty_log;
mod fetch;
mod forget;
mod forms;
mod golden;
mod isolation;
mod kafka_outages;
mod kill;
mod links;
mod lookup;
mod memory;
mod mysql;
mod poison;
mod process;
mod quotas;
mod replacing;
mod replay;
mod reuse;
mod same_bytes;
mod shared;
mod shared_storage;
mod slow_log;
mod support;
mod waiting;
