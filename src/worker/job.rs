//! Processes one operation, from its event to its row: load, resize, store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::announcer::Announcer;
use super::retry::Retries;
use crate::event::{Completed, Event, EventBody, Failed, PicturePayload, Record, Started};
use crate::event_log::{EventLog, EventPosition, LogError, Topic};
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Operation, OperationId, Status};
use crate::picture_store::{Begun, PictureStore, StoreError};
use crate::processing::{
    Memory, PICTURE_IS_GONE, ProcessedPicture, ProcessingError, Processor, RequestedOperation,
    Retry,
};
use crate::storage::StorageError;

/// The state that all jobs of a worker share.
pub(super) struct JobContext {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) processor: Processor,
    pub(super) announcer: Announcer,
    /// How long an operation's pictures are kept; `None` means for ever.
    pub(super) keep: Option<Duration>,
    /// The worker's name.
    pub(super) name: String,
    pub(super) stop: CancellationToken,
}

/// Why an event is not finished. It is delivered again.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// The worker was asked to stop while the log or the table did not answer, or the event went to
    /// another worker before its job started.
    Abandoned,
    /// The log or the table refuses a call that every event needs. The worker cannot continue.
    Refused(StorageError),
}

/// Why a step of a job failed.
enum StepError {
    Unfinished(Unfinished),
    /// No attempt at this event can succeed. Holds the reason as a message for users.
    Hopeless(String),
}

impl From<Unfinished> for StepError {
    fn from(unfinished: Unfinished) -> Self {
        Self::Unfinished(unfinished)
    }
}

/// Named in events about an operation that was done without a worker, by a stored result.
const NO_WORKER: &str = "api";
/// How often a job looks whether its operation was erased meanwhile.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of an attempt.
type Processed = Result<ProcessedPicture, ProcessingError>;

/// The job of handling one event.
pub(super) struct Job {
    context: Arc<JobContext>,
    position: EventPosition,
    record: Record,
    /// The memory of the picture.
    memory: Memory,
    /// Cancelled when the event's partition goes to another worker.
    revoked: CancellationToken,
}

/// A request with its picture, ready to be resized.
struct Loaded {
    operation: Operation,
    picture: Bytes,
}

impl Job {
    pub(super) fn new(
        context: Arc<JobContext>,
        position: EventPosition,
        record: Record,
        memory: Memory,
        revoked: CancellationToken,
    ) -> Self {
        Self {
            context,
            position,
            record,
            memory,
            revoked,
        }
    }

    /// Handles the event. `Ok` means that its outcome is stored, with or without a result, and that
    /// the announcer knows all that there is to announce.
    pub(super) async fn run(mut self) -> Result<(), Unfinished> {
        match self.handle().await {
            Ok(()) => {}
            Err(StepError::Unfinished(unfinished)) => return Err(unfinished),
            Err(StepError::Hopeless(reason)) => self.reject(&reason).await?,
        }
        self.context.announcer.finish(self.position);
        Ok(())
    }

    async fn handle(&mut self) -> Result<(), StepError> {
        // Work in progress is finished even if the event went to another worker, because the table
        // accepts one result. Work that has not started is left to the other worker.
        let loaded = tokio::select! {
            () = self.revoked.cancelled() => return Err(Unfinished::Abandoned.into()),
            loaded = self.load() => loaded?,
        };
        let Some(loaded) = loaded else {
            return Ok(());
        };
        self.memory.shrink_to_source(loaded.picture.len() as u64);
        let mut attempts = self.context.processor.attempts();
        loop {
            let Some(id) = self.begin_attempt(&loaded).await? else {
                return Ok(());
            };
            let outcome = tokio::select! {
                outcome = self.attempt(&loaded, attempts.retry()) => outcome?,
                () = self.ended_elsewhere(id) => return self.announce_again(id).await,
            };
            if let Some(outcome) = attempts.settle(outcome) {
                return self.conclude(&loaded, outcome).await;
            }
        }
    }

