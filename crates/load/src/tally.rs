//! Counts how operations end and what services answer, and keeps the times.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Different problems that are kept to be shown.
const SHOWN: usize = 8;

/// How an operation ended.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// Not accepted, by a status.
    Refused(String),
    /// Accepted, but the service says that it failed.
    Failed(String),
    /// A result that is not the picture that was asked for.
    Wrong(String),
    /// Accepted, but without an end in time.
    Stuck,
    /// The connection failed before anything was accepted.
    Broken(String),
}

/// The parts of an operation whose time is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// From the intended start to the answer to the post.
    Accept,
    /// From the intended start to the request that was answered with the result.
    Ready,
    /// That request alone.
    Fetch,
    /// From the intended start to the last byte of the result.
    Whole,
}

pub(crate) const STEPS: [(Step, &str); 4] = [
    (Step::Accept, "accept"),
    (Step::Ready, "ready"),
    (Step::Fetch, "fetch"),
    (Step::Whole, "whole"),
];

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Ends {
    pub(crate) done: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) wrong: u64,
    pub(crate) stuck: u64,
    pub(crate) broken: u64,
}

impl Ends {
    pub(crate) fn all_done(&self) -> bool {
        self.refused + self.failed + self.wrong + self.stuck + self.broken == 0
    }
}

pub(crate) struct Tally {
    pub(crate) ends: Ends,
    /// Answers by method and status; 0 is a failed connection.
    pub(crate) statuses: BTreeMap<(&'static str, u16), u64>,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Of all results together.
    pub(crate) result_bytes: u64,
    pub(crate) problems: BTreeMap<String, u64>,
    /// Microseconds, one for each of [`STEPS`].
    times: [Histogram<u64>; 4],
}

impl Tally {
    pub(crate) fn new() -> Self {
        // From a microsecond to an hour, three digits.
        let histogram = Histogram::new_with_bounds(1, 3_600_000_000, 3);
        let histogram = histogram.unwrap_or_else(|_| unreachable!("the bounds are valid"));
        Self {
            ends: Ends::default(),
            statuses: BTreeMap::new(),
            sent_bytes: 0,
            received_bytes: 0,
            result_bytes: 0,
            problems: BTreeMap::new(),
            times: [(); 4].map(|()| histogram.clone()),
        }
    }

    pub(crate) fn time(&mut self, step: Step, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.times[step as usize].saturating_record(micros.max(1));
    }

    pub(crate) fn times(&self, step: Step) -> &Histogram<u64> {
        &self.times[step as usize]
    }

    pub(crate) fn request(
        &mut self,
        method: &'static str,
        status: u16,
        sent: usize,
        received: usize,
    ) {
        *self.statuses.entry((method, status)).or_default() += 1;
        self.sent_bytes += sent as u64;
        self.received_bytes += received as u64;
    }

    pub(crate) fn end(&mut self, end: &End) {
        let ends = &mut self.ends;
        let (count, problem) = match end {
            End::Done => (&mut ends.done, None),
            End::Refused(problem) => (&mut ends.refused, Some(problem.as_str())),
            End::Failed(problem) => (&mut ends.failed, Some(problem.as_str())),
            End::Wrong(problem) => (&mut ends.wrong, Some(problem.as_str())),
            End::Stuck => (&mut ends.stuck, Some("accepted, but no result in time")),
            End::Broken(problem) => (&mut ends.broken, Some(problem.as_str())),
        };
        *count += 1;
        if let Some(problem) = problem
            && (self.problems.len() < SHOWN || self.problems.contains_key(problem))
        {
            *self.problems.entry(problem.to_owned()).or_default() += 1;
        }
    }
}
