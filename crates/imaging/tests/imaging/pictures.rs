//! Test pictures made in code, and helpers that resize and decode them.

use std::io::Cursor;
use std::path::Path;

use picresize_imaging::{ImagingError, Limits, Resized, resize};

use crate::support::request;

/// A colourful picture with edges, ramps and a half-transparent corner, as PNG of Rgba.
pub(crate) fn drawing(width: u32, height: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let disc = (x as i64 - 60).pow(2) + (y as i64 - 40).pow(2) < 900;
            let stripe = (x / 7 + y / 5) % 2 == 0;
            let red = if disc { 230 } else { (x * 255 / width) as u8 };
            let green = if stripe {
                200
            } else {
                (y * 255 / height) as u8
            };
            let alpha = if x + y < 30 { 96 } else { 255 };
            pixels.extend([red, green, 255 - red / 2, alpha]);
        }
    }
    png(width, height, png::ColorType::Rgba, &pixels)
}

/// The same without transparency.
pub(crate) fn opaque(width: u32, height: u32) -> Vec<u8> {
    let rgba = decode(&drawing(width, height)).1;
    let (pixels, _) = rgba.as_chunks::<4>();
    let rgb: Vec<u8> = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    png(width, height, png::ColorType::Rgb, &rgb)
}

pub(crate) fn png(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Samples of 8 bits as a PNG of 16, each byte twice.
pub(crate) fn deep_png(width: u32, height: u32, color: png::ColorType, samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Sixteen);
    let twice: Vec<u8> = samples.iter().flat_map(|&byte| [byte; 2]).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&twice).unwrap();
    writer.finish().unwrap();
    bytes
}

