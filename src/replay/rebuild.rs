//! Rebuild: adds the rows that are missing in the table from the log.

use bytes::Bytes;
use jiff::Timestamp;

use super::context::{ReplayContext, Request, SourcePicture, TableRow};
use super::history::{End, OperationHistory};
use super::report::{Finding, Outcome};
use super::task::ReplayError;
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Digest, Operation, Status};
use crate::picture_store::Begun;

/// The prefix of a replay's name. It is the worker's name in rows that no worker made.
pub(super) const NAME: &str = "replay-";

impl ReplayContext {
    /// Makes the row of a request agree with the log. An operation that a worker processes, or will
    /// process, is left to the worker.
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
            if !self.repeat_attempts(request, history, begun).await? {
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

    /// Makes a result again that existed before.
    async fn remake(
        &self,
        request: &Request,
        history: &OperationHistory,
        begun: u32,
        picture: Bytes,
        at: Timestamp,
        expected: Digest,
    ) -> Result<Finding, ReplayError> {
        let asked = request.operation.request.clone();
        // Resize before adding the row, so that no row is left without a result if that fails.
        let made = match self.resize(&picture, &asked).await? {
            Ok(made) => made,
            Err(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        if !self.repeat_attempts(request, history, begun).await? {
            return Ok(request.finding(Outcome::Untouched));
        }
        let is = made.picture.facts.digest;
        let (outcome, at) = if is == expected {
            (Outcome::Rebuilt, at)
        } else {
            (Outcome::Changed, Timestamp::now())
        };
        self.store
            .complete(request.operation.id, made.picture, at)
            .await?;
        let differs = (is != expected)
            .then(|| format!("result digest: now {is}, but the log says {expected}"));
        Ok(request.finding(outcome).with(differs))
    }

    /// Makes a result for which the log has no event, as a worker does.
    async fn make(&self, request: &Request, picture: Bytes) -> Result<Finding, ReplayError> {
        let (store, operation) = (&self.store, &request.operation);
        let (id, now) = (operation.id, Timestamp::now());
        match store.begin(operation, &self.name, now).await? {
            Begun::Taken => return Ok(request.finding(Outcome::Repeated)),
            Begun::Finished => return Ok(request.finding(Outcome::Untouched)),
            Begun::Attempt(_) => {}
        }
        match self.resize(&picture, &operation.request).await? {
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

    /// Repeats the attempts of the workers in the row, except for the first `begun` ones. Returns
    /// whether the row can be completed.
    async fn repeat_attempts(
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

    /// Makes the result of a done operation again if its bytes do not match the row.
    async fn repair(&self, request: &Request, row: &Operation) -> Result<Finding, ReplayError> {
        let expected = row.result.as_ref().map(|result| result.digest);
        let stored = self.store.result(row.id).await?;
        if expected.is_some() && stored.as_deref().map(Digest::of) == expected {
            return Ok(request.finding(Outcome::Untouched));
        }
        let picture = match self.source(request).await? {
            SourcePicture::Available(picture) => picture,
            SourcePicture::DataRemoved => return Ok(request.finding(Outcome::Gone)),
            SourcePicture::Unavailable(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        let made = match self.resize(&picture, &row.request).await? {
            Ok(made) => made,
            Err(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        let is_as_before = Some(made.picture.facts.digest) == expected;
        let before = row.finished_at.filter(|_| is_as_before);
        let at = before.unwrap_or_else(Timestamp::now);
        self.store
            .replace(row.id, &row.request, made.picture, at)
            .await?;
        Ok(request.finding(Outcome::Repaired))
    }
}
