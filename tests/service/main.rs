//! The service as its users meet it: over HTTP, on the embedded engine, and killed now and then.

mod accept;
mod contract;
mod corpus;
mod errors;
mod fetch;
mod kill;
mod poison;
mod support;
