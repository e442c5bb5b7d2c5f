//! The error of a wrong command line, which ends with exit code 2.

/// A command line that can't be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);
