//! Finds the lowest quality whose result looks enough like the picture that was encoded.
//!
//! Each try is decoded and scored by SSIMULACRA2. The score of a quality differs from picture to
//! picture, but its curve over the quality hardly does: a few tries suffice.

use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

use crate::codec;
use crate::error::ImagingError;
use crate::format::Format;
use crate::limits::Limits;
use crate::linear;
use crate::raster::Raster;

/// Results that score at most this much above the wanted score are not tried again.
const CLOSE: f64 = 0.5;

/// A picture that results are compared with.
#[derive(Debug)]
pub(crate) struct Reference(LinearRgb);

impl Reference {
    /// `None` if a side is too short for a score.
    pub(crate) fn of(raster: Raster) -> Option<Self> {
        let has_room = raster.width >= 8 && raster.height >= 8;
        has_room.then(|| light(raster)).flatten().map(Self)
    }

    /// The score of an encoded still picture. `None` if it cannot be decoded or has another size.
    pub(crate) fn score(&self, format: Format, bytes: &[u8]) -> Option<f64> {
        // It was made here, so that its size is within the limits.
        let limits = Limits {
            max_source_pixels: u64::MAX,
            max_memory_bytes: u64::MAX,
            ..Limits::default()
        };
        let parsed = codec::parse(format, bytes, &limits).ok()?;
        let picture = light(parsed.decode(bytes, 1, true).ok()?)?;
        compute_frame_ssimulacra2(self.0.clone(), picture).ok()
    }
}

/// A picture as a viewer sees it on white, in linear light.
pub(crate) fn light(raster: Raster) -> Option<LinearRgb> {
    let raster = raster.into_rgba8();
    let (width, height) = (raster.width as usize, raster.height as usize);
    let (pixels, _) = raster.bytes().as_chunks::<4>();
    let lit = pixels.iter().map(|&[r, g, b, alpha]| {
        let alpha = f32::from(alpha) / 255.0;
        [r, g, b].map(|value| linear::light_of_u8(value) * alpha + 1.0 - alpha)
    });
    LinearRgb::new(lit.collect(), width, height).ok()
}

/// An encoded picture and its score.
struct Try {
    quality: u8,
    bytes: Vec<u8>,
    score: f64,
}

/// The smallest result of at most `tries` tries whose score is at least `wanted`, or else the one
/// that comes closest.
pub(crate) fn smallest_alike(
    wanted: u8,
    format: Format,
    tries: u32,
    encode: impl Fn(u8) -> Result<Vec<u8>, ImagingError>,
    reference: &Reference,
) -> Result<(u8, Vec<u8>), ImagingError> {
    let wanted = f64::from(wanted);
    let curve = Curve::of(format);
    let mut done: Vec<Try> = Vec::new();
    for _ in 0..tries {
        let Some(quality) = next(&done, wanted, &curve) else {
            break;
        };
        let bytes = encode(quality)?;
        let score = reference.score(format, &bytes).unwrap_or(0.0);
        done.push(Try {
            quality,
            bytes,
            score,
        });
        if (wanted..wanted + CLOSE).contains(&score) {
            break;
        }
    }
    let reached = done.iter().filter(|one| one.score >= wanted);
    let best = match reached.min_by_key(|one| one.bytes.len()) {
        Some(smallest) => smallest.quality,
        None => {
            let by_score = |a: &&Try, b: &&Try| a.score.total_cmp(&b.score);
            done.iter().max_by(by_score).map_or(0, |one| one.quality)
        }
    };
    let best = done.into_iter().find(|one| one.quality == best);
    best.map(|best| (best.quality, best.bytes))
        .ok_or_else(|| ImagingError::Encode {
            format,
            reason: "no quality was tried".to_owned(),
        })
}

