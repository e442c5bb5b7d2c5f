//! `picresize replay`: plays the log back. This file has the flags of each replay, and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;

use self::console::Console;
use super::config_file::ConfigFile;
use super::options::{Options, wrong_flags};
use super::usage::Usage;
use crate::event_log::{EventPosition, Start};
use crate::operation::OperationId;
use crate::processing::PixelProcesses;
use crate::replay::{self, Ended, Range, Resources, Speed, Task};
use crate::settings::Settings;
use crate::storage::Storage;
use crate::{lifecycle, telemetry};

mod console;

/// Play the log back: rebuild the table, verify it, try other options, re-queue failed events
///
/// The log is the truth; the table is a view of it. A replay runs beside live workers without
/// disturbing them, and is safe to run twice. It stops where the log ended when it started.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Replay {
    Rebuild(Rebuild),
    Verify(Verify),
    Shadow(Box<Shadow>),
    DeadLetters(DeadLetters),
}

/// Fill a lost or new table from the log
///
/// Rows that are already right stay untouched. Operations that expired or were erased do not come
/// back, and failed ones stay failed. Exits with 1 if something can't be restored.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize replay rebuild
  picresize replay rebuild --data /var/lib/picresize --from 2026-01-31T06:00:00Z
  picresize replay rebuild --config /etc/picresize.toml --id 01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11")]
pub(super) struct Rebuild {
    #[command(flatten)]
    common: Common,
}

/// Resize everything again and compare with the table
///
/// Compares each result's digest, the stored bytes, the options and the source with the log.
/// Writes nothing. Exits with 1 if there is a difference.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize replay verify
  picresize replay verify --from 2026-01-31T06:00:00Z --to 2026-01-31T07:00:00Z --json
  picresize replay verify --sample 1000")]
pub(super) struct Verify {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    sample: Sample,
}

/// Resize everything with other options and compare size, time and quality
///
/// The options given here replace those of the requests. Writes nothing without --promote.
/// Quality is SSIMULACRA2 against a reference in linear light: 100 is identical, 90 is visually
/// lossless, 70 is high, 50 is medium.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize replay shadow --format webp --quality 75
  picresize replay shadow --format avif --sample 200
  picresize replay shadow --filter bilinear --profile fine --speed 10
  picresize replay shadow --format webp --promote --id 01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11")]
pub(super) struct Shadow {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    sample: Sample,
    /// Save the new results; the table then has other options than the log
    #[arg(long)]
    promote: bool,
}

/// Re-queue failed events (dead letters)
///
/// For use after a fix: events that could not be read, or that crashed their workers, go to the
/// workers again. Events that were already re-queued are skipped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize replay dead-letters --list
  picresize replay dead-letters --id 01939a5e-6f0e-7d31-8d43-2f6c1f0f7b11
  picresize replay dead-letters")]
pub(super) struct DeadLetters {
    #[command(flatten)]
    common: Common,
    /// Only list them
    #[arg(long)]
    list: bool,
}

#[derive(Debug, clap::Args)]
struct Sample {
    /// Play only about this many events, spread evenly over the range
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Where to start: beginning, positions (partition:offset, separated by commas), or a time
    /// such as 2026-01-31T06:00:00Z
    #[arg(long, value_name = "WHERE", default_value = "beginning")]
    from: String,
    /// Skip events that were appended at this time or later
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only this operation
    #[arg(long, value_name = "ID")]
    id: Option<OperationId>,
    /// 1 keeps the original pace, 10 is ten times as fast, max does not wait at all
    #[arg(long, value_name = "TIMES", default_value = "max")]
    speed: String,
    /// Print a line of JSON for each event, and the summary as the last line
    #[arg(long)]
    json: bool,
    /// Folder of an embedded log and table [default: picresize-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

/// What to do with the range of the log: a task for its requests, or re-queueing dead letters.
enum Order {
    Play(Task),
    DeadLetters { list: bool },
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode> {
        let mut sample = None;
        let (common, order) = match self {
            Self::Rebuild(it) => (it.common, Order::Play(Task::Rebuild)),
            Self::Verify(it) => {
                sample = it.sample.sample;
                (it.common, Order::Play(Task::Verify))
            }
            Self::Shadow(it) => {
                let pairs = it.options.pairs().into_iter();
                let overrides: Vec<_> = pairs.map(|(key, text)| (key, text.to_owned())).collect();
                replay::check_overrides(&overrides).map_err(wrong_flags)?;
                let promote = it.promote;
                sample = it.sample.sample;
                (it.common, Order::Play(Task::Shadow { overrides, promote }))
            }
            Self::DeadLetters(it) => (it.common, Order::DeadLetters { list: it.list }),
        };
        common.run(order, sample)
    }
}

impl Common {
    fn run(self, order: Order, sample: Option<u64>) -> Result<ExitCode> {
        let range = Range {
            sample,
            ..self.range()?
        };
        let mut settings = self.config.load()?;
        if let Some(data) = self.data {
            settings.data.folder = data;
        }
        settings.check()?;
        telemetry::start(&settings.logs.filter)?;
        let mut console = Console::new(self.json);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let ended = runtime.block_on(run(&settings, &range, order, &mut console));
        runtime.shutdown_background();
        Ok(console.conclude(&ended?))
    }

