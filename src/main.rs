//! The entry point: parses the command line, runs the command, and exits with its exit code.

use std::process::ExitCode;

use clap::Parser;
use picresize::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
