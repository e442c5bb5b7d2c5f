//! Measures how similar two pictures look to a person: SSIMULACRA2.

use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

use crate::color;
use crate::estimate::SCORE_BYTES;
use crate::likeness::light;
use crate::limits::Limits;
use crate::raster::pixel_count;
use crate::source::{Source, inspect};

/// The SSIMULACRA2 score of a picture against a reference of the same size: 100 is identical, 90
/// visually lossless, 70 high quality, 50 medium, below 30 poor. Transparent parts are shown on
/// white.
///
/// `None` if the sizes differ, a side has fewer than 8 pixels, one of the pictures is an animation
/// or cannot be decoded, or the comparison would need more memory than the limit.
pub fn similarity(picture: &[u8], reference: &[u8], limits: &Limits) -> Option<f64> {
    let source = inspect(reference, limits).ok()?;
    if similarity_bytes(source.width(), source.height()) > limits.max_memory_bytes {
        return None;
    }
    let reference = upright(&source, reference)?;
    let picture = upright(&inspect(picture, limits).ok()?, picture)?;
    compute_frame_ssimulacra2(reference, picture).ok()
}

/// An upper bound of the memory that [`similarity`] needs for pictures of this size.
pub fn similarity_bytes(width: u32, height: u32) -> u64 {
    pixel_count(width, height) * SCORE_BYTES
}

/// A still picture as a viewer sees it, in linear light.
fn upright(source: &Source, bytes: &[u8]) -> Option<LinearRgb> {
    let header = source.parsed().header();
    if header.frames != 1 {
        return None;
    }
    let raster = source.parsed().decode(bytes, 1, true).ok()?;
    let profile = color::Profile::read(header.metadata.icc.as_deref(), header.layout);
    let srgb = color::to_srgb(raster, profile.as_ref()).ok()?;
    light(header.orientation.apply(srgb))
}
