//! The worker: consumes requests, has them done, and commits what is finished.
//!
//! As many operations are worked on at once as there are cores, each admitted by the memory it is
//! estimated to need. The next few wait beside them with their pictures loaded. Beside that, every
//! worker sweeps away what is past its retention.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::job::{Abandoned, Job, Workshop};
use self::sweep::Retention;
use crate::engine::Engine;
use crate::event_log::watermark::Watermark;
use crate::event_log::{Consumer, LogError, Position, Received, Topic};
use crate::settings::Settings;

mod job;
mod sweep;

/// Operations that wait with their pictures loaded, for each one that is worked on.
const WAITING_PER_RUNNING: usize = 1;
/// The pause after the log or the table did not answer, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Why a worker ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("a job ended unexpectedly")]
    Job(#[from] JoinError),
}

/// Works until `stop`, then finishes what was begun. `name` stands in the table beside what this
/// worker did.
///
/// # Errors
///
/// The log can't be subscribed to, or a job panicked outside the codecs.
pub async fn run(
    engine: Engine,
    settings: &Settings,
    name: String,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let running = match settings.worker.concurrency {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        wanted => wanted,
    };
    let retention = Retention {
        keep: settings.keep(),
        remember: settings.remember(),
        interval: settings.sweep_interval(),
        group: settings.worker.group.clone(),
    };
    let sweeping = tokio::spawn(sweep::run(engine.clone(), retention, stop.clone()));
    let consumer = engine
        .log
        .subscribe(Topic::Requests, &settings.worker.group)
        .await?;
    let memory_mib = usize::try_from(settings.worker.memory_mib).unwrap_or(usize::MAX);
    let workshop = Workshop {
        log: engine.log,
        store: engine.store,
        limits: settings.imaging_limits(),
        max_attempts: settings.worker.max_attempts,
        keep: settings.keep(),
        name,
        cores: Semaphore::new(running),
        memory_mib: Semaphore::new(memory_mib.min(Semaphore::MAX_PERMITS)),
        stop: stop.clone(),
    };
    let mut worker = Worker {
        consumer,
        workshop: Arc::new(workshop),
        jobs: JoinSet::new(),
        most_jobs: running * (1 + WAITING_PER_RUNNING),
        watermark: Watermark::default(),
        assigned: HashMap::new(),
    };
    worker.consume(&stop).await?;
    worker.drain().await?;
    Ok(sweeping.await?)
}

struct Worker {
    consumer: Box<dyn Consumer>,
    workshop: Arc<Workshop>,
    jobs: JoinSet<(Position, Result<(), Abandoned>)>,
    most_jobs: usize,
    watermark: Watermark,
    /// Cancelled when the partition goes to another worker.
    assigned: HashMap<i32, CancellationToken>,
}

impl Worker {
    async fn consume(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(finished) = self.jobs.join_next() => self.settle(finished?).await?,
                received = self.consumer.receive(), if self.jobs.len() < self.most_jobs => {
                    match received {
                        Ok(received) => {
                            pause = FIRST_PAUSE;
                            self.take(received);
                        }
                        Err(error) => {
                            tracing::warn!(%error, "no event was received; trying again");
                            tokio::select! {
                                () = stop.cancelled() => return Ok(()),
                                () = tokio::time::sleep(pause) => {}
                            }
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, received: Received) {
        match received {
            Received::Delivered(position, record) => {
                self.watermark.delivered(position);
                let revoked = self.assigned.entry(position.partition).or_default().clone();
                let job = Job::new(Arc::clone(&self.workshop), position, record, revoked);
                self.jobs.spawn(async move { (position, job.run().await) });
            }
            Received::Revoked(partitions) => {
                for partition in partitions {
                    self.watermark.revoked(partition);
                    if let Some(assigned) = self.assigned.remove(&partition) {
                        assigned.cancel();
                    }
                }
            }
        }
    }

    /// Commits what is finished without a gap: this one and whatever else is ready.
    async fn settle(
        &mut self,
        mut finished: (Position, Result<(), Abandoned>),
    ) -> Result<(), WorkerError> {
        let mut commits = Vec::new();
        loop {
            let (position, outcome) = finished;
            if outcome.is_ok() {
                let next = self.watermark.finished(position);
                commits.retain(|earlier: &Position| earlier.partition != position.partition);
                commits.extend(next);
            }
            match self.jobs.try_join_next() {
                Some(next) => finished = next?,
                None => break,
            }
        }
        for next in commits {
            // The next commit makes up for this one.
            if let Err(error) = self.consumer.commit(next).await {
                tracing::warn!(%error, "a position was not committed");
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<(), WorkerError> {
        while let Some(finished) = self.jobs.join_next().await {
            self.settle(finished?).await?;
        }
        Ok(())
    }
}