    /// One attempt at the picture. If no process can be started, which is not the picture's fault, it
    /// tries until the worker is asked to stop.
    async fn attempt(
        &self,
        loaded: &Loaded,
        retry: Option<Retry>,
    ) -> Result<Processed, Unfinished> {
        let processor = &self.context.processor;
        let (picture, request) = (&loaded.picture, &loaded.operation.request);
        let mut retries = Retries::default();
        loop {
            // What has not started is left to another worker, or to the next start.
            let admitted = tokio::select! {
                admitted = processor.admit(picture, retry) => admitted,
                () = self.context.stop.cancelled() => return Err(Unfinished::Abandoned),
                () = self.revoked.cancelled() => return Err(Unfinished::Abandoned),
            };
            let processed = match admitted {
                Ok(admitted) => processor.attempt(admitted, picture, request).await,
                Err(error) => Err(error),
            };
            let error = match processed {
                Err(ProcessingError::NoProcess(error)) => error,
                processed => return Ok(processed),
            };
            tracing::error!(%error, "cannot start a pixel process; trying again");
            let pause = retries.pause(true, Instant::now()).unwrap_or_default();
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(Unfinished::Abandoned),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Counts an attempt in the table and announces it. `None` if the operation is finished, or if
    /// its identifier belongs to another request.
    async fn begin_attempt(&self, loaded: &Loaded) -> Result<Option<OperationId>, StepError> {
        let (id, now) = (loaded.operation.id, Timestamp::now());
        let attempt = match self.begin(&loaded.operation, now).await? {
            Begun::Finished => {
                self.announce_again(id).await?;
                return Ok(None);
            }
            Begun::Taken => {
                tracing::warn!(
                    %id,
                    "dropped an event: its identifier belongs to an earlier request"
                );
                return Ok(None);
            }
            Begun::Attempt(attempt) => attempt,
        };
        let body = EventBody::Started(Started {
            worker: self.context.name.clone(),
            attempt,
        });
        self.announce(id, now, body);
        Ok(Some(id))
    }

    /// Announces the outcome of an operation that is finished already: the worker that finished it
    /// may have ended before it announced that, and a stored result may have been used.
    async fn announce_again(&self, id: OperationId) -> Result<(), StepError> {
        let store = &self.context.store;
        let found = self.persist("read", || store.find(id)).await?;
        let Some(row) = found else {
            return Ok(());
        };
        let worker = row.worker.unwrap_or_else(|| NO_WORKER.to_owned());
        let engine = row.engine.unwrap_or_else(|| ENGINE_VERSION.to_owned());
        let body = match (row.status, row.result) {
            (Status::Done, Some(result)) => EventBody::Completed(Completed {
                source: row.source,
                result,
                worker,
                engine,
                elapsed_milliseconds: None,
            }),
            (Status::Failed, _) => EventBody::Failed(Failed {
                reason: row.failure.unwrap_or_default(),
                retryable: false,
                worker,
                engine,
            }),
            _ => return Ok(()),
        };
        let at = row.finished_at.unwrap_or_else(Timestamp::now);
        self.announce(id, at, body);
        Ok(())
    }

    /// Waits until the operation is erased, has expired, or has a result of another worker. Then
    /// the work in progress is of no use.
    async fn ended_elsewhere(&self, id: OperationId) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            match self.context.store.find(id).await {
                Ok(Some(row)) if row.status.is_final() => {
                    tracing::info!(%id, "stopped working on an operation that was ended elsewhere");
                    return;
                }
                // If the row cannot be read now, it can be read later.
                _ => {}
            }
        }
    }

    /// Stores the outcome of the last attempt.
    async fn conclude(
        &self,
        loaded: &Loaded,
        outcome: Result<ProcessedPicture, ProcessingError>,
    ) -> Result<(), StepError> {
        match outcome {
            Ok(processed) => self.complete(&loaded.operation, &processed).await,
            Err(error) if error.is_fatal() => Ok(self.reject(&error.to_string()).await?),
            Err(error) => self.fail(loaded.operation.id, &error.to_string()).await,
        }
    }

    /// The request of the event, and its picture. An unreadable event is moved to the dead letters.
    async fn load(&self) -> Result<Option<Loaded>, StepError> {
        let requested =
            RequestedOperation::from_record(&self.record, self.position, self.context.keep);
        let RequestedOperation { operation, picture } = match requested {
            Ok(requested) => requested,
            Err(reason) => {
                self.set_aside(&reason).await?;
                return Ok(None);
            }
        };
        let picture = match picture {
            PicturePayload::Carried(picture) => picture,
            PicturePayload::ClaimCheck => {
                let store = &self.context.store;
                let deposited = self
                    .persist("loaded", || store.deposited(operation.id))
                    .await?;
                let Some(picture) = deposited else {
                    self.without_picture(&operation).await?;
                    return Ok(None);
                };
                picture
            }
        };
        Ok(Some(Loaded { operation, picture }))
    }

    /// Fails an operation whose picture is missing in the table. An operation that expired or was
    /// erased is final already.
    async fn without_picture(&self, operation: &Operation) -> Result<(), StepError> {
        match self.begin(operation, Timestamp::now()).await? {
            Begun::Finished | Begun::Taken => Ok(()),
            Begun::Attempt(_) => self.fail(operation.id, PICTURE_IS_GONE).await,
        }
    }

    async fn begin(&self, operation: &Operation, now: Timestamp) -> Result<Begun, StepError> {
        let JobContext { store, name, .. } = &*self.context;
        self.persist("started", || store.begin(operation, name, now))
            .await
    }

