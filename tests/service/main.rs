//! The service as its users meet it: over HTTP, on the embedded engine, and killed now and then.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

mod accept;
mod contract;
mod corpus;
mod errors;
mod fetch;
mod kill;
mod mysql;
mod poison;
mod process;
mod replay;
mod shared;
mod support;
