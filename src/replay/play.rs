//! The loop of a replay: reads requests, runs their jobs, and tracks up to where all are finished.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::{ReplayContext, Request};
use super::report::{Finding, Observer, Outcome, Summary};
use super::task::{Ended, Range, ReplayError, Task, delay};
use crate::event_log::watermark::Watermark;
use crate::event_log::{Entry, EventPosition, Reader};
use crate::operation::OperationId;

type Played = (EventPosition, Result<Finding, ReplayError>);

pub(super) struct Player {
    reader: Box<dyn Reader>,
    starts: Vec<EventPosition>,
    context: Arc<ReplayContext>,
    task: Arc<Task>,
    jobs: JoinSet<Played>,
    max_jobs: usize,
    watermark: Watermark,
    /// The first event of an ID is its request. Later ones are copies, or were refused.
    seen: HashSet<OperationId>,
    summary: Summary,
    error: Option<ReplayError>,
    stride: Stride,
}

/// Takes every so-many-th event.
#[derive(Debug, Default)]
struct Stride {
    /// How many events it has seen.
    seen: u64,
    /// Of this many events, it takes one.
    step: u64,
}

impl Stride {
    /// Takes about `sample` of `total` events.
    fn of(total: u64, sample: Option<u64>) -> Self {
        let step = sample.map_or(1, |sample| total.div_ceil(sample.max(1)));
        Self {
            seen: 0,
            step: step.max(1),
        }
    }

    fn takes_next(&mut self) -> bool {
        self.seen += 1;
        (self.seen - 1).is_multiple_of(self.step)
    }
}

/// How reading the log ended.
enum Read {
    ToTheEnd,
    NotAll,
}

impl Player {
    pub(super) fn new(
        reader: Box<dyn Reader>,
        context: ReplayContext,
        task: Task,
        sample: Option<u64>,
    ) -> Self {
        let total = reader.total();
        Self {
            starts: reader.starts(),
            reader,
            max_jobs: context.processor.max_jobs(),
            context: Arc::new(context),
            task: Arc::new(task),
            jobs: JoinSet::new(),
            watermark: Watermark::default(),
            seen: HashSet::new(),
            summary: Summary::default(),
            error: None,
            stride: Stride::of(total, sample),
        }
    }

    pub(super) async fn run(
        mut self,
        range: &Range,
        observer: &mut (dyn Observer + Send),
        stop: &CancellationToken,
    ) -> Ended {
        let read = match self.read(range, observer, stop).await {
            Ok(read) => read,
            Err(error) => {
                self.error.get_or_insert(error);
                Read::NotAll
            }
        };
        while let Some(played) = self.jobs.join_next().await {
            self.settle(played.map_err(ReplayError::from), observer);
        }
        let is_whole = matches!(read, Read::ToTheEnd) && self.error.is_none();
        let continue_from = (!is_whole).then(|| {
            let starts = self.starts.iter();
            let next = starts.map(|start| self.watermark.next(start.partition).unwrap_or(*start));
            next.collect()
        });
        self.summary.close();
        Ended {
            summary: self.summary,
            continue_from,
            error: self.error,
        }
    }

    async fn read(
        &mut self,
        range: &Range,
        observer: &mut (dyn Observer + Send),
        stop: &CancellationToken,
    ) -> Result<Read, ReplayError> {
        let begun = Instant::now();
        let mut first = None;
        while self.error.is_none() {
            let entry = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Read::NotAll),
                entry = self.reader.next() => entry?,
            };
            let Some(entry) = entry else {
                return Ok(Read::ToTheEnd);
            };
            self.watermark.delivered(entry.position);
            let is_included = range.includes(&entry.record.key, entry.appended_at);
            if !is_included || !self.stride.takes_next() {
                self.watermark.finished(entry.position);
                observer.advanced(None);
                continue;
            }
            let first = *first.get_or_insert(entry.appended_at);
            let due = begun + delay(range.speed, since(first, entry.appended_at));
            if !self.wait(due, observer, stop).await {
                return Ok(Read::NotAll);
            }
            self.take(&entry, observer);
            while let Some(played) = self.jobs.try_join_next() {
                self.settle(played.map_err(ReplayError::from), observer);
            }
        }
        Ok(Read::NotAll)
    }

    /// Waits until an event is due and a job may start. Returns whether to continue.
    async fn wait(
        &mut self,
        due: Instant,
        observer: &mut (dyn Observer + Send),
        stop: &CancellationToken,
    ) -> bool {
        loop {
            let is_due = Instant::now() >= due;
            if is_due && self.jobs.len() < self.max_jobs {
                return true;
            }
            tokio::select! {
                () = stop.cancelled() => return false,
                Some(played) = self.jobs.join_next() => {
                    self.settle(played.map_err(ReplayError::from), observer);
                }
                () = tokio::time::sleep_until(due), if !is_due => {}
            }
        }
    }

    fn take(&mut self, entry: &Entry, observer: &mut (dyn Observer + Send)) {
        let position = entry.position;
        let request = match Request::of(entry, self.context.keep) {
            Ok(request) => request,
            Err(reason) => {
                let finding = Finding {
                    position,
                    identifier: None,
                    outcome: Outcome::Unreadable,
                    details: vec![reason],
                    comparison: None,
                    letter: None,
                };
                return self.settle(Ok((position, Ok(finding))), observer);
            }
        };
        if !self.seen.insert(request.operation.id) {
            let finding = request.finding(Outcome::Repeated);
            return self.settle(Ok((position, Ok(finding))), observer);
        }
        let (context, task) = (Arc::clone(&self.context), Arc::clone(&self.task));
        self.jobs.spawn(async move {
            let finding = match &*task {
                Task::Rebuild => context.rebuild(&request).await,
                Task::Verify => context.verify(&request).await,
                Task::Shadow { overrides, promote } => {
                    context.shadow(&request, overrides, *promote).await
                }
            };
            (position, finding)
        });
    }

    fn settle(
        &mut self,
        played: Result<Played, ReplayError>,
        observer: &mut (dyn Observer + Send),
    ) {
        match played {
            Ok((position, Ok(finding))) => {
                self.watermark.finished(position);
                self.summary.add(&finding);
                observer.advanced(Some(&finding));
            }
            Ok((_, Err(error))) | Err(error) => {
                self.error.get_or_insert(error);
            }
        }
    }
}

fn since(first: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(first)).unwrap_or_default()
}
