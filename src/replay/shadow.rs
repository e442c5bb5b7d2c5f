//! Shadow: resizes the same pictures with other options and compares with the stored results.

use bytes::Bytes;
use jiff::Timestamp;

use super::context::{ReplayContext, Request, SourcePicture, TableRow};
use super::history::End;
use super::report::{Comparison, Finding, Outcome, Shown};
use super::task::ReplayError;
use crate::operation::{
    FieldError, Filter, Format, Operation, OperationId, PictureFacts, Profile, ResizeOptions,
    Status,
};
use crate::picture_store::FinishedPicture;
use crate::processing::{ProcessedPicture, ProcessingError};

/// Checks the options that replace those of the requests.
///
/// # Errors
///
/// The invalid options, by name.
pub fn check_overrides(overrides: &[(&'static str, String)]) -> Result<(), Vec<FieldError>> {
    let any = ResizeOptions {
        width: Some(1),
        ..ResizeOptions::default()
    };
    overridden(&any, overrides).map(|_| ())
}

/// A request with some of its options replaced.
fn overridden(
    request: &ResizeOptions,
    overrides: &[(&'static str, String)],
) -> Result<ResizeOptions, Vec<FieldError>> {
    let own = request.pairs().into_iter();
    let kept = own.filter(|(key, _)| overrides.iter().all(|(other, _)| other != key));
    ResizeOptions::from_pairs(kept.chain(overrides.iter().cloned()))
}

/// The reference for the quality of a request's results: the same part of the picture at the same
/// size, made in linear light, lossless and in full colour.
fn reference(request: &ResizeOptions) -> ResizeOptions {
    ResizeOptions {
        width: request.width,
        height: request.height,
        fit: request.fit,
        position: request.position,
        background: request.background,
        enlarge: request.enlarge,
        format: Some(Format::Png),
        filter: Filter::default(),
        profile: Profile::Fine,
        ..ResizeOptions::default()
    }
}

impl ReplayContext {
    /// Resizes with other options and compares with the stored result. Only `promote` writes.
    pub(super) async fn shadow(
        &self,
        request: &Request,
        overrides: &[(&'static str, String)],
        promote: bool,
    ) -> Result<Finding, ReplayError> {
        let row = match self.row(request).await? {
            TableRow::Missing if request.is_over() => return Ok(request.finding(Outcome::Gone)),
            TableRow::Missing => return Ok(request.finding(Outcome::Missing)),
            TableRow::Corrupt(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
            TableRow::Found(row) if request.came_second_to(&row) => {
                return Ok(request.finding(Outcome::Repeated));
            }
            TableRow::Found(row) => row,
        };
        let outcome = match row.status {
            Status::Queued | Status::Processing => Some(Outcome::Pending),
            Status::Failed => Some(Outcome::Failed),
            Status::Expired | Status::Erased => Some(Outcome::Gone),
            Status::Done => None,
        };
        if let Some(outcome) = outcome {
            return Ok(request.finding(outcome));
        }
        let picture = match self.source(request).await? {
            SourcePicture::Available(picture) => picture,
            SourcePicture::DataRemoved => return Ok(request.finding(Outcome::Gone)),
            SourcePicture::Unavailable(reason) => {
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
        };
        let (Some(before), Some(facts)) = (self.store.result(row.id).await?, row.result.clone())
        else {
            let reason = "its result is not in the table".to_owned();
            return Ok(request.finding(Outcome::Unplayable).with([reason]));
        };
        let other = match overridden(&request.operation.request, overrides) {
            Ok(other) => other,
            Err(errors) => {
                let reasons = errors.iter().map(ToString::to_string);
                return Ok(request.finding(Outcome::Refused).with(reasons));
            }
        };
        let ProcessedPicture {
            picture: made,
            elapsed,
            ..
        } = match self.resize(&picture, &other).await? {
            Ok(processed) => processed,
            Err(reason) => return Ok(request.finding(Outcome::Refused).with([reason])),
        };
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let scores = self
            .scores(
                picture,
                [
                    (row.request.clone(), before),
                    (other.clone(), made.bytes.clone()),
                ],
            )
            .await?;
        let comparison = Comparison {
            before: shown(&facts, self.stored_milliseconds(row.id), scores[0]),
            after: shown(&made.facts, Some(milliseconds), scores[1]),
        };
        let outcome = if promote {
            self.promote(&row, other, made).await?
        } else {
            Outcome::Compared
        };
        Ok(Finding {
            comparison: Some(comparison),
            ..request.finding(outcome)
        })
    }

    /// How long the stored result took.
    fn stored_milliseconds(&self, id: OperationId) -> Option<u64> {
        match self.history.of(id)?.end {
            Some(End::Completed {
                elapsed_milliseconds,
                ..
            }) => elapsed_milliseconds,
            _ => None,
        }
    }

    /// The scores of two results of a picture, each against the reference of its request.
    async fn scores(
        &self,
        picture: Bytes,
        results: [(ResizeOptions, Bytes); 2],
    ) -> Result<[Option<f64>; 2], ReplayError> {
        let [(before, before_bytes), (after, after_bytes)] = results;
        let references = [reference(&before), reference(&after)];
        let references = [&references[0], &references[1]];
        let results = [before_bytes, after_bytes];
        match self.processor.scores(&picture, references, results).await {
            Ok(scores) => Ok(scores),
            Err(ProcessingError::NoProcess(error)) => Err(ReplayError::PixelProcess(error)),
            // If a codec fails here, there is only no score.
            Err(_) => Ok([None, None]),
        }
    }

    async fn promote(
        &self,
        row: &Operation,
        request: ResizeOptions,
        made: FinishedPicture,
    ) -> Result<Outcome, ReplayError> {
        let expected = row.result.as_ref().map(|result| result.digest);
        if row.request == request && expected == Some(made.facts.digest) {
            return Ok(Outcome::Untouched);
        }
        let now = Timestamp::now();
        let is_done = self.store.replace(row.id, &request, made, now).await?;
        // It was erased or has expired in the meantime.
        Ok(if is_done {
            Outcome::Promoted
        } else {
            Outcome::Gone
        })
    }
}

fn shown(facts: &PictureFacts, milliseconds: Option<u64>, ssimulacra2: Option<f64>) -> Shown {
    Shown {
        width: facts.width,
        height: facts.height,
        bytes: facts.bytes,
        milliseconds,
        ssimulacra2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(pairs: &[(&str, &str)]) -> ResizeOptions {
        ResizeOptions::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn options_take_the_place_of_the_requests_own() {
        let own = request(&[("width", "320"), ("format", "jpeg"), ("quality", "80")]);
        let other = overridden(&own, &[("format", "webp".into()), ("quality", "60".into())]);
        let expected = request(&[("width", "320"), ("format", "webp"), ("quality", "60")]);
        assert_eq!(other.unwrap(), expected);
    }

    #[test]
    fn options_that_are_wrong_are_refused_by_name() {
        assert!(check_overrides(&[("filter", "bilinear".into())]).is_ok());
        let errors = check_overrides(&[("filter", "soft".into())]).unwrap_err();
        assert_eq!(errors[0].field, "filter");
    }
}
