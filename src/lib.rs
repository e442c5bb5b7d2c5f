//! picresize: an asynchronous picture-resizing service in one executable.
//!
//! The modules, from the outermost layer to the innermost. Dependencies only run one way;
//! `tests/architecture.rs` lists what each module may use.
//!
//! | layer | modules |
//! |---|---|
//! | commands; the only layer that assembles the parts | [`cli`] |
//! | roles | [`api`], [`worker`], [`replay`] |
//! | shared by roles | [`storage`], [`processing`], [`access`], [`settings`], [`lifecycle`], [`telemetry`] |
//! | ports and their adapters | [`event_log`], [`picture_store`] |
//! | domain types | [`operation`], [`event`] |
//! | imaging: pure functions | [`imaging`] |

pub mod access;
pub mod api;
pub mod cli;
pub mod event;
pub mod event_log;
pub mod lifecycle;
pub mod operation;
pub mod picture_store;
mod private;
pub mod processing;
pub mod replay;
pub mod settings;
mod sqlite;
pub mod storage;
pub mod telemetry;
pub mod worker;

pub use picresize_imaging as imaging;
