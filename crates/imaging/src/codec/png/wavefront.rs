//! Undoes the filters of four rows at once.
//!
//! With the filters "average" and "Paeth", each pixel depends on the one to its left. So the
//! latency of that chain limits the speed of a single row, however wide the processor's registers
//! are. But a row needs the row above only up to its own column. Four rows can therefore be
//! computed side by side in one register, each one column behind the row above it: a wavefront.

use wide::{u8x16, u16x8};

/// Rows that are undone together.
pub(super) const ROWS: usize = 4;

/// A pixel of each row, from the top, with its first byte lowest. If a pixel has fewer than 4
/// bytes, the rest is meaningless.
type Pixels = [u32; ROWS];

/// Undoes `filters` of `rows` in place. All rows have the length of `above`. `PAETH` means that all
/// filters are 4.
pub(super) fn undo<const N: usize, const PAETH: bool>(
    filters: [u8; ROWS],
    above: &[u8],
    rows: &mut [u8],
) {
    let length = above.len();
    let width = length / N;
    let (first, rest) = rows.split_at_mut(length);
    let (second, rest) = rest.split_at_mut(length);
    let (third, rest) = rest.split_at_mut(length);
    let mut rows = [first, second, third, &mut rest[..length]];
    let mut wavefront = Wavefront::<PAETH>::new(filters);
    let lag = ROWS - 1;
    for step in 0..lag.min(width) {
        wavefront.step_at_edge::<N>(step, above, &mut rows);
    }
    let mut step = lag.min(width);
    {
        let [first, second, third, fourth] = &mut rows;
        // Smaller pixels are loaded as four bytes too, as long as there are enough.
        let mut at = lag * N;
        // A local copy, which the compiler keeps in registers.
        let mut steady = wavefront;
        while at + 4 <= length {
            let stored = [
                load(first, at),
                load(second, at - N),
                load(third, at - 2 * N),
                load(fourth, at - 3 * N),
            ];
            let [a, b, c, d] = steady.step(stored, load(above, at));
            store::<N>(first, at, a);
            store::<N>(second, at - N, b);
            store::<N>(third, at - 2 * N, c);
            store::<N>(fourth, at - 3 * N, d);
            at += N;
            step += 1;
        }
        wavefront = steady;
    }
    for step in step..width + lag {
        wavefront.step_at_edge::<N>(step, above, &mut rows);
    }
}

#[inline(always)]
fn load(row: &[u8], at: usize) -> u32 {
    let bytes = row[at..at + 4].first_chunk();
    u32::from_le_bytes(*bytes.unwrap_or(&[0; 4]))
}

#[inline(always)]
fn store<const N: usize>(row: &mut [u8], at: usize, pixel: u32) {
    row[at..at + N].copy_from_slice(&pixel.to_le_bytes()[..N]);
}

/// The state that a step passes to the next one.
#[derive(Clone, Copy)]
struct Wavefront<const PAETH: bool> {
    /// The pixels undone last.
    left: u8x16,
    /// The pixels above those.
    corner: u8x16,
    /// For each filter except 0, a mask of the rows that use it.
    filtered: [u8x16; 4],
}

impl<const PAETH: bool> Wavefront<PAETH> {
    fn new(filters: [u8; ROWS]) -> Self {
        let rows_with = |filter| {
            let rows = filters.map(|other| if other == filter { u32::MAX } else { 0 });
            bytemuck::cast(rows)
        };
        Self {
            left: u8x16::ZERO,
            corner: u8x16::ZERO,
            filtered: [1, 2, 3, 4].map(rows_with),
        }
    }

    /// Undoes a pixel of each row; `above` is the pixel above that of the first row.
    #[inline(always)]
    fn step(&mut self, stored: Pixels, above: u32) -> Pixels {
        let left = self.left;
        // The pixels above those of the other rows were undone in the previous step.
        let [first, second, third, _] = bytemuck::cast::<_, Pixels>(left);
        let above: u8x16 = bytemuck::cast([above, first, second, third]);
        let nearest = paeth(left, above, self.corner);
        let predicted = if PAETH {
            nearest
        } else {
            let [sub, up, middle, paeth] = self.filtered;
            (left & sub) | (above & up) | (average(left, above) & middle) | (nearest & paeth)
        };
        let undone = bytemuck::cast::<_, u8x16>(stored) + predicted;
        (self.left, self.corner) = (undone, above);
        bytemuck::cast(undone)
    }