/// An animation of `frames` frames: a square that walks over a still ground.
pub(crate) fn animation(frames: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette = [0, 0, 0, 255, 0, 0, 0, 0, 255];
    let mut encoder = gif::Encoder::new(&mut bytes, 64, 48, &palette).unwrap();
    encoder.set_repeat(gif::Repeat::Infinite).unwrap();
    for number in 0..frames {
        let mut pixels = vec![2; 64 * 48];
        for y in 10..20 {
            let start = y * 64 + usize::from(number) * 6;
            pixels[start..start + 10].fill(1);
        }
        let mut frame = gif::Frame::from_indexed_pixels(64, 48, pixels, None);
        frame.delay = 5 + number;
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

pub(crate) fn make(source: &[u8], options: &str) -> Resized {
    resize(source, &request(options), &Limits::default())
        .unwrap_or_else(|error| panic!("{options}: {error}"))
}

pub(crate) fn refusal(source: &[u8], options: &str) -> String {
    match resize(source, &request(options), &Limits::default()) {
        Err(ImagingError::Option(error)) => error.to_string(),
        other => panic!("{options}: {:?}", other.map(|resized| resized.format)),
    }
}

/// Size and Rgba samples of a PNG.
pub(crate) fn decode(bytes: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::ALPHA | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    if info.color_type == png::ColorType::GrayscaleAlpha {
        let (pairs, _) = pixels.as_chunks::<2>();
        pixels = pairs.iter().flat_map(|&[y, a]| [y, y, y, a]).collect();
    }
    ((info.width, info.height), pixels)
}

/// Bytes of a pixel in a picture that is read: PNG keeps the channels and the depth that a source
/// has.
pub(crate) fn pixel_bytes(source: &[u8]) -> usize {
    let result = make(source, "width=10 format=png").bytes;
    let reader = png::Decoder::new(Cursor::new(result)).read_info().unwrap();
    let (color, depth) = reader.output_color_type();
    color.samples() * depth as usize / 8
}

/// The pixels of a result that was asked for as PNG.
pub(crate) fn pixels(source: &[u8], options: &str) -> ((u32, u32), Vec<u8>) {
    let resized = make(source, &format!("{options} format=png"));
    let (size, pixels) = decode(&resized.bytes);
    assert_eq!(size, (resized.width, resized.height));
    (size, pixels)
}

pub(crate) fn pixel(picture: &((u32, u32), Vec<u8>), x: u32, y: u32) -> [u8; 4] {
    let start = (y * picture.0.0 + x) as usize * 4;
    picture.1[start..start + 4].try_into().unwrap()
}

/// The mean difference of samples.
pub(crate) fn difference(one: &[u8], other: &[u8]) -> f64 {
    assert_eq!(one.len(), other.len());
    let apart = one.iter().zip(other).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = apart.map(f64::from).sum();
    sum / one.len() as f64
}

/// The mean difference between a picture in its own size and what a foreign decoder made of it, both
/// in files.
pub(crate) fn difference_as_read(picture: &Path, reading: &Path) -> f64 {
    let ((width, height), expected) = decode(&std::fs::read(reading).unwrap());
    let same_size = format!("width={width} height={height}");
    let (size, found) = pixels(&std::fs::read(picture).unwrap(), &same_size);
    assert_eq!(size, (width, height));
    difference(&found, &expected)
}

/// A picture with its width and height.
#[derive(Clone)]
pub(crate) struct Pixels(pub(crate) u32, pub(crate) u32, pub(crate) Vec<[u8; 4]>);

impl Pixels {
    pub(crate) fn of(((width, height), rgba): ((u32, u32), Vec<u8>)) -> Self {
        Self(width, height, rgba.as_chunks::<4>().0.to_vec())
    }

    /// The picture whose pixel at a place is the one that `from` names.
    pub(crate) fn map(
        &self,
        width: u32,
        height: u32,
        from: impl Fn(u32, u32) -> (u32, u32),
    ) -> Self {
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (x, y) = from(x, y);
                pixels.push(self.2[(y * self.0 + x) as usize]);
            }
        }
        Self(width, height, pixels)
    }

    /// A quarter turn against the clock.
    pub(crate) fn turned(&self) -> Self {
        self.map(self.1, self.0, |x, y| (self.0 - 1 - y, x))
    }

    /// `irot` turns against the clock, then `imir` exchanges top and bottom (0) or left and right
    /// (1) (ISO/IEC 23008-12:2022, 6.5.10 and 6.5.12; MIAF 7.3.6.7 for the order).
    pub(crate) fn turned_as_boxes_say(&self, turns: u8, mirror: Option<u8>) -> Self {
        let mut turned = self.clone();
        for _ in 0..turns {
            turned = turned.turned();
        }
        let (width, height) = (turned.0, turned.1);
        match mirror {
            None => turned,
            Some(0) => turned.map(width, height, |x, y| (x, height - 1 - y)),
            Some(_) => turned.map(width, height, |x, y| (width - 1 - x, y)),
        }
    }
}

/// A JPEG with EXIF (turned by a quarter, by "Ann") and an Adobe RGB profile.
pub(crate) fn tagged() -> Vec<u8> {
    let jpeg = make(&opaque(80, 40), "width=80 format=jpeg quality=95").bytes;
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
    exif.extend(b"\x01\x3b\0\x02\0\0\0\x04Ann\0");
    exif.extend([0; 4]);
    let mut profile = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    // The creation time of the profile.
    profile[24..36].fill(0);
    let icc = [b"ICC_PROFILE\0\x01\x01".as_slice(), &profile].concat();
    let mut tagged = jpeg[..2].to_vec();
    for (marker, payload) in [(0xe1, exif), (0xe2, icc)] {
        tagged.extend([0xff, marker]);
        tagged.extend((payload.len() as u16 + 2).to_be_bytes());
        tagged.extend(payload);
    }
    tagged.extend(&jpeg[2..]);
    tagged
}

/// The number after this one (the linear congruential generator of Numerical Recipes): tests that
/// draw lots draw the same ones every time.
pub(crate) fn next_random(state: u32) -> u32 {
    state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}
