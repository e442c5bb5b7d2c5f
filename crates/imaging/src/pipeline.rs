//! Runs a plan, from the source's bytes to those of the result. All decisions are made by the plan.
//!
//! Decode (shrunk if the codec can) → crop → resample → apply the orientation → sharpen → place on
//! the canvas → encode. The picture is cropped and resampled in its stored orientation, so that
//! only the small result has to be rotated.

use std::borrow::Cow;

use crate::animation::Frame;
use crate::codec;
use crate::codec::encode_options::EncodeOptions;
use crate::error::ImagingError;
use crate::format::Format;
#[cfg(feature = "similarity")]
use crate::likeness::{Reference, smallest_alike};
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::options::{FieldError, ResizeOptions};
use crate::plan::Plan;
use crate::planar::{self, Placement};
use crate::raster::Raster;
use crate::render::{Renderer, drops_profile};
use crate::shrink_on_load::planes_in_light;
use crate::source::inspect;

/// The result of a resize.
#[derive(Clone, Debug)]
pub struct Resized {
    /// The encoded picture.
    pub bytes: Vec<u8>,
    /// The format it is in.
    pub format: Format,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The frames of an animation; 1 for a still picture.
    pub frames: u32,
}

/// Decodes, resizes and encodes one picture: [`inspect`], [`Source::plan`](crate::Source::plan) and
/// [`Plan::resize`] in one call.
///
/// # Errors
///
/// Every kind of [`ImagingError`].
pub fn resize(
    bytes: &[u8],
    options: &ResizeOptions,
    limits: &Limits,
) -> Result<Resized, ImagingError> {
    inspect(bytes, limits)?.plan(options, limits)?.resize(bytes)
}

impl Plan {
    /// Carries out the plan. `bytes` must be the bytes that were inspected; other bytes give an
    /// error or a meaningless picture, and may need more memory than planned.
    ///
    /// # Errors
    ///
    /// [`ImagingError::Body`], [`ImagingError::Encode`], [`ImagingError::TooLarge`] if the result
    /// exceeds the limit of bytes, and [`ImagingError::Option`] if it exceeds the requested size in
    /// bytes.
    pub fn resize(&self, bytes: &[u8]) -> Result<Resized, ImagingError> {
        let result = self.run(bytes)?;
        let size = result.len() as u64;
        if size > self.max_result_bytes {
            return Err(ImagingError::TooLarge(format!(
                "the result has {size} bytes; the limit is {}",
                self.max_result_bytes
            )));
        }
        Ok(Resized {
            bytes: result,
            format: self.format(),
            width: self.width(),
            height: self.height(),
            frames: self.frames(),
        })
    }

    fn run(&self, bytes: &[u8]) -> Result<Vec<u8>, ImagingError> {
        let source = self.source.parsed();
        let header = source.header();
        let mut metadata = header.metadata.kept(&self.options);
        if drops_profile(header, self.format, &self.geometry, &self.options) {
            metadata.icc = None;
        }
        let renderer = Renderer::new(header, &self.options, self.format, self.geometry);
        let most = self.options.max_bytes;
        if self.frames > 1 {
            let animate =
                |encoding: &EncodeOptions| self.animation(bytes, &renderer, encoding, &metadata);
            return match most {
                None => {
                    let encoding = self.sought_by_first_frame(bytes, &renderer, &metadata)?;
                    animate(&encoding)
                }
                Some(most) => within_bytes(most, self.format, &self.encode, animate),
            };
        }
        if !renderer.has_profile()
            && let Some(result) = self.planar(bytes, &metadata)?
        {
            return Ok(result);
        }
        let decoded = source.decode(bytes, self.load.pixels, self.load.smooth)?;
        let raster = renderer
            .finish(decoded)
            .map_err(|reason| self.not_encoded(reason))?;
        if let Some((_, result)) = self.sought(&raster, &metadata)? {
            return Ok(result);
        }
        match most {
            None => {
                let encoding = self.encode.without_likeness();
                codec::encode(self.format, Cow::Owned(raster), &encoding, &metadata)
            }
            Some(most) => within_bytes(most, self.format, &self.encode, |encoding| {
                codec::encode(self.format, Cow::Borrowed(&raster), encoding, &metadata)
            }),
        }
    }

    /// Encodes at the lowest quality that has the requested likeness. Returns the quality, too; `None`
    /// if no likeness is requested, or if the picture is too small for one.
    #[cfg(feature = "similarity")]
    fn sought(
        &self,
        raster: &Raster,
        metadata: &Metadata,
    ) -> Result<Option<(u8, Vec<u8>)>, ImagingError> {
        let (Some(score), Some(tries)) = (self.encode.likeness, self.encode.tries(self.format))
        else {
            return Ok(None);
        };
        let Some(reference) = Reference::of(raster.clone()) else {
            return Ok(None);
        };
        let encode = |quality| {
            let encoding = EncodeOptions {
                quality,
                ..self.encode
            };
            codec::encode(self.format, Cow::Borrowed(raster), &encoding, metadata)
        };
        smallest_alike(score, self.format, tries, encode, &reference).map(Some)
    }

    #[cfg(not(feature = "similarity"))]
    fn sought(&self, _: &Raster, _: &Metadata) -> Result<Option<(u8, Vec<u8>)>, ImagingError> {
        Ok(None)
    }

