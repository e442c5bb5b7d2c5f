//! A request to resize, read from its event.

use std::time::Duration;

use crate::event::{Event, EventBody, PicturePayload, Record};
use crate::event_log::EventPosition;
use crate::operation::Operation;

/// A request to resize, read from its event.
#[derive(Clone, Debug)]
pub struct RequestedOperation {
    /// The operation when it was accepted, with its position in the log and its expiry time.
    pub operation: Operation,
    pub picture: PicturePayload,
}

impl RequestedOperation {
    /// Reads the request from the record at `position`. `keep` is how long pictures are kept;
    /// `None` means for ever.
    ///
    /// # Errors
    ///
    /// Why the record is not a request, as a message for users.
    pub fn from_record(
        record: &Record,
        position: EventPosition,
        keep: Option<Duration>,
    ) -> Result<Self, String> {
        let event = Event::from_record(record).map_err(|error| error.to_string())?;
        let EventBody::Requested {
            request,
            source,
            picture,
        } = event.body
        else {
            return Err("the event is not a request".to_owned());
        };
        let mut operation = Operation::queued(event.operation, request, source, event.time);
        operation.tenant = event.tenant;
        operation.position = Some(position);
        operation.expires_at = keep.and_then(|keep| event.time.checked_add(keep).ok());
        Ok(Self { operation, picture })
    }
}