    /// Like `step`, but some rows have not started yet or have ended. The first pixel of a row has
    /// zeros to its left and at its corner, because rows that have not started yield zeros.
    fn step_at_edge<const N: usize>(
        &mut self,
        step: usize,
        above: &[u8],
        rows: &mut [&mut [u8]; ROWS],
    ) {
        let width = above.len() / N;
        let column = |row: usize| step.checked_sub(row).filter(|column| *column < width);
        let pixel = |row: &[u8], column: usize| {
            let mut pixel = [0; 4];
            pixel[..N].copy_from_slice(&row[column * N..][..N]);
            u32::from_le_bytes(pixel)
        };
        let mut stored = Pixels::default();
        for (index, row) in rows.iter().enumerate() {
            if let Some(column) = column(index) {
                stored[index] = pixel(row, column);
            }
        }
        let above = column(0).map_or(0, |column| pixel(above, column));
        let undone = self.step(stored, above);
        for (index, row) in rows.iter_mut().enumerate() {
            if let Some(column) = column(index) {
                store::<N>(row, column * N, undone[index]);
            }
        }
    }
}

/// The neighbour nearest to left + above − corner, in 8 bits; of two equally near ones, the first
/// (PNG specification, third edition, section 9.4).
///
/// With d = left − corner and e = above − corner, the distance of left is |e|, that of above |d|,
/// and that of the corner |d + e|. So the corner can be the nearest only if d and e have different
/// signs, and it is if the larger of |d| and |e| is less than twice the smaller.
#[inline(always)]
fn paeth(left: u8x16, above: u8x16, corner: u8x16) -> u8x16 {
    let left_more = left.saturating_sub(corner);
    let left_less = corner.saturating_sub(left);
    let above_more = above.saturating_sub(corner);
    let above_less = corner.saturating_sub(above);
    let from_above = left_more | left_less;
    let from_left = above_more | above_less;
    let smaller = from_left.min(from_above);
    let larger = from_left.max(from_above);
    // Neither is zero exactly if the signs differ and the corner is nearer.
    let apart = left_more.min(above_less) | left_less.min(above_more);
    let nearer = smaller.saturating_sub(larger.saturating_sub(smaller));
    let not_corner = apart.min(nearer).simd_eq(u8x16::ZERO);
    let is_left = smaller.simd_eq(from_left);
    let other = above ^ (is_left & (left ^ above));
    corner ^ (not_corner & (other ^ corner))
}

/// Half the sum, rounded down.
#[inline(always)]
fn average(left: u8x16, above: u8x16) -> u8x16 {
    // Bytes cannot be shifted, so the bits that would move into the neighbouring byte are cleared.
    let differing: u16x8 = bytemuck::cast((left ^ above) & u8x16::splat(0xfe));
    (left & above) + bytemuck::cast::<u16x8, u8x16>(differing >> 1_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wording of the specification.
    fn paeth_of_one(left: u8, above: u8, corner: u8) -> u8 {
        let [a, b, c] = [left, above, corner].map(i16::from);
        let estimate = a + b - c;
        let away = |value: i16| (estimate - value).abs();
        if away(a) <= away(b) && away(a) <= away(c) {
            left
        } else if away(b) <= away(c) {
            above
        } else {
            corner
        }
    }

    #[test]
    fn every_neighbour_is_chosen_as_the_specification_says() {
        for left in 0..=255 {
            for above in 0..=255 {
                let halves = average(u8x16::splat(left), u8x16::splat(above));
                assert_eq!(halves.to_array(), [u8::midpoint(left, above); 16]);
                for first in (0..=255).step_by(16) {
                    let corners: [u8; 16] = std::array::from_fn(|index| first + index as u8);
                    let expected = corners.map(|corner| paeth_of_one(left, above, corner));
                    let [left, above] = [left, above].map(u8x16::splat);
                    let chosen = paeth(left, above, u8x16::new(corners));
                    assert_eq!(chosen.to_array(), expected, "{left} {above} {first}");
                }
            }
        }
    }
}
