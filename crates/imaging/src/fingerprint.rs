//! The perceptual hash: what a picture looks like, in 64 bits.
//!
//! It is the DCT hash of Zauner ("Implementation and Benchmarking of Perceptual Image Hash
//! Functions", 2010) with two changes. They bring copies closer together and keep other pictures as
//! far apart. The coefficients are the 64 lowest in order of frequency, instead of a square of
//! eight by eight. Each is compared with a fixed level instead of their median, which changes
//! whenever one of them does.

use std::fmt;

use crate::codec::{self, decoder::ParsedPicture};
use crate::color::{self, to_srgb};
use crate::estimate;
use crate::geometry::Rect;
use crate::limits::Limits;
use crate::options::Filter;
use crate::placeholder::{self, Placeholder};
use crate::planes::{Eighths, Planes};
use crate::raster::{Layout, Raster, pixel_count};
use crate::resample::resample;
use crate::shrink_on_load::for_fingerprint;
use crate::source::{Source, inspect};

/// Width and height of the copy that is transformed.
const SIDE: u32 = 32;
/// Coefficients up to this value are noise of a lossy codec. It is in levels of 0 to 255; the
/// transform is orthonormal.
const NOISE: f64 = 3.0;
/// A picture with fewer coefficients above the noise has too little detail to be distinguished from
/// others: it is flat, a plain gradient, or noise.
const LEAST_COEFFICIENTS: u32 = u64::BITS / 2;

/// A perceptual hash. Similar pictures have hashes that differ in few bits. Written as 16
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Pictures whose hashes differ in at most this many bits look alike.
    pub const ALIKE_BITS: u32 = 7;

    /// The number of bits in which two hashes differ, 0 to 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The perceptual hash of a picture, or of the first frame of an animation, as a viewer sees it on
/// white. `None` if it cannot be decoded within the limits, or if it has too little detail (a flat
/// colour, a plain gradient) for a meaningful hash.
pub fn fingerprint(bytes: &[u8], limits: &Limits) -> Option<Fingerprint> {
    inspect(bytes, limits).ok()?.fingerprint(bytes, limits)
}

/// What a picture looks like, in a few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The perceptual hash, if the picture has enough detail for one.
    pub fingerprint: Option<Fingerprint>,
    /// What can be shown until the picture is there.
    pub placeholder: Placeholder,
}

impl Source {
    /// [`fingerprint`] of an inspected picture; `bytes` must be its own bytes.
    pub fn fingerprint(&self, bytes: &[u8], limits: &Limits) -> Option<Fingerprint> {
        let small = self.small(bytes, limits)?;
        hash(&small.brightness()?, self)
    }

    /// The fingerprint and the placeholder of an inspected picture, which is decoded once for both;
    /// `bytes` must be its own bytes. `None` if it cannot be decoded within the limits.
    pub fn look(&self, bytes: &[u8], limits: &Limits) -> Option<Look> {
        let small = self.small(bytes, limits)?;
        let colors = small.colors(self.parsed())?;
        Some(Look {
            placeholder: Placeholder::of(&self.parsed().header().orientation.apply(colors)),
            fingerprint: hash(&small.brightness()?, self),
        })
    }

    /// Decodes the picture as small as the decoder can make it.
    fn small(&self, bytes: &[u8], limits: &Limits) -> Option<Small> {
        let pixels = pixel_count(self.width(), self.height());
        if pixels > limits.max_source_pixels.max(limits.max_result_pixels)
            || self.fingerprint_bytes() > limits.max_memory_bytes
        {
            return None;
        }
        Small::decode(self.parsed(), bytes)
    }

    /// An upper bound of the memory that [`Source::fingerprint`] needs in addition to the picture's
    /// bytes.
    pub fn fingerprint_bytes(&self) -> u64 {
        let header = self.parsed().header();
        let shrink = for_fingerprint(header);
        let (width, height) = (
            self.width().div_ceil(shrink),
            self.height().div_ceil(shrink),
        );
        let pixels = pixel_count(width, height);
        let pixel_bytes = header.pixel_bytes();
        let decoded = match header.planar_bytes {
            // Applying a profile requires interleaved pixels.
            Some(bytes) if header.metadata.icc.is_none() => pixels * u64::from(bytes) / 4,
            // Includes the luma, or before it the 8-bit copy of 16-bit samples.
            _ => pixels * u64::from(pixel_bytes + (pixel_bytes / 2).max(1)),
        };
        let decoder = self
            .parsed()
            .planes_decoder_bytes(Eighths::both(8 / shrink));
        estimate::FLOOR + decoder + decoded
    }
}

