//! From bytes to bytes: the order of the steps.
//!
//! Decode (shrunk where the codec can) → choose the part in view → resample → turn upright →
//! sharpen → lay on the canvas → encode. The picture is cut and resampled in its stored
//! orientation, so that only the small result has to be turned.
//!
//! Colour is converted to sRGB after resampling with the profile `fast`, on the few pixels of the
//! result. With `fine` it is converted before, since linear light is reached from sRGB.

use std::borrow::Cow;
use std::rc::Rc;

use crate::{ColorPolicy, FieldError, Filter, Fit, Format, Position, Profile, ResizeRequest};

use super::animation::Frame;
use super::codec::{self, EncodeOptions, Header};
use super::color::{self, to_srgb};
use super::geometry::{Geometry, Rect};
use super::planar::{self, Eighths, Placement};
use super::raster::{Layout, Raster};
use super::resample::resample;
use super::sharpen::sharpen;
use super::{ImagingError, Plan, Resized};
use super::{compose, linear, smart};

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
/// The quality of lossy results when none is asked for.
const DEFAULT_QUALITY: u8 = 80;

/// By how much the decoder shrinks: a power of two up to 8.
pub(crate) fn shrink_on_load(shrinks: bool, geometry: &Geometry, request: &ResizeRequest) -> u32 {
    if !shrinks || request.filter == Filter::Nearest {
        return 1;
    }
    match request.profile {
        Profile::Fast => halvings(geometry.shrink(), RESIDUAL).min(8),
        Profile::Fine => halvings(geometry.shrink(), FINE_RESIDUAL).min(2),
    }
}

