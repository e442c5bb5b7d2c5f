//! Rows of pixels that are stored as they are.

use super::masks::Masks;

/// The colours of a palette. Those that the file does not have are black.
pub(super) type Palette = [[u8; 3]; 256];

/// How the pixels of a row are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pixels<'a> {
    /// Indices of 1, 2, 4 or 8 bits, the first in the highest bits of a byte.
    Indices(u32, &'a Palette),
    /// Blue, green, red.
    Bgr,
    /// Blue, green, red, and a byte that may be alpha.
    Bgra,
    /// Two bytes, the low one first.
    Masks16(&'a Masks),
    /// Four bytes, the lowest first.
    Masks32(&'a Masks),
}

/// The bytes of a row, filled up to a multiple of four.
pub(super) fn row_bytes(width: u32, bits: u32) -> usize {
    (width as usize * bits as usize).div_ceil(32) * 4
}

/// Converts a row to pixels of `N` samples: red, green and blue, and alpha if there are four. The
/// fourth byte of [`Pixels::Bgra`] counts only then.
pub(super) fn convert<const N: usize>(row: &[u8], pixels: Pixels<'_>, to: &mut [u8]) {
    let to = to.as_chunks_mut::<N>().0;
    let opaque = |[red, green, blue]: [u8; 3]| [red, green, blue, 255];
    match pixels {
        Pixels::Indices(8, palette) => put(to, row.iter(), |&at| opaque(palette[usize::from(at)])),
        Pixels::Indices(bits, palette) => {
            let bits = bits.clamp(1, 8);
            let last = (1_u8 << (bits % 8)) - 1;
            let indices = row.iter().flat_map(|byte| {
                let shifts = (0..8 / bits).rev().map(move |index| index * bits);
                shifts.map(move |shift| byte >> shift & last)
            });
            put(to, indices, |at| opaque(palette[usize::from(at)]));
        }
        Pixels::Bgr => put(to, row.as_chunks::<3>().0, |&[blue, green, red]| {
            opaque([red, green, blue])
        }),
        Pixels::Bgra => put(to, row.as_chunks::<4>().0, |&[blue, green, red, alpha]| {
            [red, green, blue, alpha]
        }),
        Pixels::Masks16(masks) => put(to, row.as_chunks::<2>().0, |&two| {
            masks.samples(u16::from_le_bytes(two).into())
        }),
        Pixels::Masks32(masks) => put(to, row.as_chunks::<4>().0, |&four| {
            masks.samples(u32::from_le_bytes(four))
        }),
    }
}

/// Writes the first `N` of the four samples of each pixel.
fn put<T, const N: usize>(
    to: &mut [[u8; N]],
    from: impl IntoIterator<Item = T>,
    samples: impl Fn(T) -> [u8; 4],
) {
    for (pixel, stored) in to.iter_mut().zip(from) {
        for (to, from) in pixel.iter_mut().zip(samples(stored)) {
            *to = from;
        }
    }
}
