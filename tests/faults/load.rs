//! The load: a fixed number of operations, begun at a steady pace, each followed to its end.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::operate::{Operating, Story};
use super::picture::Pictures;

/// Posts and looks that are under way at once, at most.
const CLIENTS: usize = 400;

/// What the operations of a round share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) urls: Vec<String>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) seed: u64,
    /// Whether good pictures may fail, because the fault takes their events away.
    pub(crate) may_fail: bool,
    /// How long an operation is followed after everything it needs is back.
    pub(crate) patience: Duration,
    /// When the last dependency came back.
    returned: watch::Receiver<Option<Instant>>,
}

impl Shared {
    pub(crate) fn is_over(&self, since: Instant) -> bool {
        let returned = *self.returned.borrow();
        returned.is_some_and(|returned| returned.max(since).elapsed() > self.patience)
    }
}

pub(crate) struct LoadOptions {
    pub(crate) client: Client,
    pub(crate) urls: Vec<String>,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) seed: u64,
    /// The first number, and how many operations there are.
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// How many of them are slow ones.
    pub(crate) slow: u64,
    pub(crate) interval: Duration,
    pub(crate) may_fail: bool,
    pub(crate) patience: Duration,
}

/// Operations under way.
pub(crate) struct Load {
    begun: watch::Receiver<u64>,
    returned: watch::Sender<Option<Instant>>,
    stories: tokio::task::JoinHandle<Vec<Story>>,
}

impl Load {
    pub(crate) fn start(options: LoadOptions) -> Self {
        let (returned, seen) = watch::channel(None);
        let (count, begun) = watch::channel(0);
        let LoadOptions {
            first,
            slow,
            interval,
            ..
        } = options;
        let last = first + options.count;
        let shared = Arc::new(Shared {
            client: options.client,
            urls: options.urls,
            pictures: options.pictures,
            seed: options.seed,
            may_fail: options.may_fail,
            patience: options.patience,
            returned: seen,
        });
        let stories = tokio::spawn(async move {
            let clients = Arc::new(Semaphore::new(CLIENTS));
            let mut operations = JoinSet::new();
            let mut next = Instant::now();
            for number in first..last {
                sleep_until(next).await;
                next += interval;
                let permit = Arc::clone(&clients).acquire_owned().await.unwrap();
                let shared = Arc::clone(&shared);
                operations.spawn(async move {
                    let is_slow = number < first + slow;
                    let story = Operating::new(&shared, number, is_slow).run().await;
                    drop(permit);
                    story
                });
                count.send_replace(number + 1 - first);
            }
            operations.join_all().await
        });
        Self {
            begun,
            returned,
            stories,
        }
    }

    /// Waits until this many operations were begun.
    pub(crate) async fn has_begun(&mut self, count: u64) {
        // An error says that all were begun.
        let _ = self.begun.wait_for(|begun| *begun >= count).await;
    }

    /// Everything is back; waits for the end of all operations.
    pub(crate) async fn finish(self, returned: Instant) -> Vec<Story> {
        self.returned.send_replace(Some(returned));
        self.stories.await.unwrap()
    }
}
