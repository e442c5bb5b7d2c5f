//! What all the tasks need: the request of an event, its row, its picture, and what makes pictures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::history::History;
use super::report::{Finding, Outcome};
use crate::event::PicturePayload;
use crate::event_log::{Entry, EventPosition};
use crate::operation::{Digest, Operation, ResizeOptions};
use crate::picture_store::{PictureStore, StoreError};
use crate::processing::{PICTURE_IS_GONE, ProcessedPicture, Processor, RequestedOperation};
use crate::settings::Settings;

/// What all jobs of a replay share.
pub(super) struct ReplayContext {
    pub(super) store: Arc<dyn PictureStore>,
    pub(super) history: History,
    pub(super) processor: Processor,
    pub(super) max_attempts: u32,
    pub(super) keep: Option<Duration>,
    /// Stands in the table beside what no worker had made before.
    pub(super) name: String,
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

impl ReplayContext {
    pub(super) fn new(
        store: Arc<dyn PictureStore>,
        settings: &Settings,
        name: String,
        history: History,
    ) -> Self {
        Self {
            store,
            history,
            processor: Processor::new(
                settings.imaging_limits(),
                settings.worker.concurrency,
                settings.worker.memory_mib,
            ),
            max_attempts: settings.worker.max_attempts,
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
        request: &ResizeOptions,
    ) -> Result<ProcessedPicture, String> {
        let admitted = self.processor.admit(&picture, request).await;
        self.processor.resize(picture, admitted).await
    }
}
