//! Plans a resize: makes all decisions that need only the header, and checks options and limits
//! before the picture is decoded.

use std::time::Duration;

use crate::codec;
use crate::codec::encode_options::EncodeOptions;
use crate::duration;
use crate::error::ImagingError;
use crate::estimate::{self, Task};
use crate::format::Format;
use crate::geometry::Geometry;
use crate::limits::Limits;
use crate::options::{ColorPolicy, FieldError, Quality, ResizeOptions};
use crate::shrink_on_load::ShrinkOnLoad;
use crate::source::Source;

/// A checked resize that has not run yet. [`Plan::resize`] runs it.
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
    duration: Duration,
}

impl Source {
    /// Plans a resize, or returns why it is refused. Checks everything that can be checked without
    /// decoding.
    ///
    /// # Errors
    ///
    /// [`ImagingError::TooLarge`] and [`ImagingError::Option`].
    pub fn plan(&self, options: &ResizeOptions, limits: &Limits) -> Result<Plan, ImagingError> {
        let mut format = result_format(self.format(), self.has_alpha(), options)?;
        check_options(format, options)?;
        let size = (self.width(), self.height());
        let geometry = Geometry::of(size, options, limits)?;
        let side = geometry.canvas.0.max(geometry.canvas.1);
        if options.format.is_none() && format != self.format() && side > codec::max_side(format) {
            format = Format::Png;
        }
        // A still result needs the first frame only.
        let frames = match codec::writes_animations(format) {
            true => self.frames(),
            false => 1,
        };
        check_source(self, frames, limits)?;
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
                "the picture would need {memory_bytes} bytes of memory; the limit is {}",
                limits.max_memory_bytes
            )));
        }
        let duration = duration::estimate(header, &load, &task, frames);
        if duration > Duration::from_secs(limits.max_seconds.into()) {
            return Err(ImagingError::TooLarge(format!(
                "the picture would take about {} seconds of processor time; the limit is {}",
                duration.as_secs_f64().ceil(),
                limits.max_seconds
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
            duration,
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

    /// An upper bound of the memory that [`Plan::resize`] needs in addition to the source's bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// An estimate of the processor time that [`Plan::resize`] needs. It depends on the plan alone,
    /// not on the machine: a current server is about as fast, others may need a few times as long.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

fn check_source(source: &Source, frames: u32, limits: &Limits) -> Result<(), ImagingError> {
    let (width, height) = (source.width(), source.height());
    if frames > limits.max_frames {
        return Err(ImagingError::TooLarge(format!(
            "the picture has {frames} frames; the limit is {}",
            limits.max_frames
        )));
    }
    let pixels = (u64::from(width) * u64::from(height)).saturating_mul(u64::from(frames));
    if pixels > limits.max_source_pixels {
        return Err(ImagingError::TooLarge(format!(
            "the picture has {pixels} pixels ({width} × {height}{}); the limit is {}",
            in_frames(frames),
            limits.max_source_pixels
        )));
    }
    Ok(())
}

/// Refuses a result that exceeds the limits or those of its format.
fn check_result(
    format: Format,
    (width, height): (u32, u32),
    frames: u32,
    limits: &Limits,
) -> Result<(), ImagingError> {
    for (field, side) in [("width", width), ("height", height)] {
        let most = codec::max_side(format);
        if side > most {
            let message = format!("{side} is too large for {format}; the limit is {most}");
            return Err(FieldError::new(field, message).into());
        }
    }
    let pixels = u64::from(width) * u64::from(height) * u64::from(frames);
    if pixels > limits.max_result_pixels {
        return Err(ImagingError::TooLarge(format!(
            "the result would have {pixels} pixels ({width} × {height}{}); the limit is {}",
            in_frames(frames),
            limits.max_result_pixels
        )));
    }
    Ok(())
}

/// The third factor in the pixel count of an animation.
fn in_frames(frames: u32) -> String {
    if frames > 1 {
        format!(" × {frames} frames")
    } else {
        String::new()
    }
}

/// The format of a result: the requested one, or that of the source. A source in a format that cannot
/// be written gives another: HEIC, JPEG XL and TIFF, which mostly are photographs, give JPEG, or WebP
/// if the result can be transparent, because a photograph in PNG is several times as large. If the options
/// ask for what only PNG has, and for all other sources, it is PNG. So it is for WebP that would be
/// larger than the format allows.
///
/// # Errors
///
/// If the requested format cannot be written.
pub fn result_format(
    source: Format,
    has_alpha: bool,
    options: &ResizeOptions,
) -> Result<Format, FieldError> {
    match options.format {
        Some(format) if format.is_writable() => Ok(format),
        Some(format) => Err(FieldError::new("format", format.not_writable())),
        None if source.is_writable() => Ok(source),
        None => Ok(in_place_of(source, has_alpha, options)),
    }
}

/// The format of a result whose source's own cannot be written.
fn in_place_of(source: Format, has_alpha: bool, options: &ResizeOptions) -> Format {
    let is_photograph = matches!(source, Format::Heic | Format::Jxl | Format::Tiff);
    if !is_photograph || options.lossless == Some(true) || options.palette.is_some() {
        return Format::Png;
    }
    // A background shows through where the picture is transparent.
    let is_transparent = match options.background {
        Some(background) => background.0[3] < 255,
        None => has_alpha,
    };
    match is_transparent {
        true => Format::Webp,
        false => Format::Jpeg,
    }
}

/// Refuses options that the result's format does not support.
fn check_options(format: Format, options: &ResizeOptions) -> Result<(), FieldError> {
    let refuse = |field: &str, formats: &str| {
        Err(FieldError::new(
            field,
            format!("cannot be used with {format}, only with {formats}"),
        ))
    };
    if options.lossless == Some(true) && !matches!(format, Format::Webp | Format::Png) {
        return refuse("lossless", "webp and png");
    }
    if options.progressive == Some(true) && format != Format::Jpeg {
        return refuse("progressive", "jpeg");
    }
    if matches!(options.quality, Some(Quality::Auto(_))) {
        if options.max_bytes.is_some() {
            return Err(FieldError::new(
                "max_bytes",
                "cannot be used with a quality of auto; give one of them",
            ));
        }
        if cfg!(not(feature = "similarity")) {
            let message = "auto cannot be used: the feature `similarity` of this build is off";
            return Err(FieldError::new("quality", message));
        }
    }
    if options.palette.is_some() && !matches!(format, Format::Png | Format::Gif) {
        return refuse("palette", "png and gif");
    }
    if options.color == ColorPolicy::Keep && matches!(format, Format::Gif | Format::Avif) {
        return Err(FieldError::new(
            "color",
            format!("keep cannot be used with {format}, which is written without a profile"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "jxl"))]
    #[test]
    fn a_source_whose_feature_is_off_is_refused_by_its_name() {
        use crate::limits::Limits;
        use crate::source::inspect;

        let refusal = inspect(b"\xff\x0a", &Limits::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            refusal,
            "the jxl header cannot be read: this build has no JPEG XL: the feature `jxl` is off"
        );
        let refusal = inspect(b"%PDF", &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(!refusal.contains("jxl"), "{refusal}");
    }

    #[cfg(not(feature = "avif"))]
    #[test]
    fn a_result_whose_feature_is_off_is_refused_by_its_name() {
        use super::{Format, ResizeOptions, result_format};

        let errors = ResizeOptions::from_pairs([("width", "5"), ("format", "avif")]);
        assert_eq!(
            errors.unwrap_err()[0].to_string(),
            "format: this build has no AVIF: the feature `avif` is off"
        );
        let options = ResizeOptions {
            format: Some(Format::Avif),
            ..ResizeOptions::default()
        };
        let refusal = result_format(Format::Png, false, &options).unwrap_err();
        assert!(refusal.message.contains("`avif` is off"));
    }
}
