//! What all the tasks need: the request of an event, its row, its picture, and room to work in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::history::History;
use super::report::{Finding, Outcome};
use crate::event::{Event, EventBody, PicturePayload};
use crate::event_log::{Entry, EventPosition};
use crate::imaging;
use crate::operation::{Digest, Operation, ResizeRequest};
use crate::picture_store::{FinishedPicture, PictureStore, StoreError};
use crate::processing;
use crate::settings::Settings;

/// What all jobs of a replay share.
pub(super) struct Workshop {
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) history: History,
    pub(super) limits: imaging::Limits,
    pub(super) max_attempts: u32,
    pub(super) keep: Option<Duration>,
    /// Stands in the table beside what no worker had made before.
    pub(super) name: String,
    cores: Semaphore,
    memory_mib: Semaphore,
    most_memory_mib: u32,
}

/// A request as it is played.
pub(super) struct Request {
    pub(super) position: EventPosition,
    /// As it was accepted.
    pub(super) operation: Operation,
    picture: PicturePayload,
}

/// The row of an operation.
pub(super) enum TableRow {
    Missing,
    Found(Box<Operation>),
    /// It holds what no version wrote.
    Corrupt(String),
}

/// The picture of a request.
pub(super) enum SourcePicture {
    Available(Bytes),
    /// Its event has no data any more: someone erased it.
    DataRemoved,
    /// Why it cannot be had.
    Unavailable(String),
}

impl Request {
    /// The request of an event.
    pub(super) fn of(entry: &Entry, keep: Option<Duration>) -> Result<Self, String> {
        let event = Event::from_record(&entry.record).map_err(|error| error.to_string())?;
        let EventBody::Requested {
            request,
            source,
            picture,
        } = event.body
        else {
            return Err("the event is not a request".to_owned());
        };
        let mut operation = Operation::queued(event.operation, request, source, event.time);
        operation.position = Some(entry.position);
        operation.expires_at = keep.and_then(|keep| event.time.checked_add(keep).ok());
        Ok(Self {
            position: entry.position,
            operation,
            picture,
        })
    }

    pub(super) fn finding(&self, outcome: Outcome) -> Finding {
        Finding::of(self.position, self.operation.id, outcome)
    }

    /// Whether its pictures would have been removed by now.
    pub(super) fn is_over(&self) -> bool {
        let end = self.operation.expires_at;
        end.is_some_and(|end| end <= Timestamp::now())
    }

    /// Whether `row` is of an earlier event with the same ID.
    pub(super) fn came_second_to(&self, row: &Operation) -> bool {
        row.position.is_some_and(|first| first != self.position)
            && !row.asks_the_same_as(&self.operation)
    }
}

type Permit<'a> = Option<SemaphorePermit<'a>>;

impl Workshop {
    pub(super) fn new(
        store: Arc<dyn PictureStore>,
        settings: &Settings,
        name: String,
        history: History,
        running: usize,
    ) -> Self {
        let most = settings.worker.memory_mib.min(u64::from(u32::MAX >> 3));
        let most_memory_mib = u32::try_from(most).expect("was bounded");
        Self {
            store,
            history,
            limits: settings.imaging_limits(),
            max_attempts: settings.worker.max_attempts,
            keep: settings.keep(),
            name,
            cores: Semaphore::new(running),
            memory_mib: Semaphore::new(most_memory_mib as usize),
            most_memory_mib,
        }
    }

    pub(super) async fn row(&self, request: &Request) -> Result<TableRow, StoreError> {
        match self.store.find(request.operation.id).await {
            Ok(Some(row)) => Ok(TableRow::Found(Box::new(row))),
            Ok(None) => Ok(TableRow::Missing),
            Err(error @ StoreError::Corrupt { .. }) => Ok(TableRow::Corrupt(error.to_string())),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn source(&self, request: &Request) -> Result<SourcePicture, StoreError> {
        let picture = match &request.picture {
            PicturePayload::Carried(picture) if picture.is_empty() => {
                return Ok(SourcePicture::DataRemoved);
            }
            PicturePayload::Carried(picture) => picture.clone(),
            PicturePayload::ClaimCheck => match self.store.deposited(request.operation.id).await? {
                Some(picture) => picture,
                None => {
                    let reason = "its picture was kept in the table and is not there any more";
                    return Ok(SourcePicture::Unavailable(reason.to_owned()));
                }
            },
        };
        let (told, is) = (request.operation.source.digest, Digest::of(&picture));
        if is != told {
            return Ok(SourcePicture::Unavailable(format!(
                "its picture has the digest {is}, its event tells of {told}"
            )));
        }
        Ok(SourcePicture::Available(picture))
    }

    /// Waits for memory and a core, and resizes.
    pub(super) async fn resize(
        &self,
        picture: Bytes,
        request: ResizeRequest,
    ) -> Result<FinishedPicture, String> {
        let memory_mib = processing::memory_mib(&picture, &request, &self.limits);
        let _room = self.room(memory_mib).await;
        processing::resize(picture, request, self.limits.clone()).await
    }

    /// Waits for a core and so much memory, or all of it.
    pub(super) async fn room(&self, memory_mib: u32) -> (Permit<'_>, Permit<'_>) {
        let memory_mib = memory_mib.min(self.most_memory_mib);
        // Never closed, so there always is one.
        (
            self.memory_mib.acquire_many(memory_mib).await.ok(),
            self.cores.acquire().await.ok(),
        )
    }
}
