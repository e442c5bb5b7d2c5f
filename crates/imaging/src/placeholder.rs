//! What can be shown until a picture is there: a ThumbHash and the dominant colour.

use crate::linear::Levels;
use crate::raster::Raster;

/// Bits of a channel that tell groups of colours apart.
const GROUP_BITS: u32 = 3;
/// Pixels with less alpha have no colour.
const LEAST_ALPHA: u8 = 128;

/// What can be shown until a picture is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// The [ThumbHash](https://evanw.github.io/thumbhash/), of at most 25 bytes: a blurred picture
    /// with its aspect ratio and its transparency.
    pub thumbhash: Vec<u8>,
    /// The dominant colour, as red, green and blue of sRGB; white if the picture is transparent.
    pub color: [u8; 3],
}

impl Placeholder {
    /// Of an upright picture of Rgba with at most 100 pixels on each side.
    pub(crate) fn of(small: &Raster) -> Self {
        let (width, height) = (small.width as usize, small.height as usize);
        Self {
            thumbhash: thumbhash::rgba_to_thumb_hash(width, height, small.bytes()),
            color: dominant(small.bytes().as_chunks().0),
        }
    }
}

/// The mean of the largest group of similar colours. Strong colours count up to twice, because they
/// are what the eye remembers.
fn dominant(pixels: &[[u8; 4]]) -> [u8; 3] {
    let mut groups = vec![[0_u32; 4]; 1 << (3 * GROUP_BITS)];
    for &[r, g, b, alpha] in pixels {
        if alpha < LEAST_ALPHA {
            continue;
        }
        let rgb = [r, g, b];
        let group = rgb.iter().fold(0, |group, value| {
            group << GROUP_BITS | usize::from(value >> (8 - GROUP_BITS))
        });
        let spread = r.max(g).max(b) - r.min(g).min(b);
        let weight = 255 + u32::from(spread);
        let [sums @ .., weights] = &mut groups[group];
        for (sum, value) in sums.iter_mut().zip(rgb) {
            *sum += u32::from(value) * weight;
        }
        *weights += weight;
    }
    let largest = groups.iter().max_by_key(|group| group[3]);
    match largest {
        Some(&[r, g, b, weight]) if weight > 0 => {
            [r, g, b].map(|sum| ((sum + weight / 2) / weight) as u8)
        }
        _ => [255; 3],
    }
}

/// Converts planes of the same size to Rgba (ITU-R BT.601).
pub(crate) fn from_planes(planes: &[Raster], levels: Levels) -> Vec<u8> {
    let (black, light, color) = match levels {
        Levels::Full => (0.0, 1.0, 1.0),
        Levels::Video => (16.0, 255.0 / 219.0, 255.0 / 224.0),
    };
    let at = |index: usize, place: usize| {
        let plane = planes.get(index).map(Raster::bytes);
        plane.map_or(128.0, |samples| f32::from(samples[place]))
    };
    let count = planes.first().map_or(0, |luma| luma.bytes().len());
    let pixels = (0..count).flat_map(|place| {
        let luma = (at(0, place) - black) * light;
        let [blue, red] = [1, 2].map(|index| (at(index, place) - 128.0) * color);
        let rgb = [
            luma + 1.402 * red,
            luma - 0.344_136 * blue - 0.714_136 * red,
            luma + 1.772 * blue,
        ];
        let [r, g, b] = rgb.map(|value| value.round() as u8);
        [r, g, b, 255]
    });
    pixels.collect()
}

#[cfg(test)]
mod tests {
    use crate::raster::Layout;

    use super::*;

    #[test]
    fn the_largest_group_of_colours_dominates() {
        let red = [200, 30, 20, 255];
        let gray = [120, 120, 120, 255];
        let clear = [0, 255, 0, 10];
        let pixels = [vec![red; 4], vec![gray; 6], vec![clear; 20]].concat();
        assert_eq!(dominant(&pixels), [200, 30, 20]);
        assert_eq!(
            dominant(&[vec![red; 3], vec![gray; 7]].concat()),
            [120, 120, 120]
        );
        assert_eq!(dominant(&[clear; 9]), [255, 255, 255]);
    }

    #[test]
    fn planes_become_their_colours() {
        let plane = |value| Raster::from_u8(1, 1, Layout::Gray, vec![value]);
        let red = [plane(76), plane(85), plane(255)];
        assert_eq!(from_planes(&red, Levels::Full), [254, 0, 0, 255]);
        assert_eq!(
            from_planes(&[plane(235)], Levels::Video),
            [255, 255, 255, 255]
        );
    }

    #[test]
    fn a_flat_picture_is_its_colour() {
        let raster = Raster::from_u8(8, 4, Layout::Rgba, [90, 120, 40, 255].repeat(32));
        let placeholder = Placeholder::of(&raster);
        assert_eq!(placeholder.color, [90, 120, 40]);
        let (r, g, b, a) =
            thumbhash::thumb_hash_to_average_rgba(&placeholder.thumbhash).expect("it is one");
        let near = |found: f32, value: u8| (found * 255.0 - f32::from(value)).abs() < 12.0;
        assert!(near(r, 90) && near(g, 120) && near(b, 40) && a == 1.0);
    }
}
