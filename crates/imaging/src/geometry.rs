//! Sizes: how large a result becomes and which part of the source it shows. Pure arithmetic.

use crate::limits::Limits;
use crate::options::{FieldError, Fit, Gravity, ResizeOptions};

/// A part of a picture, in pixels that may be fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Where everything goes, in coordinates of the picture as viewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Geometry {
    /// The part of the source that stays in view.
    pub(crate) crop: Rect,
    /// The size to which that part is resampled.
    pub(crate) scaled: (u32, u32),
    /// The size of the result; larger than `scaled` only with [`Fit::Contain`].
    pub(crate) canvas: (u32, u32),
    /// Where the resampled part lies in the result.
    pub(crate) offset: (u32, u32),
}

impl Geometry {
    /// The geometry of `options` for a source of `size` as viewed.
    ///
    /// A missing size follows from the aspect ratio, rounded, at least 1. With `enlarge` false no
    /// side of the part in view grows: `cover` is then cut to at most the size asked for,
    /// `contain` keeps its canvas.
    ///
    /// # Errors
    ///
    /// A side that would exceed [`Limits::max_side`], by its field.
    pub(crate) fn of(
        size: (u32, u32),
        options: &ResizeOptions,
        limits: &Limits,
    ) -> Result<Self, FieldError> {
        let (source_width, source_height) = (f64::from(size.0), f64::from(size.1));
        let (box_width, box_height) = match (options.width, options.height) {
            (Some(width), Some(height)) => (f64::from(width), f64::from(height)),
            (Some(width), None) => {
                let width = f64::from(width);
                (width, source_height * width / source_width)
            }
            (None, Some(height)) => {
                let height = f64::from(height);
                (source_width * height / source_height, height)
            }
            (None, None) => {
                return Err(FieldError::new("width", "give a width, a height, or both"));
            }
        };
        let most = if options.enlarge == Some(false) {
            1.0
        } else {
            f64::INFINITY
        };
        let scale_x = box_width / source_width;
        let scale_y = box_height / source_height;
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            width: source_width,
            height: source_height,
        };
        let side = |field: &str, pixels: f64| side_within(field, pixels, limits.max_side);
        let scaled_by = |scale_x: f64, scale_y: f64| {
            Ok::<_, FieldError>((
                side("width", source_width * scale_x)?,
                side("height", source_height * scale_y)?,
            ))
        };
        let uncropped = |scaled| Self {
            crop: whole,
            scaled,
            canvas: scaled,
            offset: (0, 0),
        };
        Ok(match options.fit {
            Fit::Fill => uncropped(scaled_by(scale_x.min(most), scale_y.min(most))?),
            Fit::Inside => {
                let scale = scale_x.min(scale_y).min(most);
                uncropped(scaled_by(scale, scale)?)
            }
            Fit::Outside => {
                let scale = scale_x.max(scale_y).min(most);
                uncropped(scaled_by(scale, scale)?)
            }
            Fit::Contain => {
                let canvas = (side("width", box_width)?, side("height", box_height)?);
                let scale = scale_x.min(scale_y).min(most);
                let (width, height) = scaled_by(scale, scale)?;
                let scaled = (width.min(canvas.0), height.min(canvas.1));
                let (along_x, along_y) = anchor(options.position);
                let place = |room: u32, along: f64| (f64::from(room) * along).floor() as u32;
                Self {
                    crop: whole,
                    scaled,
                    canvas,
                    offset: (
                        place(canvas.0 - scaled.0, along_x),
                        place(canvas.1 - scaled.1, along_y),
                    ),
                }
            }
            Fit::Cover => {
                let scale = scale_x.max(scale_y).min(most);
                let canvas = (
                    side("width", box_width.min(source_width * scale))?,
                    side("height", box_height.min(source_height * scale))?,
                );
                let mut geometry = Self {
                    crop: Rect {
                        width: (f64::from(canvas.0) / scale).min(source_width),
                        height: (f64::from(canvas.1) / scale).min(source_height),
                        ..whole
                    },
                    scaled: canvas,
                    canvas,
                    offset: (0, 0),
                };
                let (along_x, along_y) = anchor(options.position);
                geometry.move_crop(size, along_x, along_y);
                geometry
            }
        })
    }

    /// Moves the part in view: 0 is the left or top end of the source, 1 the right or bottom end.
    pub(crate) fn move_crop(&mut self, size: (u32, u32), along_x: f64, along_y: f64) {
        self.crop.x = (f64::from(size.0) - self.crop.width) * along_x;
        self.crop.y = (f64::from(size.1) - self.crop.height) * along_y;
    }

    /// How many source pixels become one, on the side where they are fewer.
    pub(crate) fn shrink(&self) -> f64 {
        let along_x = self.crop.width / f64::from(self.scaled.0);
        let along_y = self.crop.height / f64::from(self.scaled.1);
        along_x.min(along_y)
    }
}

