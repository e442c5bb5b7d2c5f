//! What every event log and every picture store keeps, whatever it is made of.
//!
//! Each promise is a function of an adapter; the tests run each adapter through all of them.

mod log;
pub(crate) mod store;
