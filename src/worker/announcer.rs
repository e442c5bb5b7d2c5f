//! Appends the events about what happened, many together and behind the work.
//!
//! An event is finished once what happened to it is in the log. If this process ends before that,
//! the event is delivered again, and its outcome, which the table has, is announced then.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::retry::Retries;
use crate::event::Record;
use crate::event_log::{EventLog, EventPosition};

/// The most announcements that are appended together.
const MAX_BATCH: usize = 1024;
/// A worker begins nothing new while this many announcements wait for the log.
const MAX_PENDING: usize = 4096;

/// Sends announcements to the task that appends them.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    queue: mpsc::UnboundedSender<Item>,
    /// The number of announcements that are not in the log yet.
    pending: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Item {
    /// An event about what happened.
    Announcement(Record),
    /// All announcements about the event at this position were sent before.
    Finished(EventPosition),
    /// Whoever waits for everything that was sent before.
    Flush(oneshot::Sender<()>),
}

impl Announcer {
    /// Starts the task. Also returns where the positions of finished events arrive.
    pub(super) fn start(
        log: Arc<dyn EventLog>,
        stop: CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<EventPosition>) {
        let (queue, items) = mpsc::unbounded_channel();
        let (finished, positions) = mpsc::unbounded_channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let task = Task {
            log,
            stop,
            finished,
            pending: Arc::clone(&pending),
        };
        tokio::spawn(task.run(items));
        (Self { queue, pending }, positions)
    }

    /// Whether so many announcements wait that no more work should begin.
    pub(super) fn is_behind(&self) -> bool {
        self.pending.load(Ordering::Relaxed) >= MAX_PENDING
    }

    pub(super) fn announce(&self, announcement: Record) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.send(Item::Announcement(announcement));
    }

    /// Says that nothing more will be announced about the event at this position.
    pub(super) fn finish(&self, position: EventPosition) {
        self.send(Item::Finished(position));
    }

    /// Waits until everything that was announced before is in the log, or was given up.
    pub(super) async fn flush(&self) {
        let (reply, flushed) = oneshot::channel();
        self.send(Item::Flush(reply));
        let _ = flushed.await;
    }

    fn send(&self, item: Item) {
        // The task ends only when its worker does.
        let _ = self.queue.send(item);
    }
}

struct Task {
    log: Arc<dyn EventLog>,
    stop: CancellationToken,
    finished: mpsc::UnboundedSender<EventPosition>,
    pending: Arc<AtomicUsize>,
}

impl Task {
    async fn run(self, mut items: mpsc::UnboundedReceiver<Item>) {
        let mut batch = Vec::new();
        let mut has_given_up = false;
        while items.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let mut appends = Vec::new();
            let mut positions = Vec::new();
            let mut flushed = Vec::new();
            for item in mem::take(&mut batch) {
                match item {
                    Item::Announcement(record) => appends.push(self.append(record)),
                    Item::Finished(position) => positions.push(position),
                    Item::Flush(reply) => flushed.push(reply),
                }
            }
            let count = appends.len();
            // They begin in their order. Only those that are tried again may change it.
            let appended = join_all(appends).await;
            self.pending.fetch_sub(count, Ordering::Relaxed);
            // After one was given up, any later event may be the one that it was about.
            has_given_up |= appended.into_iter().any(|is_settled| !is_settled);
            if !has_given_up {
                for position in positions {
                    let _ = self.finished.send(position);
                }
            }
            for reply in flushed {
                let _ = reply.send(());
            }
        }
    }

    /// Appends an announcement, and tries again until it succeeds or cannot succeed. Returns `false`
    /// if the worker is asked to stop before that.
    async fn append(&self, record: Record) -> bool {
        let mut retries = Retries::default();
        loop {
            let Err(error) = self.log.announce(record.clone()).await else {
                return true;
            };
            let pause = match error.is_transient() {
                true => retries.pause(true, Instant::now()),
                false => None,
            };
            let Some(pause) = pause else {
                // The table has the outcome.
                tracing::warn!(key = record.key, %error, "could not announce what happened");
                return true;
            };
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
