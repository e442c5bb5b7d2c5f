//! The account: what became of every operation, for each fault and in sum.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::operate::{End, Story};
use super::plan::{Plan, folder};

/// A late answer to a post: the service promises one within 2 s, and answers most within 3 s while a
/// broker is replaced.
const LATE: Duration = Duration::from_secs(5);
/// The most descriptions of one kind that a row keeps.
const EXAMPLES: usize = 5;

/// What happened beside one fault.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) fault: String,
    pub(crate) skipped: Option<String>,
    pub(crate) seconds: f32,
    operations: u64,
    accepted: u64,
    /// Answers to posts other than 201, by status; 0 is no answer.
    refused: BTreeMap<u16, u32>,
    done: u64,
    /// Damaged pictures, which must fail; and any, if the fault took their events.
    failed: u64,
    erased: u64,
    twice: u64,
    missing: u64,
    wrong: u64,
    stuck: u64,
    blamed: u64,
    visible: u64,
    late: u64,
    longest_wait: Duration,
    slowest_accept: Duration,
    slowest_refusal: Duration,
    /// Expectations of the fault itself that were not met, such as a process that did not end.
    pub(crate) unmet: Vec<String>,
    /// What /readyz said while the fault lasted.
    pub(crate) readiness: BTreeMap<u16, u32>,
    /// Warnings and errors in the logs.
    pub(crate) warnings: usize,
    examples: Vec<String>,
}

/// How the stories of a round are judged.
pub(crate) struct Judgement {
    pub(crate) returned: Instant,
    pub(crate) limit: Duration,
    pub(crate) may_fail: bool,
    pub(crate) may_be_late: bool,
}

