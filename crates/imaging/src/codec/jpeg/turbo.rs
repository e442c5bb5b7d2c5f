//! The calls into libjpeg-turbo.

#[cfg(test)]
use turbojpeg::Compressor;
use turbojpeg::{
    Colorspace, DecompressHeader, Decompressor, Image, PixelFormat, ScalingFactor, Subsamp,
    YuvImage,
};

use crate::codec::header::Header;
use crate::planes::{Eighths, Planes};
use crate::raster::{Layout, Raster, sample_count};

use super::spec::MAX_SCANS;

/// What libjpeg-turbo made of a picture.
#[derive(Clone, Debug)]
pub(super) struct Decoded<T> {
    pub(super) picture: T,
    /// The stray bytes that it met. Its first warning hides all others: if they may be followed by
    /// damage, somebody else has to check that nothing is lost.
    pub(super) stray: Option<Stray>,
}

/// Stray bytes in coded data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stray {
    pub(super) count: usize,
    /// Whether the end of the picture follows them.
    pub(super) is_at_end: bool,
}

/// Decodes to Gray, Rgb or Cmyk as it is stored; `shrink` is 1, 2, 4 or 8.
pub(super) fn decode(
    bytes: &[u8],
    header: &Header,
    shrink: u32,
) -> Result<Decoded<Raster>, String> {
    let mut decompressor = Decompressor::new().map_err(|error| error.to_string())?;
    let scaling = ScalingFactor::new(1, shrink as usize);
    let prepared = decompressor
        .set_scan_limit(MAX_SCANS)
        .and_then(|()| decompressor.set_scaling_factor(scaling));
    prepared.map_err(|error| error.to_string())?;
    let (width, height) = (
        header.width.div_ceil(shrink),
        header.height.div_ceil(shrink),
    );
    let channels = header.layout.channels();
    let mut pixels = vec![0; sample_count(width, height, channels)];
    let format = match header.layout {
        Layout::Gray => PixelFormat::GRAY,
        Layout::Cmyk => PixelFormat::CMYK,
        _ => PixelFormat::RGB,
    };
    let image = Image {
        pixels: pixels.as_mut_slice(),
        width: width as usize,
        pitch: width as usize * channels,
        height: height as usize,
        format,
    };
    let stray = stray(decompressor.decompress(bytes, image))?;
    Ok(Decoded {
        picture: Raster::from_u8(width, height, header.layout, pixels),
        stray,
    })
}

/// Decodes to planes of 1 to 8 eighths of the full size. Returns no picture if it has no such
/// planes: it is stored as RGB or CMYK, or libjpeg-turbo does not support its chroma subsampling.
pub(super) fn planes(bytes: &[u8], eighths: u32) -> Result<Decoded<Option<Planes>>, String> {
    let none = Decoded {
        picture: None,
        stray: None,
    };
    let mut decompressor = Decompressor::new().map_err(|error| error.to_string())?;
    let Ok(header) = decompressor.read_header(bytes) else {
        return Ok(none);
    };
    let Some(color) = sampling(&header) else {
        return Ok(none);
    };
    // It copies four samples of each row, but decodes fewer, and reads past the end of its buffer.
    if eighths == 1 && header.width <= 8 && color.is_some_and(|(across, _)| across == 4) {
        return Ok(none);
    }
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
    let stray = stray(decompressor.decompress_to_yuv(bytes, image))?;
    planes.repeat_edges();
    Ok(Decoded {
        picture: Some(planes),
        stray,
    })
}

/// The planes of a picture without flaws, for comparisons.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn decode_planes(bytes: &[u8], eighths: u32) -> Result<Option<Planes>, String> {
    planes(bytes, eighths).map(|decoded| decoded.picture)
}

/// The chroma subsampling: luma samples per chroma sample. The outer `None` means that the picture
/// has no such planes.
fn sampling(header: &DecompressHeader) -> Option<Option<(u32, u32)>> {
    match (header.colorspace, header.subsamp) {
        _ if header.is_lossless => None,
        (Colorspace::Gray, Subsamp::Gray) => Some(None),
        (Colorspace::YCbCr, Subsamp::Gray | Subsamp::Unknown) => None,
        (Colorspace::YCbCr, sampling) => {
            Some(Some((sampling.width() as u32, sampling.height() as u32)))
        }
        _ => None,
    }
}

/// Reads libjpeg's first warning. One of stray bytes (its `JWRN_EXTRANEOUS_DATA`) is no error yet;
/// every other one means lost data.
fn stray(result: turbojpeg::Result<()>) -> Result<Option<Stray>, String> {
    let Err(error) = result else {
        return Ok(None);
    };
    let reason = error.to_string();
    let stray = reason
        .split_once(" extraneous bytes before marker ")
        .and_then(|(before, marker)| {
            let (_, count) = before.rsplit_once(' ')?;
            Some(Stray {
                count: count.parse().ok()?,
                is_at_end: marker == "0xd9",
            })
        });
    stray.map(Some).ok_or(reason)
}

/// Encodes planes as a progressive picture, for comparison.
#[cfg(test)]
pub(super) fn encode_planes(planes: &Planes, quality: u8) -> Result<Vec<u8>, String> {
    let subsamp = match planes.color {
        None => Subsamp::Gray,
        Some((1, 1)) => Subsamp::None,
        Some((2, 2)) => Subsamp::Sub2x2,
        Some((across, down)) => {
            return Err(format!(
                "this chroma subsampling ({across} × {down}) cannot be written"
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

#[cfg(test)]
mod tests {
    use super::*;

    /// libjpeg-turbo would read past the end of its buffer.
    #[test]
    fn the_narrowest_pictures_have_no_reduced_planes() {
        for (width, expected) in [(1, false), (8, false), (9, true)] {
            let pixels = vec![90; width * 70 * 3];
            let mut compressor = Compressor::new().unwrap();
            compressor.set_subsamp(Subsamp::Sub4x1).unwrap();
            let file = compressor.compress_to_vec(Image {
                pixels: pixels.as_slice(),
                width,
                pitch: width * 3,
                height: 70,
                format: PixelFormat::RGB,
            });
            let file = file.unwrap();
            let has_planes = |eighths| planes(&file, eighths).unwrap().picture.is_some();
            assert_eq!(has_planes(1), expected, "{width}");
            assert!(has_planes(2) && has_planes(8), "{width}");
        }
    }
}