/// The quality to try next; `None` if no other one can be better.
fn next(done: &[Try], wanted: f64, curve: &Curve) -> Option<u8> {
    let below = done.iter().filter(|one| one.score < wanted);
    let below = below.max_by_key(|one| one.quality);
    let above = done.iter().filter(|one| one.score >= wanted);
    let above = above.min_by_key(|one| one.quality);
    // A little more than wanted, because a result that misses it does not count.
    let aim = wanted + CLOSE / 2.0;
    let usual = match (below, above) {
        (None, None) => aim,
        // The picture scores as much more or less at the wanted quality as at the one tried.
        (Some(one), None) | (None, Some(one)) => curve.score(one.quality) + aim - one.score,
        (Some(low), Some(high)) => {
            let (from, to) = (curve.score(low.quality), curve.score(high.quality));
            from + (to - from) * (aim - low.score) / (high.score - low.score)
        }
    };
    let least = below.map_or(1, |one| one.quality.saturating_add(1));
    let most = above.map_or(100, |one| one.quality - 1);
    (least <= most).then(|| curve.quality(usual).clamp(least, most))
}

/// The scores that photographs usually have at some qualities, in ascending order.
struct Curve(&'static [(f64, f64)]);

impl Curve {
    fn of(format: Format) -> Self {
        Self(match format {
            Format::Webp => &WEBP,
            Format::Avif => &AVIF,
            _ => &JPEG,
        })
    }

    fn score(&self, quality: u8) -> f64 {
        along(self.0.iter().copied(), quality.into())
    }

    fn quality(&self, score: f64) -> u8 {
        let turned = self.0.iter().map(|&(quality, score)| (score, quality));
        along(turned, score).round().clamp(1.0, 100.0) as u8
    }
}

// Means of four photographs at 256 and 700 pixels.
const JPEG: [(f64, f64); 9] = [
    (1.0, -60.0),
    (10.0, 17.0),
    (20.0, 43.0),
    (35.0, 59.0),
    (50.0, 66.0),
    (70.0, 74.0),
    (80.0, 79.0),
    (90.0, 85.0),
    (100.0, 92.0),
];
const WEBP: [(f64, f64); 9] = [
    (1.0, -10.0),
    (10.0, 33.0),
    (20.0, 45.0),
    (35.0, 56.0),
    (50.0, 63.0),
    (70.0, 69.5),
    (80.0, 74.0),
    (90.0, 80.0),
    (100.0, 85.5),
];
const AVIF: [(f64, f64); 7] = [
    (1.0, -18.0),
    (20.0, 28.0),
    (50.0, 60.5),
    (70.0, 72.0),
    (80.0, 76.5),
    (90.0, 86.5),
    (100.0, 95.5),
];

/// The value at `x` of lines between points in ascending order. The outer lines go on beyond them.
fn along(points: impl Iterator<Item = (f64, f64)> + Clone, x: f64) -> f64 {
    let lines = points.clone().zip(points.skip(1));
    let line = lines.clone().find(|&(_, (right, _))| x <= right);
    let Some(((x0, y0), (x1, y1))) = line.or_else(|| lines.last()) else {
        return x;
    };
    y0 + (y1 - y0) * (x - x0) / (x1 - x0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(quality: u8, score: f64) -> Try {
        Try {
            quality,
            bytes: Vec::new(),
            score,
        }
    }

    #[test]
    fn the_next_quality_lies_between_what_was_too_low_and_too_high() {
        let curve = Curve::of(Format::Jpeg);
        let first = next(&[], 75.0, &curve).expect("one is tried");
        assert!((70..=75).contains(&first), "{first}");
        let more = next(&[tried(first, 70.0)], 75.0, &curve).expect("one more");
        assert!(more > first, "{more}");
        let tries = [tried(60, 70.0), tried(90, 80.0)];
        let between = next(&tries, 75.0, &curve).expect("there are some between");
        assert!((70..=82).contains(&between), "{between}");
        assert_eq!(
            next(&[tried(60, 70.0), tried(61, 76.0)], 75.0, &curve),
            None
        );
        assert_eq!(next(&[tried(100, 70.0)], 75.0, &curve), None);
        assert_eq!(next(&[tried(1, 80.0)], 75.0, &curve), None);
    }

    #[test]
    fn curves_rise() {
        for format in [Format::Jpeg, Format::Webp, Format::Avif] {
            let curve = Curve::of(format);
            for quality in 1..=100 {
                assert_eq!(curve.quality(curve.score(quality)), quality, "{format}");
            }
        }
    }
}
