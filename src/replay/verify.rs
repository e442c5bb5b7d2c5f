//! Verify: compares every row with its event, and every result with one made again.

use super::context::{ReplayContext, Request, SourcePicture, TableRow};
use super::report::{Finding, Outcome};
use super::task::ReplayError;
use crate::imaging::ENGINE_VERSION;
use crate::operation::{Digest, Operation, PictureFacts, ResizeOptions, Status};

impl ReplayContext {
    /// Resizes again and compares with the row. Nothing is written.
    pub(super) async fn verify(&self, request: &Request) -> Result<Finding, ReplayError> {
        let row = match self.row(request).await? {
            TableRow::Missing if request.is_over() => return Ok(request.finding(Outcome::Gone)),
            TableRow::Missing => {
                return Ok(match self.source(request).await? {
                    SourcePicture::DataRemoved => request.finding(Outcome::Gone),
                    SourcePicture::Available(_) | SourcePicture::Unavailable(_) => {
                        request.finding(Outcome::Missing)
                    }
                });
            }
            TableRow::Corrupt(reason) => {
                return Ok(request.finding(Outcome::Different).with([reason]));
            }
            TableRow::Found(row) if request.came_second_to(&row) => {
                return Ok(request.finding(Outcome::Repeated));
            }
            TableRow::Found(row) => row,
        };
        let outcome = match row.status {
            Status::Queued | Status::Processing => Some(Outcome::Pending),
            Status::Expired | Status::Erased => Some(Outcome::Gone),
            Status::Done | Status::Failed => None,
        };
        if let Some(outcome) = outcome {
            return Ok(request.finding(outcome));
        }
        let mut differences = asked_differently(&request.operation, &row);
        if row.status == Status::Failed {
            // A picture that crashed its worker is not tried again here.
            let outcome = if differences.is_empty() {
                Outcome::Failed
            } else {
                Outcome::Different
            };
            return Ok(request.finding(outcome).with(differences));
        }
        self.compare_stored(&row, &mut differences).await?;
        let picture = match self.source(request).await? {
            SourcePicture::Available(picture) => picture,
            SourcePicture::DataRemoved => return Ok(request.finding(Outcome::Gone)),
            SourcePicture::Unavailable(reason) => {
                let outcome = if differences.is_empty() {
                    Outcome::Unplayable
                } else {
                    Outcome::Different
                };
                let details = differences.into_iter().chain([reason]);
                return Ok(request.finding(outcome).with(details));
            }
        };
        let asked = request.operation.request.clone();
        match (self.resize(&picture, &asked).await?, &row.result) {
            (Ok(made), Some(expected)) => {
                differences.extend(facts_differ(
                    "result",
                    "made again",
                    &made.picture.facts,
                    expected,
                ));
            }
            (Ok(_), None) => {}
            (Err(reason), _) => {
                differences.push(format!("the picture could not be resized again: {reason}"));
            }
        }
        let other_engine = row.engine.as_deref().filter(|it| *it != ENGINE_VERSION);
        let outcome = match (differences.is_empty(), other_engine) {
            (true, None) => Outcome::Same,
            (true, Some(_)) => Outcome::SameOfOtherEngine,
            (false, _) => Outcome::Different,
        };
        let engine = other_engine.map(|engine| {
            format!("the result is from engine version {engine}; this version is {ENGINE_VERSION}")
        });
        Ok(request
            .finding(outcome)
            .with(differences.into_iter().chain(engine)))
    }

    /// Compares the stored bytes with the digest in the row.
    async fn compare_stored(
        &self,
        row: &Operation,
        differences: &mut Vec<String>,
    ) -> Result<(), ReplayError> {
        let stored = self.store.result(row.id).await?;
        match (stored, &row.result) {
            (Some(bytes), Some(expected)) => {
                let is = Digest::of(&bytes);
                if is != expected.digest {
                    differences.push(format!(
                        "stored bytes: the digest is {is}, but the row says {}",
                        expected.digest
                    ));
                }
            }
            _ => differences.push("stored bytes: missing".to_owned()),
        }
        Ok(())
    }
}

/// The differences between a row's request and its event's.
fn asked_differently(event: &Operation, row: &Operation) -> Vec<String> {
    let mut differences = options_differ(&event.request, &row.request);
    differences.extend(facts_differ(
        "source",
        "the event says",
        &event.source,
        &row.source,
    ));
    differences
}

fn options_differ(event: &ResizeOptions, row: &ResizeOptions) -> Vec<String> {
    let (event, row) = (event.pairs(), row.pairs());
    let value = |pairs: &[(&str, String)], key: &str| {
        let found = pairs.iter().find(|(name, _)| *name == key);
        found.map_or_else(|| "nothing".to_owned(), |(_, value)| value.clone())
    };
    ResizeOptions::KEYS
        .iter()
        .map(|key| (key, value(&event, key), value(&row, key)))
        .filter(|(_, event, row)| event != row)
        .map(|(key, event, row)| {
            format!("option {key}: the event says {event}, the row says {row}")
        })
        .collect()
}

fn facts_differ(of: &str, says: &str, is: &PictureFacts, row: &PictureFacts) -> Vec<String> {
    let texts = |facts: &PictureFacts| {
        [
            facts.format.to_string(),
            format!("{}x{}", facts.width, facts.height),
            format!("{} bytes", facts.bytes),
            facts.digest.to_string(),
        ]
    };
    ["format", "size", "length", "digest"]
        .iter()
        .zip(texts(is).into_iter().zip(texts(row)))
        .filter(|(_, (is, row))| is != row)
        .map(|(what, (is, row))| format!("{of} {what}: {says} {is}, the row says {row}"))
        .collect()
}
