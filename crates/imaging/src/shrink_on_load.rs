//! Decides how a source is decoded: to pixels or to planes, and how far the decoder shrinks it
//! (shrink-on-load). Pure decisions; `pipeline` and `fingerprint` carry them out.

use crate::codec;
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::format::Format;
use crate::geometry::Geometry;
use crate::options::{Filter, Fit, Gravity, Profile, Quality, ResizeOptions};
use crate::planes::Eighths;

/// The fewest source pixels per result pixel that shrink-on-load leaves. The decoder averages
/// gamma-encoded values, the resampling filter does the rest in linear light. Photographs at 512
/// pixels score 1.8 points of SSIMULACRA2 higher than with 1.48. A little below 2 because sizes are
/// rounded.
const RESIDUAL: f64 = 1.9;
/// The same for chroma, whose finest detail is invisible: no less than the result has, apart from
/// rounding. Compared with the value for luma it costs less than 0.1 points of SSIMULACRA2.
const COLOR_RESIDUAL: f64 = 0.98;
/// From this shrink factor on, the edges of coding blocks of 4 pixels are averaged away, and the
/// decoder need not smooth them.
const BLOCKS_VANISH: f64 = 3.0;
/// The pixels of the shorter side that a fingerprint needs.
const FINGERPRINT_LEAST_SIDE: u32 = 64;

/// How a still picture is decoded for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShrinkOnLoad {
    /// The size of planes, if only the size of the picture changes and the source is stored in
    /// planes: then they are resampled one by one. Not if a colour profile is applied, which
    /// requires interleaved pixels.
    pub(crate) planes: Option<Eighths>,
    /// The shrink factor of interleaved pixels otherwise: 1, 2, 4 or 8.
    pub(crate) pixels: u32,
    /// Whether the decoder smooths the edges of its coding blocks.
    pub(crate) smooth: bool,
}

impl ShrinkOnLoad {
    /// Decides how to decode a source for a result in `format`.
    pub(crate) fn of(
        header: &Header,
        geometry: &Geometry,
        options: &ResizeOptions,
        format: Format,
        encoding: &EncodeOptions,
    ) -> Self {
        let can_use_planes =
            header.planar_bytes.is_some() && only_resizes(header.format, format, options, geometry);
        Self {
            planes: can_use_planes.then(|| eighths(header.shrinks, geometry, options, encoding)),
            pixels: pixels(header.shrinks, geometry, options),
            smooth: geometry.shrink() < BLOCKS_VANISH,
        }
    }
}

/// Whether only the size changes between a source and its result, and the result's format stores
/// planes.
fn only_resizes(
    source: Format,
    result: Format,
    options: &ResizeOptions,
    geometry: &Geometry,
) -> bool {
    source == result
        && matches!(source, Format::Jpeg | Format::Webp)
        && options.profile == Profile::Fast
        && options.filter != Filter::Nearest
        && !(options.fit == Fit::Cover && options.position == Gravity::Smart)
        && geometry.canvas == geometry.scaled
        && options.lossless != Some(true)
        && options.max_bytes.is_none()
        && !matches!(options.quality, Some(Quality::Auto(_)))
        && options.sharpen.unwrap_or(0) == 0
}

/// The shrink factor of pixels: a power of two up to 8.
fn pixels(shrinks: bool, geometry: &Geometry, options: &ResizeOptions) -> u32 {
    if !shrinks || options.filter == Filter::Nearest {
        return 1;
    }
    match options.profile {
        Profile::Fast => halvings(geometry.shrink(), RESIDUAL).min(8),
        Profile::Fine => halvings(geometry.shrink(), RESIDUAL).min(2),
    }
}

/// The number of eighths to which planes are decoded: 1, 2, 3, 4 or 8.
///
/// Three eighths, and fewer for chroma than for luma, are used only with the longer kernels: a
/// short kernel must weigh whole squares of pixels equally. Chroma gets fewer only if the result
/// has chroma at half its size, as most sources do.
fn eighths(
    shrinks: bool,
    geometry: &Geometry,
    options: &ResizeOptions,
    encoding: &EncodeOptions,
) -> Eighths {
    if !shrinks || options.filter == Filter::Nearest {
        return Eighths::WHOLE;
    }
    let is_short = matches!(options.filter, Filter::Box | Filter::Bilinear);
    let less_for_color = halves_color(encoding) && !is_short;
    let suffices =
        |eighths: &u32| remains(geometry, *eighths) >= RESIDUAL && !(is_short && *eighths == 3);
    match [1, 2, 3, 4].into_iter().find(suffices) {
        Some(brightness @ 2..)
            if less_for_color && remains(geometry, brightness - 1) >= COLOR_RESIDUAL =>
        {
            Eighths {
                brightness,
                color: brightness - 1,
            }
        }
        Some(both) => Eighths::both(both),
        None => Eighths::WHOLE,
    }
}

/// Whether a JPEG made from planes has chroma at half the size of luma.
pub(crate) fn halves_color(encoding: &EncodeOptions) -> bool {
    codec::planes_sampling(Format::Jpeg, encoding) == (2, 2)
}

/// The side of the squares that are averaged in linear light before resampling, if `remains` pixels
/// are left for each pixel of the result.
pub(crate) fn halvings_in_light(remains: f64, filter: Filter) -> u32 {
    match filter {
        Filter::Nearest => 1,
        _ => halvings(remains, RESIDUAL).min(8),
    }
}

/// As [`halvings_in_light`], for the luma plane.
pub(crate) fn planes_in_light(eighths: Eighths, geometry: &Geometry, filter: Filter) -> u32 {
    halvings_in_light(remains(geometry, eighths.brightness), filter)
}

/// The pixels of a picture decoded to some eighths for each pixel of the result.
fn remains(geometry: &Geometry, eighths: u32) -> f64 {
    geometry.shrink() * f64::from(eighths) / 8.0
}

/// The shrink factor with which a picture is decoded for its fingerprint.
pub(crate) fn for_fingerprint(header: &Header) -> u32 {
    let side = header.width.min(header.height);
    let suffices = |shrink: &u32| side / shrink >= FINGERPRINT_LEAST_SIDE;
    match header.shrinks {
        true => [8, 4, 2].into_iter().find(suffices).unwrap_or(1),
        false => 1,
    }
}

/// The largest power of two that leaves at least `residual` of a shrink factor.
fn halvings(shrink: f64, residual: f64) -> u32 {
    let mut power = 1;
    while power < 1 << 16 && shrink >= f64::from(power * 2) * residual {
        power *= 2;
    }
    power
}

#[cfg(test)]
mod tests {
    use crate::raster::Layout;

    use super::*;

    #[test]
    fn the_decoder_shrinks_no_further_than_a_fingerprint_needs() {
        let header = |width, shrinks| Header {
            shrinks,
            ..Header::new(Format::Jpeg, (width, 4000), Layout::Rgb, 8)
        };
        for (width, shrink) in [(63, 1), (127, 1), (128, 2), (511, 4), (512, 8), (9000, 8)] {
            assert_eq!(for_fingerprint(&header(width, true)), shrink);
            assert_eq!(for_fingerprint(&header(width, false)), 1);
        }
    }
}
