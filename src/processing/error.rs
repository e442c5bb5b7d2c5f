//! Why a picture has no result.

use std::io;

use super::death::{Cause, Death};
use crate::imaging::ImagingError;

/// The number of the signal with which the kernel ends a process.
const KILL: i32 = rustix::process::Signal::KILL.as_raw();

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
    /// How another attempt may have a result, if it may. A picture that reached a limit would reach
    /// it again.
    pub(super) fn retry(&self) -> Option<Retry> {
        let Self::Fatal { death, .. } = self else {
            return None;
        };
        match death.cause {
            // The kernel may have ended it because all pictures together took too much memory.
            Cause::Signal(KILL) => Some(Retry::Alone),
            Cause::Signal(_) | Cause::Exit(_) | Cause::Nonsense | Cause::Standstill(_) => {
                Some(Retry::InFreshProcess)
            }
            Cause::ProcessorTime(_) | Cause::Memory(_) => None,
        }
    }

    /// The same error after this many attempts.
    pub(super) fn after(self, attempts: u32) -> Self {
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

/// How a picture that ended its process is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// In a process that has had no other picture.
    InFreshProcess,
    /// In such a process, while no other picture is processed.
    Alone,
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
