//! What it costs to resize in pixel processes instead of in this process.
//!
//! In this process, a picture is resized on a thread for blocking work, as in a service that is not
//! isolated: there, too, the bytes come from another thread.
//!
//! Resizes a 64 × 64 PNG and every picture of a folder to 512 pixels both ways, in turns, and prints
//! the medians: the time, and the processor time of this process and its children. Each way also
//! makes the perceptual hash and the digest, as a worker does.
//!
//!     cargo bench --bench isolation -- FOLDER [ROUNDS]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use picresize::imaging::{self, Limits};
use picresize::operation::{Digest, ResizeOptions};
use picresize::processing::{PixelProcesses, Processor, ProcessorOptions};
use picresize::settings::Settings;
use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Rounds for each picture.
const ROUNDS: usize = 11;
/// A tiny picture is resized this many times in a round.
const TINY_REPEATS: u32 = 200;

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|it| !it.starts_with("--"));
    let folder = arguments.next().context("name a folder of pictures")?;
    let rounds = arguments.next().map_or(Ok(ROUNDS), |it| it.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let program = env!("CARGO_BIN_EXE_picresize").into();
    let processes = PixelProcesses::of(program, Vec::new())?;
    let processor = Processor::new(processes, ProcessorOptions::of(&Settings::default()));
    let contest = Contest {
        runtime,
        processor,
        rounds,
    };

    println!("| picture | time | isolated | more | CPU | isolated | ratio |");
    println!("|---|---|---|---|---|---|---|");
    let mut sums = [Duration::ZERO; 4];
    contest.measure("64 × 64 PNG", &tiny()?, "32", TINY_REPEATS)?;
    for file in files(Path::new(&folder))? {
        let bytes = fs::read(&file)?.into();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let medians = contest.measure(&name, &bytes, "512", 1)?;
        for (sum, median) in sums.iter_mut().zip(medians) {
            *sum += median;
        }
    }
    print_row("all", sums);
    Ok(())
}

/// Both ways of resizing.
struct Contest {
    runtime: tokio::runtime::Runtime,
    processor: Processor,
    rounds: usize,
}

impl Contest {
    /// Prints and returns the medians for one run: time and CPU time here, then isolated.
    fn measure(
        &self,
        name: &str,
        bytes: &Bytes,
        side: &str,
        repeats: u32,
    ) -> Result<[Duration; 4]> {
        let options = [("width", side), ("height", side), ("fit", "inside")];
        let options = ResizeOptions::from_pairs(options)
            .map_err(|errors| anyhow::anyhow!("{}", errors[0]))?;
        let here = || -> Result<Bytes> {
            let (bytes, options) = (bytes.clone(), options.clone());
            let made = self.runtime.spawn_blocking(move || {
                let resized = imaging::resize(&bytes, &options, &Limits::default())?;
                imaging::fingerprint(&resized.bytes, &Limits::default());
                Digest::of(&resized.bytes);
                Ok(resized.bytes.into())
            });
            self.runtime.block_on(made)?
        };
        let isolated = || -> Result<Bytes> {
            let made = self.processor.resize(bytes, &options);
            Ok(self.runtime.block_on(made)?.picture.bytes)
        };
        ensure!(here()? == isolated()?, "{name}: the bytes differ");
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..self.rounds {
            for turn in [round % 2, 1 - round % 2] {
                let (started, cpu) = (Instant::now(), processor_time()?);
                for _ in 0..repeats {
                    match turn {
                        0 => here()?,
                        _ => isolated()?,
                    };
                }
                times[turn * 2].push(started.elapsed() / repeats);
                let used = processor_time()?.saturating_sub(cpu);
                times[turn * 2 + 1].push(used / repeats);
            }
        }
        let medians = times.map(|mut times| {
            times.sort();
            times[times.len() / 2]
        });
        print_row(name, medians);
        Ok(medians)
    }
}

fn print_row(name: &str, [time, cpu, isolated_time, isolated_cpu]: [Duration; 4]) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "| {name} | {:.3} ms | {:.3} ms | {:.0} µs | {:.3} ms | {:.3} ms | {:.3} |",
        milliseconds(time),
        milliseconds(isolated_time),
        (milliseconds(isolated_time) - milliseconds(time)) * 1e3,
        milliseconds(cpu),
        milliseconds(isolated_cpu),
        isolated_cpu.as_secs_f64() / cpu.as_secs_f64(),
    );
}

/// The processor time of this process and its children.
fn processor_time() -> Result<Duration> {
    let own = clock_gettime(ClockId::ProcessCPUTime);
    let mut time = Duration::new(own.tv_sec as u64, own.tv_nsec as u32);
    // Children that have ended, in ticks: fields 16 and 17, the first after the name being the third.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ended = fields.skip(13).take(2);
    let ticks: u64 = ended.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    time += Duration::from_millis(ticks * 1000 / clock_ticks_per_second());
    let own = std::process::id();
    for entry in fs::read_dir("/proc")?.flatten() {
        let path = entry.path();
        // A process may end at any time.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        if parent != Some(own.to_string().as_str()) {
            continue;
        }
        // Nanoseconds on a core come first.
        let schedule = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        let nanoseconds = schedule.split(' ').next().unwrap_or_default();
        time += Duration::from_nanos(nanoseconds.parse().unwrap_or_default());
    }
    Ok(time)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// A small picture with some detail.
fn tiny() -> Result<Bytes> {
    let pixels: Vec<u8> = (0..64 * 64 * 3_u32)
        .map(|at| (at.wrapping_mul(at) >> 6) as u8)
        .collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes.into())
}
