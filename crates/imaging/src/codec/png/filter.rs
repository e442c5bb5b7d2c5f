//! Applies and undoes PNG's row filters (PNG specification, third edition, section 9).

use super::wavefront::{self, ROWS};

/// Undoes the filters of `rows` in place and removes the filter bytes. Each row has a filter byte
/// and `row_bytes` filtered bytes. Returns `None` if a filter byte is invalid.
///
/// `pixel_bytes` is 1 to 4.
pub(super) fn undo(mut rows: Vec<u8>, row_bytes: usize, pixel_bytes: usize) -> Option<Vec<u8>> {
    let count = rows.len() / (row_bytes + 1);
    let undo_group = match pixel_bytes {
        1 => undo_group::<1>,
        2 => undo_group::<2>,
        3 => undo_group::<3>,
        _ => undo_group::<4>,
    };
    let first = vec![0; row_bytes];
    for top in (0..count).step_by(ROWS) {
        let mut filters = [0; ROWS];
        let group = ROWS.min(count - top);
        for (y, filter) in (top..count).zip(&mut filters) {
            let stored = y * (row_bytes + 1);
            *filter = rows[stored];
            rows.copy_within(stored + 1..=stored + row_bytes, y * row_bytes);
        }
        let (before, group_rows) = rows.split_at_mut(top * row_bytes);
        let above = if top == 0 {
            &first[..]
        } else {
            &before[(top - 1) * row_bytes..]
        };
        undo_group(
            &filters[..group],
            above,
            &mut group_rows[..group * row_bytes],
        )?;
    }
    rows.truncate(count * row_bytes);
    Some(rows)
}

/// Undoes up to [`ROWS`] rows below `above`, all of its length.
fn undo_group<const N: usize>(filters: &[u8], above: &[u8], rows: &mut [u8]) -> Option<()> {
    if filters.iter().any(|filter| *filter > 4) {
        return None;
    }
    // Only these two filters take longer than loading and storing a pixel.
    let slow = filters.iter().filter(|filter| matches!(filter, 3 | 4));
    match <[u8; ROWS]>::try_from(filters) {
        Ok([4, 4, 4, 4]) => wavefront::undo::<N, true>([4; ROWS], above, rows),
        Ok(filters) if slow.count() > 1 => wavefront::undo::<N, false>(filters, above, rows),
        _ => {
            let mut above = above;
            for (filter, row) in filters.iter().zip(rows.chunks_exact_mut(above.len())) {
                undo_row::<N>(*filter, above, row)?;
                above = row;
            }
        }
    }
    Some(())
}

fn undo_row<const N: usize>(filter: u8, above: &[u8], row: &mut [u8]) -> Option<()> {
    let (above_pixels, _) = above.as_chunks::<N>();
    let (pixels, _) = row.as_chunks_mut::<N>();
    match filter {
        0 => {}
        1 => {
            let mut left = [0; N];
            for pixel in pixels {
                for (byte, left) in pixel.iter_mut().zip(left) {
                    *byte = byte.wrapping_add(left);
                }
                left = *pixel;
            }
        }
        2 => {
            for (byte, above) in row.iter_mut().zip(above) {
                *byte = byte.wrapping_add(*above);
            }
        }
        3 => {
            let mut left = [0; N];
            for (pixel, above) in pixels.iter_mut().zip(above_pixels) {
                for index in 0..N {
                    let average = (u16::from(left[index]) + u16::from(above[index])) / 2;
                    pixel[index] = pixel[index].wrapping_add(average as u8);
                }
                left = *pixel;
            }
        }
        4 => undo_paeth(above_pixels, pixels),
        _ => return None,
    }
    Some(())
}

/// Each pixel depends on the one to its left, so the latency of that chain limits the speed. Four
/// bytes are computed side by side in 16 bits and without branches; the compiler puts them into one
/// register.
fn undo_paeth<const N: usize>(above_pixels: &[[u8; N]], pixels: &mut [[u8; N]]) {
    let widen = |pixel: &[u8; N]| {
        let mut wide = [0_i16; 4];
        for (wide, byte) in wide.iter_mut().zip(pixel) {
            *wide = i16::from(*byte);
        }
        wide
    };
    let (mut left, mut corner) = ([0_i16; 4], [0_i16; 4]);
    for (pixel, above) in pixels.iter_mut().zip(above_pixels) {
        let above = widen(above);
        let mut value = widen(pixel);
        for index in 0..4 {
            let from_left = above[index] - corner[index];
            let from_above = left[index] - corner[index];
            let from_corner = (from_left + from_above).abs();
            let (from_left, from_above) = (from_left.abs(), from_above.abs());
            let nearest = from_left.min(from_above).min(from_corner);
            let other = if nearest == from_above {
                above[index]
            } else {
                corner[index]
            };
            let predicted = if nearest == from_left {
                left[index]
            } else {
                other
            };
            value[index] = (value[index] + predicted) & 0xff;
        }
        for (byte, value) in pixel.iter_mut().zip(value) {
            *byte = value as u8;
        }
        (left, corner) = (value, above);
    }
}

/// The neighbour nearest to left + above − corner (section 9.4).
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let [l, a, c] = [left, above, corner].map(i16::from);
    let from_left = (a - c).abs();
    let from_above = (l - c).abs();
    let from_corner = (a - c + l - c).abs();
    if from_left <= from_above && from_left <= from_corner {
        left
    } else if from_above <= from_corner {
        above
    } else {
        corner
    }
}

