//! From bytes to bytes: the order of the steps.
//!
//! Decode (shrunk where the codec can) → resample the part in view → turn upright → lay on the
//! canvas → encode. The picture is cut and resampled in its stored orientation, so that only the
//! small result has to be turned.

use crate::operation::{Filter, Format, Profile, ResizeRequest};

use super::codec::{self, EncodeOptions, Header};
use super::compose;
use super::geometry::{Geometry, Rect};
use super::metadata::Metadata;
use super::orientation::Orientation;
use super::raster::Raster;
use super::resample::resample;
use super::{ImagingError, Plan, Resized};

/// Source pixels that remain for each pixel of the result after shrink-on-load. The decoder's
/// own shrinking is a box filter; so much is left for the real one.
const RESIDUAL: f64 = 1.75;
/// The quality of lossy results when none is asked for.
const DEFAULT_QUALITY: u8 = 80;

/// By how much the decoder shrinks: a power of two up to 8.
pub(crate) fn shrink_on_load(shrinks: bool, geometry: &Geometry, request: &ResizeRequest) -> u32 {
    if !shrinks || request.profile == Profile::Fine || request.filter == Filter::Nearest {
        return 1;
    }
    let mut shrink = 1;
    while shrink < 8 && geometry.shrink() >= f64::from(shrink * 2) * RESIDUAL {
        shrink *= 2;
    }
    shrink
}

/// Makes the result that `plan` describes.
pub(crate) fn run(
    bytes: &[u8],
    source: Format,
    header: &Header,
    request: &ResizeRequest,
    plan: &Plan,
    geometry: &Geometry,
) -> Result<Resized, ImagingError> {
    let orientation = header.metadata.orientation();
    let shrink = shrink_on_load(header.shrinks, geometry, request);
    let decoded = codec::decode(source, bytes, header, shrink)?;
    let view = View {
        orientation,
        geometry,
        stored: (header.width, header.height),
    };
    let raster = view
        .render(&decoded, request)
        .map_err(|reason| ImagingError::Encode {
            format: plan.format,
            reason,
        })?;
    drop(decoded);
    let raster = compose::finish(raster, plan.format, geometry, request);
    let metadata = Metadata::default();
    let options = EncodeOptions {
        quality: request.quality.unwrap_or(DEFAULT_QUALITY),
        progressive: request.progressive == Some(true),
        lossless: request.lossless == Some(true),
        palette: request.palette,
        metadata: &metadata,
    };
    let bytes = codec::encode(plan.format, &raster, &options)?;
    Ok(Resized {
        bytes,
        format: plan.format,
        width: raster.width,
        height: raster.height,
        frames: 1,
    })
}

/// How a stored picture becomes the scaled part in view.
struct View<'a> {
    orientation: Orientation,
    geometry: &'a Geometry,
    /// Full size of the stored picture.
    stored: (u32, u32),
}

impl View<'_> {
    fn render(&self, decoded: &Raster, request: &ResizeRequest) -> Result<Raster, String> {
        let viewed = self.orientation.turn_size(self.stored);
        let part = self.orientation.stored_rect(self.geometry.crop, viewed);
        // The decoded picture may be smaller than the stored one.
        let scale_x = f64::from(decoded.width) / f64::from(self.stored.0);
        let scale_y = f64::from(decoded.height) / f64::from(self.stored.1);
        let part = Rect {
            x: part.x * scale_x,
            y: part.y * scale_y,
            width: part.width * scale_x,
            height: part.height * scale_y,
        };
        let size = self.orientation.turn_size(self.geometry.scaled);
        let scaled = resample(decoded, part, size, request.filter)?;
        Ok(self.orientation.apply(scaled))
    }
}
