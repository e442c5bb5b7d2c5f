//! `picresize resize`: resizes files without a server, with the same pipeline.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::{JoinSet, spawn_blocking};

use self::output::{Permission, Target, Task};
use self::source::Source;
use super::config_file::ConfigFile;
use super::options::{Options, wrong_flags};
use super::usage::Usage;
use crate::operation::{Format, ResizeOptions};
use crate::processing::{PixelProcesses, Processor, ProcessorOptions};
use crate::settings::Settings;

mod output;
mod source;

const MIB: u64 = 1 << 20;

/// Resize pictures without a server
///
/// Uses the same pipeline and options as the service. The result's format follows from OUT's
/// extension or --format; with --out-dir it is the source's format unless --format is given.
///
/// No file is replaced unless --overwrite or --in-place allows it. A file is replaced only once the
/// whole result has been written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize resize photo.jpg small.jpg --width 320 --height 200
  picresize resize photo.png photo.webp --width 512 --quality 75
  picresize resize *.jpg --out-dir thumbnails --width 256 --height 256 --fit cover --position smart
  picresize resize *.jpg --in-place --width 1600 --height 1600 --fit inside")]
pub(super) struct Resize {
    /// IN and OUT, or with --out-dir or --in-place any number of pictures
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder for the results, which keep their names; it is created if it is missing
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing files, but never a source
    #[arg(long)]
    overwrite: bool,
    /// Replace every FILE by its result, which keeps its name and format; with --out-dir, allow
    /// results to replace their own sources
    #[arg(long)]
    in_place: bool,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    config: ConfigFile,
}

impl Resize {
    pub(super) fn run(self) -> Result<ExitCode> {
        let settings = self.config.load()?;
        settings.check()?;
        let (tasks, request) = self.plan()?;
        if let Some(folder) = &self.out_dir {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let count = tasks.len();
        let failed = runtime.block_on(run_all(tasks, request, &settings))?;
        if failed > 0 && count > 1 {
            eprintln!("picresize: {failed} of {count} pictures failed");
        }
        Ok(ExitCode::from(u8::from(failed > 0)))
    }

    /// The tasks of this command line, and the options of all of them.
    fn plan(&self) -> Result<(Vec<Task>, ResizeOptions), Usage> {
        let mut request = ResizeOptions::from_pairs(self.options.pairs()).map_err(wrong_flags)?;
        let mut tasks: Vec<Task> = if let Some(folder) = &self.out_dir {
            refuse_same_names(&self.files, request.format)?;
            let task = |from: &PathBuf| Task::new(from, Target::Folder(folder.clone()));
            self.files.iter().map(task).collect()
        } else if self.in_place {
            let files = output::without_repeats(&self.files).into_iter();
            files.map(|from| Task::new(from, Target::Source)).collect()
        } else {
            let [from, to] = &self.files[..] else {
                return Err(Usage(format!(
                    "{} files were given: give IN and OUT, or --out-dir or --in-place for any \
                     number of pictures",
                    self.files.len()
                )));
            };
            if !self.options.has("format") {
                request.format = Some(format_of(to)?);
            }
            vec![Task::new(from, Target::File(to.clone()))]
        };
        let permission = Permission {
            overwrite: self.overwrite,
            in_place: self.in_place,
        };
        output::check(&mut tasks, &request, permission)?;
        Ok((tasks, request))
    }
}

/// The format of a file's extension.
fn format_of(path: &Path) -> Result<Format, Usage> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    Format::from_name(&extension.to_lowercase())
        .filter(|format| format.is_writable())
        .ok_or_else(|| {
            Usage(format!(
                "{}: {extension:?} is not an output format; use .jpg, .png, .webp, .gif or .avif, \
                 or --format",
                path.display()
            ))
        })
}

/// Refuses pictures whose results would have the same name in one folder: the later result would
/// replace the earlier one.
fn refuse_same_names(files: &[PathBuf], format: Option<Format>) -> Result<(), Usage> {
    let mut names = HashMap::new();
    for file in files {
        let extension = file.extension().unwrap_or_default().to_string_lossy();
        let format = format.or_else(|| Format::from_name(&extension.to_lowercase()));
        if let Some(earlier) = names.insert((file.file_stem(), format), file) {
            return Err(Usage(format!(
                "the results of {} and {} would have the same name: write them to different \
                 folders",
                earlier.display(),
                file.display()
            )));
        }
    }
    Ok(())
}

/// What all pictures of a command line share.
struct Batch {
    request: ResizeOptions,
    processor: Processor,
    /// The most bytes of a file.
    max_bytes: u64,
}

impl Batch {
    fn new(request: ResizeOptions, settings: &Settings) -> Result<Self> {
        let options = ProcessorOptions {
            concurrency: 0,
            ..ProcessorOptions::of(settings)
        };
        Ok(Self {
            request,
            max_bytes: options.memory_mib.saturating_mul(MIB),
            processor: Processor::new(PixelProcesses::new()?, options),
        })
    }

    /// Resizes one picture. Files are read and written on threads that may wait for the disk.
    async fn run(&self, task: Task) -> Result<()> {
        let source = Source::read(&task.from, &self.processor, self.max_bytes).await?;
        let made = self.processor.resize(&source.bytes, &self.request).await?;
        drop(source);
        let picture = made.picture;
        spawn_blocking(move || task.write(&picture.bytes, picture.facts.format)).await?
    }
}

/// Resizes on all cores; returns how many pictures failed. Each failure is printed when it happens.
async fn run_all(tasks: Vec<Task>, request: ResizeOptions, settings: &Settings) -> Result<usize> {
    let batch = Arc::new(Batch::new(request, settings)?);
    let progress = progress(tasks.len());
    let mut failed = 0;
    let mut running = JoinSet::new();
    let mut names = HashMap::new();
    let mut waiting = tasks.into_iter();
    loop {
        while running.len() < batch.processor.max_jobs()
            && let Some(task) = waiting.next()
        {
            let (name, batch) = (task.from.clone(), Arc::clone(&batch));
            let started = running.spawn(async move { batch.run(task).await });
            names.insert(started.id(), name);
        }
        let Some(finished) = running.join_next_with_id().await else {
            break;
        };
        // A panic fails its own picture only.
        let (id, outcome) = match finished {
            Ok(finished) => finished,
            Err(panic) => {
                let id = panic.id();
                let error = Error::new(panic).context("an error in picresize ended the work on it");
                (id, Err(error))
            }
        };
        let name = names.remove(&id).unwrap_or_default();
        if let Err(error) = outcome {
            failed += 1;
            progress.suspend(|| eprintln!("picresize: {}: {error:#}", name.display()));
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(failed)
}

/// A progress bar if there are several pictures. It is only shown on a terminal.
fn progress(pictures: usize) -> ProgressBar {
    if pictures < 2 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pictures, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(pictures as u64).with_style(style)
}
