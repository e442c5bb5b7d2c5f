//! Why a picture has no result.

use std::io;

use super::pixel_process::{Cause, Death};
use crate::imaging::ImagingError;

/// Why a picture has no result. The messages are for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ProcessingError {
    /// The picture cannot be read or resized.
    #[error(transparent)]
    Picture(#[from] ImagingError),
    /// A codec panicked. Its message is for the log.
    #[error("the picture cannot be decoded: its decoder gave up")]
    Panicked(String),
    /// The picture ended the process that worked on it, or was stopped at a limit.
    #[error("{}", sentence(death, *attempts))]
    Fatal {
        death: Death,
        /// How often it did so.
        attempts: u32,
    },
    /// No pixel process can be started. That has nothing to do with the picture.
    #[error("no process can be started for the picture: {0}")]
    NoProcess(io::Error),
}

impl ProcessingError {
    /// Whether another attempt, in a fresh process, may have a result. A picture that reached a
    /// limit would reach it again.
    pub(super) fn may_be_retried(&self) -> bool {
        let Self::Fatal { death, .. } = self else {
            return false;
        };
        match death.cause {
            Cause::Signal(_) | Cause::Exit(_) | Cause::Nonsense => true,
            Cause::ProcessorTime(_) | Cause::Standstill(_) | Cause::Memory(_) => false,
        }
    }

    /// The same error after this many attempts.
    pub fn after(self, attempts: u32) -> Self {
        match self {
            Self::Fatal { death, .. } => Self::Fatal { death, attempts },
            other => other,
        }
    }

    /// Whether the picture ended its process or was stopped. Its event is set aside then.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. })
    }
}

fn sentence(death: &Death, attempts: u32) -> String {
    match death.cause {
        Cause::ProcessorTime(seconds) => {
            format!("the picture took more than {seconds} s of processor time, which is the limit")
        }
        Cause::Standstill(time) => format!(
            "the process that worked on the picture stood still for {} s",
            time.as_secs()
        ),
        Cause::Memory(bytes) => format!(
            "the picture needs more memory than its estimate of {bytes} bytes, which is the limit"
        ),
        Cause::Signal(_) | Cause::Exit(_) | Cause::Nonsense => {
            let times = match attempts {
                1 => "once".to_owned(),
                2 => "twice".to_owned(),
                more => format!("{more} times"),
            };
            format!(
                "the picture ended the process that worked on it {times} ({})",
                death.cause
            )
        }
    }
}
