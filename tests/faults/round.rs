//! One round: the load runs, a fault is injected and mended, and every operation is followed to its
//! end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use super::account::{Account, Judgement, Row};
use super::load::{Load, LoadOptions};
use super::operate::{End, Seen, Story, look};
use super::picture::Pictures;
use super::plan::Plan;

/// Looks that are under way at once when everything is read again.
const LOOKS: usize = 8;

/// What a fault does beside the load.
pub(crate) struct RoundOptions {
    pub(crate) name: String,
    /// Where the service is; the load takes turns.
    pub(crate) urls: Vec<String>,
    /// How long the fault lasts, for the pace of the load.
    pub(crate) hold: Duration,
    /// Slow operations before the others.
    pub(crate) slow: u64,
    /// Whether good pictures may fail, because the fault takes their events away.
    pub(crate) may_fail: bool,
    /// Whether posts may be answered late, because who would answer them is frozen.
    pub(crate) may_be_late: bool,
}

/// What the rounds of a half share.
pub(crate) struct Rounds {
    pub(crate) plan: Plan,
    pub(crate) client: Client,
    pub(crate) pictures: Arc<Pictures>,
    pub(crate) account: Account,
    finished: Option<Row>,
    next: u64,
    /// Accepted operations, by their service: number, whether it was slow, ID, end.
    known: HashMap<String, Vec<(u64, bool, String, End)>>,
}

impl Rounds {
    pub(crate) fn new(plan: Plan, pictures: Pictures, account: Account) -> Self {
        let client = Client::builder()
            .pool_max_idle_per_host(64)
            .no_proxy()
            .build();
        Self {
            plan,
            client: client.unwrap(),
            pictures: Arc::new(pictures),
            account,
            finished: None,
            next: 0,
            known: HashMap::new(),
        }
    }

    /// Runs `fault` beside the load. It returns once everything that it took away is back, with the
    /// expectations that were not met.
    pub(crate) async fn run(
        &mut self,
        options: RoundOptions,
        fault: impl Future<Output = Vec<String>>,
    ) -> &mut Row {
        let began = Instant::now();
        let count = self.plan.operations + options.slow;
        let mut load = Load::start(LoadOptions {
            client: self.client.clone(),
            urls: options.urls.clone(),
            pictures: Arc::clone(&self.pictures),
            seed: self.plan.seed,
            first: self.next,
            count,
            slow: options.slow,
            // It goes on for a while after the return.
            interval: (options.hold + Duration::from_secs(2)) / count as u32,
            may_fail: options.may_fail,
            patience: self.plan.limit + self.plan.beyond,
        });
        self.next += count;
        load.has_begun(count / 5).await;
        let mut readiness = BTreeMap::new();
        let unmet = tokio::select! {
            unmet = fault => unmet,
            never = watch(&self.client, &options.urls, &mut readiness) => never,
        };
        let returned = Instant::now();
        let stories = load.finish(returned).await;

        let mut row = Row::new(&options.name);
        row.readiness = readiness;
        row.unmet = unmet;
        row.seconds = began.elapsed().as_secs_f32();
        let judgement = Judgement {
            returned,
            limit: self.plan.limit,
            may_fail: options.may_fail,
            may_be_late: options.may_be_late,
        };
        for story in &stories {
            let kind = self.pictures.kind(story.number, story.is_slow);
            row.add(story, kind.expected.is_none(), &judgement);
        }
        self.remember(&options.urls[0], stories);
        self.finished = Some(row);
        self.finished.as_mut().unwrap()
    }

    /// Adds the row of the last round to the account.
    pub(crate) fn settle(&mut self) {
        if let Some(row) = self.finished.take() {
            self.account.push(row);
        }
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        let mut row = Row::new(name);
        row.skipped = Some(reason.to_owned());
        self.account.push(row);
    }

    fn remember(&mut self, url: &str, stories: Vec<Story>) {
        let known = self.known.entry(url.to_owned()).or_default();
        for story in stories {
            if story.accepted.is_some() {
                known.push((story.number, story.is_slow, story.id, story.end));
            }
        }
    }

    /// Reads everything again that a service accepted: what has ended must still be so, and the rest
    /// must have ended meanwhile.
    pub(crate) async fn read_again(&mut self, url: &str) {
        let looks = Arc::new(Semaphore::new(LOOKS));
        let mut reading = JoinSet::new();
        for (number, is_slow, id, end) in self.known.remove(url).unwrap_or_default() {
            let permit = Arc::clone(&looks).acquire_owned().await.unwrap();
            let (client, pictures) = (self.client.clone(), Arc::clone(&self.pictures));
            let url = format!("{url}/api/{id}");
            reading.spawn(async move {
                let kind = pictures.kind(number, is_slow);
                let mut seen = Seen::Nothing(String::new());
                // The service may be busy for a moment.
                for _ in 0..20 {
                    let request = client.get(&url).header("accept", "image/*");
                    seen = look(request, kind).await;
                    if !matches!(seen, Seen::Nothing(_)) {
                        break;
                    }
                    sleep(Duration::from_millis(250)).await;
                }
                drop(permit);
                let agrees = match (&end, &seen) {
                    (End::Done, Seen::Result) | (End::Erased, Seen::Gone) => true,
                    (End::Failed(before), Seen::Failed(now)) => before == now,
                    (End::Failed(before), Seen::Gone) => before == "410",
                    (End::Unfinished(_), Seen::Result | Seen::Failed(_)) => true,
                    _ => false,
                };
                (!agrees).then(|| format!("{id} was {end:?}, and is {seen:?} at the very last"))
            });
        }
        let lost = reading.join_all().await;
        self.account.lost.extend(lost.into_iter().flatten());
    }
}

/// Asks each second whether the servers are ready.
async fn watch<T>(client: &Client, urls: &[String], seen: &mut BTreeMap<u16, u32>) -> T {
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let request = client.get(format!("{}/readyz", urls[0]));
        let answer = request.timeout(Duration::from_secs(5)).send().await;
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        *seen.entry(status).or_default() += 1;
    }
}
