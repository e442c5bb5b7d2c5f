//! One operation, from its event to its row: load, compute, store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::event::{Completed, Event, EventBody, Failed, PicturePayload, Record, Started};
use crate::event_log::{EventLog, EventPosition, Topic};
use crate::imaging::{self, ENGINE_VERSION};
use crate::operation::{Operation, OperationId};
use crate::picture_store::{Begun, FinishedPicture, PictureStore};
use crate::processing;

/// What all jobs of a worker share.
pub(super) struct Workshop {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) limits: imaging::Limits,
    pub(super) max_attempts: u32,
    /// How long an operation's pictures are kept, unless for ever.
    pub(super) keep: Option<Duration>,
    /// The worker's name.
    pub(super) name: String,
    pub(super) cores: Semaphore,
    pub(super) memory_mib: Semaphore,
    pub(super) stop: CancellationToken,
}

/// The event was not finished and is delivered again: the worker was asked to stop while the log
/// or the table did not answer, or the event went to another worker before it was begun.
#[derive(Debug)]
pub(super) struct Abandoned;

/// An event to be handled.
pub(super) struct Job {
    workshop: Arc<Workshop>,
    position: EventPosition,
    record: Record,
    /// Cancelled when the event's partition went to another worker.
    revoked: CancellationToken,
}

/// A request, as it came out of its event.
struct Requested {
    operation: Operation,
    picture: Bytes,
    trace_parent: Option<String>,
}

impl Job {
    pub(super) fn new(
        workshop: Arc<Workshop>,
        position: EventPosition,
        record: Record,
        revoked: CancellationToken,
    ) -> Self {
        Self {
            workshop,
            position,
            record,
            revoked,
        }
    }

    /// Handles the event. When this is `Ok` the event is finished, whatever came of it.
    pub(super) async fn run(self) -> Result<(), Abandoned> {
        // What was begun is finished even when the event went elsewhere: the table takes one
        // result. What only waits for its turn is left to the other worker.
        let waited = tokio::select! {
            () = self.revoked.cancelled() => return Err(Abandoned),
            waited = self.wait() => waited?,
        };
        let Some((requested, _memory, _core)) = waited else {
            return Ok(());
        };
        let Requested {
            operation,
            picture,
            trace_parent,
        } = requested;
        let (id, request) = (operation.id, operation.request.clone());

        let begun_at = Timestamp::now();
        let attempt = match self.begin(&operation, begun_at).await? {
            Begun::Finished => return Ok(()),
            Begun::Taken => {
                tracing::warn!(%id, "an event was dropped: its identifier belongs to an earlier request");
                return Ok(());
            }
            Begun::Attempt(attempt) => attempt,
        };
        if attempt > self.workshop.max_attempts {
            return self.give_up(id, trace_parent).await;
        }
        let body = EventBody::Started(Started {
            worker: self.workshop.name.clone(),
            attempt,
        });
        self.announce(id, begun_at, &trace_parent, body).await;

        let started = Instant::now();
        let outcome = processing::resize(picture, request, self.workshop.limits.clone()).await;
        let elapsed = started.elapsed();
        match outcome {
            Ok(picture) => {
                let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                self.complete(&operation, picture, milliseconds, &trace_parent)
                    .await
            }
            Err(reason) => self.fail(id, &reason, &trace_parent).await,
        }
    }

    /// Loads the request and waits for memory and a core.
    async fn wait(&self) -> Result<Option<(Requested, Permit<'_>, Permit<'_>)>, Abandoned> {
        let Some(requested) = self.load().await? else {
            return Ok(None);
        };
        let request = &requested.operation.request;
        let memory_mib = processing::memory_mib(&requested.picture, request, &self.workshop.limits);
        let memory = permits(&self.workshop.memory_mib, memory_mib).await;
        let core = permits(&self.workshop.cores, 1).await;
        Ok(Some((requested, memory, core)))
    }

    /// The request of the event, and its picture. What cannot be understood is set aside.
    async fn load(&self) -> Result<Option<Requested>, Abandoned> {
        let event = match Event::from_record(&self.record) {
            Ok(event) => event,
            Err(error) => {
                self.set_aside(&error.to_string()).await?;
                return Ok(None);
            }
        };
        let EventBody::Requested {
            request,
            source,
            picture,
        } = event.body
        else {
            self.set_aside("the event is not a request").await?;
            return Ok(None);
        };
        let mut operation = Operation::queued(event.operation, request, source, event.time);
        operation.position = Some(self.position);
        operation.expires_at = self
            .workshop
            .keep
            .and_then(|keep| event.time.checked_add(keep).ok());
        let picture = match picture {
            PicturePayload::Carried(picture) => picture,
            PicturePayload::ClaimCheck => {
                let store = &self.workshop.store;
                let deposited = self
                    .persist("loaded", || store.deposited(operation.id))
                    .await?;
                let Some(picture) = deposited else {
                    self.without_picture(&operation, &event.trace_parent)
                        .await?;
                    return Ok(None);
                };
                picture
            }
        };
        Ok(Some(Requested {
            operation,
            picture,
            trace_parent: event.trace_parent,
        }))
    }

