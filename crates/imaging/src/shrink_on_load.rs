//! How a source is decoded: as whole pixels or as planes, and how far the decoder shrinks it
//! (shrink-on-load). Pure decisions; `pipeline` and `fingerprint` act on them.

use crate::codec;
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::format::Format;
use crate::geometry::Geometry;
use crate::options::{Filter, Fit, Gravity, Profile, ResizeOptions};
use crate::planes::Eighths;

/// Source pixels that remain for each pixel of the result after shrink-on-load. The decoder's
/// own shrinking knows only its blocks; so much is left for the real filter. A little below 1.5:
/// sizes are rounded.
const RESIDUAL: f64 = 1.48;
/// The same for colour, whose finest detail is not seen: no less than the result has, but for
/// rounding. Against as much as brightness it costs less than 0.1 points of SSIMULACRA2.
const COLOR_RESIDUAL: f64 = 0.98;
/// The same for the profile `fine`, in which the decoder shrinks by no more than 2, since it
/// averages in the picture's own light. A little below 2: sizes are rounded.
const FINE_RESIDUAL: f64 = 1.9;
/// When a picture shrinks by this much, the edges of its coding blocks of 4 pixels are averaged
/// away, and the decoder need not smooth them.
const BLOCKS_VANISH: f64 = 3.0;
/// Pixels that a fingerprint needs of the shorter side.
const FINGERPRINT_LEAST_SIDE: u32 = 64;

/// How a still picture is decoded for a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShrinkOnLoad {
    /// The size of planes, when nothing but the size changes and the source is stored in planes:
    /// then they are resampled one by one. Only if no colour profile has to be followed, which
    /// takes whole pixels.
    pub(crate) planes: Option<Eighths>,
    /// By how much whole pixels are shrunk otherwise: 1, 2, 4 or 8.
    pub(crate) pixels: u32,
    /// Whether the decoder smooths the edges of its coding blocks.
    pub(crate) smooth: bool,
}

impl ShrinkOnLoad {
    /// The way from a source to a result in `format`.
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

/// Whether nothing but the size changes between a source and its result, in a format that stores
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
        && options.sharpen.unwrap_or(0) == 0
}

/// By how much the decoder shrinks pixels: a power of two up to 8.
fn pixels(shrinks: bool, geometry: &Geometry, options: &ResizeOptions) -> u32 {
    if !shrinks || options.filter == Filter::Nearest {
        return 1;
    }
    match options.profile {
        Profile::Fast => halvings(geometry.shrink(), RESIDUAL).min(8),
        Profile::Fine => halvings(geometry.shrink(), FINE_RESIDUAL).min(2),
    }
}

/// At how many eighths of its size the decoder makes planes: 1, 2, 3, 4 or 8. Three, and fewer for
/// colour, only for the longer filters: a short one has to weigh whole squares of pixels alike;
/// fewer for colour only where the result has it in half its size, as sources mostly have it.
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
    let remains = |eighths: u32| geometry.shrink() * f64::from(eighths) / 8.0;
    let suffices = |eighths: &u32| remains(*eighths) >= RESIDUAL && !(is_short && *eighths == 3);
    match [1, 2, 3, 4].into_iter().find(suffices) {
        Some(brightness @ 2..) if less_for_color && remains(brightness - 1) >= COLOR_RESIDUAL => {
            Eighths {
                brightness,
                color: brightness - 1,
            }
        }
        Some(both) => Eighths::both(both),
        None => Eighths::WHOLE,
    }
}

/// Whether a JPEG made from planes has colour in half its size.
pub(crate) fn halves_color(encoding: &EncodeOptions) -> bool {
    codec::planes_sampling(Format::Jpeg, encoding) == (2, 2)
}

/// By how much `fine` averages squares in light before the filter, after the decoder has shrunk.
pub(crate) fn halvings_in_light(shrunk: u32, geometry: &Geometry, filter: Filter) -> u32 {
    match filter {
        Filter::Nearest => 1,
        _ => halvings(geometry.shrink() / f64::from(shrunk), FINE_RESIDUAL).min(8),
    }
}

/// By how much the decoder shrinks a picture for its fingerprint.
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