/// A picture that was decoded for its fingerprint, in its stored orientation.
enum Small {
    Planes(Planes),
    Pixels(Raster),
}

impl Small {
    fn decode(source: &ParsedPicture, bytes: &[u8]) -> Option<Self> {
        let shrink = for_fingerprint(source.header());
        let eighths = Eighths::both(8 / shrink);
        match source.decode_planes(bytes, eighths, false).ok()? {
            Some(planes) => Some(Self::Planes(planes)),
            None => source.decode(bytes, shrink, true).ok().map(Self::Pixels),
        }
    }

    /// The luma, [`SIDE`] pixels square.
    fn brightness(self) -> Option<Raster> {
        let (gray, size) = match self {
            Self::Planes(mut planes) => {
                let (stored, rows) = planes.size_of(0);
                planes.samples.truncate(stored as usize * rows as usize);
                let gray = Raster::from_u8(stored, rows, Layout::Gray, planes.samples);
                (gray, (planes.width, planes.height))
            }
            Self::Pixels(decoded) => {
                let size = (decoded.width, decoded.height);
                (to_gray(decoded), size)
            }
        };
        resample(&gray, whole(size), (SIDE, SIDE), Filter::Bilinear).ok()
    }

    /// The colours as Rgba, at most [`SIDE`] pixels wide and high.
    fn colors(&self, source: &ParsedPicture) -> Option<Raster> {
        let size = match self {
            Self::Planes(planes) => (planes.width, planes.height),
            Self::Pixels(decoded) => (decoded.width, decoded.height),
        };
        let longest = f64::from(size.0.max(size.1));
        let side = |pixels: u32| {
            let fitted = f64::from(pixels) * f64::from(SIDE) / longest;
            (fitted.round() as u32).clamp(1, pixels.min(SIDE))
        };
        let target = (side(size.0), side(size.1));
        match self {
            Self::Planes(planes) => {
                let mut small = Vec::new();
                for (index, samples) in planes.split()[..planes.count()].iter().enumerate() {
                    let stored = planes.size_of(index);
                    let plane = Raster::from_u8(stored.0, stored.1, Layout::Gray, samples.to_vec());
                    let part = match index {
                        0 => whole(size),
                        _ => whole(stored),
                    };
                    small.push(resample(&plane, part, target, Filter::Bilinear).ok()?);
                }
                let levels = codec::planes_levels(source.header().format);
                let pixels = placeholder::from_planes(&small, levels);
                Some(Raster::from_u8(target.0, target.1, Layout::Rgba, pixels))
            }
            Self::Pixels(decoded) => {
                let header = source.header();
                let small = resample(decoded, whole(size), target, Filter::Bilinear).ok()?;
                let profile = color::Profile::read(header.metadata.icc.as_deref(), header.layout);
                Some(to_srgb(small, profile.as_ref()).ok()?.into_rgba8())
            }
        }
    }
}

fn whole((width, height): (u32, u32)) -> Rect {
    Rect {
        x: 0.0,
        y: 0.0,
        width: f64::from(width),
        height: f64::from(height),
    }
}

