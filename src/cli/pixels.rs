//! `picresize pixels`: a pixel process. The other commands start it; it is of no use to a person.

use std::process::ExitCode;

use crate::processing;

/// Decode and encode for the process that started this one
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Pixels {
    /// Load the library for HEIC
    #[arg(long = processing::HEIC_FLAG)]
    heic: bool,
}

impl Pixels {
    pub(super) fn run(self) -> ExitCode {
        processing::run_pixel_process(self.heic)
    }
}
