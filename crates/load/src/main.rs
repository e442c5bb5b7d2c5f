//! `picresize-load` puts load on a picture-resizing service over HTTP and measures it: the times of
//! each step, and the processor time, memory, handles and disk of the service's processes.
//!
//! The client is cheap, so that it takes little from the service beside it: one thread, HTTP/1.1
//! written by hand over kept connections, and bodies that are sent from where they lie in memory.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod header;
mod http;
mod made;
mod operation;
mod pace;
mod pictures;
mod pipeline;
mod plot;
mod processes;
mod report;
mod request;
mod run;
mod stamp;
mod tally;

/// Puts load on a picture-resizing service, and measures it.
///
/// Exit codes: 0 if every operation ended as it should, 1 if one was lost, wrong, stuck or failed, or
/// the run was not possible, 2 if the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "picresize-load", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  picresize-load run http://127.0.0.1:8000 --clients 32 --seconds 20 --pid 4711 --data picresize-data
      32 clients, each with one tiny picture at a time; measures the processes of 4711
  picresize-load run http://127.0.0.1:8000 --made photo --rate 12 --seconds 60 --verify
      12 photographs a second, whether the service keeps up or not
  picresize-load run http://127.0.0.1:8000 --rate 12 --seconds 3600 --pid 4711 --plot hour.svg
      An hour of steady load, with a plot of memory, handles and disk
  picresize-load pipeline --made photo
      The same work without a service: what the pixels alone cost";

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Pipeline(pipeline::Pipeline),
    Pictures(made::Write),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(command) => command.run(),
        Command::Pipeline(command) => command.run(),
        Command::Pictures(command) => command.run(),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("picresize-load: {error:#}");
        ExitCode::FAILURE
    })
}
