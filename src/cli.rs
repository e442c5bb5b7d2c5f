//! The commands of the program. Each file has the options of one command and its `run`. Only the
//! commands assemble the parts of the program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::usage::Usage;
use crate::api::AccessError;
use crate::processing;
use crate::settings::SettingsError;

mod api;
mod check;
mod config_file;
mod health;
mod keys;
mod migrate;
mod options;
mod pixels;
mod replay;
mod resize;
mod roles;
mod serve;
mod usage;
mod worker;

/// Resizes pictures, as a service or directly.
///
/// Exit codes: 0 for success, 1 if something failed, 2 if the command line or a setting is wrong.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  picresize serve
      Everything in one process, at http://127.0.0.1:8000, with its data in ./picresize-data
  picresize resize photo.jpg small.webp --width 512
      One picture, without a server
  picresize migrate && picresize api & picresize worker
      Each role in a process of its own, on Kafka and MySQL (storage.log, storage.table)";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Api(api::Api),
    Worker(worker::Worker),
    Migrate(migrate::Migrate),
    Health(health::Health),
    Check(check::Check),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Replay(Box<replay::Replay>),
    Resize(Box<resize::Resize>),
    #[command(name = processing::COMMAND)]
    Pixels(pixels::Pixels),
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(command) => command.run(),
            Command::Api(command) => command.run(),
            Command::Worker(command) => command.run(),
            Command::Migrate(command) => command.run(),
            Command::Health(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Keys(command) => command.run(),
            Command::Replay(command) => command.run(),
            Command::Resize(command) => command.run(),
            Command::Pixels(command) => Ok(command.run()),
        };
        match outcome {
            Ok(code) => code,
            Err(error) => {
                eprintln!("picresize: {error:#}");
                let usage =
                    error.is::<SettingsError>() || error.is::<AccessError>() || error.is::<Usage>();
                ExitCode::from(if usage { 2 } else { 1 })
            }
        }
    }
}
