//! Dead letters: back to the requests after a fix.
//!
//! Whether a letter went back is read from the requests themselves: what goes back says in a header
//! which letter it was. The last letter of an operation stands for all of them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::context::Request;
use super::report::{DeadLetter, Finding, Observer, Outcome, Summary};
use super::task::{Ended, Range, ReplayError};
use crate::event::Record;
use crate::event_log::{Entry, EventLog, EventPosition, Start, Topic};
use crate::operation::{OperationId, Status};
use crate::picture_store::StoreError;
use crate::settings::Settings;
use crate::storage::Storage;

/// The header of a request that says which dead letter it was before.
const DEAD_LETTER_HEADER: &str = "picresize-dead-letter";
/// By how much the clocks of those who write the log may differ.
const CLOCKS: Duration = Duration::from_secs(3600);

/// Puts dead letters back to the requests, or with `list` only tells of them.
///
/// # Errors
///
/// The log can't be read from the start; what happens later is in [`Ended`].
pub async fn dead_letters(
    storage: &Storage,
    settings: &Settings,
    range: &Range,
    list: bool,
    observer: &mut (dyn Observer + Send),
    stop: &CancellationToken,
) -> Result<Ended, ReplayError> {
    let mut reader = storage.log.read(Topic::DeadLetters, &range.from).await?;
    observer.begins(reader.total());
    let requeuer = Requeuer::new(storage, settings.keep(), &range.from, list).await?;
    let mut ended = Ended {
        summary: Summary::default(),
        go_on: None,
        error: None,
    };
    let mut go_on: HashMap<i32, EventPosition> = reader
        .starts()
        .into_iter()
        .map(|start| (start.partition, start))
        .collect();
    let is_whole = loop {
        if stop.is_cancelled() {
            break false;
        }
        let handled = async {
            let Some(entry) = reader.next().await? else {
                return Ok(None);
            };
            let position = entry.position;
            let is_meant = range.includes(&entry.record.key, entry.appended_at);
            let finding = if is_meant {
                Some(requeuer.handle(entry).await?)
            } else {
                None
            };
            Ok(Some((position, finding)))
        };
        match handled.await {
            Ok(None) => break true,
            Ok(Some((position, finding))) => {
                let next = EventPosition {
                    offset: position.offset + 1,
                    ..position
                };
                go_on.insert(position.partition, next);
                if let Some(finding) = &finding {
                    ended.summary.add(finding);
                }
                observer.advanced(finding.as_ref());
            }
            Err(error) => {
                ended.error = Some(error);
                break false;
            }
        }
    };
    if !is_whole {
        let mut positions: Vec<_> = go_on.into_values().collect();
        positions.sort();
        ended.go_on = Some(positions);
    }
    Ok(ended)
}

/// Puts dead letters back. Knows the last letter of each operation and the letters that went back
/// before.
struct Requeuer<'a> {
    storage: &'a Storage,
    keep: Option<Duration>,
    list: bool,
    last: HashMap<OperationId, EventPosition>,
    put_back: HashSet<EventPosition>,
}

impl<'a> Requeuer<'a> {
    async fn new(
        storage: &'a Storage,
        keep: Option<Duration>,
        from: &Start,
        list: bool,
    ) -> Result<Self, ReplayError> {
        let mut last = HashMap::new();
        let mut first_at: Option<Timestamp> = None;
        let mut letters = storage.log.read(Topic::DeadLetters, from).await?;
        while let Some(entry) = letters.next().await? {
            let at = entry.appended_at;
            first_at = Some(first_at.map_or(at, |first| first.min(at)));
            let position = entry.position;
            if let Ok(request) = Request::of(&entry, keep) {
                last.insert(request.operation.id, position);
            }
        }
        let put_back = match first_at {
            Some(at) => put_back(&*storage.log, at).await?,
            None => HashSet::new(),
        };
        Ok(Self {
            storage,
            keep,
            list,
            last,
            put_back,
        })
    }

    async fn handle(&self, entry: Entry) -> Result<Finding, ReplayError> {
        let letter = DeadLetter {
            reason: entry.record.set_aside_reason().unwrap_or_default(),
            set_aside_at: entry.appended_at,
        };
        let (position, record) = (entry.position, entry.record.clone());
        let finding = match Request::of(&entry, self.keep) {
            Ok(request) => self.decide(&request, record).await?,
            Err(error) => Finding {
                position,
                identifier: None,
                outcome: Outcome::Unreadable,
                details: vec![error],
                comparison: None,
                letter: None,
            },
        };
        Ok(Finding {
            letter: Some(letter),
            ..finding
        })
    }

    async fn decide(&self, request: &Request, record: Record) -> Result<Finding, ReplayError> {
        let (id, position) = (request.operation.id, request.position);
        if self.last.get(&id).is_some_and(|last| *last != position) {
            return Ok(request.finding(Outcome::Superseded));
        }
        if self.put_back.contains(&position) {
            return Ok(request.finding(Outcome::PutBackBefore));
        }
        let status = match self.storage.store.find(id).await {
            Ok(row) => row.map(|row| row.status),
            Err(error @ StoreError::Corrupt { .. }) => {
                let reason = error.to_string();
                return Ok(request.finding(Outcome::Unplayable).with([reason]));
            }
            Err(error) => return Err(error.into()),
        };
        match status {
            Some(Status::Done) => return Ok(request.finding(Outcome::Settled)),
            Some(Status::Expired | Status::Erased) => return Ok(request.finding(Outcome::Gone)),
            // Between setting it aside and failing it.
            Some(Status::Processing) => return Ok(request.finding(Outcome::Pending)),
            None if request.is_over() => return Ok(request.finding(Outcome::Gone)),
            None | Some(Status::Queued | Status::Failed) => {}
        }
        if self.list {
            return Ok(request.finding(Outcome::Waiting));
        }
        self.put_back(request, record, status).await?;
        Ok(request.finding(Outcome::PutBack))
    }

    async fn put_back(
        &self,
        request: &Request,
        record: Record,
        status: Option<Status>,
    ) -> Result<(), ReplayError> {
        let Storage { log, store, .. } = self.storage;
        // Before the workers see it: what has failed would not be tried again.
        if status == Some(Status::Failed) {
            store.reopen(request.operation.id).await?;
        }
        let mut record = record.put_back();
        record
            .headers
            .retain(|(name, _)| name != DEAD_LETTER_HEADER);
        let letter = request.position.to_string().into_bytes();
        record.headers.push((DEAD_LETTER_HEADER.to_owned(), letter));
        let position = log.append(Topic::Requests, record).await?;
        if status.is_none() {
            let mut operation = request.operation.clone();
            operation.position = Some(position);
            store.enqueue(&operation).await?;
        }
        Ok(())
    }
}

/// The letters that went back, of those that were set aside since `first_at`.
async fn put_back(
    log: &dyn EventLog,
    first_at: Timestamp,
) -> Result<HashSet<EventPosition>, ReplayError> {
    let from = first_at
        .checked_sub(CLOCKS)
        .map_or(Start::Beginning, Start::Time);
    let mut requests = log.read(Topic::Requests, &from).await?;
    let mut found = HashSet::new();
    while let Some(entry) = requests.next().await? {
        let letter = header(&entry.record, DEAD_LETTER_HEADER);
        found.extend(letter.and_then(|text| text.parse::<EventPosition>().ok()));
    }
    Ok(found)
}

fn header(record: &Record, name: &str) -> Option<String> {
    let mut all = record.headers.iter().rev();
    let (_, value) = all.find(|(key, _)| key == name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}
