//! Luma and chroma planes, in which JPEG and WebP store photographs.

/// The size of planes, in eighths of the stored picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Eighths {
    pub(crate) brightness: u32,
    pub(crate) color: u32,
}

impl Eighths {
    pub(crate) const WHOLE: Self = Self::both(8);

    pub(crate) const fn both(eighths: u32) -> Self {
        Self {
            brightness: eighths,
            color: eighths,
        }
    }
}

/// The luma and chroma of a picture, one plane each, with 8 bits per sample.
///
/// A chroma sample lies in the middle of its luma samples. The luma plane is padded to whole chroma
/// samples, so that all planes cover the same area.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Planes {
    /// Luma samples per row that belong to the picture.
    pub(crate) width: u32,
    /// Rows of luma samples that belong to the picture.
    pub(crate) height: u32,
    /// The chroma subsampling: luma samples, across and down, per chroma sample if both have the
    /// same number of eighths; `None` in a picture without chroma.
    pub(crate) color: Option<(u32, u32)>,
    /// The size after decoding, in eighths of the stored picture's.
    pub(crate) eighths: Eighths,
    /// Columns and rows of a chroma plane.
    color_size: (u32, u32),
    /// The planes, one after the other, with rows without padding.
    pub(crate) samples: Vec<u8>,
}

impl Planes {
    /// A black picture that is filled later.
    pub(crate) fn new(width: u32, height: u32, color: Option<(u32, u32)>) -> Self {
        Self::reduced((width, height), color, Eighths::WHOLE)
    }

    /// A black picture at a number of eighths of a stored size.
    pub(crate) fn reduced(stored: (u32, u32), color: Option<(u32, u32)>, eighths: Eighths) -> Self {
        let (across, down) = color.unwrap_or((1, 1));
        let side = |pixels: u32, eighths: u32| (pixels * eighths).div_ceil(8);
        let mut planes = Self {
            width: side(stored.0, eighths.brightness),
            height: side(stored.1, eighths.brightness),
            color,
            eighths,
            color_size: (
                side(stored.0, eighths.color).div_ceil(across),
                side(stored.1, eighths.color).div_ceil(down),
            ),
            samples: Vec::new(),
        };
        let count = (0..planes.count()).map(|index| planes.len_of(index)).sum();
        planes.samples = vec![0; count];
        planes
    }

    /// Whether these planes have the size to which a picture of size `stored` decodes.
    pub(crate) fn are_of(&self, stored: (u32, u32)) -> bool {
        let side = |pixels: u32| (pixels * self.eighths.brightness).div_ceil(8);
        (self.width, self.height) == (side(stored.0), side(stored.1))
    }

    /// 3, or 1 without chroma.
    pub(crate) fn count(&self) -> usize {
        if self.color.is_some() { 3 } else { 1 }
    }

    /// Width and height of a plane; the first one is luma.
    pub(crate) fn size_of(&self, index: usize) -> (u32, u32) {
        if index > 0 {
            return self.color_size;
        }
        let (across, down) = self.color.unwrap_or((1, 1));
        (
            self.width.next_multiple_of(across),
            self.height.next_multiple_of(down),
        )
    }

    fn len_of(&self, index: usize) -> usize {
        let (width, height) = self.size_of(index);
        width as usize * height as usize
    }

    /// The planes as mutable slices; the chroma slices are empty without chroma.
    pub(crate) fn split_mut(&mut self) -> [&mut [u8]; 3] {
        let brightness = self.len_of(0);
        let color = self.color.map_or(0, |_| self.len_of(1));
        let (first, rest) = self.samples.split_at_mut(brightness);
        let (second, third) = rest.split_at_mut(color);
        [first, second, third]
    }

    /// Repeats the last column and row of luma into the padding. Decoders leave there what lies
    /// beyond the picture, or uninitialised samples.
    pub(crate) fn repeat_edges(&mut self) {
        let (stride, rows) = self.size_of(0);
        let (stride, rows) = (stride as usize, rows as usize);
        let (width, height) = (self.width as usize, self.height as usize);
        let [brightness, ..] = self.split_mut();
        if stride > width {
            for row in brightness.chunks_exact_mut(stride) {
                let last = row[width - 1];
                row[width..].fill(last);
            }
        }
        for row in height..rows {
            brightness.copy_within((height - 1) * stride..height * stride, row * stride);
        }
    }

    /// The planes as slices; the chroma slices are empty without chroma.
    pub(crate) fn split(&self) -> [&[u8]; 3] {
        let brightness = self.len_of(0);
        let color = self.color.map_or(0, |_| self.len_of(1));
        let (first, rest) = self.samples.split_at(brightness);
        let (second, third) = rest.split_at(color);
        [first, second, third]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_cover_whole_color_samples() {
        let planes = Planes::new(5, 3, Some((2, 2)));
        assert_eq!((planes.size_of(0), planes.size_of(1)), ((6, 4), (3, 2)));
        assert_eq!(planes.split().map(<[u8]>::len), [24, 6, 6]);
        let gray = Planes::new(5, 3, None);
        assert_eq!(gray.split().map(<[u8]>::len), [15, 0, 0]);
    }

    #[test]
    fn what_lies_beyond_the_edges_is_what_lies_at_them() {
        let mut planes = Planes::new(2, 1, Some((4, 2)));
        planes.samples = vec![1, 2, 9, 9, 9, 9, 9, 9, 5, 6];
        planes.repeat_edges();
        assert_eq!(planes.samples, [1, 2, 2, 2, 1, 2, 2, 2, 5, 6]);
    }
}
