//! The process that `benches/curves` runs: it makes and scores results on demand.
//!
//! Reads lines from the standard input, and answers each with one line:
//!
//! - `make ⇥ source ⇥ key=value,key=value,… ⇥ runs ⇥ result file or -` resizes a file with these
//!   options. The answer is `bytes ⇥ cpu,cpu,…`, the processor time of each run in milliseconds.
//! - `score ⇥ source ⇥ result file` gives the SSIMULACRA2 of a result, and its structural
//!   similarity at five scales in decibels. The reference is the source resampled to the result's
//!   size in linear light, in floating point, by Lanczos3.

use std::io::{BufRead, Write};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail};
use picresize_imaging::{self as imaging, Format, Limits, ResizeOptions};
use picresize_kernels::convolution::{
    FilterType, Image, ImageRef, PixelType, ResizeAlg, ResizeOptions as ResamplerOptions, Resizer,
};
use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

fn main() -> Result<()> {
    let mut judge = Judge::default();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match *line.split('\t').collect::<Vec<_>>() {
            ["score", source, result] => {
                let (score, structure) = judge.score(source, result)?;
                format!("{score:.4}\t{structure:.4}")
            }
            ["make", source, options, runs, result] => {
                make(source, options, runs.parse()?, result)?
            }
            _ => bail!("`{line}` is not an order"),
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

fn make(file: &str, options: &str, runs: u32, result: &str) -> Result<String> {
    let source = fs::read(file).with_context(|| file.to_owned())?;
    let pairs = options.split(',').filter_map(|pair| pair.split_once('='));
    let options = ResizeOptions::from_pairs(pairs).map_err(|errors| anyhow!("{errors:?}"))?;
    let limits = Limits::default();
    let mut times = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..runs {
        let begin = cpu_time();
        bytes = imaging::resize(&source, &options, &limits)?.bytes;
        times.push(format!("{:.3}", (cpu_time() - begin).as_secs_f64() * 1e3));
    }
    if result != "-" {
        fs::write(result, &bytes)?;
    }
    Ok(format!("{}\t{}", bytes.len(), times.join(",")))
}

/// Processor time of this process, in user and system mode.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Uses wall-clock time where the processor time is not available.
#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static BEGIN: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed()
}

/// Pixels in linear light.
#[derive(Clone)]
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

/// The last source and its last reference.
#[derive(Default)]
struct Judge {
    source: Option<(String, Picture)>,
    reference: Option<Picture>,
}

impl Judge {
    fn score(&mut self, source: &str, result: &str) -> Result<(f64, f64)> {
        let result = decoded(result)?;
        if self.source.as_ref().is_none_or(|(name, _)| name != source) {
            self.source = Some((source.to_owned(), decoded(source)?));
            self.reference = None;
        }
        let (_, whole) = self.source.as_ref().context("there is a source")?;
        let fits = |one: &Picture| (one.width, one.height) == (result.width, result.height);
        if !self.reference.as_ref().is_some_and(fits) {
            self.reference = Some(resampled(whole, result.width, result.height)?);
        }
        let reference = self.reference.clone().context("there is a reference")?;
        let frame = |picture: Picture| {
            LinearRgb::new(picture.pixels, picture.width, picture.height)
                .map_err(anyhow::Error::msg)
        };
        let structure = structure(&reference, &result);
        let score = compute_frame_ssimulacra2(frame(reference)?, frame(result)?)?;
        Ok((score, structure))
    }
}

/// The structural similarity at five scales (Wang, Simoncelli and Bovik, "Multiscale structural
/// similarity for image quality assessment", 2003) in decibels: of gamma-encoded luma with a weight
/// of 80 %, and of both colour differences with 10 % each.
fn structure(reference: &Picture, result: &Picture) -> f64 {
    let planes = |picture: &Picture| -> [Vec<f32>; 3] {
        let coded = picture.pixels.iter().map(|rgb| rgb.map(encode));
        let pixels: Vec<[f32; 3]> = coded
            .map(|[r, g, b]| {
                let luma = 0.299 * r + 0.587 * g + 0.114 * b;
                [luma, 0.564 * (b - luma), 0.713 * (r - luma)]
            })
            .collect();
        std::array::from_fn(|index| pixels.iter().map(|pixel| pixel[index]).collect())
    };
    let size = (reference.width, reference.height);
    let pairs = planes(reference).into_iter().zip(planes(result));
    let alike: Vec<f64> = pairs.map(|(a, b)| structure_of_plane(a, b, size)).collect();
    let mean = 0.8 * alike[0] + 0.1 * alike[1] + 0.1 * alike[2];
    -10.0 * (1.0 - mean).max(1e-9).log10()
}

fn structure_of_plane(mut a: Vec<f32>, mut b: Vec<f32>, mut size: (usize, usize)) -> f64 {
    const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS.into_iter().enumerate() {
        let multiplied =
            |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
        let blur = |plane: &[f32]| blurred(plane, size);
        let (mean_a, mean_b) = (blur(&a), blur(&b));
        let (square_a, square_b) = (blur(&multiplied(&a, &a)), blur(&multiplied(&b, &b)));
        let both = blur(&multiplied(&a, &b));
        let mut sum = 0.0;
        for at in 0..a.len() {
            let (x, y) = (f64::from(mean_a[at]), f64::from(mean_b[at]));
            let (xx, yy) = (
                f64::from(square_a[at]) - x * x,
                f64::from(square_b[at]) - y * y,
            );
            let contrast = (2.0 * (f64::from(both[at]) - x * y) + 9e-4) / (xx + yy + 9e-4);
            let light = (2.0 * x * y + 1e-4) / (x * x + y * y + 1e-4);
            sum += if scale == 4 {
                contrast * light
            } else {
                contrast
            };
        }
        product *= (sum / a.len() as f64).max(0.0).powf(weight);
        a = halved(&a, size);
        b = halved(&b, size);
        size = (size.0.div_ceil(2), size.1.div_ceil(2));
    }
    product
}

/// A Gaussian of 1.5 pixels over 11 pixels; edges are repeated.
fn blurred(plane: &[f32], (width, height): (usize, usize)) -> Vec<f32> {
    let weights: Vec<f32> = (-5..=5).map(|x| (-(x * x) as f32 / 4.5).exp()).collect();
    let total: f32 = weights.iter().sum();
    let near = |at: usize, step: usize, most: usize| (at + step).saturating_sub(5).min(most - 1);
    let mut rows = vec![0.0; plane.len()];
    for (row, target) in plane.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (x, target) in target.iter_mut().enumerate() {
            let terms = weights.iter().enumerate();
            let sum: f32 = terms.map(|(i, w)| w * row[near(x, i, width)]).sum();
            *target = sum / total;
        }
    }
    let mut result = vec![0.0; plane.len()];
    for (y, target) in result.chunks_exact_mut(width).enumerate() {
        for (i, weight) in weights.iter().enumerate() {
            let row = &rows[near(y, i, height) * width..][..width];
            for (target, value) in target.iter_mut().zip(row) {
                *target += value * weight / total;
            }
        }
    }
    result
}