    async fn complete(
        &self,
        operation: &Operation,
        processed: &ProcessedPicture,
    ) -> Result<(), StepError> {
        let (id, source) = (operation.id, operation.source.clone());
        let picture = &processed.picture;
        let facts = picture.facts.clone();
        let milliseconds = u64::try_from(processed.elapsed.as_millis()).unwrap_or(u64::MAX);
        let (store, now) = (&self.context.store, Timestamp::now());
        let is_ours = self
            .persist("completed", || store.complete(id, picture.clone(), now))
            .await?;
        if !is_ours {
            tracing::info!(%id, "already finished or removed by another process");
            return self.announce_again(id).await;
        }
        tracing::info!(
            %id, milliseconds,
            from = %format_args!("{} {}x{}", source.format, source.width, source.height),
            to = %format_args!("{} {}x{}", facts.format, facts.width, facts.height),
            "done"
        );
        let body = EventBody::Completed(Completed {
            source,
            result: facts,
            worker: self.context.name.clone(),
            engine: ENGINE_VERSION.to_owned(),
            elapsed_milliseconds: Some(milliseconds),
        });
        self.announce(id, now, body);
        Ok(())
    }

    async fn fail(&self, id: OperationId, reason: &str) -> Result<(), StepError> {
        let (store, now) = (&self.context.store, Timestamp::now());
        let is_ours = self
            .persist("marked as failed", || {
                store.fail(id, reason, ENGINE_VERSION, now)
            })
            .await?;
        if !is_ours {
            tracing::info!(%id, "already finished or removed by another process");
            return Ok(());
        }
        tracing::info!(%id, reason, "failed");
        let body = EventBody::Failed(Failed {
            reason: reason.to_owned(),
            retryable: false,
            worker: self.context.name.clone(),
            engine: ENGINE_VERSION.to_owned(),
        });
        self.announce(id, now, body);
        Ok(())
    }

    /// Gives up on an event that no attempt can handle: it becomes a dead letter, and its operation
    /// fails. If even that is impossible, the error is logged. The event stays in the log, but does
    /// not block later events.
    async fn reject(&self, reason: &str) -> Result<(), Unfinished> {
        self.unless_hopeless(self.set_aside(reason).await)?;
        if let Ok(event) = Event::from_record(&self.record)
            && matches!(event.body, EventBody::Requested { .. })
        {
            let failed = self.fail(event.operation, reason);
            self.unless_hopeless(failed.await)?;
        }
        Ok(())
    }

    fn unless_hopeless(&self, outcome: Result<(), StepError>) -> Result<(), Unfinished> {
        match outcome {
            Ok(()) => Ok(()),
            Err(StepError::Unfinished(unfinished)) => Err(unfinished),
            Err(StepError::Hopeless(error)) => {
                let (key, position) = (&self.record.key, self.position);
                tracing::error!(
                    key,
                    %position,
                    error,
                    "could not move an event to the dead letters or mark its operation as failed"
                );
                Ok(())
            }
        }
    }

    /// Moves the event to the dead letters, unchanged, with the reason.
    async fn set_aside(&self, reason: &str) -> Result<(), StepError> {
        tracing::error!(
            key = self.record.key,
            reason,
            "moving an event to the dead letters"
        );
        let record = self.record.clone().set_aside(reason);
        let log = &self.context.log;
        self.persist("moved to the dead letters", || {
            log.append(Topic::DeadLetters, record.clone())
        })
        .await?;
        Ok(())
    }

    /// Announces what happened, with the same time as in the table, so that a replay can restore it.
    fn announce(&self, id: OperationId, at: Timestamp, body: EventBody) {
        let event = Event::new(id, at, body).following(&self.record);
        self.context.announcer.announce(event.to_record());
    }

    /// Retries until the attempt succeeds, until retrying cannot help, or until the worker is asked
    /// to stop.
    async fn persist<T, E, F>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, StepError>
    where
        E: Into<StorageError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut retries = Retries::default();
        loop {
            let error: StorageError = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error.into(),
            };
            if concerns_this_event_alone(&error) {
                return Err(StepError::Hopeless(error.to_string()));
            }
            let Some(pause) = retries.pause(error.is_transient(), Instant::now()) else {
                return Err(Unfinished::Refused(error).into());
            };
            // The log or the table says once that it is away.
            tracing::debug!(
                %error,
                key = self.record.key,
                "the operation could not be {what}; trying again"
            );
            tokio::select! {
                () = self.context.stop.cancelled() => return Err(Unfinished::Abandoned.into()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// Whether the error only affects this event, so that others can still be handled.
fn concerns_this_event_alone(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Store(StoreError::Corrupt { .. })
            | StorageError::Log(LogError::TooLarge { .. })
    )
}
