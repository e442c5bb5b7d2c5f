//! Pictures made in code, which look enough like photographs to compress like them.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use picresize_imaging::{Format, Limits, Quality, ResizeOptions, resize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Made {
    /// PNG of about 7 kB, 72 × 72, resized to a width of 32
    Tiny,
    /// JPEG of about 400 kB and 2 megapixels, resized inside 512 × 512
    Photo,
    /// The same picture as WebP
    PhotoWebp,
    /// The same picture as PNG
    PhotoPng,
}

impl Made {
    fn format(self) -> Format {
        match self {
            Self::Tiny | Self::PhotoPng => Format::Png,
            Self::Photo => Format::Jpeg,
            Self::PhotoWebp => Format::Webp,
        }
    }

    fn size(self) -> (u32, u32) {
        if self == Self::Tiny {
            (72, 72)
        } else {
            (1632, 1224)
        }
    }

    /// What is asked for if the command line does not say.
    pub(crate) fn request(self) -> Vec<(String, String)> {
        let pairs: &[(&str, &str)] = if self == Self::Tiny {
            &[("width", "32")]
        } else {
            &[("width", "512"), ("height", "512"), ("fit", "inside")]
        };
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    /// The name and the bytes of a picture; each number gives another one.
    pub(crate) fn picture(
        self,
        size: Option<(u32, u32)>,
        number: u32,
    ) -> Result<(String, Vec<u8>)> {
        let format = self.format();
        let bytes = picture(size.unwrap_or(self.size()), format, number)?;
        Ok((format!("made-{number:02}.{}", format.extension()), bytes))
    }
}

/// Writes made pictures to a folder, for services that read them from there.
#[derive(Debug, Args)]
pub(crate) struct Write {
    /// The folder; created if it is missing
    folder: PathBuf,
    /// Which pictures
    #[arg(long, value_enum, default_value = "photo")]
    made: Made,
    /// How many
    #[arg(long, default_value_t = 8)]
    variety: u32,
}

impl Write {
    pub(crate) fn run(self) -> Result<ExitCode> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        for number in 0..self.variety {
            let (name, bytes) = self.made.picture(None, number)?;
            let file = self.folder.join(name);
            fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A picture of soft shades, edges and grain.
pub(crate) fn picture(size: (u32, u32), format: Format, number: u32) -> Result<Vec<u8>> {
    let png = encode(size, &pixels(size, number))?;
    if format == Format::Png {
        return Ok(png);
    }
    let options = ResizeOptions {
        width: Some(size.0),
        height: Some(size.1),
        format: Some(format),
        quality: matches!(format, Format::Jpeg | Format::Webp).then_some(Quality::Fixed(91)),
        ..ResizeOptions::default()
    };
    Ok(resize(&png, &options, &Limits::default())?.bytes)
}

fn encode((width, height): (u32, u32), pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(bytes)
}

/// Octaves of noise: lattice width in pixels, and amplitude. The last is the grain.
const OCTAVES: [(u32, f32); 5] = [(256, 90.0), (61, 50.0), (17, 30.0), (5, 12.0), (1, 5.0)];

fn pixels((width, height): (u32, u32), number: u32) -> Vec<u8> {
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let mut light = 128.0;
            for (index, (step, amplitude)) in OCTAVES.into_iter().enumerate() {
                light += amplitude * noise(x, y, step, number * 97 + index as u32);
            }
            // A curved edge, such as that of an object before its background.
            let edge = noise(x, y, 173, number * 97 + 31);
            if edge > 0.1 {
                light = 235.0 - light * 0.8;
            }
            let hue = 40.0 * noise(x, y, 211, number * 97 + 47);
            pixels.extend([light + hue, light, light - hue].map(|value| value as u8));
        }
    }
    pixels
}

/// Noise from −1 to 1 on a lattice, interpolated between its points.
fn noise(x: u32, y: u32, step: u32, seed: u32) -> f32 {
    let (left, top) = (x / step, y / step);
    if step == 1 {
        return random(left, top, seed);
    }
    let across = (x % step) as f32 / step as f32;
    let down = (y % step) as f32 / step as f32;
    let between = |a: f32, b: f32, at: f32| a + (b - a) * at * at * (3.0 - 2.0 * at);
    let row = |y| between(random(left, y, seed), random(left + 1, y, seed), across);
    between(row(top), row(top + 1), down)
}

/// The same number from −1 to 1 for the same point, on every machine.
fn random(x: u32, y: u32, seed: u32) -> f32 {
    let mut bits = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77);
    bits ^= seed.wrapping_mul(0xC2B2_AE3D);
    bits = (bits ^ bits >> 15).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ bits >> 12).wrapping_mul(0x297A_2D39);
    (bits ^ bits >> 15) as f32 / (u32::MAX / 2) as f32 - 1.0
}