    fn range(&self) -> Result<Range, Usage> {
        Ok(Range {
            from: start(&self.from)?,
            to: self.to.as_deref().map(|to| time("--to", to)).transpose()?,
            id: self.id,
            sample: None,
            speed: speed(&self.speed)?,
        })
    }
}

async fn run(
    settings: &Settings,
    range: &Range,
    order: Order,
    console: &mut Console,
) -> Result<Ended> {
    let stop = lifecycle::stop_on_signal()?;
    let storage = Storage::open_beside(settings).await?;
    Ok(match order {
        Order::Play(task) => {
            let name = format!("replay-{}", std::process::id());
            let resources = Resources {
                storage: &storage,
                processes: PixelProcesses::new()?,
                settings,
                name,
            };
            replay::play(resources, range, task, console, &stop).await?
        }
        Order::DeadLetters { list } => {
            replay::dead_letters(&storage, settings, range, list, console, &stop).await?
        }
    })
}

fn start(text: &str) -> Result<Start, Usage> {
    if text.eq_ignore_ascii_case("beginning") {
        return Ok(Start::Beginning);
    }
    let positions: Result<Vec<EventPosition>, _> = text.split(',').map(str::parse).collect();
    if let Ok(positions) = positions {
        return Ok(Start::Positions(positions));
    }
    text.parse().map(Start::Time).map_err(|_| {
        Usage(format!(
            "--from: {text:?} is neither beginning, nor positions such as 0:1207,3:88, nor a time \
             such as 2026-01-31T06:00:00Z"
        ))
    })
}

fn time(flag: &str, text: &str) -> Result<Timestamp, Usage> {
    let wrong = |_| {
        Usage(format!(
            "{flag}: {text:?} is not a time such as 2026-01-31T06:00:00Z"
        ))
    };
    text.parse().map_err(wrong)
}

fn speed(text: &str) -> Result<Speed, Usage> {
    if text == "max" {
        return Ok(Speed::Unbounded);
    }
    match text.parse() {
        Ok(times) if times > 0 => Ok(Speed::Times(times)),
        _ => Err(Usage(format!(
            "--speed: {text:?} is neither max nor a whole number of at least 1"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_the_beginning_positions_or_a_time() {
        assert_eq!(start("BEGINNING").unwrap(), Start::Beginning);
        let Start::Positions(positions) = start("0:1207,3:88").unwrap() else {
            panic!("these are positions");
        };
        assert_eq!(positions.len(), 2);
        assert!(matches!(
            start("2026-01-31T06:00:00Z").unwrap(),
            Start::Time(_)
        ));
        for wrong in ["", "tomorrow", "0:1,x", "12"] {
            let Usage(message) = start(wrong).unwrap_err();
            assert!(message.contains(&format!("{wrong:?}")), "{message}");
        }
    }

    #[test]
    fn a_speed_is_max_or_a_factor() {
        assert_eq!(speed("max").unwrap(), Speed::Unbounded);
        assert_eq!(speed("10").unwrap(), Speed::Times(10));
        for wrong in ["0", "-1", "fast"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
