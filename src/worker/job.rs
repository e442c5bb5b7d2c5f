//! One operation, from its event to its row: load, compute, store.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::event::{Completed, Event, EventBody, Failed, Record, Started};
use crate::event_log::{EventLog, Topic};
use crate::imaging::{self, ENGINE_VERSION, Resized};
use crate::operation::{Digest, Operation, OperationId, PictureFacts, ResizeRequest};
use crate::picture_store::{Begun, FinishedPicture, PictureStore};

const MIB: u64 = 1 << 20;

/// What all jobs of a worker share.
pub(super) struct Workshop {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) limits: imaging::Limits,
    pub(super) max_attempts: u32,
    /// The worker's name.
    pub(super) name: String,
    pub(super) cores: Semaphore,
    pub(super) memory_mib: Semaphore,
    pub(super) stop: CancellationToken,
}

/// The worker was asked to stop while the log or the table did not answer: the event was not
/// finished and is delivered again.
#[derive(Debug)]
pub(super) struct Abandoned;

/// An event to be handled.
pub(super) struct Job {
    workshop: Arc<Workshop>,
    record: Record,
}

/// A request, as it came out of its event.
struct Requested {
    operation: Operation,
    picture: bytes::Bytes,
}

impl Job {
    pub(super) fn new(workshop: Arc<Workshop>, record: Record) -> Self {
        Self { workshop, record }
    }

    /// Handles the event. When this is `Ok` the event is finished, whatever came of it.
    pub(super) async fn run(self) -> Result<(), Abandoned> {
        let Some(requested) = self.load().await? else {
            return Ok(());
        };
        let operation = &requested.operation;
        let (id, request) = (operation.id, operation.request.clone());
        let memory_mib = memory_mib(&requested, &self.workshop);
        let _memory = permits(&self.workshop.memory_mib, memory_mib).await;
        let _core = permits(&self.workshop.cores, 1).await;

        let attempt = match self.begin(operation).await? {
            Begun::Finished => return Ok(()),
            Begun::Taken => {
                tracing::warn!(%id, "an event was dropped: its identifier belongs to an earlier request");
                return Ok(());
            }
            Begun::Attempt(attempt) => attempt,
        };
        if attempt > self.workshop.max_attempts {
            return self.give_up(id).await;
        }
        self.announce(
            id,
            EventBody::Started(Started {
                worker: self.workshop.name.clone(),
                attempt,
            }),
        )
        .await;

        let started = Instant::now();
        let outcome = compute(requested.picture, request, self.workshop.limits.clone()).await;
        let elapsed = started.elapsed();
        match outcome {
            Ok(resized) => {
                let source = requested.operation.source;
                let elapsed_milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
                self.complete(id, source, resized, elapsed_milliseconds)
                    .await
            }
            Err(reason) => self.fail(id, &reason).await,
        }
    }

    /// The request that the event carries. What cannot be understood is set aside.
    async fn load(&self) -> Result<Option<Requested>, Abandoned> {
        let event = Event::from_record(&self.record).map_err(|error| error.to_string());
        let reason = match event {
            Ok(Event {
                time,
                operation: id,
                body:
                    EventBody::Requested {
                        request,
                        source,
                        picture,
                    },
                ..
            }) => {
                let operation = Operation::queued(id, request, source, time);
                return Ok(Some(Requested { operation, picture }));
            }
            Ok(_) => "the event is not a request".to_owned(),
            Err(reason) => reason,
        };
        self.set_aside(&reason).await?;
        Ok(None)
    }

    async fn begin(&self, operation: &Operation) -> Result<Begun, Abandoned> {
        let Workshop { store, name, .. } = &*self.workshop;
        self.persist("begun", || store.begin(operation, name, Timestamp::now()))
            .await
    }

    async fn complete(
        &self,
        id: OperationId,
        source: PictureFacts,
        resized: Resized,
        elapsed_milliseconds: u64,
    ) -> Result<(), Abandoned> {
        let facts = PictureFacts {
            format: resized.format,
            width: resized.width,
            height: resized.height,
            bytes: resized.bytes.len() as u64,
            digest: Digest::of(&resized.bytes),
        };
        let picture = FinishedPicture {
            facts: facts.clone(),
            bytes: resized.bytes.into(),
            engine: ENGINE_VERSION,
        };
        let store = &self.workshop.store;
        self.persist("completed", || {
            store.complete(id, picture.clone(), Timestamp::now())
        })
        .await?;
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
            elapsed_milliseconds,
        });
        self.announce(id, body).await;
        Ok(())
    }

    async fn fail(&self, id: OperationId, reason: &str) -> Result<(), Abandoned> {
        let store = &self.workshop.store;
        self.persist("failed", || {
            store.fail(id, reason, ENGINE_VERSION, Timestamp::now())
        })
        .await?;
        tracing::warn!(%id, reason, "failed");
        let body = EventBody::Failed(Failed {
            reason: reason.to_owned(),
            retryable: false,
            worker: self.workshop.name.clone(),
            engine: ENGINE_VERSION.to_owned(),
        });
        self.announce(id, body).await;
        Ok(())
    }

    /// Fails an operation that ended its worker again and again.
    async fn give_up(&self, id: OperationId) -> Result<(), Abandoned> {
        let attempts = self.workshop.max_attempts;
        let reason = format!("the picture ended the program that worked on it {attempts} times");
        self.set_aside(&reason).await?;
        self.fail(id, &reason).await
    }

    /// Puts the event among the dead letters, as it came, with the reason.
    async fn set_aside(&self, reason: &str) -> Result<(), Abandoned> {
        tracing::error!(key = self.record.key, reason, "an event was set aside");
        let mut record = self.record.clone();
        let header = ("picresize-reason".to_owned(), reason.as_bytes().to_vec());
        record.headers.push(header);
        let log = &self.workshop.log;
        self.persist("set aside", || {
            log.append(Topic::DeadLetters, record.clone())
        })
        .await?;
        Ok(())
    }

    /// Tells what happened. The table has it already, so a log that is away is no reason to wait.
    async fn announce(&self, id: OperationId, body: EventBody) {
        let event = Event::new(id, Timestamp::now(), body);
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

/// The estimated memory of a picture. What can't be planned takes little: it fails at once.
fn memory_mib(requested: &Requested, workshop: &Workshop) -> u32 {
    let request = &requested.operation.request;
    let plan = imaging::inspect(&requested.picture)
        .and_then(|source| imaging::plan(&source, request, &workshop.limits));
    let bytes = plan.map_or(MIB, |plan| plan.memory_bytes);
    u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX)
}

async fn permits(semaphore: &Semaphore, count: u32) -> Option<tokio::sync::SemaphorePermit<'_>> {
    // Never closed, so there always is one.
    semaphore.acquire_many(count).await.ok()
}

/// Resizes on a thread where it blocks nobody. A panic in a codec is this picture's failure.
async fn compute(
    picture: bytes::Bytes,
    request: ResizeRequest,
    limits: imaging::Limits,
) -> Result<Resized, String> {
    let task = tokio::task::spawn_blocking(move || imaging::resize(&picture, &request, &limits));
    match task.await {
        Ok(Ok(resized)) => Ok(resized),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the picture cannot be decoded: its codec gave up".to_owned()),
    }
}
