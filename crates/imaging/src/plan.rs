//! What will be made of a picture: every decision that can be taken from its header, checked against
//! the limits before the picture is decoded.

use crate::codec;
use crate::codec::encode_options::EncodeOptions;
use crate::error::ImagingError;
use crate::estimate::{self, Task};
use crate::format::Format;
use crate::geometry::Geometry;
use crate::limits::Limits;
use crate::options::{ColorPolicy, FieldError, ResizeOptions};
use crate::shrink_on_load::ShrinkOnLoad;
use crate::source::Source;

/// What will be made of a picture, before it is made. [`Plan::resize`] makes it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) source: Source,
    pub(crate) options: ResizeOptions,
    pub(crate) max_result_bytes: u64,
    pub(crate) format: Format,
    pub(crate) frames: u32,
    pub(crate) geometry: Geometry,
    pub(crate) load: ShrinkOnLoad,
    pub(crate) encode: EncodeOptions,
    memory_bytes: u64,
}

impl Source {
    /// Says what would be made of the picture, or why it would be refused. Checks everything that
    /// can be known without decoding.
    ///
    /// # Errors
    ///
    /// [`ImagingError::TooLarge`] and [`ImagingError::Option`].
    pub fn plan(&self, options: &ResizeOptions, limits: &Limits) -> Result<Plan, ImagingError> {
        check_source(self, limits)?;
        let format = result_format(self.format(), options)?;
        check_options(format, options)?;
        let size = (self.width(), self.height());
        let geometry = Geometry::of(size, options, limits)?;
        let frames = if codec::writes_animations(format) {
            self.frames()
        } else {
            1
        };
        check_result(format, geometry.canvas, frames, limits)?;
        let encode = EncodeOptions::of(options);
        let header = self.parsed().header();
        let load = ShrinkOnLoad::of(header, &geometry, options, format, &encode);
        let task = Task {
            options,
            geometry: &geometry,
            format,
            encode: &encode,
        };
        let memory_bytes = if frames > 1 {
            estimate::animation(self.parsed(), &task)
        } else {
            estimate::still(self.parsed(), &load, &task)
        };
        if memory_bytes > limits.max_memory_bytes {
            return Err(ImagingError::TooLarge(format!(
                "the picture would take {memory_bytes} bytes of memory: the most is {}",
                limits.max_memory_bytes
            )));
        }
        Ok(Plan {
            source: self.clone(),
            options: options.clone(),
            max_result_bytes: limits.max_result_bytes,
            format,
            frames,
            geometry,
            load,
            encode,
            memory_bytes,
        })
    }
}

impl Plan {
    /// The format of the result.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.geometry.canvas.0
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.geometry.canvas.1
    }

    /// The frames of an animation; 1 for a still picture.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// An upper bound of the memory that [`Plan::resize`] takes beside the source's bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }
}

fn check_source(source: &Source, limits: &Limits) -> Result<(), ImagingError> {
    let (width, height, frames) = (source.width(), source.height(), source.frames());
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

/// Refuses a result that is larger than its format or the limits allow.
fn check_result(
    format: Format,
    (width, height): (u32, u32),
    frames: u32,
    limits: &Limits,
) -> Result<(), ImagingError> {
    for (field, side) in [("width", width), ("height", height)] {
        let most = codec::max_side(format);
        if side > most {
            let message = format!("{side} is too large for {format}: the most is {most}");
            return Err(FieldError::new(field, message).into());
        }
    }
    let pixels = u64::from(width) * u64::from(height) * u64::from(frames);
    if pixels > limits.max_result_pixels {
        return Err(ImagingError::TooLarge(format!(
            "the result would have {pixels} pixels ({width} × {height}{}): the most is {}",
            in_frames(frames),
            limits.max_result_pixels
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

/// The format that a result gets: the one asked for, or the source's own. What can only be read
/// becomes PNG.
///
/// # Errors
///
/// The format that was asked for is not written.
pub fn result_format(source: Format, options: &ResizeOptions) -> Result<Format, FieldError> {
    match options.format {
        Some(format) if format.is_writable() => Ok(format),
        Some(format) => Err(FieldError::new("format", format.not_writable())),
        None if source.is_writable() => Ok(source),
        None => Ok(Format::Png),
    }
}

/// Refuses options that the result's format can't follow.
fn check_options(format: Format, options: &ResizeOptions) -> Result<(), FieldError> {
    let refuse = |field: &str, formats: &str| {
        Err(FieldError::new(
            field,
            format!("does not go with {format}, only with {formats}"),
        ))
    };
    if options.lossless == Some(true) && !matches!(format, Format::Webp | Format::Png) {
        return refuse("lossless", "webp and png");
    }
    if options.progressive == Some(true) && format != Format::Jpeg {
        return refuse("progressive", "jpeg");
    }
    if options.palette.is_some() && !matches!(format, Format::Png | Format::Gif) {
        return refuse("palette", "png and gif");
    }
    if options.color == ColorPolicy::Keep && matches!(format, Format::Gif | Format::Avif) {
        return Err(FieldError::new(
            "color",
            format!("keep does not go with {format}, which is written without a profile"),
        ));
    }
    Ok(())
}
