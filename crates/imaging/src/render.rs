//! Turns decoded pixels into the pixels of the result.
//!
//! Pixels are averaged in linear light, which is computed with the curve of sRGB. With the profile
//! `fast`, other colour is converted to sRGB after resampling, on the few pixels of the result: the
//! curves of common profiles differ little. With `fine` it is converted before.

use std::rc::Rc;

use crate::codec::header::Header;
use crate::color::{self, to_srgb};
use crate::format::Format;
use crate::geometry::{Geometry, Rect};
use crate::options::{ColorPolicy, Filter, Fit, Gravity, Profile, ResizeOptions};
use crate::raster::{Layout, Raster};
use crate::resample::resample;
use crate::sharpen::sharpen;
use crate::shrink_on_load::halvings_in_light;
use crate::{compose, linear, smart};

/// How a stored picture, or each frame of an animation, is turned into the result's pixels.
#[derive(Clone)]
pub(crate) struct Renderer<'a> {
    header: &'a Header,
    options: &'a ResizeOptions,
    format: Format,
    geometry: Geometry,
    profile: Option<Rc<color::Profile>>,
}

impl<'a> Renderer<'a> {
    pub(crate) fn new(
        header: &'a Header,
        options: &'a ResizeOptions,
        format: Format,
        geometry: Geometry,
    ) -> Self {
        let profile = match options.color {
            ColorPolicy::Keep if !drops_profile(header, format, &geometry, options) => None,
            _ => color::Profile::read(header.metadata.icc.as_deref(), header.layout).map(Rc::new),
        };
        Self {
            header,
            options,
            format,
            geometry,
            profile,
        }
    }

    /// Whether a colour profile is applied, which requires interleaved pixels.
    pub(crate) fn has_profile(&self) -> bool {
        self.profile.is_some()
    }

    /// Runs all steps between decoding and encoding.
    pub(crate) fn finish(mut self, decoded: Raster) -> Result<Raster, String> {
        self.choose_part(&decoded)?;
        self.render(decoded)
    }

    /// Moves the crop to the most eye-catching part, if smart cropping was requested.
    pub(crate) fn choose_part(&mut self, decoded: &Raster) -> Result<(), String> {
        if self.options.position != Gravity::Smart || self.options.fit != Fit::Cover {
            return Ok(());
        }
        let side = |pixels: u32| pixels.min(smart::COPY_SIDE);
        let size = (side(decoded.width), side(decoded.height));
        let copy = resample(decoded, whole(decoded), size, Filter::Bilinear)?;
        let copy = self.header.orientation.apply(copy.into_rgba8());
        let viewed = self.header.viewed_size();
        let share_x = self.geometry.crop.width / f64::from(viewed.0);
        let share_y = self.geometry.crop.height / f64::from(viewed.1);
        let (along_x, along_y) = smart::crop_position(&copy, share_x, share_y);
        self.geometry.move_crop(viewed, along_x, along_y);
        Ok(())
    }

    /// Resamples one decoded picture, applies the orientation, sharpens, and places it on the
    /// canvas.
    pub(crate) fn render(&self, decoded: Raster) -> Result<Raster, String> {
        let profile = self.profile.as_deref();
        // Amounts of ink are no light.
        let scaled = match self.options.profile {
            Profile::Fast if decoded.layout != Layout::Cmyk => {
                to_srgb(self.scale(decoded)?, profile)?
            }
            _ => self.scale(to_srgb(decoded, profile)?)?,
        };
        let upright = self.header.orientation.apply(scaled);
        let sharp = sharpen(upright, self.options.sharpen.unwrap_or(0));
        Ok(compose::finish(
            sharp,
            self.format,
            &self.geometry,
            self.options,
        ))
    }

    /// Resamples in linear light.
    fn scale(&self, decoded: Raster) -> Result<Raster, String> {
        let (part, size) = self.part_and_size(&decoded);
        let filter = self.options.filter;
        if filter == Filter::Nearest
            || part == whole(&decoded) && size == (decoded.width, decoded.height)
        {
            return resample(&decoded, part, size, filter);
        }
        let shrunk = f64::from(shrunk_by(self.header.width, decoded.width));
        let by = halvings_in_light(self.geometry.shrink() / shrunk, filter);
        if let Some(scaled) = linear::resample(&decoded, by, part, size, filter) {
            return Ok(scaled);
        }
        let light = linear::to_light(decoded);
        let scaled = resample(&light, part, size, filter)?;
        drop(light);
        Ok(linear::from_light(scaled))
    }

    /// The crop of a decoded picture and the size it is resampled to, in the stored orientation.
    fn part_and_size(&self, decoded: &Raster) -> (Rect, (u32, u32)) {
        let orientation = self.header.orientation;
        let part = orientation.stored_rect(self.geometry.crop, self.header.viewed_size());
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

/// Whether a source's profile cannot be kept, because it does not describe the pixels of the result:
/// inks become Rgb, and grey does in some formats. Such pixels are converted to sRGB.
pub(crate) fn drops_profile(
    header: &Header,
    format: Format,
    geometry: &Geometry,
    options: &ResizeOptions,
) -> bool {
    let layout = header.layout;
    let is_kept = header
        .metadata
        .icc
        .as_deref()
        .is_none_or(|icc| color::describes(icc, layout));
    let fits = match layout {
        Layout::Cmyk => false,
        Layout::Gray | Layout::GrayAlpha => {
            compose::stays_gray(layout.has_alpha(), format, geometry, options)
        }
        Layout::Rgb | Layout::Rgba => true,
    };
    !is_kept || !fits
}

fn whole(raster: &Raster) -> Rect {
    Rect {
        x: 0.0,
        y: 0.0,
        width: f64::from(raster.width),
        height: f64::from(raster.height),
    }
}

/// The factor by which a side was shrunk; a remainder gave one more pixel.
fn shrunk_by(stored: u32, decoded: u32) -> u32 {
    // For a side of a few pixels this is the smallest possible factor, which is good enough. All
    // factors are powers of 2.
    stored.div_ceil(decoded).next_power_of_two()
}
