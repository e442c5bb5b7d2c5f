//! The port to the table: one row an operation, from queued to done or failed.
//!
//! Rows only move forward. Whoever writes twice, or late, changes nothing that is already right.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::operation::{Operation, OperationId, PictureFacts};

pub mod embedded;

/// Why the table did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached or written now; later it may.
    #[error("the picture table is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// A row holds what no version of this program wrote.
    #[error("the row of {id} cannot be read: {reason}")]
    Corrupt { id: String, reason: String },
}

/// What a worker may do with an operation it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Go ahead; this is the attempt with that number, counted from 1.
    Attempt(u32),
    /// It is done or failed already.
    Finished,
    /// The ID belongs to another request, which came first.
    Taken,
}

/// The result of an operation, ready to be stored.
#[derive(Clone, Debug)]
pub struct FinishedPicture {
    pub facts: PictureFacts,
    pub bytes: Bytes,
    /// The engine version that made it.
    pub engine: &'static str,
}

/// The table of operations and their results.
#[async_trait]
pub trait PictureStore: Send + Sync + fmt::Debug {
    /// Adds the row of an accepted operation, unless it is there already.
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError>;

    /// Marks an operation as being worked on and counts the attempt. Adds the row when it is
    /// missing: an event can arrive before it, or without it.
    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError>;

    /// Stores a result, unless the operation is already done or failed.
    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Stores why there is no result, unless the operation is already done or failed.
    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The story of an operation.
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// The result's bytes of an operation that is done.
    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError>;

    /// Whether the table answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
