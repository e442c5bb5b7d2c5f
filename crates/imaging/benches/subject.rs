//! The process that `benches/compare` runs to measure this library: it resizes on demand.
//!
//! Reads lines of `profile ⇥ width ⇥ height ⇥ file ⇥ runs ⇥ result file or -` and answers each
//! with a line of `bytes ⇥ wall/cpu,wall/cpu,…`, the times in milliseconds. Reading the file and
//! writing the result are not measured.
//!
//! With a line of `score ⇥ source ⇥ result`, both binary PPM, it answers with the SSIMULACRA2
//! of the result: the reference is the source resampled to the result's size in linear light, in
//! floating point, by Lanczos3.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use picresize_imaging::{self as imaging, Limits};
use picresize_imaging::{Fit, Profile, Quality, ResizeOptions};
use picresize_kernels::convolution::{
    FilterType, Image, ImageRef, PixelType, ResizeAlg, ResizeOptions as ResamplerOptions, Resizer,
};
use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

fn main() -> Result<()> {
    let mut references = References::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match *line.split('\t').collect::<Vec<_>>() {
            ["score", source, result] => {
                format!("{:.4}", references.score(source, Path::new(result))?)
            }
            [profile, width, height, file, runs, result] => {
                let request = ResizeOptions {
                    width: Some(width.parse()?),
                    height: Some(height.parse()?),
                    fit: Fit::Inside,
                    quality: Some(Quality::Fixed(80)),
                    profile: match profile {
                        "fine" => Profile::Fine,
                        _ => Profile::Fast,
                    },
                    ..ResizeOptions::default()
                };
                measure(&request, file, runs.parse()?, result)?
            }
            _ => bail!("`{line}` is not an order"),
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

fn measure(request: &ResizeOptions, file: &str, runs: u32, result: &str) -> Result<String> {
    let source = fs::read(file).with_context(|| file.to_owned())?;
    let limits = Limits::default();
    let mut times = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..runs {
        let (start, cpu) = (Instant::now(), cpu_time()?);
        bytes = imaging::resize(&source, request, &limits)?.bytes;
        let (wall, cpu) = (start.elapsed(), cpu_time()? - cpu);
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        times.push(format!(
            "{:.3}/{:.3}",
            milliseconds(wall),
            milliseconds(cpu)
        ));
    }
    if result != "-" {
        fs::write(result, &bytes)?;
    }
    Ok(format!("{}\t{}", bytes.len(), times.join(",")))
}

/// Processor time of this process, in user and system mode.
#[cfg(unix)]
fn cpu_time() -> Result<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(
        time.tv_sec.try_into()?,
        time.tv_nsec.try_into()?,
    ))
}

/// Uses wall-clock time where the processor time is not available.
#[cfg(not(unix))]
fn cpu_time() -> Result<Duration> {
    static BEGIN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    Ok(BEGIN.elapsed())
}

/// A picture's file and the size of its reference.
type Wanted = (String, usize, usize);

/// The last reference, with its source and size.
#[derive(Default)]
struct References {
    last: Option<(Wanted, Vec<[f32; 3]>)>,
}

impl References {
    fn score(&mut self, source: &str, result: &Path) -> Result<f64> {
        let (width, height, pixels) = light(result)?;
        let key = (source.to_owned(), width, height);
        let reference = match self.last.take() {
            Some((last, reference)) if last == key => reference,
            _ => resampled(Path::new(source), width, height)?,
        };
        let frame = |pixels| LinearRgb::new(pixels, width, height).map_err(anyhow::Error::msg);
        let score = compute_frame_ssimulacra2(frame(reference.clone())?, frame(pixels)?)?;
        self.last = Some((key, reference));
        Ok(score)
    }
}

fn resampled(source: &Path, width: usize, height: usize) -> Result<Vec<[f32; 3]>> {
    let (source_width, source_height, pixels) = light(source)?;
    let samples = bytemuck::cast_slice(pixels.as_flattened());
    let kind = PixelType::F32x3;
    let source = ImageRef::new(source_width as u32, source_height as u32, samples, kind)?;
    let mut target = Image::new(width as u32, height as u32, kind);
    let options = ResamplerOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::default().resize(&source, &mut target, &options)?;
    let pixels: &[[f32; 3]] = bytemuck::cast_slice(target.buffer());
    let clamped = pixels.iter().map(|pixel| pixel.map(|v| v.clamp(0.0, 1.0)));
    Ok(clamped.collect())
}

/// Width, height and linear pixels of an 8-bit binary PPM (`P6`, as defined by Netpbm).
fn light(file: &Path) -> Result<(usize, usize, Vec<[f32; 3]>)> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let mut fields = Vec::new();
    let mut at = 0;
    while fields.len() < 4 {
        let rest = &bytes[at..];
        let length = rest.iter().position(u8::is_ascii_whitespace);
        let length = length.context("the PPM header is cut short")?;
        fields.push(std::str::from_utf8(&rest[..length])?.to_owned());
        at += length + 1;
    }
    if fields[0] != "P6" || fields[3] != "255" {
        bail!("{} is not a PPM of 8 bits", file.display());
    }
    let table: Vec<f32> = (0..=255)
        .map(|value| decode(value as f32 / 255.0))
        .collect();
    let (pixels, _) = bytes[at..].as_chunks::<3>();
    let pixels = pixels.iter().map(|rgb| rgb.map(|v| table[usize::from(v)]));
    Ok((fields[1].parse()?, fields[2].parse()?, pixels.collect()))
}

/// Converts sRGB to linear light (IEC 61966-2-1).
fn decode(value: f32) -> f32 {
    if value <= 0.040_45 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}
