//! How long calls to the server may take.

use std::time::Duration;

/// How long a call may take whose statement carries no picture, with connecting and repeating.
pub(super) const SMALL: Duration = Duration::from_secs(2);
/// How long a look-up or a sweep may take, which read or change many rows.
pub(super) const LARGE: Duration = Duration::from_secs(20);
/// A picture of this many bytes may take one second more.
const BYTES_A_SECOND: u64 = 1 << 20;

/// How long a statement may take that carries a picture of so many bytes.
pub(super) fn limit_for(bytes: u64) -> Duration {
    SMALL + Duration::from_secs(bytes / BYTES_A_SECOND)
}