/// Luma with the weights of JPEG and WebP (ITU-R BT.601). Transparent parts are shown on white, as
/// in a JPEG made from the picture.
fn to_gray(raster: Raster) -> Raster {
    let (width, height) = (raster.width, raster.height);
    let opaque = |[r, g, b]: [u8; 3]| {
        (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114 + 500) / 1000
    };
    let on_white = |gray: u32, alpha: u8| {
        let alpha = u32::from(alpha);
        ((gray * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let raster = match raster.layout {
        Layout::Cmyk => raster.into_rgba8(),
        _ => raster.into_u8(),
    };
    let samples = raster.bytes();
    let gray = match raster.layout {
        Layout::Gray => samples.to_vec(),
        Layout::GrayAlpha => {
            let (pixels, _) = samples.as_chunks::<2>();
            let gray = pixels.iter().map(|&[y, a]| on_white(u32::from(y), a));
            gray.collect()
        }
        Layout::Rgb => {
            let (pixels, _) = samples.as_chunks::<3>();
            pixels.iter().map(|&rgb| opaque(rgb) as u8).collect()
        }
        Layout::Rgba | Layout::Cmyk => {
            let (pixels, _) = samples.as_chunks::<4>();
            let gray = pixels
                .iter()
                .map(|&[r, g, b, a]| on_white(opaque([r, g, b]), a));
            gray.collect()
        }
    };
    Raster::from_u8(width, height, Layout::Gray, gray)
}

/// The hash of the luma of a picture in its stored orientation.
fn hash(brightness: &Raster, source: &Source) -> Option<Fingerprint> {
    hash_upright(
        &source
            .parsed()
            .header()
            .orientation
            .apply(brightness.clone()),
    )
}

/// One bit per coefficient: whether it exceeds the noise. The lowest frequency is the lowest bit.
fn hash_upright(brightness: &Raster) -> Option<Fingerprint> {
    let coefficients = lowest_coefficients(brightness.bytes());
    let telling = coefficients.iter().filter(|value| value.abs() > NOISE);
    if (telling.count() as u32) < LEAST_COEFFICIENTS {
        return None;
    }
    let bits = coefficients.iter().enumerate();
    let bits = bits.filter(|(_, value)| **value > NOISE);
    Some(Fingerprint(bits.fold(0, |hash, (at, _)| hash | 1 << at)))
}

/// The orthonormal two-dimensional DCT-II of a square of [`SIDE`] pixels: the 64 lowest
/// frequencies without the mean. They are ordered by the sum of both indices, then by the
/// horizontal one.
fn lowest_coefficients(pixels: &[u8]) -> [f64; 64] {
    // 65 frequencies have index sums of at most 10, except for one.
    const FREQUENCIES: usize = 11;
    const LENGTH: usize = SIDE as usize;
    let wave = |frequency: usize, at: usize| {
        let angle = std::f64::consts::PI * (2 * at + 1) as f64 * frequency as f64;
        let norm = if frequency == 0 { 1.0 } else { 2.0 };
        (angle / (2 * LENGTH) as f64).cos() * (norm / LENGTH as f64).sqrt()
    };
    let waves: [[f64; LENGTH]; FREQUENCIES] =
        std::array::from_fn(|frequency| std::array::from_fn(|at| wave(frequency, at)));
    // across[u][y]: the row y at the frequency u.
    let across: [[f64; LENGTH]; FREQUENCIES] = std::array::from_fn(|u| {
        std::array::from_fn(|y| {
            let row = &pixels[y * LENGTH..][..LENGTH];
            row.iter()
                .zip(&waves[u])
                .map(|(p, w)| f64::from(*p) * w)
                .sum()
        })
    });
    let mut order = (1..FREQUENCIES).flat_map(|sum| (0..=sum).map(move |u| (u, sum - u)));
    std::array::from_fn(|_| {
        let (u, v) = order.next().unwrap_or_default();
        across[u].iter().zip(&waves[v]).map(|(a, w)| a * w).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Soft blobs, different for every seed.
    fn blobs(width: u32, height: u32, seed: u32) -> Vec<[u8; 3]> {
        let at = |x: u32, y: u32| {
            let (x, y) = (x as f64 / width as f64, y as f64 / height as f64);
            let mut light = [0.0; 3];
            for blob in 0..12_u32 {
                let random = |n: u32| {
                    let mut mixed = (seed << 16 | blob << 8 | n).wrapping_mul(2_654_435_761);
                    mixed = (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519);
                    mixed = (mixed ^ mixed >> 13).wrapping_mul(3_266_489_917);
                    f64::from(mixed >> 16) / 65_536.0
                };
                let far = (x - random(1)).powi(2) + (y - random(2)).powi(2);
                for (channel, light) in light.iter_mut().enumerate() {
                    *light += random(3 + channel as u32) * (-far * 60.0).exp();
                }
            }
            light.map(|light| (30.0 + light * 180.0).min(235.0) as u8)
        };
        let rows = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        rows.map(|(x, y)| at(x, y)).collect()
    }

    fn of(width: u32, height: u32, pixels: &[[u8; 3]]) -> Option<Fingerprint> {
        let raster = Raster::from_u8(width, height, Layout::Rgb, pixels.as_flattened().to_vec());
        let side = (SIDE, SIDE);
        let part = whole((width, height));
        hash_upright(&resample(&to_gray(raster), part, side, Filter::Bilinear).unwrap())
    }

    #[test]
    fn size_and_brightness_change_little() {
        for seed in 0..20 {
            let original = of(200, 120, &blobs(200, 120, seed)).unwrap();
            let smaller = of(75, 90, &blobs(75, 90, seed)).unwrap();
            assert!(original.distance(smaller) <= 7, "seed {seed}");
            let mut brighter = blobs(200, 120, seed);
            for value in brighter.as_flattened_mut() {
                *value = (f32::from(*value) * 1.08) as u8;
            }
            let brighter = of(200, 120, &brighter).unwrap();
            assert!(original.distance(brighter) <= 7, "seed {seed}");
        }
    }

    #[test]
    fn other_pictures_are_far_away() {
        let hashes: Vec<_> = (0..60)
            .map(|seed| of(64, 64, &blobs(64, 64, seed)))
            .collect();
        for (at, one) in hashes.iter().enumerate() {
            for other in &hashes[..at] {
                assert!(one.unwrap().distance(other.unwrap()) > 7);
            }
        }
    }

    #[test]
    fn what_has_nothing_in_it_has_no_hash() {
        let gradient: Vec<_> = (0..64 * 64).map(|at| [(at % 64 * 4) as u8; 3]).collect();
        let noise: Vec<_> = (0..64 * 64_u32)
            .map(|at| [(at.wrapping_mul(2_654_435_761) >> 24) as u8; 3])
            .collect();
        let shade: Vec<_> = (0..64 * 64).map(|at| [100 + (at % 3) as u8; 3]).collect();
        assert_eq!(of(64, 64, &vec![[90, 120, 40]; 64 * 64]), None);
        assert_eq!(of(64, 64, &gradient), None);
        assert_eq!(of(64, 64, &shade), None);
        assert_eq!(of(64, 64, &noise), None);
        assert_eq!(of(1, 1, &[[7, 8, 9]]), None);
    }

    #[test]
    fn transparency_is_white() {
        let pixels = [[0, 0, 0, 0], [0, 0, 0, 255], [100, 100, 100, 128]];
        let rgba = Raster::from_u8(3, 1, Layout::Rgba, pixels.concat());
        assert_eq!(to_gray(rgba).bytes(), [255, 0, 177]);
        let gray = Raster::from_u8(2, 1, Layout::GrayAlpha, vec![9, 0, 9, 255]);
        assert_eq!(to_gray(gray).bytes(), [255, 9]);
    }

    /// A wave of one frequency only affects the coefficient of that frequency.
    #[test]
    fn each_frequency_has_its_place() {
        for (u, v, place) in [(0, 1, 0), (1, 0, 1), (0, 2, 2), (1, 1, 3), (3, 2, 17)] {
            let wave = |frequency: usize, at: usize| {
                (std::f64::consts::PI * (2 * at + 1) as f64 * frequency as f64 / 64.0).cos()
            };
            let pixels: Vec<u8> = (0..32 * 32)
                .map(|at| (127.5 + 100.0 * wave(u, at % 32) * wave(v, at / 32)).round() as u8)
                .collect();
            let coefficients = lowest_coefficients(&pixels);
            for (at, value) in coefficients.into_iter().enumerate() {
                assert_eq!(value > 1000.0, at == place, "{u} {v}: {at} is {value}");
                assert!(at == place || value.abs() < 8.0, "{u} {v}: {at} is {value}");
            }
        }
    }
}
