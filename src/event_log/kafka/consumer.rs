//! A consumer that shares a topic with the other members of its group.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::cluster::blocking;
use super::errors::{LastError, Reaction, reaction, refused};
use super::membership::{Change, Membership, offset_list};
use super::message::{position, record};
use super::positions::{self, Standing};
use super::shared::Shared;
use super::watchdog::{Verdict, Waiting, Watchdog};
use crate::event::Record;
use crate::event_log::{Consumer, Delivery, EventPosition, LogError, Topic};

/// How often a member looks after itself while it waits.
const TICK: Duration = Duration::from_secs(1);
/// How often finished offsets are sent to the coordinator. A commit costs all brokers work, and
/// what was not committed is only delivered again.
const COMMIT_INTERVAL: Duration = Duration::from_millis(200);
/// How long a commit may take that somebody waits for.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct GroupMember {
    shared: Arc<Shared>,
    topic: String,
    group: String,
    id: u64,
    membership: Membership,
    /// The offset of the next event of each partition, as far as it is known.
    next: HashMap<i32, i64>,
    /// Partitions that were assigned and in which the group's standing is not known yet.
    unknown: BTreeSet<i32>,
    /// Questions to the cluster that are under way.
    questions: JoinSet<Result<Answer, KafkaError>>,
    /// To be delivered next.
    expired: VecDeque<Delivery>,
    watchdog: Watchdog,
    complains: bool,
    ticks: Interval,
    committed_at: Instant,
}

/// What the cluster answered.
enum Answer {
    Standings(Vec<Standing>),
    /// The first offset that exists, for a gap that ends with a delivered event.
    Gap {
        partition: i32,
        from: i64,
        to: i64,
    },
    Waiting(Waiting),
}

/// What happened while a member waited.
enum Step {
    Changed(Change),
    Answered(Option<Result<Answer, KafkaError>>),
    Received(Result<(EventPosition, Record), KafkaError>),
    Tick,
}

impl fmt::Debug for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMember")
            .field("topic", &self.topic)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.shared.complain(self.id, None);
    }
}

impl GroupMember {
    pub(super) fn join(shared: Arc<Shared>, topic: Topic, group: &str) -> Result<Self, LogError> {
        let topic = shared.options.topic(topic).to_owned();
        let membership = membership(&shared, &topic, group)?;
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Instant::now();
        Ok(Self {
            id: shared.register(),
            shared,
            topic,
            group: group.to_owned(),
            membership,
            next: HashMap::new(),
            unknown: BTreeSet::new(),
            questions: JoinSet::new(),
            expired: VecDeque::new(),
            watchdog: Watchdog::new(now),
            complains: false,
            ticks,
            committed_at: now,
        })
    }

    /// Replaces a client that has ended or is stuck by a new one.
    fn join_again(&mut self) -> Result<Delivery, LogError> {
        let held = self.membership.offsets.partitions();
        let new = membership(&self.shared, &self.topic, &self.group)?;
        let old = std::mem::replace(&mut self.membership, new);
        // Leaving takes seconds if the client is stuck.
        std::thread::spawn(move || drop(old));
        self.questions = JoinSet::new();
        self.next.clear();
        self.unknown.clear();
        Ok(Delivery::Revoked(held))
    }

    async fn step(&mut self) -> Step {
        let (consumer, changes) = self.membership.parts();
        tokio::select! {
            // Report lost partitions before delivering anything else.
            biased;
            Some(change) = changes.recv() => Step::Changed(change),
            answer = self.questions.join_next(), if !self.questions.is_empty() => {
                Step::Answered(answer.and_then(Result::ok))
            }
            message = consumer.recv() => Step::Received(message.map(|message| {
                (position(&message), record(&message))
            })),
            _ = self.ticks.tick() => Step::Tick,
        }
    }

