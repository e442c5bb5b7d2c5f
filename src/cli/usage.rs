//! The error for a wrong command line. The program then exits with code 2.

/// A command line that can't be executed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);