/// Filters rows of `row_bytes`. For each row, the filter whose bytes, read as signed numbers, have
/// the smallest sum of absolute values is used (section 12.7).
pub(super) fn apply(samples: &[u8], row_bytes: usize, pixel_bytes: usize) -> Vec<u8> {
    let mut filtered = Vec::with_capacity(samples.len() + samples.len() / row_bytes);
    let mut above = &vec![0; row_bytes][..];
    let mut candidates: [Vec<u8>; 4] = std::array::from_fn(|_| vec![0; row_bytes]);
    // The pixel to the left of a row's first pixel.
    let outside = vec![0; pixel_bytes];
    for row in samples.chunks_exact(row_bytes) {
        let (head, tail) = row.split_at(pixel_bytes);
        let (above_head, above_tail) = above.split_at(pixel_bytes);
        let [sub, up, average, nearest] = &mut candidates;
        for (from, to, left, row, above, corner) in [
            (0, pixel_bytes, &outside[..], head, above_head, &outside[..]),
            (pixel_bytes, row_bytes, row, tail, above_tail, above),
        ] {
            let neighbours = row.iter().zip(left).zip(above.iter().zip(corner));
            let targets = sub[from..to]
                .iter_mut()
                .zip(&mut up[from..to])
                .zip(average[from..to].iter_mut().zip(&mut nearest[from..to]));
            for (((byte, left), (above, corner)), ((sub, up), (average, nearest))) in
                neighbours.zip(targets)
            {
                *sub = byte.wrapping_sub(*left);
                *up = byte.wrapping_sub(*above);
                let middle = (u16::from(*left) + u16::from(*above)) / 2;
                *average = byte.wrapping_sub(middle as u8);
                *nearest = byte.wrapping_sub(paeth(*left, *above, *corner));
            }
        }
        let best = (0..candidates.len()).min_by_key(|&index| cost(&candidates[index]));
        let best = best.unwrap_or_default();
        filtered.push(best as u8 + 1);
        filtered.extend_from_slice(&candidates[best]);
        above = row;
    }
    filtered
}

/// Rows without filtering, each after its filter byte.
pub(super) fn none(samples: &[u8], row_bytes: usize) -> Vec<u8> {
    let mut rows = Vec::with_capacity(samples.len() + samples.len() / row_bytes);
    for row in samples.chunks_exact(row_bytes) {
        rows.push(0);
        rows.extend_from_slice(row);
    }
    rows
}

fn cost(filtered: &[u8]) -> u64 {
    // 256 values of at most 128 fit into 16 bits, in which the compiler adds many at once.
    let sums = filtered.chunks(256).map(|part| {
        let sizes = part
            .iter()
            .map(|byte| u16::from(byte.cast_signed().unsigned_abs()));
        u64::from(sizes.sum::<u16>())
    });
    sums.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern, the same every time.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn what_is_filtered_comes_back() {
        for pixel_bytes in 1..=4 {
            let row_bytes = 37 * pixel_bytes;
            let samples = noise(row_bytes * 11);
            let filtered = apply(&samples, row_bytes, pixel_bytes);
            assert_eq!(
                undo(filtered, row_bytes, pixel_bytes),
                Some(samples.clone())
            );
            let stored = none(&samples, row_bytes);
            assert_eq!(undo(stored, row_bytes, pixel_bytes), Some(samples));
        }
    }

    /// Follows the specification byte by byte, for every filter and for a mixture of all, in
    /// pictures narrower and wider than the group of rows that is undone together.
    #[test]
    fn every_filter_is_undone_as_the_specification_says() {
        for pixel_bytes in 1..=4 {
            for (width, filter) in (0..=5).flat_map(|filter| [1, 3, 4, 29].map(|w| (w, filter))) {
                let row_bytes = width * pixel_bytes;
                let mut stored = noise((row_bytes + 1) * 21);
                for (y, row) in stored.chunks_exact_mut(row_bytes + 1).enumerate() {
                    row[0] = if filter > 4 { y as u8 % 5 } else { filter };
                }
                let mut expected: Vec<Vec<u8>> = vec![vec![0; row_bytes]];
                for row in stored.chunks_exact(row_bytes + 1) {
                    let above = expected.last().cloned().unwrap_or_default();
                    let mut undone = row[1..].to_vec();
                    for index in 0..row_bytes {
                        let back = index.checked_sub(pixel_bytes);
                        let left = back.map_or(0, |back| undone[back]);
                        let corner = back.map_or(0, |back| above[back]);
                        let predicted = match row[0] {
                            0 => 0,
                            1 => left,
                            2 => above[index],
                            3 => u8::midpoint(left, above[index]),
                            _ => paeth(left, above[index], corner),
                        };
                        undone[index] = undone[index].wrapping_add(predicted);
                    }
                    expected.push(undone);
                }
                let expected = expected[1..].concat();
                assert_eq!(undo(stored, row_bytes, pixel_bytes), Some(expected));
            }
        }
    }

    #[test]
    fn an_unknown_filter_is_refused() {
        assert_eq!(undo(vec![5, 1, 2, 3], 3, 3), None);
    }
}
