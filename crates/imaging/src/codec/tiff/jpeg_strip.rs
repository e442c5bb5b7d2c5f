//! JPEG in TIFF (Adobe Photoshop TIFF Technical Note 2): each strip or tile is a JPEG picture, whose
//! tables may be in a field of their own.

use crate::codec::jpeg;
use crate::raster::{Layout, Samples};

use super::kind::{Kind, Meaning};

/// Decodes a strip or tile to at most `rows` rows of `width` pixels, 8 bits per sample.
///
/// # Errors
///
/// If it is damaged, or has another size or another number of samples.
pub(super) fn decode(
    data: &[u8],
    tables: Option<&[u8]>,
    kind: &Kind,
    is_ycbcr: bool,
    (width, rows): (usize, usize),
) -> Result<Vec<u8>, String> {
    let layout = match kind.samples_together() {
        1 => Layout::Gray,
        3 => Layout::Rgb,
        4 if kind.meaning == Meaning::Inks => Layout::Cmyk,
        count => {
            return Err(format!(
                "JPEG strips with {count} samples are not supported"
            ));
        }
    };
    let raster = jpeg::decode_inner(data, tables, layout, is_ycbcr)?;
    if raster.width as usize != width || (raster.height as usize) < rows {
        return Err(format!(
            "a strip or tile of {width} × {rows} pixels has a JPEG of {} × {}",
            raster.width, raster.height
        ));
    }
    let row_bytes = width * layout.channels();
    match raster.samples {
        Samples::U8(mut samples) => {
            samples.truncate(row_bytes * rows);
            Ok(samples)
        }
        _ => Ok(Vec::new()),
    }
}