/// At how many eighths of its size the decoder makes planes: 1, 2, 3, 4 or 8. Three, and fewer for
/// colour, only for the longer filters: a short one has to weigh whole squares of pixels alike;
/// fewer for colour only where the result has it in half its size, as sources mostly have it.
pub(crate) fn eighths_on_load(
    shrinks: bool,
    geometry: &Geometry,
    request: &ResizeRequest,
) -> Eighths {
    if !shrinks || request.filter == Filter::Nearest {
        return Eighths::WHOLE;
    }
    let is_short = matches!(request.filter, Filter::Box | Filter::Bilinear);
    let less_for_color = halves_color(request) && !is_short;
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
pub(crate) fn halves_color(request: &ResizeRequest) -> bool {
    let quality = request.quality.unwrap_or(DEFAULT_QUALITY);
    codec::planes_sampling(Format::Jpeg, quality) == (2, 2)
}

/// By how much `fine` averages squares in light before the filter, after the decoder has shrunk.
pub(crate) fn halvings_in_light(shrunk: u32, geometry: &Geometry, request: &ResizeRequest) -> u32 {
    match request.filter {
        Filter::Nearest => 1,
        _ => halvings(geometry.shrink() / f64::from(shrunk), FINE_RESIDUAL).min(8),
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

/// Makes the result that `plan` describes.
pub(crate) fn run(
    bytes: &[u8],
    source: Format,
    header: &Header,
    request: &ResizeRequest,
    plan: &Plan,
    geometry: Geometry,
) -> Result<Resized, ImagingError> {
    let metadata = header.metadata.kept(request);
    let options = EncodeOptions {
        quality: request.quality.unwrap_or(DEFAULT_QUALITY),
        progressive: request.progressive == Some(true),
        lossless: request.lossless == Some(true),
        palette: request.palette,
        full_color: request.profile == Profile::Fine,
        metadata: &metadata,
    };
    let view = View::new(header, request, plan.format, geometry);
    let bytes = if plan.frames > 1 {
        let animate = |options: &EncodeOptions<'_>| animation(bytes, source, &view, options);
        match request.max_bytes {
            None => animate(&options)?,
            Some(most) => within_bytes(most, plan.format, &options, request, animate)?,
        }
    } else if let Some(bytes) = planar(bytes, source, &view, &options)? {
        bytes
    } else {
        let shrink = shrink_on_load(header.shrinks, &geometry, request);
        let smooth = geometry.shrink() < planar::BLOCKS_VANISH;
        let decoded = codec::decode(source, bytes, header, shrink, smooth)?;
        let in_work = |reason| ImagingError::Encode {
            format: plan.format,
            reason,
        };
        let raster = view.finish(decoded).map_err(in_work)?;
        match request.max_bytes {
            None => codec::encode(plan.format, Cow::Owned(raster), &options)?,
            Some(most) => within_bytes(most, plan.format, &options, request, |options| {
                codec::encode(plan.format, Cow::Borrowed(&raster), options)
            })?,
        }
    };
    Ok(Resized {
        bytes,
        format: plan.format,
        width: plan.width,
        height: plan.height,
        frames: plan.frames,
    })
}

/// The short way by the codec's own planes; `None` when it doesn't lead to what was asked for.
fn planar(
    bytes: &[u8],
    source: Format,
    view: &View<'_>,
    options: &EncodeOptions<'_>,
) -> Result<Option<Vec<u8>>, ImagingError> {
    let (header, geometry, request) = (view.header, &view.geometry, view.request);
    let format = view.format;
    if view.profile.is_some()
        || header.planar_bytes.is_none()
        || !planar::suffices(source, format, request, geometry)
    {
        return Ok(None);
    }
    let eighths = eighths_on_load(header.shrinks, geometry, request);
    let smooth = geometry.shrink() < planar::BLOCKS_VANISH;
    let Some(decoded) = codec::decode_planes(format, bytes, eighths, smooth)? else {
        return Ok(None);
    };
    let placement = Placement {
        viewed: view.viewed_size(),
        orientation: header.orientation,
        geometry,
        filter: request.filter,
        color: codec::planes_sampling(format, options.quality),
    };
    let resampled = planar::resample(&decoded, &placement)
        .map_err(|reason| ImagingError::Encode { format, reason })?;
    drop(decoded);
    codec::encode_planes(format, &resampled, options).map(Some)
}

/// Resizes frame after frame, so that never more than a few are in memory.
fn animation(
    bytes: &[u8],
    source: Format,
    view: &View<'_>,
    options: &EncodeOptions<'_>,
) -> Result<Vec<u8>, ImagingError> {
    let format = view.format;
    let broken = |reason| ImagingError::Body {
        format: source,
        reason,
    };
    let in_work = |reason| ImagingError::Encode { format, reason };
    let mut frames = codec::frames(source, bytes, view.header)?;
    let mut view = view.clone();
    let mut sink = None;
    while let Some(frame) = frames.next_frame().map_err(broken)? {
        let sink = match &mut sink {
            Some(sink) => sink,
            none => {
                view.choose_part(&frame.raster).map_err(in_work)?;
                let size = view.geometry.canvas;
                let begun = codec::frame_sink(format, size, frames.plays(), options);
                none.insert(begun.map_err(in_work)?)
            }
        };
        let raster = view.render(frame.raster).map_err(in_work)?;
        let frame = Frame {
            raster: raster.into_rgba8(),
            delay_ms: frame.delay_ms,
        };
        sink.add(frame).map_err(in_work)?;
    }
    let sink = sink.ok_or_else(|| broken("it has no frame".to_owned()))?;
    sink.finish().map_err(in_work)
}

/// Finds the highest quality whose result has at most `most` bytes, by bisection: size grows with
/// quality, or nearly so. A quality that was asked for is the highest tried.
fn within_bytes(
    most: u64,
    format: Format,
    options: &EncodeOptions<'_>,
    request: &ResizeRequest,
    encode: impl Fn(&EncodeOptions<'_>) -> Result<Vec<u8>, ImagingError>,
) -> Result<Vec<u8>, ImagingError> {
    let encode = |quality| {
        encode(&EncodeOptions {
            quality,
            ..options.clone()
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
    let highest = request.quality.unwrap_or(100);
    let best = encode(highest)?;
    if fits(&best) {
        return Ok(best);
    }
    if options.lossless || !matches!(format, Format::Jpeg | Format::Webp | Format::Avif) {
        return Err(too_many(&best, ", and it has no quality to lower"));
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

/// How a stored picture, or each frame of an animation, becomes the result's pixels.
#[derive(Clone)]
struct View<'a> {
    header: &'a Header,
    request: &'a ResizeRequest,
    format: Format,
    geometry: Geometry,
    profile: Option<Rc<color::Profile>>,
}

impl<'a> View<'a> {
    fn new(
        header: &'a Header,
        request: &'a ResizeRequest,
        format: Format,
        geometry: Geometry,
    ) -> Self {
        let profile = match request.color {
            ColorPolicy::Keep if header.layout != Layout::Cmyk => None,
            _ => color::Profile::read(header.metadata.icc.as_deref(), header.layout).map(Rc::new),
        };
        Self {
            header,
            request,
            format,
            geometry,
            profile,
        }
    }

    /// Everything between decoding and encoding.
    fn finish(mut self, decoded: Raster) -> Result<Raster, String> {
        self.choose_part(&decoded)?;
        self.render(decoded)
    }

    /// Moves the part in view to where the picture is interesting, when that was asked for.
    fn choose_part(&mut self, decoded: &Raster) -> Result<(), String> {
        if self.request.position != Position::Smart || self.request.fit != Fit::Cover {
            return Ok(());
        }
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            width: f64::from(decoded.width),
            height: f64::from(decoded.height),
        };
        let side = |pixels: u32| pixels.min(smart::COPY_SIDE);
        let size = (side(decoded.width), side(decoded.height));
        let copy = resample(decoded, whole, size, Filter::Bilinear)?;
        let copy = self.header.orientation.apply(copy.into_rgba8());
        let viewed = self.viewed_size();
        let share_x = self.geometry.crop.width / f64::from(viewed.0);
        let share_y = self.geometry.crop.height / f64::from(viewed.1);
        let (along_x, along_y) = smart::place(&copy, share_x, share_y);
        self.geometry.move_crop(viewed, along_x, along_y);
        Ok(())
    }

    /// Resamples, turns, sharpens and lays out one decoded picture.
    fn render(&self, decoded: Raster) -> Result<Raster, String> {
        let profile = self.profile.as_deref();
        let scaled = match self.request.profile {
            Profile::Fast => {
                let scaled = self.scale(&decoded)?;
                drop(decoded);
                to_srgb(scaled, profile)?
            }
            Profile::Fine => self.scale_in_light(to_srgb(decoded, profile)?)?,
        };
        let upright = self.header.orientation.apply(scaled);
        let sharp = sharpen(upright, self.request.sharpen.unwrap_or(0));
        Ok(compose::finish(
            sharp,
            self.format,
            &self.geometry,
            self.request,
        ))
    }

    fn viewed_size(&self) -> (u32, u32) {
        let stored = (self.header.width, self.header.height);
        self.header.orientation.turn_size(stored)
    }

    fn scale(&self, decoded: &Raster) -> Result<Raster, String> {
        let (part, size) = self.part_and_size(decoded);
        resample(decoded, part, size, self.request.filter)
    }

    /// The same in linear light.
    fn scale_in_light(&self, decoded: Raster) -> Result<Raster, String> {
        let (part, size) = self.part_and_size(&decoded);
        let shrunk = shrunk_by(self.header.width, decoded.width);
        let by = halvings_in_light(shrunk, &self.geometry, self.request);
        if let Some(scaled) = linear::resample(&decoded, by, part, size, self.request.filter) {
            return Ok(scaled);
        }
        let light = linear::to_light(decoded);
        let scaled = resample(&light, part, size, self.request.filter)?;
        drop(light);
        Ok(linear::from_light(scaled))
    }

    /// The part of a decoded picture that is in view, and the size it gets, as it is stored.
    fn part_and_size(&self, decoded: &Raster) -> (Rect, (u32, u32)) {
        let orientation = self.header.orientation;
        let part = orientation.stored_rect(self.geometry.crop, self.viewed_size());
        let step_x = f64::from(shrunk_by(self.header.width, decoded.width));
        let step_y = f64::from(shrunk_by(self.header.height, decoded.height));
        let part = Rect {
            x: part.x / step_x,
            y: part.y / step_y,
            width: part.width / step_x,
            height: part.height / step_y,
        };
        (part, orientation.turn_size(self.geometry.scaled))
    }
}

/// By how much a side was shrunk, when what was left over made one more pixel.
fn shrunk_by(stored: u32, decoded: u32) -> u32 {
    // A side of a few pixels tells only the least factor, which is as good. All are powers of 2.
    stored.div_ceil(decoded).next_power_of_two()
}
