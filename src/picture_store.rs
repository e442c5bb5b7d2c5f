//! The port to the table: one row an operation, from queued to done or failed.
//!
//! Rows only move forward. Whoever writes twice, or late, changes nothing that is already right;
//! only [`PlaybackStore`], for a person's playback, changes what is final.
//!
//! The port has a trait for each purpose. [`PictureStore`] is all of them together, and what
//! adapters are used as.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::operation::{Digest, Fingerprint, Operation, OperationId, PictureFacts, ResizeOptions};

pub mod embedded;
pub mod mysql;
mod row;
mod sql;

/// Why the table did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached or written now; later it may.
    #[error("the picture table is not available: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    /// Something has to be set up or set right first; the sentence says what.
    #[error("{0}")]
    Misconfigured(String),
    /// A row holds what no version of this program wrote.
    #[error("the row of {id} cannot be read: {reason}")]
    Corrupt { id: String, reason: String },
}

impl StoreError {
    /// Whether the same call can succeed later, with nothing changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
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
    /// The perceptual hash, when one could be made.
    pub fingerprint: Option<Fingerprint>,
    /// The engine version that made it.
    pub engine: &'static str,
}

/// A part of a long answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub skip: u32,
    pub take: u32,
}

/// Fingerprints that differ in more bits are never found by [`LookupStore::similar`]. It looks
/// for hashes of which one of four bands of 16 bits differs in one bit at most: with seven
/// differing bits or fewer there is always such a band.
pub const MOST_DISTANCE: u32 = Fingerprint::ALIKE_BITS;

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

/// The life of an operation, from queued to done or failed.
#[async_trait]
pub trait OperationStore {
    /// Adds the row of an accepted operation. One that was deposited before is only told its
    /// position in the log; any other that is there already stays as it is.
    async fn enqueue(&self, operation: &Operation) -> Result<(), StoreError>;

    /// Marks an operation as being worked on and counts the attempt. Adds the row when it is
    /// missing: an event can arrive before it, or without it.
    async fn begin(
        &self,
        operation: &Operation,
        worker: &str,
        now: Timestamp,
    ) -> Result<Begun, StoreError>;

    /// Stores a result, unless nothing more is to be made of the operation. Says whether it did.
    async fn complete(
        &self,
        id: OperationId,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores why there is no result, unless nothing more is to be made of the operation. Says
    /// whether it did.
    async fn fail(
        &self,
        id: OperationId,
        reason: &str,
        engine: &'static str,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// All that is known of an operation, without its pictures.
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, StoreError>;

    /// The result's bytes of an operation that is done.
    async fn result(&self, id: OperationId) -> Result<Option<Bytes>, StoreError>;

    /// Whether the table answers.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Pictures that wait in the table for the worker, because their events only refer to them.
#[async_trait]
pub trait DepositStore {
    /// Adds the row of an operation together with its picture. Until
    /// [`enqueue`](OperationStore::enqueue) tells its position, the row is of an operation that may
    /// never be accepted; depositing that one again only renews its times. Any other row that is
    /// there already stays as it is.
    async fn deposit(&self, operation: &Operation, picture: Bytes) -> Result<(), StoreError>;

    /// Removes the row of a deposited operation that is not known to be in the log.
    async fn withdraw(&self, id: OperationId) -> Result<(), StoreError>;

    /// The picture that came with [`deposit`](Self::deposit), as long as it is kept.
    async fn deposited(&self, id: OperationId) -> Result<Option<Bytes>, StoreError>;

    /// Whether a picture came with [`deposit`](Self::deposit), be it still there or not.
    async fn is_deposited(&self, id: OperationId) -> Result<bool, StoreError>;
}

/// Looks operations up by what they asked and by their pictures.
#[async_trait]
pub trait LookupStore {
    /// A done operation with the same request for the same picture, made by this engine version,
    /// whose result is there.
    async fn find_same_request(
        &self,
        operation: &Operation,
        engine: &str,
    ) -> Result<Option<OperationId>, StoreError>;

    /// Completes an operation with the result of `done`, without anyone having begun it. Says
    /// whether that was done: the result of `done` may be gone by now, or the operation be
    /// finished.
    async fn copy_result(
        &self,
        id: OperationId,
        done: OperationId,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Operations whose source or result has these very bytes, the newest first.
    async fn with_digest(&self, digest: Digest, page: Page) -> Result<Vec<Operation>, StoreError>;

    /// Operations whose result looks alike, with the distance: the nearest first, then the newest.
    /// `distance` is [`MOST_DISTANCE`] at the most. Those that [`with_digest`](Self::with_digest)
    /// finds by `except` are left out.
    async fn similar(
        &self,
        fingerprint: Fingerprint,
        distance: u32,
        except: Digest,
        page: Page,
    ) -> Result<Vec<(u32, Operation)>, StoreError>;
}

/// What a person's playback changes although it is final.
#[async_trait]
pub trait PlaybackStore {
    /// Puts another result, made with other options, in the place of a done operation's. Says
    /// whether there was one.
    async fn replace(
        &self,
        id: OperationId,
        request: &ResizeOptions,
        picture: FinishedPicture,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a failed operation a fresh chance: it is queued again, and its attempts are counted
    /// anew. Says whether it had failed.
    async fn reopen(&self, id: OperationId) -> Result<bool, StoreError>;
}

/// Removes pictures and rows, when their time is over or someone asks for it.
#[async_trait]
pub trait RetentionStore {
    /// Marks operations as expired whose time was over at `now`, and removes their pictures:
    /// `most` of them at once. Returns how many they were.
    async fn expire(&self, now: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Removes the rows of operations that were expired or erased before `before`: `most` of them
    /// at once. Returns how many they were.
    async fn forget(&self, before: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Whether there are deposits from before `before` that are not known to be in the log.
    async fn has_lost_deposits(&self, before: Timestamp) -> Result<bool, StoreError>;

    /// Removes the rows of deposits from before `before` that are not known to be in the log: at
    /// most `most` of them at once. Returns how many they were.
    async fn discard_deposits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError>;

    /// Marks an operation as erased, from `now` on unless it was before, and removes its pictures,
    /// whatever its status is. Says whether there is such an operation.
    async fn erase(&self, id: OperationId, now: Timestamp) -> Result<bool, StoreError>;
}
