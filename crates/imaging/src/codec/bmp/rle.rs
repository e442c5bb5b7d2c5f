//! Run lengths of BMP: bytes, half bytes, and the pixels of OS/2.

/// What the runs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// Indices of 8 bits.
    Bytes,
    /// Indices of 4 bits.
    HalfBytes,
    /// Blue, green and red.
    Colors,
}

/// Decodes rows from the bottom. Pixels that are skipped stay 0, which is black or transparent.
///
/// # Errors
///
/// If the data is cut short or goes beyond the picture.
pub(super) fn decode(
    data: &[u8],
    runs: Runs,
    palette: &[[u8; 4]],
    (width, height): (usize, usize),
    channels: usize,
    pixels: &mut [u8],
) -> Result<(), String> {
    let beyond = || "its run lengths go beyond the picture".to_owned();
    let mut rest = data;
    let mut next = |count: usize| {
        let (bytes, after) = rest.split_at_checked(count)?;
        rest = after;
        Some(bytes)
    };
    let (mut x, mut y) = (0, 0);
    while y < height {
        let Some(&[count, value]) = next(2) else {
            // The end need not be marked.
            return match x == width && y + 1 == height {
                true => Ok(()),
                false => Err("it is cut short".to_owned()),
            };
        };
        let cut = || "it is cut short".to_owned();
        let row_start = (height - 1 - y) * width;
        let mut put = |x: usize, color: [u8; 4]| {
            let start = (row_start + x) * channels;
            pixels[start..start + channels].copy_from_slice(&color[..channels]);
        };
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return Ok(()),
            (0, 2) => {
                let &[across, up] = next(2).ok_or_else(cut)? else {
                    return Err(cut());
                };
                (x, y) = (x + usize::from(across), y + usize::from(up));
                if x > width || y >= height {
                    return Err(beyond());
                }
            }
            // Pixels one by one, padded to an even number of bytes.
            (0, count) => {
                let count = usize::from(count);
                let length = match runs {
                    Runs::Bytes => count,
                    Runs::HalfBytes => count.div_ceil(2),
                    Runs::Colors => count * 3,
                };
                let bytes = next(length.next_multiple_of(2)).ok_or_else(cut)?;
                if x + count > width {
                    return Err(beyond());
                }
                for index in 0..count {
                    let color = match runs {
                        Runs::Bytes => palette[usize::from(bytes[index])],
                        Runs::HalfBytes => palette[half(bytes[index / 2], index)],
                        Runs::Colors => color(&bytes[index * 3..]),
                    };
                    put(x + index, color);
                }
                x += count;
            }
            (count, value) => {
                let mut count = usize::from(count);
                if x + count > width {
                    // Writers of bytes let the last run of a row be longer.
                    match runs {
                        Runs::HalfBytes => return Err(beyond()),
                        Runs::Bytes | Runs::Colors => count = width - x,
                    }
                }
                let run = match runs {
                    Runs::Colors => {
                        let &[green, red] = next(2).ok_or_else(cut)? else {
                            return Err(cut());
                        };
                        Some([red, green, value, 255])
                    }
                    _ => None,
                };
                for index in 0..count {
                    let color = match runs {
                        Runs::Bytes => palette[usize::from(value)],
                        _ => run.unwrap_or_else(|| palette[half(value, index)]),
                    };
                    put(x + index, color);
                }
                x += count;
            }
        }
    }
    Ok(())
}

/// The higher half of a byte comes first.
fn half(byte: u8, index: usize) -> usize {
    usize::from(if index.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

fn color(bytes: &[u8]) -> [u8; 4] {
    [bytes[2], bytes[1], bytes[0], 255]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_colours_are_those_of_os2() {
        let mut pixels = vec![0; 4 * 2 * 3];
        // A run of two and one of one, the end of the row, three colours with padding, and the end.
        let data = [
            &[2, 1, 2, 3, 1, 9, 8, 7, 0, 0][..],
            &[0, 3, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 1],
        ]
        .concat();
        decode(&data, Runs::Colors, &[], (4, 2), 3, &mut pixels).unwrap();
        let rows = [
            [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0],
            [3, 2, 1, 3, 2, 1, 7, 8, 9, 0, 0, 0],
        ];
        assert_eq!(pixels, rows.concat());
        for cut in 0..data.len() - 2 {
            let result = decode(&data[..cut], Runs::Colors, &[], (4, 2), 3, &mut pixels);
            assert!(result.is_err(), "{cut}");
        }
    }
}