    /// How an animation is encoded: at the quality that its first frame needs for the requested
    /// likeness.
    fn sought_by_first_frame(
        &self,
        bytes: &[u8],
        renderer: &Renderer<'_>,
        metadata: &Metadata,
    ) -> Result<EncodeOptions, ImagingError> {
        let usual = self.encode.without_likeness();
        if self.encode.tries(self.format).is_none() {
            return Ok(usual);
        }
        let source = self.source.parsed();
        let first = source.frames(bytes)?.next_frame();
        let first = first.map_err(|reason| source.damaged(reason))?;
        let first = first.ok_or_else(|| source.damaged("it has no frame".to_owned()))?;
        let raster = renderer.clone().finish(first.raster);
        let raster = raster.map_err(|reason| self.not_encoded(reason))?;
        let sought = self.sought(&raster.into_rgba8(), metadata)?;
        Ok(EncodeOptions {
            quality: sought.map_or(usual.quality, |(quality, _)| quality),
            ..usual
        })
    }

    /// Resamples the codec's own planes if the plan says so; `None` if the picture turns out to
    /// have none.
    fn planar(&self, bytes: &[u8], metadata: &Metadata) -> Result<Option<Vec<u8>>, ImagingError> {
        let Some(eighths) = self.load.planes else {
            return Ok(None);
        };
        let source = self.source.parsed();
        let Some(decoded) = source.decode_planes(bytes, eighths, self.load.smooth)? else {
            return Ok(None);
        };
        let header = source.header();
        if !decoded.are_of((header.width, header.height)) {
            return Err(source.damaged("its size differs from its header".to_owned()));
        }
        let placement = Placement {
            viewed: header.viewed_size(),
            orientation: header.orientation,
            geometry: &self.geometry,
            filter: self.options.filter,
            levels: codec::planes_levels(self.format),
            averaged: planes_in_light(eighths, &self.geometry, self.options.filter),
            color: codec::planes_sampling(self.format, &self.encode),
        };
        let resampled =
            planar::resample(&decoded, &placement).map_err(|reason| self.not_encoded(reason))?;
        drop(decoded);
        codec::encode_planes(self.format, &resampled, &self.encode, metadata).map(Some)
    }

    /// Resizes frame after frame, so that only a few are in memory at a time.
    fn animation(
        &self,
        bytes: &[u8],
        renderer: &Renderer<'_>,
        encoding: &EncodeOptions,
        metadata: &Metadata,
    ) -> Result<Vec<u8>, ImagingError> {
        let source = self.source.parsed();
        let mut frames = source.frames(bytes)?;
        let mut renderer = renderer.clone();
        let mut sink = None;
        while let Some(frame) = frames.next_frame().map_err(|r| source.damaged(r))? {
            let sink = match &mut sink {
                Some(sink) => sink,
                none => {
                    renderer
                        .choose_part(&frame.raster)
                        .map_err(|reason| self.not_encoded(reason))?;
                    let (size, plays) = (self.geometry.canvas, frames.plays());
                    let begun = codec::frame_sink(self.format, size, plays, encoding, metadata);
                    none.insert(begun.map_err(|reason| self.not_encoded(reason))?)
                }
            };
            let raster = renderer
                .render(frame.raster)
                .map_err(|reason| self.not_encoded(reason))?;
            let frame = Frame {
                raster: raster.into_rgba8(),
                delay_ms: frame.delay_ms,
            };
            sink.add(frame).map_err(|reason| self.not_encoded(reason))?;
        }
        let sink = sink.ok_or_else(|| source.damaged("it has no frame".to_owned()))?;
        sink.finish().map_err(|reason| self.not_encoded(reason))
    }

    /// The error for a result that cannot be encoded.
    fn not_encoded(&self, reason: String) -> ImagingError {
        ImagingError::Encode {
            format: self.format,
            reason,
        }
    }
}

/// Finds the highest quality whose result has at most `most` bytes, by bisection: size grows nearly
/// monotonically with quality. The quality of `options` is the highest that is tried.
fn within_bytes(
    most: u64,
    format: Format,
    encoding: &EncodeOptions,
    encode: impl Fn(&EncodeOptions) -> Result<Vec<u8>, ImagingError>,
) -> Result<Vec<u8>, ImagingError> {
    let encode = |quality| {
        encode(&EncodeOptions {
            quality,
            ..*encoding
        })
    };
    let fits = |bytes: &Vec<u8>| bytes.len() as u64 <= most;
    let too_many = |bytes: &Vec<u8>, why: &str| {
        let message = format!(
            "{most} is too small: the {format} result has {} bytes{why}",
            bytes.len()
        );
        ImagingError::from(FieldError::new("max_bytes", message))
    };
    let highest = encoding.quality;
    let best = encode(highest)?;
    if fits(&best) {
        return Ok(best);
    }
    if !encoding.has_quality(format) {
        return Err(too_many(&best, ", and this format has no quality to lower"));
    }
    let mut found = encode(1)?;
    if !fits(&found) {
        return Err(too_many(&found, " even at quality 1"));
    }
    let (mut low, mut high) = (1, highest);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let bytes = encode(middle)?;
        if fits(&bytes) {
            (low, found) = (middle, bytes);
        } else {
            high = middle;
        }
    }
    Ok(found)
}