impl Row {
    pub(crate) fn new(fault: &str) -> Self {
        Self {
            fault: fault.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, story: &Story, damaged: bool, judgement: &Judgement) {
        self.operations += 1;
        self.accepted += u64::from(story.accepted.is_some());
        for (status, count) in &story.refusals {
            *self.refused.entry(*status).or_default() += count;
        }
        self.twice += u64::from(story.attempts > 1);
        self.slowest_accept = self.slowest_accept.max(story.slowest_accept);
        self.slowest_refusal = self.slowest_refusal.max(story.slowest_refusal);
        let slowest = story.slowest_accept.max(story.slowest_refusal);
        self.late += u64::from(slowest > LATE && !judgement.may_be_late);
        let name = match story.id.as_str() {
            "" => format!("operation {}", story.number),
            id => id.to_owned(),
        };
        self.judge_end(&name, story, damaged, judgement.may_fail);
        self.judge_wait(&name, story, judgement);
        for (count, found) in [
            (&mut self.missing, &story.missing),
            (&mut self.wrong, &story.wrong),
            (&mut self.visible, &story.visible),
        ] {
            *count += u64::from(!found.is_empty());
            for what in found.iter().take(1) {
                note(&mut self.examples, &name, what);
            }
        }
    }

    fn judge_end(&mut self, name: &str, story: &Story, damaged: bool, may_fail: bool) {
        match &story.end {
            End::Done => self.done += 1,
            End::Erased => self.erased += 1,
            End::Failed(reason) => {
                self.failed += 1;
                if may_fail && !damaged {
                    note(
                        &mut self.examples,
                        name,
                        &format!("failed as it may: {reason}"),
                    );
                } else if !damaged {
                    self.blamed += 1;
                    note(&mut self.examples, name, &format!("blamed: {reason}"));
                }
            }
            End::NotAccepted | End::Unfinished(_) => {}
        }
    }

    fn judge_wait(&mut self, name: &str, story: &Story, judgement: &Judgement) {
        // A slow picture takes its own time, and is judged by whether it ends.
        let is_slow = story.is_slow;
        let accepted = story.accepted.unwrap_or_else(Instant::now);
        let waited = accepted.saturating_duration_since(judgement.returned.max(story.begun));
        let ended = story.ended.unwrap_or_else(Instant::now);
        let waited = match story.accepted {
            Some(accepted) => {
                waited.max(ended.saturating_duration_since(judgement.returned.max(accepted)))
            }
            None => waited,
        };
        if !is_slow || story.ended.is_none() {
            self.longest_wait = self.longest_wait.max(waited);
        }
        let is_stuck = story.ended.is_none() || !is_slow && waited > judgement.limit;
        if is_stuck && story.wrong.is_empty() {
            self.stuck += 1;
            let after = waited.as_secs_f32();
            let what = match &story.end {
                End::NotAccepted => format!("not accepted {after:.0} s after the return"),
                End::Unfinished(seen) => format!("{seen} {after:.0} s after the return"),
                end => format!("{end:?} only {after:.0} s after the return"),
            };
            note(&mut self.examples, name, &format!("stuck: {what}"));
        }
    }

    fn json(&self) -> Value {
        json!({
            "fault": self.fault, "skipped": self.skipped, "seconds": self.seconds,
            "operations": self.operations, "accepted": self.accepted,
            "refused": names(&self.refused), "done": self.done, "failed": self.failed,
            "erased": self.erased, "delivered_twice": self.twice, "missing": self.missing,
            "wrong": self.wrong, "stuck": self.stuck, "blamed": self.blamed,
            "erased_but_visible": self.visible, "late_answers": self.late,
            "longest_wait_ms": self.longest_wait.as_millis() as u64,
            "slowest_accept_ms": self.slowest_accept.as_millis() as u64,
            "slowest_refusal_ms": self.slowest_refusal.as_millis() as u64,
            "unmet": self.unmet, "readiness": names(&self.readiness),
            "warnings": self.warnings, "examples": self.examples,
        })
    }

    /// Adds the figures of another row.
    fn sum(&mut self, row: &Self) {
        self.seconds += row.seconds;
        self.operations += row.operations;
        self.accepted += row.accepted;
        for (from, to) in [
            (&row.refused, &mut self.refused),
            (&row.readiness, &mut self.readiness),
        ] {
            for (status, count) in from {
                *to.entry(*status).or_default() += count;
            }
        }
        self.done += row.done;
        self.failed += row.failed;
        self.erased += row.erased;
        self.twice += row.twice;
        self.missing += row.missing;
        self.wrong += row.wrong;
        self.stuck += row.stuck;
        self.blamed += row.blamed;
        self.visible += row.visible;
        self.late += row.late;
        self.longest_wait = self.longest_wait.max(row.longest_wait);
        self.slowest_accept = self.slowest_accept.max(row.slowest_accept);
        self.slowest_refusal = self.slowest_refusal.max(row.slowest_refusal);
        self.unmet.extend(
            row.unmet
                .iter()
                .map(|unmet| format!("{}: {unmet}", row.fault)),
        );
        self.warnings += row.warnings;
    }

    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        if let Some(reason) = &self.skipped {
            return format!("{:<42} SKIPPED: {reason}", self.fault);
        }
        let wait = |duration: Duration| format!("{:.1}", duration.as_secs_f32());
        format!(
            "{:<42} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>6} \
             {:>6} {:>6} {:>5}  {}{}",
            self.fault,
            format!("{:.0}", self.seconds),
            self.accepted,
            self.done,
            self.failed,
            self.erased,
            self.twice,
            self.missing,
            self.wrong,
            self.stuck,
            self.blamed,
            self.visible,
            self.unmet.len(),
            wait(self.longest_wait),
            wait(self.slowest_accept),
            wait(self.slowest_refusal),
            self.warnings,
            words(&self.refused),
            match words(&self.readiness) {
                ready if ready.is_empty() => ready,
                ready => format!("  ready: {ready}"),
            },
        )
    }

    pub(crate) fn details(&self) -> impl Iterator<Item = &String> {
        self.unmet.iter().chain(&self.examples)
    }
}

pub(crate) fn heading() -> String {
    format!(
        "{:<42} {:>5} {:>6} {:>6} {:>6} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>6} \
         {:>6} {:>6} {:>5}  refused",
        "fault",
        "s",
        "201",
        "done",
        "failed",
        "erased",
        "twice",
        "404",
        "wrong",
        "stuck",
        "blame",
        "shown",
        "unmet",
        "wait",
        "201",
        "refus.",
        "warn"
    )
}

