//! `picresize-load run`: puts load on a service and measures it.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::task::LocalSet;
use tokio::time::sleep;

use crate::operation::{Operator, Patience};
use crate::pace::{Course, Pace};
use crate::pictures::Choice;
use crate::plot;
use crate::processes::{Groups, Watched, disk_bytes, own_cpu_seconds};
use crate::report::{Measured, Moment, Report, Sample};
use crate::request::{Form, Requests};
use crate::tally::Tally;

/// Puts load on a service over HTTP: posts pictures, fetches their results, checks and measures
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Address of the service, such as http://127.0.0.1:8000
    url: String,

    /// Closed loop: this many clients, each with one operation at a time on a kept connection
    #[arg(long, value_name = "N", conflicts_with = "rate", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..))]
    clients: u32,
    /// Open loop: this many operations begin in a second, whether the service keeps up or not
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Open loop: the most operations at once. More wait, and their wait counts
    #[arg(long, value_name = "N", default_value_t = 2000)]
    most: usize,
    /// How long to measure
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after this many operations, if that is earlier
    #[arg(long, value_name = "N")]
    operations: Option<u64>,
    /// Seconds of load before the measurement begins
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,

    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    patience: Patience,
    /// Check that all results of a picture have the same bytes
    #[arg(long)]
    verify: bool,

    #[command(flatten)]
    watched: Watched,
    /// Milliseconds between two samples of memory, handles and disk
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    sample: u64,
    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the samples, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

impl Run {
    pub(crate) fn run(self) -> Result<ExitCode> {
        ensure!(
            self.rate.is_none_or(|rate| rate > 0.0),
            "--rate must be more than 0"
        );
        let pictures = self.choice.read()?;
        let groups = self.watched.groups()?;
        let operator = Rc::new(Operator {
            requests: Requests::new(&self.url, &self.form, &pictures)?,
            patience: self.patience.clone(),
            expected: self
                .verify
                .then(|| RefCell::new(vec![None; pictures.all.len()])),
            tally: RefCell::new(Tally::new()),
            pictures,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let measured = LocalSet::new().block_on(&runtime, self.measure(&operator, &groups));
        let report = Report::new(self.load(), &operator.tally.borrow(), measured);
        report.print();
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&report)?;
            std::fs::write(file, text).with_context(|| file.display().to_string())?;
        }
        if let Some(file) = &self.plot {
            let svg = plot::draw(&report);
            std::fs::write(file, svg).with_context(|| file.display().to_string())?;
        }
        let good = report.operations.all_done() && report.operations.done > 0;
        Ok(if good {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn pace(&self) -> Pace {
        match self.rate {
            Some(rate) => Pace::Open {
                rate,
                most: self.most,
            },
            None => Pace::Closed {
                clients: self.clients,
            },
        }
    }

    fn load(&self) -> String {
        match self.pace() {
            Pace::Open { rate, .. } => format!("{rate} operations a second"),
            Pace::Closed { clients } => format!("{clients} clients"),
        }
    }

    async fn measure(&self, operator: &Rc<Operator>, groups: &Groups) -> Measured {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let course = Rc::new(Course {
            stopped: Cell::new(false),
            left: Cell::new(u64::MAX),
            // No number comes again in a later run: services may answer from earlier results.
            next: Cell::new(since_epoch.as_nanos() as u64),
        });
        let pace = self.pace();
        let load = tokio::task::spawn_local({
            let (operator, course) = (Rc::clone(operator), Rc::clone(&course));
            async move { pace.run(&operator, &course).await }
        });
        sleep(Duration::from_secs_f64(self.warm_up)).await;

        *operator.tally.borrow_mut() = Tally::new();
        course.left.set(self.operations.unwrap_or(u64::MAX));
        let done = Arc::new(AtomicU64::new(0));
        let sampler = Sampler::start(self, groups, &done);
        let begin = moment(operator, groups);
        let deadline = begin.at + Duration::from_secs_f64(self.seconds);
        while Instant::now() < deadline && !load.is_finished() {
            let left = deadline.saturating_duration_since(Instant::now());
            sleep(left.min(Duration::from_millis(20))).await;
            done.store(operator.tally.borrow().ends.done, Ordering::Relaxed);
        }
        let end = moment(operator, groups);
        course.stopped.set(true);
        let samples = sampler.stop();
        // What began gets its end, within the time-out of an operation.
        if let Err(error) = load.await {
            eprintln!("picresize-load: {error}");
        }
        Measured {
            begin,
            end,
            samples,
        }
    }
}

fn moment(operator: &Operator, groups: &Groups) -> Moment {
    let tally = operator.tally.borrow();
    Moment {
        at: Instant::now(),
        done: tally.ends.done,
        usage: groups.totals(),
        client_cpu_seconds: own_cpu_seconds(),
    }
}

/// Takes samples on a thread of its own, so that reading `/proc` delays no request.
struct Sampler {
    stop: mpsc::Sender<()>,
    thread: thread::JoinHandle<Vec<Sample>>,
}

impl Sampler {
    fn start(run: &Run, groups: &Groups, done: &Arc<AtomicU64>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let (groups, folders) = (groups.clone(), run.watched.folders.clone());
        let (done, pause) = (Arc::clone(done), Duration::from_millis(run.sample.max(10)));
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            let (mut samples, mut ended) = (Vec::new(), false);
            loop {
                let disk = folders
                    .iter()
                    .map(|folder| (folder.display().to_string(), disk_bytes(folder)));
                samples.push(Sample {
                    second: begin.elapsed().as_secs_f64(),
                    done: done.load(Ordering::Relaxed),
                    usage: groups.usage(),
                    disk_bytes: disk.collect(),
                });
                if ended {
                    return samples;
                }
                // One more sample follows the end.
                ended = stopped.recv_timeout(pause) != Err(mpsc::RecvTimeoutError::Timeout);
            }
        });
        Self { stop, thread }
    }

    fn stop(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}
