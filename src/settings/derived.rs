//! Values computed from the settings: durations, sizes in bytes, and the limits of imaging.

use std::time::Duration;

use super::sections::Settings;
use crate::imaging;

const MIB: u64 = 1 << 20;

impl Settings {
    /// Bytes of the largest record of the log: a picture of the largest size, and its headers.
    pub fn max_record_bytes(&self) -> u64 {
        self.limits.max_picture_bytes + 64 * 1024
    }

    /// How long an operation's pictures are kept; `None` means for ever.
    pub fn keep(&self) -> Option<Duration> {
        let hours = self.retention.keep_hours;
        (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3600)))
    }

    /// How long a removed operation is remembered.
    pub fn remember(&self) -> Duration {
        Duration::from_secs(self.retention.gone_hours.saturating_mul(3600))
    }

    /// The time between two retention sweeps.
    pub fn sweep_interval(&self) -> Duration {
        Duration::from_secs(self.retention.sweep_seconds)
    }

    /// Bytes of a request's body: a picture of the largest size in base64, and room for the rest.
    pub fn max_body_bytes(&self) -> u64 {
        self.limits.max_picture_bytes.div_ceil(3) * 4 + 64 * 1024
    }

    /// The limits in the form of the imaging library.
    pub fn imaging_limits(&self) -> imaging::Limits {
        imaging::Limits {
            max_side: self.limits.max_side,
            max_source_pixels: self.limits.max_source_pixels,
            max_result_pixels: self.limits.max_result_pixels,
            max_frames: self.limits.max_frames,
            max_memory_bytes: self.worker.memory_mib * MIB,
            max_result_bytes: self.limits.max_result_bytes,
            max_metadata_bytes: self.limits.max_metadata_bytes,
            max_seconds: self.limits.max_seconds,
        }
    }

    /// How long a client may take to send a request's body.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.server.body_timeout_seconds)
    }

    /// How long a client may pause while it sends a request's body.
    pub fn body_pause(&self) -> Duration {
        Duration::from_secs(self.server.body_pause_seconds)
    }

    /// How long the log and the table may take to accept a request without its picture.
    pub fn storage_timeout(&self) -> Duration {
        Duration::from_secs(self.server.storage_timeout_seconds)
    }

    /// How long a request waits for memory.
    pub fn memory_wait(&self) -> Duration {
        Duration::from_secs(self.server.memory_wait_seconds)
    }

    /// How long work in progress may take to finish after a stop signal.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.lifecycle.grace_seconds)
    }
}
