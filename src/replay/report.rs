//! What a replay reports: a finding for each event, and totals at the end.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::event_log::EventPosition;
use crate::operation::OperationId;

/// Receives the findings of a replay.
pub trait Observer {
    /// The replay begins. `events` is an upper bound of the number of events.
    fn begins(&mut self, events: u64);

    /// One event is finished. It has a finding if it was in the range.
    fn advanced(&mut self, finding: Option<&Finding>);
}

/// The finding of one event.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub position: EventPosition,
    /// `None` if the event could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<OperationId>,
    pub outcome: Outcome,
    /// The differences or reasons, one message each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub letter: Option<DeadLetter>,
}

/// Why and when an event became a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    pub reason: String,
    pub set_aside_at: Timestamp,
}

impl Finding {
    /// A finding without details.
    pub(super) fn of(position: EventPosition, id: OperationId, outcome: Outcome) -> Self {
        Self {
            position,
            identifier: Some(id),
            outcome,
            details: Vec::new(),
            comparison: None,
            letter: None,
        }
    }

    pub(super) fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

/// The outcome of an event, in the order of the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The row was right.
    Untouched,
    /// The row was rebuilt with the same result.
    Rebuilt,
    /// The row was rebuilt, but its result differs from the log.
    Changed,
    /// The row's result was missing or damaged, and was made again.
    Repaired,
    /// The row of a failed operation was rebuilt.
    FailureRestored,
    /// Resizing again gave the same result.
    Same,
    /// The same result, although the stored one is from another engine version.
    SameOfOtherEngine,
    Different,
    /// The table has no row for the event.
    Missing,
    /// Resized with other options.
    Compared,
    /// Resized with other options, and stored as the new result.
    Promoted,
    /// The other options cannot be used with this picture.
    Refused,
    /// It can't be resized.
    Failed,
    /// A worker processes it, or will process it.
    Pending,
    /// It expired or was erased.
    Gone,
    /// Its picture no longer exists, or can no longer be resized.
    Unplayable,
    /// Its ID belongs to an earlier event.
    Repeated,
    /// This version cannot read it as a request.
    Unreadable,
    /// A dead letter that can be re-queued.
    Waiting,
    /// A dead letter that was re-queued now.
    PutBack,
    /// A dead letter that was re-queued earlier.
    PutBackBefore,
    /// A dead letter whose operation is done or gone by now.
    Settled,
    /// A dead letter with a later one of the same operation.
    Superseded,
}

impl Outcome {
    /// Its label in the summary.
    pub fn label(self) -> &'static str {
        match self {
            Self::Untouched => "already right, not touched",
            Self::Rebuilt => "rebuilt",
            Self::Changed => "rebuilt with a different result",
            Self::Repaired => "repaired",
            Self::FailureRestored => "failure restored",
            Self::Same => "the same",
            Self::SameOfOtherEngine => "the same, from another engine version",
            Self::Different => "DIFFERENT",
            Self::Missing => "MISSING in the table",
            Self::Compared => "compared",
            Self::Promoted => "promoted",
            Self::Refused => "refused with these options",
            Self::Failed => "failed",
            Self::Pending => "not yet finished by the workers",
            Self::Gone => "expired or erased",
            Self::Unplayable => "no longer playable",
            Self::Repeated => "identifier belongs to an earlier operation",
            Self::Unreadable => "not readable by this version",
            Self::Waiting => "waiting",
            Self::PutBack => "re-queued",
            Self::PutBackBefore => "re-queued earlier",
            Self::Settled => "already settled",
            Self::Superseded => "replaced by a later dead letter",
        }
    }

    /// Whether the operator should look at it.
    pub fn is_problem(self) -> bool {
        matches!(
            self,
            Self::Different | Self::Missing | Self::Refused | Self::Unplayable
        )
    }
}

/// Two results of the same picture: the stored one, and the new one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub before: Shown,
    pub after: Shown,
}

