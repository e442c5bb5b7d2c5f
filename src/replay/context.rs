//! What all replays share: they read the request of an event, its row and its picture, and resize.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::history::History;
use super::report::{Finding, Outcome};
use super::task::{ReplayError, Resources};
use crate::event::PicturePayload;
use crate::event_log::{Entry, EventPosition};
use crate::operation::{Digest, Operation, ResizeOptions};
use crate::picture_store::{PictureStore, StoreError};
use crate::processing::{
    PICTURE_IS_GONE, ProcessedPicture, ProcessingError, Processor, ProcessorOptions,
    RequestedOperation,
};

/// The state that all jobs of a replay share.
pub(super) struct ReplayContext {
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) history: History,
    pub(super) processor: Processor,
    pub(super) keep: Option<Duration>,
    /// The worker's name in the table for results that no worker had made before.
    pub(super) name: String,
}

/// A request that is played.
pub(super) struct Request {
    pub(super) position: EventPosition,
    /// The operation when it was accepted.
    pub(super) operation: Operation,
    picture: PicturePayload,
}

/// The row of an operation.
pub(super) enum TableRow {
    Missing,
    Found(Box<Operation>),
    /// It has a value that no version writes.
    Corrupt(String),
}

/// The picture of a request.
pub(super) enum SourcePicture {
    Available(Bytes),
    /// The data of its event was erased.
    DataRemoved,
    /// Why it is not available.
    Unavailable(String),
}

impl Request {
    /// The request of an event.
    pub(super) fn of(entry: &Entry, keep: Option<Duration>) -> Result<Self, String> {
        let requested = RequestedOperation::from_record(&entry.record, entry.position, keep)?;
        Ok(Self {
            position: entry.position,
            operation: requested.operation,
            picture: requested.picture,
        })
    }

    pub(super) fn finding(&self, outcome: Outcome) -> Finding {
        Finding::of(self.position, self.operation.id, outcome)
    }

    /// Whether its pictures are past their retention.
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

impl ReplayContext {
    pub(super) fn new(resources: Resources<'_>, history: History) -> Self {
        let Resources {
            storage,
            processes,
            settings,
            name,
        } = resources;
        Self {
            store: Arc::clone(&storage.store),
            history,
            processor: Processor::new(processes, ProcessorOptions::of(settings)),
            keep: settings.keep(),
            name,
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
                None => return Ok(SourcePicture::Unavailable(PICTURE_IS_GONE.to_owned())),
            },
        };
        let (expected, is) = (request.operation.source.digest, Digest::of(&picture));
        if is != expected {
            return Ok(SourcePicture::Unavailable(format!(
                "its picture has the digest {is}, but its event says {expected}"
            )));
        }
        Ok(SourcePicture::Available(picture))
    }

    /// Resizes, or returns why the picture has no result.
    pub(super) async fn resize(
        &self,
        picture: &Bytes,
        request: &ResizeOptions,
    ) -> Result<Result<ProcessedPicture, String>, ReplayError> {
        match self.processor.resize(picture, request).await {
            Ok(processed) => Ok(Ok(processed)),
            Err(ProcessingError::NoProcess(error)) => Err(ReplayError::PixelProcess(error)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}
