//! Run-length encoded pixels: RLE4 and RLE8 of Windows, and RLE24 of OS/2.
//!
//! Rows are stored from the bottom. Pixels that are skipped are black. A run that is longer than its
//! row is cut at the row's end, as other readers do: some writers count the padding.

use super::rows::Palette;

/// What runs consist of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit<'a> {
    /// Two indices in a byte, which alternate in a run.
    Nibbles(&'a Palette),
    /// An index.
    Bytes(&'a Palette),
    /// Blue, green, red.
    Colors,
}

/// Decodes to pixels of red, green and blue, which are black before.
///
/// # Errors
///
/// If the data end before the picture does, or jump out of it.
pub(super) fn decode(
    data: &[u8],
    unit: Unit<'_>,
    (width, height): (usize, usize),
    samples: &mut [u8],
) -> Result<(), String> {
    let mut left = data;
    let mut picture = Picture {
        pixels: samples.as_chunks_mut().0,
        width,
        height,
        x: 0,
        y: 0,
    };
    while picture.y < height {
        let Some(code) = take(&mut left, 2) else {
            // A picture is whole without the mark of its end.
            if picture.y + 1 == height && picture.x == width {
                break;
            }
            return Err(picture.cut());
        };
        match (code[0], code[1]) {
            (0, 0) => (picture.x, picture.y) = (0, picture.y + 1),
            (0, 1) => break,
            (0, 2) => {
                let by = take(&mut left, 2).ok_or_else(|| picture.cut())?;
                picture.skip(by[0].into(), by[1].into())?;
            }
            (0, count) => {
                let count = usize::from(count);
                let bytes = unit.bytes(count);
                // Filled up to an even number of bytes. The last byte may be missing.
                let stored = take(&mut left, bytes).ok_or_else(|| picture.cut())?;
                left = left.get(bytes % 2..).unwrap_or_default();
                picture.put(count, |index| unit.color(stored, index));
            }
            (count, first) => {
                let more = unit.bytes(1) - 1;
                let rest = take(&mut left, more).ok_or_else(|| picture.cut())?;
                let one = [
                    first,
                    rest.first().copied().unwrap_or(0),
                    rest.get(1).copied().unwrap_or(0),
                ];
                picture.put(count.into(), |index| unit.repeated(one, index));
            }
        }
    }
    Ok(())
}

/// The next bytes, if there are as many.
fn take<'a>(left: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = left.split_at_checked(count)?;
    *left = rest;
    Some(taken)
}

impl Unit<'_> {
    /// The bytes of so many pixels.
    fn bytes(self, pixels: usize) -> usize {
        match self {
            Self::Nibbles(_) => pixels.div_ceil(2),
            Self::Bytes(_) => pixels,
            Self::Colors => pixels * 3,
        }
    }

    /// The colour of a pixel in a row of stored pixels.
    fn color(self, stored: &[u8], index: usize) -> [u8; 3] {
        let byte = |at: usize| stored.get(at).copied().unwrap_or(0);
        match self {
            Self::Nibbles(palette) => {
                let shift = if index.is_multiple_of(2) { 4 } else { 0 };
                palette[usize::from(byte(index / 2) >> shift & 15)]
            }
            Self::Bytes(palette) => palette[usize::from(byte(index))],
            Self::Colors => [2, 1, 0].map(|sample| byte(index * 3 + sample)),
        }
    }

    /// The colour of a pixel in a run.
    fn repeated(self, stored: [u8; 3], index: usize) -> [u8; 3] {
        match self {
            Self::Nibbles(_) => self.color(&stored, index % 2),
            Self::Bytes(_) | Self::Colors => self.color(&stored, 0),
        }
    }
}

/// The picture, and where the next pixel is.
struct Picture<'a> {
    pixels: &'a mut [[u8; 3]],
    width: usize,
    height: usize,
    x: usize,
    /// From the bottom.
    y: usize,
}

impl Picture<'_> {
    fn skip(&mut self, right: usize, up: usize) -> Result<(), String> {
        let (x, y) = (self.x + right, self.y + up);
        if x > self.width || y >= self.height {
            return Err(format!(
                "its run-length encoded data jump to column {x} and row {y} of {} × {} pixels",
                self.width, self.height
            ));
        }
        (self.x, self.y) = (x, y);
        Ok(())
    }

    /// Sets the next pixels, up to the end of the row.
    fn put(&mut self, count: usize, color: impl Fn(usize) -> [u8; 3]) {
        let start = (self.height - 1 - self.y) * self.width;
        let end = self.width.min(self.x + count);
        let pixels = &mut self.pixels[start + self.x..start + end];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            *pixel = color(index);
        }
        self.x = end;
    }

    fn cut(&self) -> String {
        format!(
            "it is cut short: its run-length encoded data end in row {} of {}",
            self.y + 1,
            self.height
        )
    }
}
