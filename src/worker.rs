//! The worker: consumes requests, processes them, and commits the offsets of finished ones.
//!
//! It processes as many operations at once as there are cores, and only as many as fit into memory
//! by their estimates. A few more wait with their pictures loaded. Every worker also runs the
//! retention sweep.

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
use crate::processing::{Memory, PixelProcesses, Processor, ProcessorOptions};
use crate::settings::Settings;
use crate::storage::{Storage, StorageError};

mod job;
mod retry;
mod sweep;

/// Why a worker stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log or the table refuses a call that a job needs.
    #[error(transparent)]
    Storage(StorageError),
    #[error("a job ended unexpectedly")]
    Job(#[from] JoinError),
}

/// Processes requests until `stop`, then finishes the work in progress. `name` is this worker's
/// name in the table.
///
/// # Errors
///
/// Subscribing to the log failed, or the log or the table refused calls for longer than a restart
/// takes, or a job panicked outside the codecs.
pub async fn run(
    storage: Storage,
    processes: PixelProcesses,
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
        processor: Processor::new(processes, ProcessorOptions::of(settings)),
        keep: settings.keep(),
        name,
        stop: stop.clone(),
    };
    let mut worker = Worker {
        consumer,
        max_jobs: context.processor.max_jobs(),
        max_picture_bytes: settings.limits.max_picture_bytes,
        context: Arc::new(context),
        jobs: JoinSet::new(),
        watermark: Watermark::default(),
        assigned: HashMap::new(),
    };
    worker.consume(&stop).await?;
    worker.drain().await?;
    Ok(sweeping.await?)
}

/// The event of a job, and whether it is finished.
type FinishedJob = (EventPosition, Result<(), Unfinished>);

struct Worker {
    consumer: Box<dyn Consumer>,
    context: Arc<JobContext>,
    jobs: JoinSet<FinishedJob>,
    max_jobs: usize,
    max_picture_bytes: u64,
    watermark: Watermark,
    /// For each assigned partition, a token that is cancelled when the partition goes to another
    /// worker.
    assigned: HashMap<i32, CancellationToken>,
}

impl Worker {
    async fn consume(&mut self, stop: &CancellationToken) -> Result<(), WorkerError> {
        let mut retries = Retries::default();
        // Reserved before an event is received, because its size is not known before.
        let mut source_memory = None;
        let context = Arc::clone(&self.context);
        let processor = &context.processor;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(finished) = self.jobs.join_next() => self.settle(finished?).await?,
                memory = processor.source_memory(self.max_picture_bytes),
                    if source_memory.is_none() && self.jobs.len() < self.max_jobs => {
                    source_memory = Some(memory);
                }
                received = self.consumer.receive(), if source_memory.is_some() => {
                    match received {
                        Ok(delivery) => {
                            retries = Retries::default();
                            self.take(delivery, &mut source_memory);
                        }
                        Err(error) => {
                            let Some(pause) = retries.pause(error.is_transient(), Instant::now()) else {
                                return Err(error.into());
                            };
                            tracing::warn!(%error, "could not receive an event; trying again");
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

    /// Starts the job of an event, which takes the memory that was reserved for its source.
    fn take(&mut self, delivery: Delivery, source_memory: &mut Option<Memory>) {
        match delivery {
            Delivery::Event(position, record) => {
                self.watermark.delivered(position);
                let memory = source_memory.take();
                let memory = memory.expect("events are received only once it is reserved");
                let revoked = self.assigned.entry(position.partition).or_default().clone();
                let job = Job::new(Arc::clone(&self.context), position, record, memory, revoked);
                self.jobs.spawn(async move { (position, job.run().await) });
            }
            // The log has said so. The rows stay queued.
            Delivery::Expired { .. } => {}
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

    /// Commits this job and all others that are ready, as far as the offsets are finished without a
    /// gap.
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
            // Not fatal: the next commit includes this one.
            if let Err(error) = self.consumer.commit(next).await {
                tracing::warn!(%error, "could not commit an offset");
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
