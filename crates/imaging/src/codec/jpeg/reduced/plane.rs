//! A plane of samples that is filled block by block.

use super::dct::Samples;

/// A plane that is filled block by block. Blocks may extend beyond its edges.
pub(super) struct Plane<'a> {
    samples: &'a mut [u8],
    width: usize,
    height: usize,
}

impl<'a> Plane<'a> {
    pub(super) fn new(samples: &'a mut [u8], (width, height): (u32, u32)) -> Self {
        Self {
            samples,
            width: width as usize,
            height: height as usize,
        }
    }

    /// Stores a block of `N` × `N` samples.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, (column, row): (usize, usize), samples: &Samples) {
        let (x, y) = (column * N, row * N);
        // Three samples are stored as four: the next block overwrites the fourth.
        let whole = if N == 3 { 4 } else { N };
        if x + whole <= self.width && y + N <= self.height {
            let mut start = y * self.width + x;
            for from in &samples[..N] {
                self.samples[start..start + whole].copy_from_slice(&from[..whole]);
                start += self.width;
            }
        } else if x < self.width {
            let count = N.min(self.width - x);
            let rows = self.samples.chunks_exact_mut(self.width).skip(y);
            for (to, from) in rows.zip(samples.iter().take(N)) {
                to[x..x + count].copy_from_slice(&from[..count]);
            }
        }
    }
}