/// A side in whole pixels, at least 1.
fn side_within(field: &str, pixels: f64, most: u32) -> Result<u32, FieldError> {
    let pixels = pixels.round().max(1.0);
    if pixels > f64::from(most) {
        return Err(FieldError::new(
            field,
            format!("{pixels} is too large: the most is {most}"),
        ));
    }
    Ok(pixels as u32)
}

/// How far along each side a position lies; `smart` starts in the middle.
fn anchor(position: Gravity) -> (f64, f64) {
    match position {
        Gravity::Center | Gravity::Smart => (0.5, 0.5),
        Gravity::Top => (0.5, 0.0),
        Gravity::TopRight => (1.0, 0.0),
        Gravity::Right => (1.0, 0.5),
        Gravity::BottomRight => (1.0, 1.0),
        Gravity::Bottom => (0.5, 1.0),
        Gravity::BottomLeft => (0.0, 1.0),
        Gravity::Left => (0.0, 0.5),
        Gravity::TopLeft => (0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> ResizeOptions {
        ResizeOptions::from_pairs(pairs.iter().copied()).unwrap()
    }

    fn of(size: (u32, u32), pairs: &[(&str, &str)]) -> Geometry {
        Geometry::of(size, &options(pairs), &Limits::default()).unwrap()
    }

    #[test]
    fn every_fit_gives_the_size_it_promises() {
        let sizes = |fit, enlarge| {
            let pairs = [
                ("width", "300"),
                ("height", "300"),
                ("fit", fit),
                ("enlarge", enlarge),
            ];
            let small = of((200, 100), &pairs);
            let large = of((2000, 1000), &pairs);
            (small.scaled, small.canvas, large.scaled, large.canvas)
        };
        let all = (300, 300);
        assert_eq!(sizes("fill", "true"), (all, all, all, all));
        assert_eq!(sizes("fill", "false"), ((200, 100), (200, 100), all, all));
        assert_eq!(sizes("cover", "true"), (all, all, all, all));
        assert_eq!(sizes("cover", "false"), ((200, 100), (200, 100), all, all));
        let inside = (300, 150);
        assert_eq!(sizes("contain", "true"), (inside, all, inside, all));
        assert_eq!(sizes("contain", "false"), ((200, 100), all, inside, all));
        assert_eq!(sizes("inside", "true"), (inside, inside, inside, inside));
        let own = (200, 100);
        assert_eq!(sizes("inside", "false"), (own, own, inside, inside));
        let outside = (600, 300);
        assert_eq!(
            sizes("outside", "true"),
            (outside, outside, outside, outside)
        );
        assert_eq!(sizes("outside", "false"), (own, own, outside, outside));
    }

    #[test]
    fn a_missing_size_keeps_the_aspect_ratio() {
        assert_eq!(of((2048, 1365), &[("width", "512")]).canvas, (512, 341));
        assert_eq!(of((2048, 1365), &[("height", "341")]).canvas, (512, 341));
        assert_eq!(of((10_000, 1), &[("width", "100")]).canvas, (100, 1));
        assert_eq!(of((1, 1), &[("width", "50")]).canvas, (50, 50));
    }

    #[test]
    fn positions_move_the_part_in_view() {
        let crop = |position| {
            of(
                (200, 100),
                &[
                    ("width", "50"),
                    ("height", "50"),
                    ("fit", "cover"),
                    ("position", position),
                ],
            )
            .crop
        };
        let rect = |x| Rect {
            x,
            y: 0.0,
            width: 100.0,
            height: 100.0,
        };
        assert_eq!(crop("left"), rect(0.0));
        assert_eq!(crop("center"), rect(50.0));
        assert_eq!(crop("bottom-right"), rect(100.0));
    }

    #[test]
    fn positions_place_a_contained_picture() {
        let offset = |position| {
            of(
                (200, 100),
                &[
                    ("width", "50"),
                    ("height", "51"),
                    ("fit", "contain"),
                    ("position", position),
                ],
            )
            .offset
        };
        assert_eq!(offset("top"), (0, 0));
        assert_eq!(offset("center"), (0, 13));
        assert_eq!(offset("bottom-left"), (0, 26));
    }

    #[test]
    fn a_side_over_the_limit_is_refused_by_its_field() {
        let error =
            Geometry::of((1, 1000), &options(&[("width", "100")]), &Limits::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "height: 100000 is too large: the most is 20000"
        );
    }
}
