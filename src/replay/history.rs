//! What was announced about operations: who began them when, and how they ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::task::{Range, ReplayError};
use crate::event::{Event, EventBody};
use crate::event_log::{EventLog, Start, Topic};
use crate::operation::{Digest, OperationId};

/// All that was announced.
#[derive(Debug, Default)]
pub(super) struct History {
    operations: HashMap<OperationId, OperationHistory>,
    /// Workers' names, each kept once.
    names: HashSet<Arc<str>>,
}

/// What was announced about one operation.
#[derive(Debug, Default)]
pub(super) struct OperationHistory {
    pub(super) attempts: Vec<Attempt>,
    pub(super) end: Option<End>,
}

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) at: Timestamp,
    pub(super) worker: Arc<str>,
}

/// How an operation ended; the last of it counts, since one that failed can be tried again.
#[derive(Debug)]
pub(super) enum End {
    Completed {
        at: Timestamp,
        result: Digest,
        elapsed_milliseconds: Option<u64>,
    },
    Failed {
        at: Timestamp,
        reason: Box<str>,
    },
    /// Nothing follows that.
    Erased,
}

impl History {
    /// Reads what was announced since `range` began.
    pub(super) async fn read(
        log: &dyn EventLog,
        range: &Range,
        stop: &CancellationToken,
    ) -> Result<Self, ReplayError> {
        // Positions are of another topic. What happened to a request was announced after it.
        let from = match &range.from {
            Start::Time(time) => Start::Time(*time),
            Start::Beginning | Start::Positions(_) => Start::Beginning,
        };
        let mut reader = log.read(Topic::Events, &from).await?;
        let mut history = Self::default();
        while !stop.is_cancelled()
            && let Some(entry) = reader.next().await?
        {
            if range
                .id
                .is_some_and(|id| entry.record.key != id.to_string())
            {
                continue;
            }
            match Event::from_record(&entry.record) {
                Ok(event) => history.add(event),
                Err(error) => {
                    tracing::warn!(position = %entry.position, %error, "an event was not understood");
                }
            }
        }
        Ok(history)
    }

    fn add(&mut self, event: Event) {
        let at = event.time;
        match event.body {
            EventBody::Requested { .. } => {}
            EventBody::Started(started) => {
                let worker = self.name(&started.worker);
                let history = self.operations.entry(event.operation).or_default();
                // A chance that follows a failure begins the count anew.
                if matches!(history.end, Some(End::Failed { .. })) && started.attempt == 1 {
                    history.attempts.clear();
                }
                history.attempts.push(Attempt { at, worker });
            }
            EventBody::Completed(completed) => {
                self.end(
                    event.operation,
                    End::Completed {
                        at,
                        result: completed.result.digest,
                        elapsed_milliseconds: completed.elapsed_milliseconds,
                    },
                );
            }
            EventBody::Failed(failed) => {
                self.end(
                    event.operation,
                    End::Failed {
                        at,
                        reason: failed.reason.into(),
                    },
                );
            }
            EventBody::Erased(_) => self.end(event.operation, End::Erased),
        }
    }

    fn end(&mut self, id: OperationId, end: End) {
        let history = self.operations.entry(id).or_default();
        if !matches!(history.end, Some(End::Erased)) {
            history.end = Some(end);
        }
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    pub(super) fn of(&self, id: OperationId) -> Option<&OperationHistory> {
        self.operations.get(&id)
    }
}
