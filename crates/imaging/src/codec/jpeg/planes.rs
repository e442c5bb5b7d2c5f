//! JPEG's own planes of brightness and colour.

use turbojpeg::{
    Colorspace, Compressor, DecompressHeader, Decompressor, ScalingFactor, Subsamp, YuvImage,
};

use crate::codec::EncodeOptions;
use crate::planar::{Eighths, Planes};

use super::{FULL_COLOR_QUALITY, MAX_SCANS, baseline, is_harmless, markers, reduced};

/// Decodes to planes of 1, 2, 3, 4 or 8 eighths of the size; those of colour may be larger than
/// asked for. `None` when the picture has no such planes: its colours are stored as RGB or ink, or
/// sampled in a way that libjpeg-turbo has no name for.
pub(in crate::codec) fn decode(bytes: &[u8], eighths: Eighths) -> Result<Option<Planes>, String> {
    if eighths.brightness <= reduced::MOST_EIGHTHS
        && let Some(color) = markers::read(bytes)?.reducible()
    {
        // Colour that is sampled more sparsely than results have it can spare nothing.
        let is_sparse = color.is_some_and(|(across, down)| across > 2 || down > 2);
        let eighths = match is_sparse {
            true => Eighths::both(eighths.brightness),
            false => eighths,
        };
        return reduced::decode(bytes, color, eighths).map(Some);
    }
    by_libjpeg(bytes, eighths.brightness)
}

/// The same by libjpeg-turbo, whatever the picture.
pub(super) fn by_libjpeg(bytes: &[u8], eighths: u32) -> Result<Option<Planes>, String> {
    let mut decompressor = Decompressor::new().map_err(|error| error.to_string())?;
    let Ok(header) = decompressor.read_header(bytes) else {
        return Ok(None);
    };
    let Some(color) = sampling(&header) else {
        return Ok(None);
    };
    let scaling = ScalingFactor::new(eighths as usize, 8);
    let prepared = decompressor
        .set_scan_limit(MAX_SCANS)
        .and_then(|()| decompressor.set_scaling_factor(scaling));
    prepared.map_err(|error| error.to_string())?;
    let stored = (header.width as u32, header.height as u32);
    let mut planes = Planes::reduced(stored, color, Eighths::both(eighths));
    let (width, height) = (planes.width as usize, planes.height as usize);
    let image = YuvImage {
        pixels: planes.samples.as_mut_slice(),
        width,
        align: 1,
        height,
        subsamp: header.subsamp,
    };
    if let Err(error) = decompressor.decompress_to_yuv(bytes, image) {
        let reason = error.to_string();
        if !is_harmless(&reason) {
            return Err(reason);
        }
    }
    planes.repeat_edges();
    Ok(Some(planes))
}

/// Brightness samples that share a colour sample; the outer `None` is for pictures without such
/// planes.
fn sampling(header: &DecompressHeader) -> Option<Option<(u32, u32)>> {
    match (header.colorspace, header.subsamp) {
        _ if header.is_lossless => None,
        (Colorspace::Gray, Subsamp::Gray) => Some(None),
        (Colorspace::YCbCr, Subsamp::Gray) => None,
        (Colorspace::YCbCr, sampling) => {
            Some(Some((sampling.width() as u32, sampling.height() as u32)))
        }
        _ => None,
    }
}

/// Brightness samples of a result that share a colour sample.
pub(in crate::codec) fn result_sampling(quality: u8) -> (u32, u32) {
    if quality >= FULL_COLOR_QUALITY {
        (1, 1)
    } else {
        (2, 2)
    }
}

/// Encodes planes whose colour is sampled as [`result_sampling`] says.
pub(in crate::codec) fn encode(
    planes: &Planes,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, String> {
    let bytes = match options.progressive {
        false => baseline::encode(planes, options.quality),
        true => progressive(planes, options.quality)?,
    };
    Ok(markers::with_metadata(bytes, options.metadata))
}

/// A progressive picture, by libjpeg-turbo.
pub(super) fn progressive(planes: &Planes, quality: u8) -> Result<Vec<u8>, String> {
    let subsamp = match planes.color {
        None => Subsamp::Gray,
        Some((1, 1)) => Subsamp::None,
        Some((2, 2)) => Subsamp::Sub2x2,
        Some((across, down)) => {
            return Err(format!(
                "one colour sample for {across} × {down} pixels is not written"
            ));
        }
    };
    let image = YuvImage {
        pixels: planes.samples.as_slice(),
        width: planes.width as usize,
        align: 1,
        height: planes.height as usize,
        subsamp,
    };
    let compress = || {
        let mut compressor = Compressor::new()?;
        compressor.set_quality(i32::from(quality))?;
        compressor.set_optimize(true)?;
        compressor.set_progressive(true)?;
        compressor.compress_yuv_to_vec(image)
    };
    compress().map_err(|error: turbojpeg::Error| error.to_string())
}