    fn changed(&mut self, change: Change) -> Option<Delivery> {
        match change {
            Change::Assigned(partitions) => {
                self.unknown.extend(&partitions);
                self.ask_for_standings();
                None
            }
            Change::Revoked(partitions) => {
                for partition in &partitions {
                    self.next.remove(partition);
                    self.unknown.remove(partition);
                }
                Some(Delivery::Revoked(partitions))
            }
        }
    }

    fn received(&mut self, position: EventPosition) {
        let EventPosition { partition, offset } = position;
        self.watchdog.received(Instant::now());
        self.complain(None);
        self.membership.offsets.delivered(position);
        match self.next.insert(partition, offset + 1) {
            Some(next) if next < offset => self.ask_for_gap(partition, next, offset),
            _ => {}
        }
    }

    fn failed(&mut self, error: &KafkaError) -> Result<Option<Delivery>, LogError> {
        let consumer = self.membership.consumer();
        let has_ended = consumer.client().fatal_error().is_some();
        match reaction(error) {
            Reaction::Rejoin => {}
            _ if has_ended => {}
            Reaction::GoOn => return Ok(None),
            Reaction::Report => {
                let last_error: &LastError = &consumer.context().last_error;
                let refused = refused(error, &self.topic, &self.group);
                return Err(refused.unwrap_or_else(|| last_error.explain(error.clone())));
            }
        }
        tracing::warn!(%error, "the Kafka consumer has ended and joins its group anew");
        self.join_again().map(Some)
    }

    fn ask_for_standings(&mut self) {
        let partitions: Vec<i32> = self.unknown.iter().copied().collect();
        let (shared, topic) = (Arc::clone(&self.shared), self.topic.clone());
        let consumer = Arc::clone(self.membership.consumer());
        self.questions.spawn_blocking(move || {
            positions::standings(&shared, &consumer, &topic, &partitions).map(Answer::Standings)
        });
    }

    fn ask_for_gap(&mut self, partition: i32, from: i64, offset: i64) {
        let (shared, topic) = (Arc::clone(&self.shared), self.topic.clone());
        self.questions.spawn_blocking(move || {
            let (low, _) = positions::watermarks(&shared, &topic, partition)?;
            let to = low.min(offset);
            Ok(Answer::Gap {
                partition,
                from,
                to,
            })
        });
    }

    fn ask_what_waits(&mut self) {
        let (shared, topic) = (Arc::clone(&self.shared), self.topic.clone());
        if self.membership.offsets.partitions().is_empty() {
            let consumer = Arc::clone(self.membership.consumer());
            self.questions.spawn_blocking(move || {
                let layout = shared.layout(&topic)?;
                let partitions: Vec<i32> = layout.iter().map(|found| found.id).collect();
                positions::waiting_for_group(&shared, &consumer, &topic, &partitions)
                    .map(Answer::Waiting)
            });
        } else {
            let next = self.next.clone();
            self.questions.spawn_blocking(move || {
                positions::waiting(&shared, &topic, &next).map(Answer::Waiting)
            });
        }
    }

    /// Handles an answer. Returns whether the member must join anew.
    fn answered(&mut self, answer: Option<Result<Answer, KafkaError>>) -> bool {
        let now = Instant::now();
        let waiting = match answer {
            Some(Ok(Answer::Standings(standings))) => {
                for standing in standings {
                    self.note(standing);
                }
                return false;
            }
            Some(Ok(Answer::Gap {
                partition,
                from,
                to,
            })) => {
                if from < to {
                    self.note_expired(partition, from, to);
                }
                return false;
            }
            Some(Ok(Answer::Waiting(waiting))) => Some(waiting),
            Some(Err(error)) => {
                tracing::debug!(%error, "could not ask where the group stands");
                None
            }
            None => None,
        };
        match self.watchdog.judge(waiting, now) {
            Verdict::Well => {
                if waiting.is_some() {
                    self.complain(None);
                }
                false
            }
            Verdict::Suspicious(reason) => {
                self.complain(Some(reason));
                false
            }
            Verdict::Stuck(reason) => {
                tracing::warn!(
                    reason,
                    group = self.group,
                    "the consumer joins its group anew"
                );
                self.complain(Some(reason));
                true
            }
        }
    }

