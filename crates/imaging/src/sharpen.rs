//! Sharpens after resampling, with an unsharp mask whose blur is the 3 × 3 binomial kernel (1 2 1,
//! σ ≈ 0.7 pixels).

use crate::raster::{Raster, Samples};

/// Adds the difference between the picture and its blur, times `strength` ÷ 50: a strength of 50
/// doubles fine detail. Alpha is unchanged; transparent neighbours contribute no colour.
pub(crate) fn sharpen(mut raster: Raster, strength: u8) -> Raster {
    if strength == 0 {
        return raster;
    }
    let (width, height) = (raster.width as usize, raster.height as usize);
    let channels = raster.layout.channels();
    let alpha = raster.layout.has_alpha().then_some(channels - 1);
    let shape = (width, height, channels, alpha);
    match &mut raster.samples {
        Samples::U8(values) => {
            *values = mask(values, shape, strength, |value| value.clamp(0, 255) as u8);
        }
        Samples::U16(values) => {
            *values = mask(values, shape, strength, |value| {
                value.clamp(0, 65_535) as u16
            });
        }
        // Sharpening comes after the conversion from linear light.
        Samples::F32(_) => {}
    }
    raster
}

fn mask<T: Copy + Into<i32> + PartialEq + Default>(
    values: &[T],
    (width, height, channels, alpha): (usize, usize, usize, Option<usize>),
    strength: u8,
    clamp: impl Fn(i32) -> T,
) -> Vec<T> {
    // Sixteenths of the kernel times fiftieths of the strength.
    const SCALE: i32 = 16 * 50;
    let strength = i32::from(strength);
    let mut sharp = Vec::with_capacity(values.len());
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(|row| row * width);
        for x in 0..width {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
            let here = (rows[1] + x) * channels;
            for channel in 0..channels {
                let center = values[here + channel];
                if alpha == Some(channel) {
                    sharp.push(center);
                    continue;
                }
                let center: i32 = center.into();
                let mut blurred = 0;
                for (row, row_weight) in rows.iter().zip([1, 2, 1]) {
                    for (column, column_weight) in columns.iter().zip([1, 2, 1]) {
                        let pixel = (row + column) * channels;
                        let hidden =
                            alpha.is_some_and(|alpha| values[pixel + alpha] == T::default());
                        let value = if hidden {
                            center
                        } else {
                            values[pixel + channel].into()
                        };
                        blurred += row_weight * column_weight * value;
                    }
                }
                let change = (center * 16 - blurred) * strength;
                let rounded = (change + SCALE / 2 * change.signum()) / SCALE;
                sharp.push(clamp(center + rounded));
            }
        }
    }
    sharp
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raster::Layout;

    #[test]
    fn an_edge_becomes_steeper_and_a_plane_stays() {
        let edge = [50, 50, 50, 150, 150, 150].repeat(3);
        let raster = Raster::from_u8(6, 3, Layout::Gray, edge);
        let sharp = sharpen(raster.clone(), 50);
        assert_eq!(&sharp.bytes()[6..12], [50, 50, 25, 175, 150, 150]);
        assert_eq!(sharpen(raster.clone(), 0), raster);
    }
}
