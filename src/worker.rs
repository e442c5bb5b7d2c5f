//! The worker: consumes requests, processes them, and commits the offsets of finished ones.
//!
//! It processes as many operations at once as there are cores, and only as many as fit into memory
//! by their estimates. Others wait meanwhile for the table, or with their pictures loaded, so that no
//! core waits for them. Every worker also runs the retention sweep.
//!
//! Nothing waits for announcements and commits. An event is finished once the table has its outcome
//! and the log has the announcements of it. A few times a second, the offsets before which all events
//! are finished are committed. A worker that ends before that gets the events again, and finds in the
//! table that they are finished.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::announcer::Announcer;
use self::job::{Job, JobContext, Unfinished};
use self::retry::Retries;
use self::sweep::Retention;
use crate::event_log::watermark::Watermark;
use crate::event_log::{Consumer, Delivery, EventPosition, LogError, Topic};
use crate::processing::{Memory, PixelProcesses, Processor, ProcessorOptions};
use crate::settings::Settings;
use crate::storage::{Storage, StorageError};

mod announcer;
mod job;
mod retry;
mod sweep;
mod unread;

/// The number of operations that may wait for the table, beside those that wait for a core.
const WAITING_FOR_TABLE: usize = 16;
/// How long a finished event waits for its offset to be committed together with others.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);

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
    let (announcer, finished) = Announcer::start(Arc::clone(&storage.log), stop.clone());
    let context = JobContext {
        log: storage.log,
        store: storage.store,
        processor: Processor::new(processes, ProcessorOptions::of(settings)),
        keep: settings.keep(),
        announcer,
        name,
        stop: stop.clone(),
    };
    let mut worker = Worker {
        consumer,
        max_jobs: context.processor.max_jobs() + WAITING_FOR_TABLE,
        max_picture_bytes: settings.limits.max_picture_bytes,
        context: Arc::new(context),
        jobs: JoinSet::new(),
        finished,
        offsets: Offsets::default(),
        assigned: HashMap::new(),
    };
    worker.consume(&stop).await?;
    worker.drain().await?;
    Ok(sweeping.await?)
}

struct Worker {
    consumer: Box<dyn Consumer>,
    context: Arc<JobContext>,
    jobs: JoinSet<Result<(), Unfinished>>,
    max_jobs: usize,
    max_picture_bytes: u64,
    /// The positions of finished events.
    finished: mpsc::UnboundedReceiver<EventPosition>,
    offsets: Offsets,
    /// For each assigned partition, a token that is cancelled when the partition goes to another
    /// worker.
    assigned: HashMap<i32, CancellationToken>,
}

/// The offsets to commit.
#[derive(Debug, Default)]
struct Offsets {
    watermark: Watermark,
    /// For each partition, the offset that is not committed yet.
    uncommitted: HashMap<i32, EventPosition>,
    /// When to commit them.
    due: Option<Instant>,
}

impl Offsets {
    fn finished(&mut self, position: EventPosition) {
        if let Some(next) = self.watermark.finished(position) {
            self.uncommitted.insert(next.partition, next);
            self.due
                .get_or_insert_with(|| Instant::now() + COMMIT_INTERVAL);
        }
    }

    /// The events before `next` have expired. While earlier ones are in progress, a later commit
    /// includes this.
    fn skipped(&mut self, next: EventPosition) {
        if self.watermark.is_busy(next.partition) {
            return;
        }
        self.uncommitted.insert(next.partition, next);
        self.due
            .get_or_insert_with(|| Instant::now() + COMMIT_INTERVAL);
    }

    fn revoked(&mut self, partition: i32) {
        self.watermark.revoked(partition);
        self.uncommitted.remove(&partition);
    }

    /// Waits until there is something to commit.
    async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }
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
                Some(ended) = self.jobs.join_next() => settle(ended?)?,
                Some(position) = self.finished.recv() => self.offsets.finished(position),
                () = self.offsets.due() => self.commit().await,
                memory = processor.source_memory(self.max_picture_bytes),
                    if source_memory.is_none()
                        && self.jobs.len() < self.max_jobs
                        && !context.announcer.is_behind() => {
                    source_memory = Some(memory);
                }
                received = self.consumer.receive(), if source_memory.is_some() => {
                    match received {
                        Ok(delivery) => {
                            retries = Retries::default();
                            self.take(delivery, &mut source_memory).await?;
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
    async fn take(
        &mut self,
        delivery: Delivery,
        source_memory: &mut Option<Memory>,
    ) -> Result<(), WorkerError> {
        match delivery {
            Delivery::Event(position, record) => {
                self.offsets.watermark.delivered(position);
                let memory = source_memory.take();
                let memory = memory.expect("events are received only once it is reserved");
                let revoked = self.assigned.entry(position.partition).or_default().clone();
                let job = Job::new(Arc::clone(&self.context), position, record, memory, revoked);
                self.jobs.spawn(job.run());
            }
            // Nothing else is delivered before it is known what they were.
            Delivery::Expired {
                partition,
                from,
                to,
            } => {
                let failed = unread::fail(&self.context, partition, from..to).await;
                if !matches!(failed, Err(Unfinished::Abandoned)) {
                    settle(failed)?;
                    self.offsets.skipped(EventPosition {
                        partition,
                        offset: to,
                    });
                }
            }
            Delivery::Revoked(partitions) => {
                for partition in partitions {
                    self.offsets.revoked(partition);
                    if let Some(assigned) = self.assigned.remove(&partition) {
                        assigned.cancel();
                    }
                }
            }
        }
        Ok(())
    }

    /// Commits the offsets before which all events are finished.
    async fn commit(&mut self) {
        self.offsets.due = None;
        if let Err(error) = self.context.store.sync().await {
            // The table says once that it cannot be written.
            tracing::debug!(%error, "the table does not store what was written; trying again");
            self.offsets.due = Some(Instant::now() + COMMIT_INTERVAL);
            return;
        }
        for (partition, next) in std::mem::take(&mut self.offsets.uncommitted) {
            if let Err(error) = self.consumer.commit_soon(next).await {
                tracing::debug!(%error, "could not commit an offset; trying again");
                self.offsets.uncommitted.insert(partition, next);
                self.offsets.due = Some(Instant::now() + COMMIT_INTERVAL);
            }
        }
    }

    /// Waits for the work in progress and commits it.
    async fn drain(&mut self) -> Result<(), WorkerError> {
        let mut outcome = Ok(());
        loop {
            tokio::select! {
                ended = self.jobs.join_next() => match ended {
                    Some(ended) => outcome = outcome.and(settle(ended?)),
                    None => break,
                },
                // What is finished is not lost if the rest takes too long.
                Some(position) = self.finished.recv() => self.offsets.finished(position),
                () = self.offsets.due() => self.commit().await,
            }
        }
        self.context.announcer.flush().await;
        while let Ok(position) = self.finished.try_recv() {
            self.offsets.finished(position);
        }
        self.commit().await;
        if let Err(error) = self.consumer.finish_commits().await {
            tracing::warn!(%error, "could not commit the last offsets");
        }
        outcome
    }
}

/// Whether the worker can go on after a job.
fn settle(ended: Result<(), Unfinished>) -> Result<(), WorkerError> {
    match ended {
        Ok(()) | Err(Unfinished::Abandoned) => Ok(()),
        Err(Unfinished::Refused(error)) => Err(WorkerError::Storage(error)),
    }
}