    fn note(&mut self, standing: Standing) {
        let partition = standing.partition;
        // It may have been revoked while the cluster was asked.
        if !self.unknown.remove(&partition) {
            return;
        }
        self.next.entry(partition).or_insert(standing.next());
        if let Some((from, to)) = standing.expired() {
            self.note_expired(partition, from, to);
        }
    }

    fn note_expired(&mut self, partition: i32, from: i64, to: i64) {
        tracing::error!(
            partition,
            from,
            to,
            "{} events expired before the group {} read them: give the topic {} a longer \
             retention (kafka.retention_hours) or run more workers",
            to - from,
            self.group,
            self.topic,
        );
        self.expired.push_back(Delivery::Expired {
            partition,
            from,
            to,
        });
    }

    fn complain(&mut self, reason: Option<String>) {
        if reason.is_none() && !self.complains {
            return;
        }
        self.complains = reason.is_some();
        let complaint = reason.map(|reason| format!("the consumer may be stuck: {reason}"));
        self.shared.complain(self.id, complaint);
    }

    fn tick(&mut self) {
        if !self.questions.is_empty() {
            return;
        }
        if !self.unknown.is_empty() {
            self.ask_for_standings();
        } else if self.watchdog.asks(Instant::now()) {
            self.ask_what_waits();
        }
    }

    /// Sends finished offsets, but not too often.
    fn commit_in_time(&mut self) {
        if self.committed_at.elapsed() >= COMMIT_INTERVAL {
            self.committed_at = Instant::now();
            self.membership.send_commits();
        }
    }
}

fn membership(shared: &Shared, topic: &str, group: &str) -> Result<Membership, LogError> {
    let last_error = LastError::with_alarm(Arc::clone(&shared.outages.alarm));
    Membership::new(&shared.options, topic, group, last_error)
}

#[async_trait]
impl Consumer for GroupMember {
    async fn receive(&mut self) -> Result<Delivery, LogError> {
        loop {
            self.watchdog.attended(Instant::now());
            self.commit_in_time();
            if let Some(expired) = self.expired.pop_front() {
                return Ok(expired);
            }
            match self.step().await {
                Step::Changed(change) => {
                    if let Some(delivery) = self.changed(change) {
                        return Ok(delivery);
                    }
                }
                Step::Answered(answer) => {
                    if self.answered(answer) {
                        return self.join_again();
                    }
                }
                Step::Received(Ok((position, record))) => {
                    self.received(position);
                    return Ok(Delivery::Event(position, record));
                }
                Step::Received(Err(error)) => {
                    if let Some(delivery) = self.failed(&error)? {
                        return Ok(delivery);
                    }
                }
                Step::Tick => self.tick(),
            }
        }
    }

    async fn commit(&mut self, next: EventPosition) -> Result<(), LogError> {
        self.membership.offsets.finished(next);
        self.finish_commits().await
    }

    async fn commit_soon(&mut self, next: EventPosition) -> Result<(), LogError> {
        self.membership.offsets.finished(next);
        self.commit_in_time();
        Ok(())
    }

    async fn finish_commits(&mut self) -> Result<(), LogError> {
        let finished = self.membership.offsets.take_finished();
        if finished.is_empty() {
            return Ok(());
        }
        let list = offset_list(&self.topic, &finished)?;
        let consumer = Arc::clone(self.membership.consumer());
        let storing = blocking(move || {
            consumer
                .commit(&list, CommitMode::Sync)
                .map_err(|error| consumer.context().last_error.explain(error))
        });
        let stored = match tokio::time::timeout(COMMIT_PATIENCE, storing).await {
            Ok(stored) => stored,
            Err(_) => {
                let late = KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut);
                Err(self
                    .membership
                    .consumer()
                    .context()
                    .last_error
                    .explain(late))
            }
        };
        if stored.is_err() {
            self.membership.offsets.put_back(&finished);
        }
        stored
    }
}
