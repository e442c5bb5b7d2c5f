//! The port to the table: one row per operation, from queued to done or failed.
//!
//! Rows only move forward. Writing twice, or late, changes nothing that is already right. Only
//! [`PlaybackStore`], which replays use, changes operations that are final.
//!
//! The port has a trait for each purpose. [`PictureStore`] combines them; adapters are used through
//! it.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::operation::{
    Digest, Fingerprint, Operation, OperationId, PictureFacts, ResizeOptions, Tenant,
};

pub mod embedded;
mod endings;
pub mod mysql;
mod row;
mod sql;

/// Why a call to the table failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached or written now, but may be later.
    #[error("the picture table is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// The database is not configured as needed; the message says what to do.
    #[error("{0}")]
    Misconfigured(String),
    /// A row has a value that no version of this program writes.
    #[error("the row of {id} cannot be read: {reason}")]
    Corrupt { id: String, reason: String },
}

impl StoreError {
    /// Whether the same call can succeed later without any change.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What a worker may do with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Resize it. The number of this attempt is counted from 1.
    Attempt(u32),
    /// It is already done or failed.
    Finished,
    /// The ID belongs to an earlier request.
    Taken,
}

/// The result of an operation, ready to be stored.
#[derive(Clone, Debug)]
pub struct FinishedPicture {
    pub facts: PictureFacts,
    pub bytes: Bytes,
    /// The perceptual hash, if the picture has one.
    pub fingerprint: Option<Fingerprint>,
    /// The engine version that made it.
    pub engine: &'static str,
}

/// Events that nobody can read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadEvents {
    pub partition: i32,
    pub offsets: Range<i64>,
}

/// Which part of a long answer to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub skip: u32,
    pub take: u32,
}

/// Fingerprints that differ in more bits are never found by [`LookupStore::similar`]. It searches
/// for hashes with at least one of four bands of 16 bits that differs in at most one bit. With
/// seven or fewer differing bits there is always such a band.
pub const MOST_DISTANCE: u32 = Fingerprint::ALIKE_BITS;

/// The end of an operation, which somebody waits for.
pub type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The table of operations and their results.
pub trait PictureStore:
    OperationStore
    + DepositStore
    + LookupStore
    + PlaybackStore
    + RetentionStore
    + Send
    + Sync
    + fmt::Debug
{
}

impl<T> PictureStore for T where
    T: OperationStore
        + DepositStore
        + LookupStore
        + PlaybackStore
        + RetentionStore
        + Send
        + Sync
        + fmt::Debug
{
}

/// The life cycle of an operation, from queued to done or failed.
#[async_trait]
pub trait OperationStore {
    /// Adds the row of an accepted operation. The row of a deposited operation only gets its
    /// position in the log; any other existing row stays unchanged.
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError>;

    /// Does the same for several operations. After an error, some may have been added.
    async fn enqueue_all(&self, operations: &[Operation]) -> Result<(), StoreError> {
        for operation in operations {
            self.enqueue(operation).await?;
        }
        Ok(())
    }

    /// Marks an operation as processing and counts the attempt. Adds the row if it is missing,
    /// because an event can arrive before its row, or without one.
    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError>;

    /// Stores a result, unless the operation is already final. Returns whether it was stored.
    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Marks an operation as failed, unless it is already final. Returns whether it was marked.
    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// How many operations of a tenant have not ended yet, counted up to `most`.
    async fn unfinished(&self, tenant: &Tenant, most: u32) -> Result<u32, StoreError>;

    /// The full history of an operation, without its pictures.
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// Ready when this process ends the operation from now on. If other processes use the table too,
    /// it may never be ready, so callers also look again now and then.
    fn ending(&self, id: OperationId) -> Ending {
        let _ = id;
        Box::pin(std::future::pending())
    }

    /// The bytes of a done operation's result.
    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError>;

    /// Returns once everything that was written before is durable. Until then, a power cut may undo
    /// what [`enqueue`](Self::enqueue), [`begin`](Self::begin), [`complete`](Self::complete) and
    /// [`fail`](Self::fail) wrote. So a worker calls this before it commits the offsets of their
    /// events. A kill of this process undoes nothing.
    async fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Ends the use of the table. An embedded file is complete after that, without files beside it,
    /// and accepts no more writes.
    async fn close(&self) {}

    /// Whether the table answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Deposits: pictures that wait in the table for a worker, because their events only refer to them.
#[async_trait]
pub trait DepositStore {
    /// Adds the row of an operation together with its picture. Until
    /// [`enqueue`](OperationStore::enqueue) sets its position, the operation may never be accepted,
    /// and depositing it again only renews its times. Any other existing row stays unchanged.
    async fn deposit(&self, operation: &Operation, picture: Bytes) -> Result<(), StoreError>;

    /// Removes the row of a deposited operation that is not known to be in the log.
    async fn withdraw(&self, id: OperationId) -> Result<(), StoreError>;

    /// The picture that came with [`deposit`](Self::deposit), as long as it is kept.
    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError>;

    /// Whether a picture came with [`deposit`](Self::deposit), even if it has been removed since.
    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError>;
}

/// Finds operations by their requests and by their pictures.
#[async_trait]
pub trait LookupStore {
    /// A done operation of the same tenant with the same request for the same picture, made by this
    /// engine version, whose result is stored.
    async fn find_same_request(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError>;

    /// Completes an operation with the result of `done`, without a worker. Returns whether it did:
    /// the result of `done` may be gone by now, or the operation may already be finished.
    async fn copy_result(
        &self,
        id: OperationId,
        done: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// A tenant's operations whose source or result has exactly these bytes, the newest first.
    async fn with_digest(
        &self,
        tenant: &Tenant,
        digest: Digest,
        page: Page,
    ) -> Result<Vec<Operation>, StoreError>;

    /// A tenant's operations whose result looks similar, with the distance: the nearest first, then the
    /// newest. `distance` is at most [`MOST_DISTANCE`]. Operations that
    /// [`with_digest`](Self::with_digest) finds by `except` are skipped.
    async fn similar(
        &self,
        tenant: &Tenant,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError>;
}

/// Changes by replays to operations that are final.
#[async_trait]
pub trait PlaybackStore {
    /// Replaces the result of a done operation by one made with other options. Returns whether
    /// there was one.
    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeOptions,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Queues a failed operation again with no attempts. Returns whether it had failed.
    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError>;
}

/// Removes pictures and rows that are past their retention or are erased on request.
#[async_trait]
pub trait RetentionStore {
    /// Marks operations as expired that are past their retention at `now`, and removes their
    /// pictures: at most `most` at once. Returns how many there were.
    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Removes the rows of operations that expired or were erased before `before`: at most `most`
    /// at once. Returns how many there were.
    async fn forget(&self, before: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Marks unfinished operations as failed whose events are these: at most `most` at once. Returns
    /// how many there were.
    async fn fail_unread(
        &self,
        unread: &UnreadEvents,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
        most: u32,
    ) -> Result<u64, StoreError>;

    /// Whether there are deposits from before `before` that are not known to be in the log.
    async fn has_lost_deposits(&self, before: Timestamp) -> Result<bool, StoreError>;

    /// Removes the rows of deposits from before `before` that are not known to be in the log: at
    /// most `most` at once. Returns how many there were.
    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Marks an operation in any status as erased at `now`, unless it was erased before, and
    /// removes its pictures. Returns whether there is such an operation.
    async fn erase(&self, id: OperationId, now: Timestamp) -> Result<bool, StoreError>;
}
