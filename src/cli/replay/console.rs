//! Prints a replay: a progress bar, a line for each event that matters, and a table at the end; or
//! JSON.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::replay::{
    Compared, Comparison, Ended, Finding, Observer, Outcome, Shown, Summary, Sums,
};

/// The time between two lines of progress where there is no terminal for a bar.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Console {
    json: bool,
    progress: ProgressBar,
    /// When the next line of progress is due; `None` on a terminal.
    line_due: Option<Instant>,
}

impl Console {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            progress: ProgressBar::hidden(),
            line_due: None,
        }
    }

    /// Prints the summary and how to continue; returns the exit code.
    pub(super) fn conclude(self, ended: &Ended) -> ExitCode {
        self.progress.finish_and_clear();
        if self.json {
            println!("{}", json!({ "summary": ended.summary }));
        } else {
            print!("{}", table(&ended.summary));
        }
        if let Some(error) = &ended.error {
            eprintln!("picresize: the replay stopped early: {error}");
        }
        if let Some(positions) = &ended.continue_from {
            let positions: Vec<_> = positions.iter().map(ToString::to_string).collect();
            eprintln!("picresize: continue with --from {}", positions.join(","));
        }
        let is_well = ended.summary.problems() == 0 && ended.continue_from.is_none();
        ExitCode::from(u8::from(!is_well))
    }
}

impl Observer for Console {
    fn begins(&mut self, events: u64) {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        // Only shown on a terminal.
        self.progress = ProgressBar::new(events).with_style(style);
        if !std::io::stderr().is_terminal() {
            self.line_due = Some(Instant::now() + LINE_INTERVAL);
        }
    }

    fn advanced(&mut self, finding: Option<&Finding>) {
        if let Some(finding) = finding {
            let line = if self.json {
                serde_json::to_string(finding).ok()
            } else {
                line(finding)
            };
            if let Some(line) = line {
                self.progress.suspend(|| println!("{line}"));
            }
        }
        self.progress.inc(1);
        if self.line_due.is_some_and(|due| Instant::now() >= due) {
            let (done, all) = (self.progress.position(), self.progress.length());
            eprintln!("picresize: {done} of {} events", all.unwrap_or(done));
            self.line_due = Some(Instant::now() + LINE_INTERVAL);
        }
    }
}

/// The line for one event, if it needs one.
fn line(finding: &Finding) -> Option<String> {
    let is_news = finding.outcome.is_problem()
        || !finding.details.is_empty()
        || finding.comparison.is_some()
        || finding.letter.is_some();
    if !is_news {
        return None;
    }
    let name = finding
        .identifier
        .map_or_else(|| "unreadable event".to_owned(), |id| id.to_string());
    let mut text = format!(
        "{name} at {}: {}",
        finding.position,
        finding.outcome.label()
    );
    if let Some(letter) = &finding.letter {
        let _ = write!(
            text,
            "; dead letter since {}: {}",
            letter.set_aside_at, letter.reason
        );
    }
    if let Some(comparison) = &finding.comparison {
        let _ = write!(text, "; {}", versus(comparison));
    }
    for detail in &finding.details {
        let _ = write!(text, "\n    {detail}");
    }
    Some(text)
}

fn versus(comparison: &Comparison) -> String {
    let side = |shown: &Shown| {
        let time = shown
            .milliseconds
            .map_or_else(|| "-".to_owned(), |time| format!("{time} ms"));
        let score = shown
            .ssimulacra2
            .map_or_else(|| "-".to_owned(), |score| format!("{score:.2}"));
        format!(
            "{}x{}, {} bytes, {time}, {score}",
            shown.width, shown.height, shown.bytes
        )
    };
    format!(
        "{} -> {}",
        side(&comparison.before),
        side(&comparison.after)
    )
}

/// The summary as a table.
fn table(summary: &Summary) -> String {
    let mut text = String::new();
    let width = summary
        .outcomes
        .keys()
        .map(|outcome| Outcome::label(*outcome).len())
        .max();
    match width {
        None => text.push_str("no events in this range\n"),
        Some(width) => {
            for (outcome, count) in &summary.outcomes {
                let _ = writeln!(text, "{:width$} {count:>9}", outcome.label());
            }
        }
    }
    if let Some(compared) = &summary.comparison {
        text.push_str(&comparison_table(compared));
    }
    text
}

fn comparison_table(compared: &Compared) -> String {
    let (before, after) = (&compared.before, &compared.after);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"));
    let change = |before: f64, after: f64| {
        if before > 0.0 {
            format!("{:+.1} %", (after / before - 1.0) * 100.0)
        } else {
            "-".to_owned()
        }
    };
    let difference = |value: fn(&Sums) -> Option<f64>| match (value(before), value(after)) {
        (Some(before), Some(after)) => format!("{:+.2}", after - before),
        _ => "-".to_owned(),
    };
    let rows = [
        [
            format!("{} pictures", compared.pictures),
            "before".to_owned(),
            "after".to_owned(),
            String::new(),
        ],
        [
            "bytes, sum".to_owned(),
            before.bytes.to_string(),
            after.bytes.to_string(),
            change(before.bytes as f64, after.bytes as f64),
        ],
        [
            format!("ms, sum of {}", before.timed),
            before.milliseconds.to_string(),
            after.milliseconds.to_string(),
            change(before.milliseconds as f64, after.milliseconds as f64),
        ],
        [
            "ms, median".to_owned(),
            number(before.milliseconds_median),
            number(after.milliseconds_median),
            difference(|sums| sums.milliseconds_median),
        ],
        [
            format!("SSIMULACRA2, mean of {}", before.scored),
            number(before.ssimulacra2_mean),
            number(after.ssimulacra2_mean),
            difference(|sums| sums.ssimulacra2_mean),
        ],
        [
            "SSIMULACRA2, median".to_owned(),
            number(before.ssimulacra2_median),
            number(after.ssimulacra2_median),
            difference(|sums| sums.ssimulacra2_median),
        ],
    ];
    let mut text = String::new();
    for [name, before, after, change] in rows {
        let _ = writeln!(text, "{name:28} {before:>14} {after:>14} {change:>10}");
    }
    text
}