    /// Ends an operation whose picture was kept in the table and is not there. One that expired or
    /// was erased is ended already.
    async fn without_picture(
        &self,
        operation: &Operation,
        trace_parent: &Option<String>,
    ) -> Result<(), Abandoned> {
        match self.begin(operation, Timestamp::now()).await? {
            Begun::Finished | Begun::Taken => Ok(()),
            Begun::Attempt(_) => {
                let reason = "its picture was kept in the table and is not there any more";
                self.fail(operation.id, reason, trace_parent).await
            }
        }
    }

    async fn begin(&self, operation: &Operation, now: Timestamp) -> Result<Begun, Abandoned> {
        let Workshop { store, name, .. } = &*self.workshop;
        self.persist("begun", || store.begin(operation, name, now))
            .await
    }

    async fn complete(
        &self,
        operation: &Operation,
        picture: FinishedPicture,
        elapsed_milliseconds: u64,
        trace_parent: &Option<String>,
    ) -> Result<(), Abandoned> {
        let (id, source) = (operation.id, operation.source.clone());
        let facts = picture.facts.clone();
        let (store, now) = (&self.workshop.store, Timestamp::now());
        let is_ours = self
            .persist("completed", || store.complete(id, picture.clone(), now))
            .await?;
        if !is_ours {
            tracing::info!(%id, "finished or removed by someone else meanwhile");
            return Ok(());
        }
        tracing::info!(
            %id, milliseconds = elapsed_milliseconds,
            from = %format_args!("{} {}x{}", source.format, source.width, source.height),
            to = %format_args!("{} {}x{}", facts.format, facts.width, facts.height),
            "done"
        );
        let body = EventBody::Completed(Completed {
            source,
            result: facts,
            worker: self.workshop.name.clone(),
            engine: ENGINE_VERSION.to_owned(),
            elapsed_milliseconds: Some(elapsed_milliseconds),
        });
        self.announce(id, now, trace_parent, body).await;
        Ok(())
    }

    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        trace_parent: &Option<String>,
    ) -> Result<(), Abandoned> {
        let (store, now) = (&self.workshop.store, Timestamp::now());
        let is_ours = self
            .persist("failed", || store.fail(id, reason, ENGINE_VERSION, now))
            .await?;
        if !is_ours {
            tracing::info!(%id, "finished or removed by someone else meanwhile");
            return Ok(());
        }
        tracing::warn!(%id, reason, "failed");
        let body = EventBody::Failed(Failed {
            reason: reason.to_owned(),
            retryable: false,
            worker: self.workshop.name.clone(),
            engine: ENGINE_VERSION.to_owned(),
        });
        self.announce(id, now, trace_parent, body).await;
        Ok(())
    }

    /// Fails an operation that ended its worker again and again.
    async fn give_up(
        &self,
        id: OperationId,
        trace_parent: Option<String>,
    ) -> Result<(), Abandoned> {
        let attempts = self.workshop.max_attempts;
        let reason = format!("the picture ended the program that worked on it {attempts} times");
        self.set_aside(&reason).await?;
        self.fail(id, &reason, &trace_parent).await
    }

    /// Puts the event among the dead letters, as it came, with the reason.
    async fn set_aside(&self, reason: &str) -> Result<(), Abandoned> {
        tracing::error!(key = self.record.key, reason, "an event was set aside");
        let record = self.record.clone().set_aside(reason);
        let log = &self.workshop.log;
        self.persist("set aside", || {
            log.append(Topic::DeadLetters, record.clone())
        })
        .await?;
        Ok(())
    }

    /// Tells what happened, with the time that the table has: a replay can tell the same again. The
    /// table has it already, so a log that is away is no reason to wait.
    async fn announce(
        &self,
        id: OperationId,
        at: Timestamp,
        trace_parent: &Option<String>,
        body: EventBody,
    ) {
        let event = Event::new(id, at, body).traced(trace_parent.clone());
        let announced = self.workshop.log.append(Topic::Events, event.to_record());
        if let Err(error) = announced.await {
            tracing::warn!(%id, %error, "an event was not announced");
        }
    }

    /// Tries until it succeeds or the worker is to stop.
    async fn persist<T, E, F>(
        &self,
        what: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Abandoned>
    where
        E: std::fmt::Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    tracing::warn!(%error, key = self.record.key, "could not be marked as {what}; trying again");
                }
            }
            tokio::select! {
                () = self.workshop.stop.cancelled() => return Err(Abandoned),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

type Permit<'a> = Option<SemaphorePermit<'a>>;

async fn permits(semaphore: &Semaphore, count: u32) -> Permit<'_> {
    // Never closed, so there always is one.
    semaphore.acquire_many(count).await.ok()
}
