//! The EXIF orientation: how a stored picture is rotated and mirrored for the viewer.

use crate::geometry::Rect;
use crate::raster::{Raster, map_samples};

/// One of the eight orientations, as the steps from the stored to the viewed picture: first
/// transpose, then mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orientation {
    pub(crate) transpose: bool,
    pub(crate) mirror_x: bool,
    pub(crate) mirror_y: bool,
}

impl Orientation {
    /// From the value of EXIF tag 0x0112 (CIPA DC-008, Orientation). Values other than 1 to 8 mean
    /// 1, upright.
    pub(crate) fn from_exif(value: u32) -> Self {
        let (transpose, mirror_x, mirror_y) = match value {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => (false, false, false),
        };
        Self {
            transpose,
            mirror_x,
            mirror_y,
        }
    }

    /// Converts a stored size to the viewed size, and vice versa.
    pub(crate) fn turn_size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transpose {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// The part of the stored picture that corresponds to `viewed` in a viewed picture of `size`.
    pub(crate) fn stored_rect(self, viewed: Rect, size: (u32, u32)) -> Rect {
        let mut rect = viewed;
        if self.mirror_x {
            rect.x = f64::from(size.0) - viewed.x - viewed.width;
        }
        if self.mirror_y {
            rect.y = f64::from(size.1) - viewed.y - viewed.height;
        }
        if self.transpose {
            rect = Rect {
                x: rect.y,
                y: rect.x,
                width: rect.height,
                height: rect.width,
            };
        }
        rect
    }

    /// Converts a stored picture to the viewed one.
    pub(crate) fn apply(self, raster: Raster) -> Raster {
        if self == Self::default() {
            return raster;
        }
        let (width, height) = self.turn_size((raster.width, raster.height));
        let stored = (raster.width as usize, raster.height as usize);
        let samples = map_samples!(raster.samples, values => {
            match raster.layout.channels() {
                1 => self.turned::<_, 1>(&values, stored),
                2 => self.turned::<_, 2>(&values, stored),
                3 => self.turned::<_, 3>(&values, stored),
                _ => self.turned::<_, 4>(&values, stored),
            }
        });
        Raster {
            width,
            height,
            layout: raster.layout,
            samples,
        }
    }

    fn turned<T: Copy, const CHANNELS: usize>(
        self,
        values: &[T],
        (stored_width, stored_height): (usize, usize),
    ) -> Vec<T> {
        let (pixels, _) = values.as_chunks::<CHANNELS>();
        let (width, height) = if self.transpose {
            (stored_height, stored_width)
        } else {
            (stored_width, stored_height)
        };
        let mut turned = Vec::with_capacity(values.len());
        for y in 0..height {
            let y = if self.mirror_y { height - 1 - y } else { y };
            for x in 0..width {
                let x = if self.mirror_x { width - 1 - x } else { x };
                let index = if self.transpose {
                    x * stored_width + y
                } else {
                    y * stored_width + x
                };
                turned.extend_from_slice(&pixels[index]);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Layout;

    /// The letters of a 3 × 2 picture as viewed with each orientation.
    #[test]
    fn every_orientation_turns_as_the_standard_draws_it() {
        let expected = [
            "abc/def", "cba/fed", "fed/cba", "def/abc", "ad/be/cf", "da/eb/fc", "fc/eb/da",
            "cf/be/ad",
        ];
        for (value, expected) in (1..).zip(expected) {
            let stored = Raster::from_u8(3, 2, Layout::Gray, b"abcdef".to_vec());
            let viewed = Orientation::from_exif(value).apply(stored);
            let rows: Vec<_> = viewed
                .bytes()
                .chunks(viewed.width as usize)
                .map(|row| String::from_utf8_lossy(row).into_owned())
                .collect();
            assert_eq!(rows.join("/"), expected, "orientation {value}");
        }
    }

    /// Cropping before rotation gives the same part as cropping after rotation.
    #[test]
    fn a_viewed_part_is_found_in_the_stored_picture() {
        for value in 1..=8 {
            let orientation = Orientation::from_exif(value);
            let stored = Raster::from_u8(3, 2, Layout::Gray, b"abcdef".to_vec());
            let viewed = orientation.apply(stored.clone());
            for (index, letter) in viewed.bytes().iter().enumerate() {
                let rect = Rect {
                    x: (index % viewed.width as usize) as f64,
                    y: (index / viewed.width as usize) as f64,
                    width: 1.0,
                    height: 1.0,
                };
                let found = orientation.stored_rect(rect, (viewed.width, viewed.height));
                let at = found.y as usize * 3 + found.x as usize;
                assert_eq!(stored.bytes()[at], *letter, "orientation {value}");
            }
        }
    }
}
