//! The commands of the program: each file has one command's options and its `run`. Only here are the
//! parts put together.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Settings, SettingsError};

mod api;
mod health;
mod migrate;
mod options;
mod replay;
mod resize;
mod roles;
mod serve;
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
    #[command(subcommand)]
    Replay(Box<replay::Replay>),
    Resize(Box<resize::Resize>),
}

/// Where the settings come from.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The settings file; picresize.example.toml explains each setting [default: picresize.toml,
    /// if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Settings, SettingsError> {
        Settings::load(self.config.as_deref())
    }
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
            Command::Replay(command) => command.run(),
            Command::Resize(command) => command.run(),
        };
        match outcome {
            Ok(code) => code,
            Err(error) => {
                eprintln!("picresize: {error:#}");
                let usage = error.is::<SettingsError>() || error.is::<Usage>();
                ExitCode::from(if usage { 2 } else { 1 })
            }
        }
    }
}

/// A command line that can't be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);
