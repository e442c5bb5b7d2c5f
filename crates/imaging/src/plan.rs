//! What will be made of a picture, checked against limits before it is decoded.

use crate::{ColorPolicy, FieldError, Format, ResizeRequest};

use super::geometry::Geometry;
use super::{ImagingError, Limits, Plan, SourceInfo, codec, estimate, pipeline};

/// Checks everything that can be known without decoding.
pub(crate) fn plan(
    source: &SourceInfo,
    request: &ResizeRequest,
    limits: &Limits,
) -> Result<(Plan, Geometry), ImagingError> {
    check_source(source, limits)?;
    let format = result_format(source.format, request)?;
    check_options(format, request)?;
    let size = (source.width, source.height);
    let geometry = Geometry::of(size, request, limits)?;
    let (width, height) = geometry.canvas;
    for (field, side) in [("width", width), ("height", height)] {
        let most = codec::max_side(format);
        if side > most {
            let message = format!("{side} is too large for {format}: the most is {most}");
            return Err(FieldError::new(field, message).into());
        }
    }
    let frames = if codec::writes_animations(format) {
        source.frames
    } else {
        1
    };
    let pixels = u64::from(width) * u64::from(height) * u64::from(frames);
    if pixels > limits.max_result_pixels {
        return Err(ImagingError::TooLarge(format!(
            "the result would have {pixels} pixels ({width} × {height}{}): the most is {}",
            in_frames(frames),
            limits.max_result_pixels
        )));
    }
    let shrink = pipeline::shrink_on_load(source.shrinks, &geometry, request);
    let memory_bytes = if frames > 1 {
        estimate::animation(source, &geometry, request, format)
    } else {
        estimate::still(source, shrink, &geometry, request, format)
    };
    if memory_bytes > limits.max_memory_bytes {
        return Err(ImagingError::TooLarge(format!(
            "the picture would take {memory_bytes} bytes of memory: the most is {}",
            limits.max_memory_bytes
        )));
    }
    let plan = Plan {
        format,
        width,
        height,
        frames,
        memory_bytes,
    };
    Ok((plan, geometry))
}

fn check_source(source: &SourceInfo, limits: &Limits) -> Result<(), ImagingError> {
    let (width, height, frames) = (source.width, source.height, source.frames);
    if frames > limits.max_frames {
        return Err(ImagingError::TooLarge(format!(
            "the picture has {frames} frames: the most is {}",
            limits.max_frames
        )));
    }
    let pixels = (u64::from(width) * u64::from(height)).saturating_mul(u64::from(frames));
    if pixels > limits.max_source_pixels {
        return Err(ImagingError::TooLarge(format!(
            "the picture has {pixels} pixels ({width} × {height}{}): the most is {}",
            in_frames(frames),
            limits.max_source_pixels
        )));
    }
    Ok(())
}

/// The third factor of an animation's pixels.
fn in_frames(frames: u32) -> String {
    if frames > 1 {
        format!(" × {frames} frames")
    } else {
        String::new()
    }
}

/// The format asked for, or the source's own. What can only be read becomes PNG.
fn result_format(source: Format, request: &ResizeRequest) -> Result<Format, FieldError> {
    match request.format {
        Some(format) if format.is_writable() => Ok(format),
        Some(format) => Err(FieldError::new(
            "format",
            format!("{format} is read, but not written"),
        )),
        None if source.is_writable() => Ok(source),
        None => Ok(Format::Png),
    }
}

/// Refuses options that the result's format can't follow.
fn check_options(format: Format, request: &ResizeRequest) -> Result<(), FieldError> {
    let refuse = |field: &str, formats: &str| {
        Err(FieldError::new(
            field,
            format!("does not go with {format}, only with {formats}"),
        ))
    };
    if request.lossless == Some(true) && !matches!(format, Format::Webp | Format::Png) {
        return refuse("lossless", "webp and png");
    }
    if request.progressive == Some(true) && format != Format::Jpeg {
        return refuse("progressive", "jpeg");
    }
    if request.palette.is_some() && !matches!(format, Format::Png | Format::Gif) {
        return refuse("palette", "png and gif");
    }
    if request.color == ColorPolicy::Keep && matches!(format, Format::Gif | Format::Avif) {
        return Err(FieldError::new(
            "color",
            format!("keep does not go with {format}, which is written without a profile"),
        ));
    }
    Ok(())
}
