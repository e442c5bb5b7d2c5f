//! The report of a run: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::processes::Usage;
use crate::tally::{Ends, STEPS, Tally};

/// What is read at the beginning and at the end of a measurement.
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) done: u64,
    pub(crate) usage: BTreeMap<String, Usage>,
    pub(crate) client_cpu_seconds: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) second: f64,
    /// Operations done so far.
    pub(crate) done: u64,
    pub(crate) usage: BTreeMap<String, Usage>,
    pub(crate) disk_bytes: BTreeMap<String, u64>,
}

pub(crate) struct Measured {
    pub(crate) begin: Moment,
    pub(crate) end: Moment,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) load: String,
    pub(crate) seconds: f64,
    /// All that ended since the measurement began, with those that it waited for at the end.
    pub(crate) operations: Ends,
    /// Done within the measured seconds; rates and costs refer to these.
    pub(crate) done_in_time: u64,
    pub(crate) per_second: f64,
    pub(crate) times_ms: BTreeMap<&'static str, Times>,
    pub(crate) statuses: BTreeMap<String, u64>,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    /// Of one result, on average.
    pub(crate) result_bytes: f64,
    pub(crate) problems: BTreeMap<String, u64>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) disk: BTreeMap<String, Disk>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Times {
    count: u64,
    mean: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// What a group of processes took.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) processes: u32,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_ms_an_operation: f64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) peak_handles: u64,
    pub(crate) written_bytes: u64,
    pub(crate) written_bytes_an_operation: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    begin_bytes: u64,
    end_bytes: u64,
    peak_bytes: u64,
}

impl Report {
    pub(crate) fn new(load: String, tally: &Tally, measured: Measured) -> Self {
        let Measured {
            begin,
            end,
            samples,
        } = measured;
        let seconds = (end.at - begin.at).as_secs_f64();
        let done = end.done - begin.done;
        let groups = end.usage.iter().map(|(label, last)| {
            let first = begin.usage.get(label).copied().unwrap_or_default();
            let own = || samples.iter().filter_map(|sample| sample.usage.get(label));
            let cpu = (last.cpu_seconds - first.cpu_seconds).max(0.0);
            let written = last.written_bytes.saturating_sub(first.written_bytes);
            let group = Group {
                processes: last.processes,
                cpu_seconds: cpu,
                cpu_ms_an_operation: cpu * 1e3 / done as f64,
                peak_memory_bytes: own().map(|it| it.memory_bytes).max().unwrap_or(0),
                peak_handles: own().map(|it| it.handles).max().unwrap_or(0),
                written_bytes: written,
                written_bytes_an_operation: written as f64 / done as f64,
            };
            (label.clone(), group)
        });
        let statuses = tally.statuses.iter().map(|((method, status), count)| {
            let status = match status {
                0 => "no answer".to_owned(),
                status => status.to_string(),
            };
            (format!("{method} {status}"), *count)
        });
        let times = STEPS
            .iter()
            .map(|(step, name)| (*name, times(tally.times(*step))));
        Self {
            load,
            seconds,
            operations: tally.ends.clone(),
            done_in_time: done,
            per_second: done as f64 / seconds,
            times_ms: times.filter(|(_, times)| times.count > 0).collect(),
            statuses: statuses.collect(),
            sent_bytes: tally.sent_bytes,
            received_bytes: tally.received_bytes,
            result_bytes: tally.result_bytes as f64 / tally.ends.done as f64,
            problems: tally.problems.clone(),
            groups: groups.collect(),
            client_cpu_seconds: end.client_cpu_seconds - begin.client_cpu_seconds,
            disk: disk(&samples),
            samples,
        }
    }

    pub(crate) fn print(&self) {
        let ends = &self.operations;
        println!(
            "{}, {:.1} s: {} done, {:.1} a second",
            self.load, self.seconds, self.done_in_time, self.per_second
        );
        println!(
            "ends: {} done, {} refused, {} failed, {} wrong, {} stuck, {} broken",
            ends.done, ends.refused, ends.failed, ends.wrong, ends.stuck, ends.broken
        );
        let statuses = self
            .statuses
            .iter()
            .map(|(status, count)| format!("{status}: {count}"));
        println!("answers: {}", Vec::from_iter(statuses).join(", "));
        for (problem, count) in &self.problems {
            println!("  {count} × {problem}");
        }
        println!(
            "\n{:<10}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "ms", "mean", "p50", "p90", "p99", "max"
        );
        for (_, name) in STEPS {
            if let Some(times) = self.times_ms.get(name) {
                let Times {
                    mean,
                    p50,
                    p90,
                    p99,
                    max,
                    ..
                } = times;
                println!("{name:<10}{mean:>9.2}{p50:>9.2}{p90:>9.2}{p99:>9.2}{max:>9.2}");
            }
        }
        println!(
            "\n{:<14}{:>9}{:>12}{:>13}{:>9}{:>16}",
            "processes", "CPU s", "CPU ms/op.", "memory MiB", "handles", "written kB/op."
        );
        for (label, group) in &self.groups {
            println!(
                "{:<14}{:>9.2}{:>12.3}{:>13.1}{:>9}{:>16.1}",
                format!("{label} ({})", group.processes),
                group.cpu_seconds,
                group.cpu_ms_an_operation,
                group.peak_memory_bytes as f64 / f64::from(1 << 20),
                group.peak_handles,
                group.written_bytes_an_operation / 1e3,
            );
        }
        let client = self.client_cpu_seconds;
        let each = client * 1e3 / self.done_in_time as f64;
        println!("{:<14}{client:>9.2}{each:>12.3}", "this client");
        for (folder, disk) in &self.disk {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            println!(
                "{folder}: {:.1} MiB, then {:.1} MiB; at most {:.1} MiB",
                mib(disk.begin_bytes),
                mib(disk.end_bytes),
                mib(disk.peak_bytes)
            );
        }
    }
}

fn times(histogram: &hdrhistogram::Histogram<u64>) -> Times {
    let ms = |micros: u64| micros as f64 / 1e3;
    Times {
        count: histogram.len(),
        mean: histogram.mean() / 1e3,
        p50: ms(histogram.value_at_quantile(0.5)),
        p90: ms(histogram.value_at_quantile(0.9)),
        p99: ms(histogram.value_at_quantile(0.99)),
        max: ms(histogram.max()),
    }
}

fn disk(samples: &[Sample]) -> BTreeMap<String, Disk> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return BTreeMap::new();
    };
    let folders = first.disk_bytes.iter().map(|(folder, begin)| {
        let all = samples
            .iter()
            .filter_map(|sample| sample.disk_bytes.get(folder));
        let disk = Disk {
            begin_bytes: *begin,
            end_bytes: last.disk_bytes.get(folder).copied().unwrap_or(0),
            peak_bytes: all.copied().max().unwrap_or(0),
        };
        (folder.clone(), disk)
    });
    folders.collect()
}
