//! How like two pictures look to a person.

use ssimulacra2::{LinearRgb, compute_frame_ssimulacra2};

use super::raster::Raster;
use super::{codec, color, linear, sniff};

/// Bytes of memory for each pixel while two pictures are compared: what the metric holds at its
/// finest scale, which is a dozen planes of three floats, and the pictures themselves.
pub(crate) const BYTES_PER_PIXEL: u64 = 192;

/// See [`super::similarity`]. Transparent parts are seen on white.
pub(crate) fn ssimulacra2(picture: &[u8], reference: &[u8]) -> Option<f64> {
    compute_frame_ssimulacra2(light(reference)?, light(picture)?).ok()
}

/// A still picture as a viewer sees it, in linear light.
fn light(bytes: &[u8]) -> Option<LinearRgb> {
    let raster = upright(bytes)?;
    let (width, height) = (raster.width as usize, raster.height as usize);
    let (pixels, _) = raster.bytes().as_chunks::<4>();
    let lit = pixels.iter().map(|&[r, g, b, alpha]| {
        let alpha = f32::from(alpha) / 255.0;
        [r, g, b].map(|value| linear::light_of_u8(value) * alpha + 1.0 - alpha)
    });
    LinearRgb::new(lit.collect(), width, height).ok()
}

fn upright(bytes: &[u8]) -> Option<Raster> {
    let format = sniff::sniff(bytes).ok()?;
    let header = codec::header(format, bytes).ok()?;
    if header.frames != 1 {
        return None;
    }
    let raster = codec::decode(format, bytes, &header, 1, true).ok()?;
    let profile = color::Profile::read(header.metadata.icc.as_deref(), header.layout);
    let srgb = color::to_srgb(raster, profile.as_ref()).ok()?;
    Some(header.orientation.apply(srgb).into_rgba8())
}
