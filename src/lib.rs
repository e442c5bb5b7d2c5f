//! picresize: an asynchronous picture-resizing service in one executable.
//!
//! The map, from the outside in. Dependencies run one way, downwards; a test holds the rule.
//!
//! | layer | modules |
//! |---|---|
//! | commands; the only place that puts parts together | [`cli`] |
//! | roles | [`api`], [`worker`], [`replay`] |
//! | what roles share | [`storage`], [`processing`], [`settings`], [`lifecycle`], [`telemetry`] |
//! | ports and their adapters | [`event_log`], [`picture_store`] |
//! | the work itself: pure functions | [`imaging`] |
//! | the words of the domain | [`operation`], [`event`] |

pub mod api;
pub mod cli;
pub mod event;
pub mod event_log;
pub mod lifecycle;
pub mod operation;
pub mod picture_store;
pub mod processing;
pub mod replay;
pub mod settings;
mod sqlite;
pub mod storage;
pub mod telemetry;
pub mod worker;

pub use picresize_imaging as imaging;