fn halved(plane: &[f32], (width, height): (usize, usize)) -> Vec<f32> {
    let at = |x: usize, y: usize| plane[y.min(height - 1) * width + x.min(width - 1)];
    let mut half = Vec::new();
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            half.push((at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0);
        }
    }
    half
}

fn resampled(picture: &Picture, width: usize, height: usize) -> Result<Picture> {
    let samples = bytemuck::cast_slice(picture.pixels.as_flattened());
    let kind = PixelType::F32x3;
    let source = ImageRef::new(picture.width as u32, picture.height as u32, samples, kind)?;
    let mut target = Image::new(width as u32, height as u32, kind);
    let options = ResamplerOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::default().resize(&source, &mut target, &options)?;
    let pixels: &[[f32; 3]] = bytemuck::cast_slice(target.buffer());
    let clamped = pixels.iter().map(|pixel| pixel.map(|v| v.clamp(0.0, 1.0)));
    Ok(Picture {
        width,
        height,
        pixels: clamped.collect(),
    })
}

/// Decodes a file by resizing it to its own size as PNG, which changes no pixel.
fn decoded(file: &str) -> Result<Picture> {
    let bytes = fs::read(file).with_context(|| file.to_owned())?;
    let limits = Limits::default();
    let source = imaging::inspect(&bytes, &limits)?;
    let options = ResizeOptions {
        width: Some(source.width()),
        height: Some(source.height()),
        format: Some(Format::Png),
        ..ResizeOptions::default()
    };
    let png = source.plan(&options, &limits)?.resize(&bytes)?.bytes;
    let mut decoder = png::Decoder::new(io::Cursor::new(png.as_slice()));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info()?;
    let mut samples = vec![0; reader.output_buffer_size().context("it has a size")?];
    let info = reader.next_frame(&mut samples)?;
    let light: Vec<f32> = (0..=255).map(|v| decode(v as f32 / 255.0)).collect();
    let at = |value: u8| light[usize::from(value)];
    let pixels = match info.color_type.samples() {
        1 => samples.iter().map(|value| [at(*value); 3]).collect(),
        3 => samples
            .as_chunks::<3>()
            .0
            .iter()
            .map(|rgb| rgb.map(at))
            .collect(),
        count => bail!("{file} has {count} channels"),
    };
    Ok(Picture {
        width: info.width as usize,
        height: info.height as usize,
        pixels,
    })
}

/// Converts sRGB to linear light (IEC 61966-2-1).
fn decode(value: f32) -> f32 {
    if value <= 0.040_45 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// The inverse of [`decode`].
fn encode(light: f32) -> f32 {
    if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    }
}
