//! JPEG: uses the project's own decoder and encoder where they are faster, and libjpeg-turbo
//! otherwise.

use std::borrow::Cow;

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::planes::{Eighths, Planes};
use crate::raster::{Layout, Raster, Samples, pixel_count};

mod baseline;
mod check;
#[cfg(feature = "fuzzing")]
pub(crate) mod differential;
mod frame;
mod inner;
mod markers;
mod memory;
mod metadata;
mod optimised;
mod pixels;
mod profile;
mod reduced;
mod repair;
mod segments;
mod spec;
mod turbo;

use markers::Markers;
pub(super) use memory::{encoder_bytes, planes_encoder_bytes};
use spec::{
    CHOICE_EFFORT, FULL_COLOR_QUALITY, FULL_COLOR_SCORE, HARMLESS_STRAY_BYTES, PROGRESSIVE_EFFORT,
};

/// A JPEG file whose markers were read.
#[derive(Debug)]
struct Jpeg {
    markers: Markers,
    /// The bytes of the file if it is copied to be mended.
    copied: u64,
}

/// The size to which the project's own decoder decodes a picture only to judge it: the smallest for
/// which it reads all scans.
const REFEREE: Eighths = Eighths::both(2);

/// Reads all markers before the first scan.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let (markers, metadata) = markers::read(bytes, limits)?;
    let layout = match markers.frame.components.len() {
        1 => Layout::Gray,
        3 => Layout::Rgb,
        4 => Layout::Cmyk,
        count => return Err(format!("it has {count} colour components, not 1, 3 or 4")),
    };
    check::check_kind(&markers)?;
    check::check_tables(bytes, &markers)?;
    let copied = match markers.is_flawed {
        true => bytes.len() as u64,
        false => 0,
    };
    let header = Header {
        shrinks: !markers.frame.is_lossless,
        planar_bytes: markers.planar_bytes(),
        decoder_bytes: memory::libjpeg_decoder_bytes(&markers) + markers.saved_bytes + copied,
        orientation: metadata.orientation(),
        metadata,
        ..Header::new(Format::Jpeg, markers.frame.size(), layout, 8)
    };
    Ok(ParsedPicture::new(header, Jpeg { markers, copied }))
}

/// A frame header inside of another format's file.
#[derive(Clone, Copy, Debug)]
pub(super) struct InnerFrame {
    pub(super) width: u64,
    pub(super) height: u64,
    /// The decoded samples, and the coefficients of all scans at once.
    pub(super) decoder_bytes: u64,
}

/// The frame headers before the first scan of JPEG data, or in tables without a picture.
pub(super) fn frames(bytes: &[u8]) -> impl Iterator<Item = InnerFrame> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let (marker, payload, after) = segments::segment(rest).ok()?;
            rest = after;
            match marker {
                0xda => return None,
                _ if !frame::is_start_of_frame(marker) => {}
                _ => {
                    let frame = frame::Frame::read(marker, payload).ok()?;
                    return Some(InnerFrame {
                        width: frame.width as u64,
                        height: frame.height as u64,
                        decoder_bytes: memory::whole_bytes(&frame),
                    });
                }
            }
        }
    })
}

/// Decodes JPEG data inside of another format's file, whose tables may be in another place, to the
/// samples as they are stored. The other format says whether three components are YCbCr or RGB.
///
/// # Errors
///
/// If it is damaged or has another number of components than `layout`.
pub(super) fn decode_inner(
    bytes: &[u8],
    tables: Option<&[u8]>,
    layout: Layout,
    is_ycbcr: bool,
) -> Result<Raster, String> {
    let jpeg = inner::joined(bytes, tables, u8::from(is_ycbcr))?;
    let (markers, _) = markers::read(&jpeg, &Limits::default())?;
    let count = markers.frame.components.len();
    if count != layout.channels() {
        return Err(format!(
            "a strip or tile has a JPEG with {count} components, not {}",
            layout.channels()
        ));
    }
    check::check_kind(&markers)?;
    check::check_tables(&jpeg, &markers)?;
    let header = Header::new(Format::Jpeg, markers.frame.size(), layout, 8);
    let decoder = Jpeg { markers, copied: 0 };
    let jpeg = decoder.mended(&jpeg)?;
    decoder.judged(&jpeg, || turbo::decode(&jpeg, &header, 1))
}

/// Whether JPEG data has a scan.
pub(super) fn has_scan(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Ok((marker, _, after)) = segments::segment(rest) {
        match marker {
            0xda => return !after.is_empty(),
            0xd9 => return false,
            _ => rest = after,
        }
    }
    false
}

