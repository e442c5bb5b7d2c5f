//! Finds and removes old events of the embedded log.

use rusqlite::{Connection, params};

use super::events::committed;
use crate::event_log::Topic;

/// Events of one topic that may be removed.
#[derive(Debug)]
pub(super) struct Trim {
    topic: Topic,
    /// Milliseconds since 1970; events that were appended before this time may be removed.
    before: i64,
    /// The first position that must stay.
    end: i64,
}

impl Trim {
    /// Both find the old events of a topic with the index by time.
    const EXISTS: &str = "SELECT EXISTS (
        SELECT 1 FROM events INDEXED BY events_by_time
        WHERE topic = ?1 AND appended_at < ?2 AND position < ?3)";
    const DELETE: &str = "DELETE FROM events WHERE id IN (
        SELECT id FROM events INDEXED BY events_by_time
        WHERE topic = ?1 AND appended_at < ?2 AND position < ?3
        ORDER BY appended_at LIMIT ?4)";
    const FIRST: &str = "SELECT min(position) FROM events WHERE topic = ?1";
    const LAST: &str = "SELECT max(position) FROM events WHERE topic = ?1";

    /// The removable events of a topic, if there are any.
    pub(super) fn of(
        connection: &Connection,
        topic: Topic,
        before: i64,
        group: &str,
    ) -> rusqlite::Result<Option<Self>> {
        let position = |sql| {
            connection
                .prepare_cached(sql)?
                .query_row([topic.name()], |row| row.get::<_, Option<i64>>(0))
        };
        // The last event of each topic stays, because the next position is computed from it.
        let (Some(first), Some(last)) = (position(Self::FIRST)?, position(Self::LAST)?) else {
            return Ok(None);
        };
        let end = match topic {
            // Only the current group counts, because the old name of a renamed group never moves
            // again.
            Topic::Requests => last.min(committed(connection, topic, group)?.unwrap_or(first)),
            Topic::Events | Topic::DeadLetters => last,
        };
        if first >= end {
            return Ok(None);
        }
        let is_there = connection
            .prepare_cached(Self::EXISTS)?
            .query_row(params![topic.name(), before, end], |row| row.get(0))?;
        Ok(bool::then_some(is_there, Self { topic, before, end }))
    }

    /// Removes at most `most` of them; returns how many were removed.
    pub(super) fn run(&self, connection: &Connection, most: u32) -> rusqlite::Result<u32> {
        let removed = connection.prepare_cached(Self::DELETE)?.execute(params![
            self.topic.name(),
            self.before,
            self.end,
            most
        ])?;
        Ok(u32::try_from(removed).unwrap_or(most))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::super::{EmbeddedLog, PARTITION};
    use super::*;
    use crate::event::Record;
    use crate::event_log::{EventLog, EventPosition, Start};

    const OLD_GROUP: &str = "renamed since";
    const GROUP: &str = "workers";

    fn open() -> (tempfile::TempDir, EmbeddedLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&folder.path().join("log.sqlite")).unwrap();
        (folder, log)
    }

    async fn append(log: &EmbeddedLog, topic: Topic, count: usize) {
        for n in 0..count {
            let record = Record {
                key: n.to_string(),
                headers: Vec::new(),
                value: vec![7; 20_000].into(),
            };
            log.append(topic, record).await.unwrap();
        }
    }

    async fn commit(log: &EmbeddedLog, group: &str, offset: i64) {
        let mut consumer = log.subscribe(Topic::Requests, group).await.unwrap();
        let partition = PARTITION;
        consumer
            .commit(EventPosition { partition, offset })
            .await
            .unwrap();
    }

    /// The positions that a topic still has.
    async fn left(log: &EmbeddedLog, topic: Topic) -> Vec<i64> {
        let mut reader = log.read(topic, &Start::Beginning).await.unwrap();
        let mut left = Vec::new();
        while let Some(entry) = reader.next().await.unwrap() {
            left.push(entry.position.offset);
        }
        left
    }

    fn in_an_hour() -> Timestamp {
        Timestamp::now() + Duration::from_secs(3600)
    }

    #[tokio::test]
    async fn requests_stay_until_the_group_that_works_has_finished_them() {
        let (_folder, log) = open();
        append(&log, Topic::Requests, 6).await;
        let trim = async |most| log.trim(in_an_hour(), GROUP, most).await.unwrap();
        assert_eq!(trim(100).await, 0, "no group has finished anything");
        commit(&log, OLD_GROUP, 2).await;
        assert_eq!(trim(100).await, 0, "another group counts for nothing");
        commit(&log, GROUP, 4).await;
        assert_eq!(trim(3).await, 3, "no more than `most`");
        assert_eq!(left(&log, Topic::Requests).await, [3, 4, 5]);
        assert_eq!(trim(100).await, 1, "the old group holds nothing back");
        assert_eq!(trim(100).await, 0);
        assert_eq!(left(&log, Topic::Requests).await, [4, 5]);
        commit(&log, GROUP, 6).await;
        assert_eq!(trim(100).await, 1);
        assert_eq!(left(&log, Topic::Requests).await, [5], "the last one stays");
    }

    #[tokio::test]
    async fn only_what_is_old_enough_is_trimmed_from_every_topic() {
        let (_folder, log) = open();
        append(&log, Topic::Events, 3).await;
        append(&log, Topic::DeadLetters, 2).await;
        let an_hour_ago = Timestamp::now() - Duration::from_secs(3600);
        assert_eq!(log.trim(an_hour_ago, GROUP, 100).await.unwrap(), 0);
        assert_eq!(log.trim(in_an_hour(), GROUP, 100).await.unwrap(), 3);
        assert_eq!(left(&log, Topic::Events).await, [2]);
        assert_eq!(left(&log, Topic::DeadLetters).await, [1]);
    }

    #[tokio::test]
    async fn a_clock_that_was_wrong_stops_no_trimming() {
        let (_folder, log) = open();
        append(&log, Topic::Events, 4).await;
        let next_year = (Timestamp::now() + Duration::from_secs(365 * 86400)).as_millisecond();
        let wrong = log.database.write(move |connection| {
            let update = "UPDATE events SET appended_at = ?1 WHERE position = 1";
            connection.execute(update, [next_year])
        });
        wrong.await.unwrap();
        assert_eq!(left(&log, Topic::Events).await, [0, 1, 2, 3], "in order");
        assert_eq!(log.trim(in_an_hour(), GROUP, 100).await.unwrap(), 2);
        assert_eq!(left(&log, Topic::Events).await, [1, 3]);
    }

    /// A year's log has millions of events, and every request needs the writer.
    #[tokio::test]
    async fn trimming_reads_no_more_of_the_log_than_it_removes() {
        let (_folder, log) = open();
        let plans = log.database.read(|connection| {
            let mut plans = Vec::new();
            for sql in [Trim::FIRST, Trim::LAST, Trim::EXISTS, Trim::DELETE] {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let parameters = vec![1; explain.parameter_count()];
                let steps = explain.query_map(rusqlite::params_from_iter(parameters), |row| {
                    row.get::<_, String>("detail")
                })?;
                plans.push((sql, steps.collect::<rusqlite::Result<Vec<_>>>()?));
            }
            Ok(plans)
        });
        for (sql, steps) in plans.await.unwrap() {
            let searches = |step: &String| step.contains("topic=?");
            assert!(steps.iter().any(searches), "{sql}: {steps:?}");
            for step in &steps {
                let is_full_scan = step.starts_with("SCAN") && step.contains("events");
                assert!(!is_full_scan, "{sql}: {steps:?}");
                assert!(!step.contains("TEMP B-TREE"), "{sql}: {steps:?}");
            }
        }
    }
}
