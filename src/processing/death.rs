//! How and why a pixel process ended.

use std::fmt;
use std::time::Duration;

/// How a pixel process ended while it had work.
#[derive(Clone, Debug)]
pub struct Death {
    pub cause: Cause,
    /// What it wrote to its standard error at last.
    pub said: String,
}

/// Why a pixel process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It used this many seconds of processor time.
    ProcessorTime(u32),
    /// It had not finished after this time, although it hardly used the processor.
    Standstill(Duration),
    /// It wanted more memory than this, which is its estimate and a reserve.
    Memory(u64),
    Signal(i32),
    Exit(i32),
    /// Its answer could not be understood.
    Nonsense,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProcessorTime(seconds) => write!(f, "it used {seconds} s of processor time"),
            Self::Standstill(time) => write!(f, "it stood still for {} s", time.as_secs()),
            Self::Memory(_) => write!(f, "it used up its memory"),
            Self::Signal(signal) => write!(f, "it ended with signal {signal}"),
            Self::Exit(code) => write!(f, "it ended with exit code {code}"),
            Self::Nonsense => write!(f, "its answer could not be understood"),
        }
    }
}
