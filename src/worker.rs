//! The worker: consumes requests, has them done, and commits what is finished.
//!
//! As many operations are worked on at once as there are cores, each admitted by the memory it is
//! estimated to need. The next few wait beside them with their pictures loaded. Beside that, every
//! worker sweeps away what is past its retention.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::job::{Job, JobContext, Unfinished};
use self::retry::Retries;
use self::sweep::Retention;
use crate::event_log::watermark::Watermark;
use crate::event_log::{Consumer, Delivery, EventPosition, LogError, Topic};
use crate::processing::Processor;
use crate::settings::Settings;
use crate::storage::{Storage, StorageError};

mod job;
mod retry;
mod sweep;

/// Why a worker ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log or the table refuses what a job needs.
    #[error(transparent)]
    Storage(StorageError),
    #[error("a job ended unexpectedly")]
    Job(#[from] JoinError),
}

/// Works until `stop`, then finishes what was begun. `name` stands in the table beside what this
/// worker did.
///
/// # Errors
///
/// The log can't be subscribed to, or it or the table refuses to work for longer than a restart of
/// theirs takes, or a job panicked outside the codecs.
pub async fn run(
    storage: Storage,
    settings: &Settings,
    name: String,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let retention = Retention {
        keep: settings.keep(),
        remember: settings.remember(),
        interval: settings.sweep_interval(),
        group: settings.worker.group.clone(),
    };
    let sweeping = tokio::spawn(sweep::run(storage.clone(), retention, stop.clone()));
    let consumer = storage
        .log
        .subscribe(Topic::Requests, &settings.worker.group)
        .await?;
    let context = JobContext {
        log: storage.log,
        store: storage.store,
        processor: Processor::new(
            settings.imaging_limits(),
            settings.worker.concurrency,
            settings.worker.memory_mib,
        ),
        max_attempts: settings.worker.max_attempts,
        keep: settings.keep(),
        name,
        stop: stop.clone(),
    };
    let mut worker = Worker {
        consumer,
        max_jobs: context.processor.max_jobs(),
        context: Arc::new(context),
        jobs: JoinSet::new(),
        watermark: Watermark::default(),
        assigned: HashMap::new(),
    };
    worker.consume(&stop).await?;
    worker.drain().await?;
    Ok(sweeping.await?)
}

/// The event that a job was about, and whether it is finished.
type FinishedJob = (EventPosition, Result<(), Unfinished>);

struct Worker {
    consumer: Box<dyn Consumer>,
    context: Arc<JobContext>,
    jobs: JoinSet<FinishedJob>,
    max_jobs: usize,
    watermark: Watermark,
    /// Cancelled when the partition goes to another worker.
    assigned: HashMap<i32, CancellationToken>,
}

impl Worker {
    async fn consume(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let mut retries = Retries::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(finished) = self.jobs.join_next() => self.settle(finished?).await?,
                received = self.consumer.receive(), if self.jobs.len() < self.max_jobs => {
                    match received {
                        Ok(delivery) => {
                            retries = Retries::default();
                            self.take(delivery);
                        }
                        Err(error) => {
                            let Some(pause) = retries.pause(error.is_transient(), Instant::now()) else {
                                return Err(error.into());
                            };
                            tracing::warn!(%error, "no event was received; trying again");
                            tokio::select! {
                                () = stop.cancelled() => return Ok(()),
                                () = tokio::time::sleep(pause) => {}
                            }
                        }
                    }
                }
            }
        }
    }

    fn take(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(position, record) => {
                self.watermark.delivered(position);
                let revoked = self.assigned.entry(position.partition).or_default().clone();
                let job = Job::new(Arc::clone(&self.context), position, record, revoked);
                self.jobs.spawn(async move { (position, job.run().await) });
            }
            Delivery::Revoked(partitions) => {
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
    async fn settle(&mut self, mut finished: FinishedJob) -> Result<(), WorkerError> {
        let mut commits = Vec::new();
        let mut refused = None;
        loop {
            let (position, outcome) = finished;
            match outcome {
                Ok(()) => {
                    if let Some(next) = self.watermark.finished(position) {
                        commits
                            .retain(|earlier: &EventPosition| earlier.partition != next.partition);
                        commits.push(next);
                    }
                }
                Err(Unfinished::Abandoned) => {}
                Err(Unfinished::Refused(error)) => refused = Some(error),
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
        match refused {
            Some(error) => Err(WorkerError::Storage(error)),
            None => Ok(()),
        }
    }

    async fn drain(&mut self) -> Result<(), WorkerError> {
        while let Some(finished) = self.jobs.join_next().await {
            self.settle(finished?).await?;
        }
        Ok(())
    }
}