impl Jpeg {
    /// The bytes of a picture that all decoders read: a flawed one is mended.
    fn mended<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        match self.markers.is_flawed {
            true => repair::mended(bytes, &self.markers).map(Cow::Owned),
            false => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// Decodes by libjpeg-turbo. The project's own decoder judges stray bytes, so that they have the
    /// same meaning in results of all sizes.
    fn judged<T>(
        &self,
        bytes: &[u8],
        decode: impl Fn() -> Result<turbo::Decoded<T>, String>,
    ) -> Result<T, String> {
        let decoded = decode()?;
        // All pixels come before the end, unless markers after damage were taken for it.
        let is_harmless = |stray: turbo::Stray| {
            stray.is_at_end && (!self.markers.has_restarts || stray.count <= HARMLESS_STRAY_BYTES)
        };
        if decoded.stray.is_none_or(is_harmless) {
            return Ok(decoded.picture);
        }
        // Both pictures at once would need more memory than planned.
        drop(decoded);
        match self.markers.reducible() {
            Some(color) => reduced::decode(bytes, &self.markers.frame, color, REFEREE)?,
            None => return Err("bytes between its scans are unexpected".to_owned()),
        };
        Ok(decode()?.picture)
    }

    /// Whether the project's own decoder can decode planes of this size.
    fn is_reduced(&self, eighths: Eighths) -> bool {
        eighths.brightness <= reduced::MOST_EIGHTHS && self.markers.reducible().is_some()
    }
}

impl Decoder for Jpeg {
    /// Decodes to Gray, Rgb or Cmyk; `shrink` is 1, 2, 4 or 8.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let bytes = &self.mended(bytes)?;
        let mut raster = self.judged(bytes, || turbo::decode(bytes, header, shrink))?;
        // Adobe's programs store CMYK inverted. All others do as they do, with Adobe's marker and
        // without.
        if header.layout == Layout::Cmyk
            && let Samples::U8(samples) = &mut raster.samples
        {
            for sample in samples {
                *sample = 255 - *sample;
            }
        }
        Ok(raster)
    }

    /// Decodes to planes of 1, 2, 3, 4 or 8 eighths of the full size. Chroma planes may be larger
    /// than requested.
    fn decode_planes(
        &self,
        bytes: &[u8],
        eighths: Eighths,
        _smooth: bool,
    ) -> Result<Option<Planes>, String> {
        let bytes = &self.mended(bytes)?;
        if self.is_reduced(eighths)
            && let Some(color) = self.markers.reducible()
        {
            // Chroma that is subsampled more than in results must not be reduced further.
            let is_sparse = color.is_some_and(|(across, down)| across > 2 || down > 2);
            let eighths = match is_sparse {
                true => Eighths::both(eighths.brightness),
                false => eighths,
            };
            let decode = |eighths| reduced::decode(bytes, &self.markers.frame, color, eighths);
            if self.markers.must_be_read_whole() && eighths.brightness == 1 {
                decode(REFEREE)?;
            }
            return decode(eighths).map(Some);
        }
        self.judged(bytes, || turbo::planes(bytes, eighths.brightness))
    }

    fn planes_decoder_bytes(&self, header: &Header, eighths: Eighths) -> u64 {
        match self.is_reduced(eighths) {
            true if self.markers.must_be_read_whole() && eighths.brightness == 1 => {
                memory::reduced_decoder_bytes(&self.markers, REFEREE)
                    + pixel_count(header.width, header.height) / 4
                    + self.copied
            }
            true => memory::reduced_decoder_bytes(&self.markers, eighths) + self.copied,
            false if self.markers.has_common_sampling() => header.decoder_bytes,
            // libjpeg-turbo decodes such a picture to pixels only.
            false => header.decoder_bytes + pixel_count(header.width, header.height) * 6,
        }
    }
}

/// Encodes 8-bit Gray or Rgb. An owned picture is freed once its planes are there.
pub(super) fn encode(
    raster: Cow<'_, Raster>,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let planes = pixels::to_planes(&raster, planes_sampling(options))?;
    drop(raster);
    encode_planes(&planes, options, metadata)
}

/// The chroma subsampling of a result: luma samples per chroma sample.
pub(super) fn planes_sampling(options: &EncodeOptions) -> (u32, u32) {
    // The score rises with the quality only if the subsampling stays the same.
    let is_high = match options.likeness {
        Some(score) => score >= FULL_COLOR_SCORE,
        None => options.quality >= FULL_COLOR_QUALITY,
    };
    if options.full_color || is_high {
        (1, 1)
    } else {
        (2, 2)
    }
}

/// Encodes planes with the chroma subsampling that [`planes_sampling`] returns.
pub(super) fn encode_planes(
    planes: &Planes,
    options: &EncodeOptions,
    metadata: &Metadata,
) -> Result<Vec<u8>, String> {
    let progressive = options
        .progressive
        .unwrap_or(options.effort >= PROGRESSIVE_EFFORT);
    let bytes = match progressive || options.effort >= CHOICE_EFFORT {
        false => baseline::encode(planes, options.quality),
        true => optimised::encode(planes, options.quality, options.effort, progressive),
    };
    Ok(metadata::with_metadata(bytes, metadata))
}
