//! Rebuild: the rows that the log tells of, where they are not there.

use bytes::Bytes;
use jiff::Timestamp;

use super::context::{ReplayContext, Request, SourcePicture, TableRow};
use super::history::{End, OperationHistory};
use super::report::{Finding, Outcome};
use super::task::ReplayError;
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Digest, Operation, Status};
use crate::picture_store::Begun;
use crate::processing::too_many_attempts;

/// What the names of replays begin with, beside rows that no worker made.
pub(super) const NAME: &str = "replay-";

impl ReplayContext {
    /// Sees to it that the table tells what the log tells. A row that a worker has, or will have,
    /// is left to it.
    pub(super) async fn rebuild(&self, request: &Request) -> Result<Finding, ReplayError> {
        let history = self.history.of(request.operation.id);
        let end = history.and_then(|history| history.end.as_ref());
        let mut begun = 0;
        match self.row(request).await? {
            TableRow::Missing => {}
            TableRow::Corrupt(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
            TableRow::Found(row) if request.came_second_to(&row) => {
                return Ok(request.finding(Outcome::Repeated));
            }
            TableRow::Found(row) => match row.status {
                Status::Expired | Status::Erased => return Ok(request.finding(Outcome::Gone)),
                Status::Failed => return Ok(request.finding(Outcome::Untouched)),
                Status::Done => return self.repair(request, &row).await,
                Status::Queued | Status::Processing => {
                    let is_ours = row.worker.as_deref().is_some_and(|it| it.starts_with(NAME));
                    if end.is_none() && !is_ours {
                        return Ok(request.finding(Outcome::Pending));
                    }
                    begun = row.attempts;
                }
            },
        }
        if request.is_over() || matches!(end, Some(End::Erased)) {
            return Ok(request.finding(Outcome::Gone));
        }
        if let (Some(history), Some(End::Failed { at, reason })) = (history, end) {
            if !self.begin_as_told(request, history, begun).await? {
                return Ok(request.finding(Outcome::Untouched));
            }
            let id = request.operation.id;
            self.store.fail(id, reason, ENGINE_VERSION, *at).await?;
            return Ok(request.finding(Outcome::FailureRestored));
        }
        let picture = match self.source(request).await? {
            SourcePicture::Available(picture) => picture,
            SourcePicture::DataRemoved => return Ok(request.finding(Outcome::Gone)),
            SourcePicture::Unavailable(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        match (history, end) {
            (Some(history), Some(End::Completed { at, result, .. })) => {
                self.remake(request, history, begun, picture, *at, *result)
                    .await
            }
            _ => self.make(request, picture).await,
        }
    }

    /// Makes a result that there was before.
    async fn remake(
        &self,
        request: &Request,
        history: &OperationHistory,
        begun: u32,
        picture: Bytes,
        at: Timestamp,
        told: Digest,
    ) -> Result<Finding, ReplayError> {
        let asked = request.operation.request.clone();
        // Made before the row is, so that no row waits for what can't be made.
        let made = match self.resize(picture, &asked).await {
            Ok(made) => made,
            Err(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        if !self.begin_as_told(request, history, begun).await? {
            return Ok(request.finding(Outcome::Untouched));
        }
        let is = made.picture.facts.digest;
        let (outcome, at) = if is == told {
            (Outcome::Rebuilt, at)
        } else {
            (Outcome::Changed, Timestamp::now())
        };
        self.store
            .complete(request.operation.id, made.picture, at)
            .await?;
        let differs = (is != told).then(|| format!("result digest: now {is}, the log says {told}"));
        Ok(request.finding(outcome).with(differs))
    }

    /// Makes a result of which nothing was announced, as a worker does.
    async fn make(&self, request: &Request, picture: Bytes) -> Result<Finding, ReplayError> {
        let (store, operation) = (&self.store, &request.operation);
        let (id, now) = (operation.id, Timestamp::now());
        match store.begin(operation, &self.name, now).await? {
            Begun::Taken => return Ok(request.finding(Outcome::Repeated)),
            Begun::Finished => return Ok(request.finding(Outcome::Untouched)),
            Begun::Attempt(attempt) if attempt > self.max_attempts => {
                let reason = too_many_attempts(self.max_attempts);
                store.fail(id, &reason, ENGINE_VERSION, now).await?;
                return Ok(request.finding(Outcome::Failed).with([reason]));
            }
            Begun::Attempt(_) => {}
        }
        match self.resize(picture, &operation.request).await {
            Ok(made) => {
                store.complete(id, made.picture, Timestamp::now()).await?;
                Ok(request.finding(Outcome::Rebuilt))
            }
            Err(reason) => {
                store
                    .fail(id, &reason, ENGINE_VERSION, Timestamp::now())
                    .await?;
                Ok(request.finding(Outcome::Failed).with([reason]))
            }
        }
    }

    /// Begins the row as the workers once did, except for the first `begun` times. Says whether it
    /// is there to be ended.
    async fn begin_as_told(
        &self,
        request: &Request,
        history: &OperationHistory,
        begun: u32,
    ) -> Result<bool, ReplayError> {
        let operation = &request.operation;
        self.store.enqueue(operation).await?;
        for attempt in history.attempts.iter().skip(begun as usize) {
            match self
                .store
                .begin(operation, &attempt.worker, attempt.at)
                .await?
            {
                Begun::Attempt(_) => {}
                Begun::Finished | Begun::Taken => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Makes the result of a done operation again when its bytes are not what the row says.
    async fn repair(&self, request: &Request, row: &Operation) -> Result<Finding, ReplayError> {
        let told = row.result.as_ref().map(|result| result.digest);
        let stored = self.store.result(row.id).await?;
        if told.is_some() && stored.as_deref().map(Digest::of) == told {
            return Ok(request.finding(Outcome::Untouched));
        }
        let picture = match self.source(request).await? {
            SourcePicture::Available(picture) => picture,
            SourcePicture::DataRemoved => return Ok(request.finding(Outcome::Gone)),
            SourcePicture::Unavailable(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        let made = match self.resize(picture, &row.request).await {
            Ok(made) => made,
            Err(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        let is_as_before = Some(made.picture.facts.digest) == told;
        let before = row.finished_at.filter(|_| is_as_before);
        let at = before.unwrap_or_else(Timestamp::now);
        self.store
            .replace(row.id, &row.request, made.picture, at)
            .await?;
        Ok(request.finding(Outcome::Repaired))
    }
}