fn note(examples: &mut Vec<String>, name: &str, what: &str) {
    let (start, _) = what.split_once(':').unwrap_or((what, ""));
    let alike = examples
        .iter()
        .filter(|example| example.contains(start))
        .count();
    if alike < EXAMPLES && examples.len() < 4 * EXAMPLES {
        examples.push(format!("{name}: {what}"));
    }
}

fn names(counts: &BTreeMap<u16, u32>) -> Value {
    let name = |status: &u16| match status {
        0 => "no answer".to_owned(),
        status => status.to_string(),
    };
    counts
        .iter()
        .map(|(status, count)| (name(status), json!(count)))
        .collect()
}

fn words(counts: &BTreeMap<u16, u32>) -> String {
    let word = |(status, count): (&u16, &u32)| match status {
        0 => format!("{count} × no answer"),
        status => format!("{count} × {status}"),
    };
    counts.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The account of one half of the suite.
pub(crate) struct Account {
    name: &'static str,
    rows: Vec<Row>,
    /// Accepted operations that had no end at the very last.
    pub(crate) lost: Vec<String>,
    pub(crate) memory: BTreeMap<String, u64>,
}

impl Account {
    pub(crate) fn new(name: &'static str, plan: &Plan) -> Self {
        eprintln!(
            "{name}: {} run, seed {}, {} operations a fault",
            if plan.is_full { "full" } else { "small" },
            plan.seed,
            plan.operations
        );
        eprintln!("{}", heading());
        Self {
            name,
            rows: Vec::new(),
            lost: Vec::new(),
            memory: BTreeMap::new(),
        }
    }

    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("{}", row.line());
        for detail in row.details() {
            eprintln!("    {detail}");
        }
        self.rows.push(row);
    }

    /// Writes the account to a file, prints its sum, and fails if a promise was broken.
    pub(crate) fn close(self, plan: &Plan) {
        let mut sum = Row::new("all");
        self.rows.iter().for_each(|row| sum.sum(row));
        let skipped = self.rows.iter().filter(|row| row.skipped.is_some()).count();
        let faults = self.rows.len() - skipped;
        let file = folder().join(format!("{}.json", self.name));
        let account = json!({
            "half": self.name, "full": plan.is_full, "seed": plan.seed, "faults": faults,
            "skipped": skipped, "limit_seconds": plan.limit.as_secs(), "lost": self.lost,
            "peak_mib": self.memory, "sum": sum.json(),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&account).unwrap();
        std::fs::write(&file, text).unwrap();
        eprintln!("{}", heading());
        eprintln!("{}", sum.line());
        let mut peaks = String::new();
        for (name, mib) in &self.memory {
            write!(peaks, " {name} {mib}").unwrap();
        }
        eprintln!(
            "{faults} faults, {skipped} skipped, lost: {}, seed {}; peak memory in MiB:{peaks}; {}",
            self.lost.len(),
            plan.seed,
            file.display()
        );
        let mut broken = Vec::new();
        for (name, count) in [
            ("lost", self.lost.len() as u64),
            ("missing after a 201", sum.missing),
            ("wrong", sum.wrong),
            ("stuck", sum.stuck),
            ("blamed", sum.blamed),
            ("erased but visible", sum.visible),
            ("unmet expectations", sum.unmet.len() as u64),
        ] {
            if count > 0 {
                broken.push(format!("{count} {name}"));
            }
        }
        // Other work on the same machine makes a small run slow.
        if plan.is_full && sum.longest_wait > plan.limit {
            broken.push(format!("a wait of {:?}", sum.longest_wait));
        }
        if plan.is_full && sum.late > 0 {
            broken.push(format!(
                "{} answers to posts after more than {LATE:?}",
                sum.late
            ));
        }
        for lost in self.lost.iter().take(EXAMPLES) {
            eprintln!("    lost: {lost}");
        }
        assert!(
            broken.is_empty(),
            "{}: {}; logs are in {}",
            self.name,
            broken.join(", "),
            folder().join("logs").display()
        );
    }
}
