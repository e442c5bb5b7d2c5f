//! Values computed from the settings: durations, sizes in bytes, and the limits of imaging.

use std::path::PathBuf;
use std::time::Duration;

use super::sections::{Settings, TableKind};
use crate::imaging;

const MIB: u64 = 1 << 20;
/// The longest time: a hundred years. A point of time and a few such times can be added.
const MOST_SECONDS: u64 = 100 * 366 * 24 * 3600;

impl Settings {
    /// Bytes of the largest record of the log: a picture of the largest size, and its headers.
    pub fn max_record_bytes(&self) -> u64 {
        self.limits.max_picture_bytes.saturating_add(64 * 1024)
    }

    /// How long an operation's pictures are kept; `None` means for ever.
    pub fn keep(&self) -> Option<Duration> {
        let hours = self.retention.keep_hours;
        (hours > 0.0).then(|| parts_of_hours(hours))
    }

    /// How long a removed operation is remembered.
    pub fn remember(&self) -> Duration {
        parts_of_hours(self.retention.gone_hours)
    }

    /// The file of keys, if there may be one.
    pub fn keys_file(&self) -> Option<PathBuf> {
        let named = &self.access.keys_file;
        if !named.as_os_str().is_empty() {
            return Some(named.clone());
        }
        let is_embedded = self.storage.table == TableKind::Embedded;
        is_embedded.then(|| self.data.folder.join("keys"))
    }

    /// The time between two retention sweeps.
    pub fn sweep_interval(&self) -> Duration {
        seconds(self.retention.sweep_seconds)
    }

    /// Bytes of a request's body: a picture of the largest size in base64, and room for the rest.
    pub fn max_body_bytes(&self) -> u64 {
        let base64 = self.limits.max_picture_bytes.div_ceil(3).saturating_mul(4);
        base64.saturating_add(64 * 1024)
    }

    /// The limits in the form of the imaging library.
    pub fn imaging_limits(&self) -> imaging::Limits {
        imaging::Limits {
            max_side: self.limits.max_side,
            max_source_pixels: self.limits.max_source_pixels,
            max_result_pixels: self.limits.max_result_pixels,
            max_frames: self.limits.max_frames,
            max_memory_bytes: self.worker.memory_mib.saturating_mul(MIB),
            max_result_bytes: self.limits.max_result_bytes,
            max_metadata_bytes: self.limits.max_metadata_bytes,
            max_seconds: self.limits.max_seconds,
        }
    }

    /// How long Kafka keeps the records of new topics.
    pub fn kafka_retention(&self) -> Duration {
        hours(self.kafka.retention_hours)
    }

    /// How long a client may take to send a request's header.
    pub fn header_timeout(&self) -> Duration {
        seconds(self.server.header_timeout_seconds)
    }

    /// How long a connection is kept open without a request.
    pub fn idle_timeout(&self) -> Duration {
        seconds(self.server.idle_timeout_seconds)
    }

    /// How long a client may pause while it reads an answer.
    pub fn write_timeout(&self) -> Duration {
        seconds(self.server.write_timeout_seconds)
    }

    /// How long a client may take to send a request's body.
    pub fn body_timeout(&self) -> Duration {
        seconds(self.server.body_timeout_seconds)
    }

    /// How long a client may pause while it sends a request's body.
    pub fn body_pause(&self) -> Duration {
        seconds(self.server.body_pause_seconds)
    }

    /// How long the log and the table may take to accept a request without its picture.
    pub fn storage_timeout(&self) -> Duration {
        Duration::from_secs(self.server.storage_timeout_seconds)
    }

    /// How long a request waits for memory.
    pub fn memory_wait(&self) -> Duration {
        seconds(self.server.memory_wait_seconds)
    }

    /// How long work in progress may take to finish after a stop signal.
    pub fn grace(&self) -> Duration {
        seconds(self.lifecycle.grace_seconds)
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(MOST_SECONDS))
}

fn hours(hours: u64) -> Duration {
    seconds(hours.saturating_mul(3600))
}

fn parts_of_hours(hours: f64) -> Duration {
    // `check` has refused what is not a time. A conversion stops at the largest number.
    Duration::from_millis((hours * 3_600_000.0) as u64).min(Duration::from_secs(MOST_SECONDS))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// The largest numbers mean that there is no limit.
    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut settings = Settings::default();
        settings.limits.max_picture_bytes = u64::MAX;
        settings.worker.memory_mib = u64::MAX;
        settings.retention.keep_hours = f64::MAX;
        settings.kafka.retention_hours = u64::MAX;
        settings.server.body_timeout_seconds = u64::MAX;
        assert_eq!(settings.max_record_bytes(), u64::MAX);
        assert_eq!(settings.max_body_bytes(), u64::MAX);
        assert_eq!(settings.imaging_limits().max_memory_bytes, u64::MAX);
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains("server.upload_memory_mib"), "{error}");
        for time in [settings.keep().unwrap(), settings.body_timeout()] {
            assert!(Instant::now().checked_add(time * 3).is_some());
        }
        assert!(settings.kafka_retention().as_millis() < i64::MAX as u128);
    }
}
