//! `picresize-load pipeline`: the same pictures through the imaging library alone.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use picresize_imaging::{self as imaging, Limits};
use serde_json::json;

use crate::pictures::Choice;
use crate::processes::own_cpu_seconds;

/// Resizes pictures in this process, without a service: what the pixels alone cost
#[derive(Debug, Args)]
pub(crate) struct Pipeline {
    #[command(flatten)]
    choice: Choice,
    /// Threads, each with a picture at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// How long to measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Pipeline {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let pictures = self.choice.read()?;
        let limits = Limits::default();
        let done = AtomicU64::new(0);
        let result_bytes = AtomicU64::new(0);
        let (begin, cpu) = (Instant::now(), own_cpu_seconds());
        let until = begin + Duration::from_secs_f64(self.seconds);
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while Instant::now() < until {
                        let number = done.fetch_add(1, Ordering::Relaxed) as usize;
                        let picture = &pictures.all[number % pictures.all.len()];
                        // `read` has resized each of them before.
                        if let Ok(result) =
                            imaging::resize(&picture.plain, &pictures.options, &limits)
                        {
                            let length = black_box(result.bytes).len() as u64;
                            result_bytes.fetch_add(length, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let (cpu, seconds) = (own_cpu_seconds() - cpu, begin.elapsed().as_secs_f64());
        let count = done.into_inner();
        let per_second = count as f64 / seconds;
        let cpu_ms = cpu * 1e3 / count as f64;
        let bytes = result_bytes.into_inner() / count;
        if self.json {
            let report = json!({
                "done": count,
                "seconds": seconds,
                "per_second": per_second,
                "cpu_ms": cpu_ms,
                "result_bytes": bytes,
            });
            println!("{report:#}");
        } else {
            println!("{count} pictures in {seconds:.1} s: {per_second:.1} a second");
            println!("processor time of one: {cpu_ms:.3} ms; result: {bytes} bytes");
        }
        Ok(ExitCode::SUCCESS)
    }
}
