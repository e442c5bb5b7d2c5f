//! Lets a fuzz target compare the project's JPEG decoder with libjpeg-turbo. Only compiled for
//! fuzzing.

use crate::limits::Limits;
use crate::planes::{Eighths, Planes};

use super::{markers, reduced, turbo};

/// The planes of a picture: width, height and samples of each.
pub type DecodedPlanes = Vec<(usize, usize, Vec<u8>)>;

/// Decodes to a number of eighths, 1 to 4, by the project's decoder. `None` if the picture is of a
/// kind that it leaves to libjpeg-turbo.
pub fn own_jpeg_planes(bytes: &[u8], eighths: u32) -> Option<Result<DecodedPlanes, String>> {
    let (markers, _) = markers::read(bytes, &Limits::default()).ok()?;
    let color = markers.reducible()?;
    let planes = reduced::decode(bytes, &markers.frame, color, Eighths::both(eighths));
    Some(planes.map(|planes| parts(&planes)))
}

/// Decodes to a number of eighths, 1 to 4 or 8, by libjpeg-turbo. `None` if the picture has no luma
/// and chroma planes.
pub fn turbo_jpeg_planes(bytes: &[u8], eighths: u32) -> Result<Option<DecodedPlanes>, String> {
    let planes = turbo::decode_planes(bytes, eighths)?;
    Ok(planes.map(|planes| parts(&planes)))
}

fn parts(planes: &Planes) -> DecodedPlanes {
    let samples = planes.split().into_iter().take(planes.count()).enumerate();
    samples
        .map(|(index, samples)| {
            let (width, height) = planes.size_of(index);
            (width as usize, height as usize, samples.to_vec())
        })
        .collect()
}
