//! Tests that every adapter keeps the contract of its port: the event log and the picture store.
//!
//! Each promise is a function that takes an adapter. The tests run all of them on each adapter.

mod log;
pub(crate) mod store;