/// The measurements of one result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
    /// The time of decoding, resampling and encoding together; `None` if it is not known.
    pub milliseconds: Option<u64>,
    /// The score against a reference in linear light; `None` if there is none.
    pub ssimulacra2: Option<f64>,
}

/// The totals of a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub outcomes: BTreeMap<Outcome, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Compared>,
    #[serde(skip)]
    compared: Vec<Comparison>,
}

/// The totals of all comparisons.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub pictures: u64,
    pub before: Sums,
    pub after: Sums,
}

/// One side of all comparisons. Times and scores only count pictures that have them on both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Sums {
    pub bytes: u64,
    pub timed: u64,
    pub milliseconds: u64,
    pub milliseconds_median: Option<f64>,
    pub scored: u64,
    pub ssimulacra2_mean: Option<f64>,
    pub ssimulacra2_median: Option<f64>,
}

impl Summary {
    pub(super) fn add(&mut self, finding: &Finding) {
        *self.outcomes.entry(finding.outcome).or_default() += 1;
        self.compared.extend(finding.comparison);
    }

    pub(super) fn close(&mut self) {
        if !self.compared.is_empty() {
            self.comparison = Some(Compared {
                pictures: self.compared.len() as u64,
                before: self.sums(|both| both.before, |both| both.after),
                after: self.sums(|both| both.after, |both| both.before),
            });
        }
    }

    fn sums(
        &self,
        side: impl Fn(&Comparison) -> Shown,
        other: impl Fn(&Comparison) -> Shown,
    ) -> Sums {
        let pairs = || self.compared.iter().map(|both| (side(both), other(both)));
        let times: Vec<f64> = pairs()
            .filter(|(_, other)| other.milliseconds.is_some())
            .filter_map(|(side, _)| side.milliseconds.map(|time| time as f64))
            .collect();
        let scores: Vec<f64> = pairs()
            .filter(|(_, other)| other.ssimulacra2.is_some())
            .filter_map(|(side, _)| side.ssimulacra2)
            .collect();
        Sums {
            bytes: pairs().map(|(side, _)| side.bytes).sum(),
            timed: times.len() as u64,
            milliseconds: times.iter().sum::<f64>() as u64,
            milliseconds_median: median(times),
            scored: scores.len() as u64,
            ssimulacra2_mean: (!scores.is_empty())
                .then(|| scores.iter().sum::<f64>() / scores.len() as f64),
            ssimulacra2_median: median(scores),
        }
    }

    /// How many events had this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }

    /// How many events the operator should look at.
    pub fn problems(&self) -> u64 {
        let problems = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| outcome.is_problem());
        problems.map(|(_, count)| count).sum()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: u64, milliseconds: Option<u64>, ssimulacra2: Option<f64>) -> Shown {
        Shown {
            width: 8,
            height: 8,
            bytes,
            milliseconds,
            ssimulacra2,
        }
    }

    #[test]
    fn only_what_both_sides_have_is_set_against_each_other() {
        let mut summary = Summary::default();
        for (before, after) in [
            (
                shown(100, Some(4), Some(70.0)),
                shown(50, Some(2), Some(60.0)),
            ),
            (shown(100, None, Some(80.0)), shown(50, Some(9), None)),
            (
                shown(100, Some(8), Some(90.0)),
                shown(50, Some(4), Some(70.0)),
            ),
        ] {
            summary.add(&Finding {
                position: EventPosition {
                    partition: 0,
                    offset: 0,
                },
                identifier: None,
                outcome: Outcome::Compared,
                details: Vec::new(),
                comparison: Some(Comparison { before, after }),
                letter: None,
            });
        }
        summary.close();
        let compared = summary.comparison.unwrap();
        assert_eq!((compared.before.bytes, compared.after.bytes), (300, 150));
        assert_eq!(compared.before.milliseconds_median, Some(6.0));
        assert_eq!(compared.after.milliseconds, 6);
        assert_eq!(compared.before.ssimulacra2_mean, Some(80.0));
        assert_eq!(compared.after.ssimulacra2_median, Some(65.0));
    }
}
