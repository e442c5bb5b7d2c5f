//! Encodes planes as JPEG with fewer bytes for the same likeness, in more time than `baseline`.
//!
//! The quantized coefficients are chosen by what they cost and what they are worth
//! (`optimised/trellis`), and written in the order in which they take the fewest bytes
//! (`optimised/scans`).

use crate::planes::Planes;

use super::baseline::dct::Quantizer;
use super::baseline::{self, FrameComponent};
use super::spec::AREA;

mod component;
mod scans;
mod trellis;

use component::Component;

/// Encodes planes at a quality and an effort, with coefficients in one scan or in several.
pub(super) fn encode(planes: &Planes, quality: u8, effort: u8, progressive: bool) -> Vec<u8> {
    let steps = baseline::steps(quality);
    let (across, down) = planes.color.unwrap_or((1, 1));
    let mut components = Vec::new();
    for (index, samples) in planes.split()[..planes.count()].iter().enumerate() {
        let kind = index.min(1);
        let (columns, rows) = planes.size_of(index);
        let (columns, rows) = (columns as usize, rows as usize);
        let raw = transform(samples, (columns, rows), &Quantizer::new(&steps[kind]));
        let blocks = trellis::quantize(&raw, effort);
        components.push(Component {
            size: (columns.div_ceil(8), rows.div_ceil(8)),
            across: if index == 0 { across as usize } else { 1 },
            down: if index == 0 { down as usize } else { 1 },
            kind,
            blocks,
        });
    }
    let described = components.iter().map(|component| FrameComponent {
        across: component.across,
        down: component.down,
        kind: component.kind,
    });
    let frame = if progressive { 0xc2 } else { 0xc0 };
    let mut jpeg = baseline::start(frame, (planes.width, planes.height), &steps, described);
    match progressive {
        true => scans::progressive(&components, effort, &mut jpeg),
        false => scans::sequential(&components, &mut jpeg),
    }
    jpeg.extend([0xff, 0xd9]);
    jpeg
}

/// The coefficients of a plane in steps, block by block.
fn transform(
    samples: &[u8],
    (width, height): (usize, usize),
    quantizer: &Quantizer,
) -> Vec<[f32; AREA]> {
    let mut raw = Vec::with_capacity(width.div_ceil(8) * height.div_ceil(8));
    for top in (0..height).step_by(8) {
        for left in (0..width).step_by(8) {
            let block = baseline::block(samples, (width, height), (left, top));
            raw.push(quantizer.transform(&block));
        }
    }
    raw
}

#[cfg(test)]
mod tests {
    use crate::codec::jpeg::turbo;

    use super::*;

    /// Gradients, edges and noise.
    fn picture(width: u32, height: u32, color: Option<(u32, u32)>, noise: u32) -> Planes {
        let mut planes = Planes::new(width, height, color);
        let sizes: [_; 3] = std::array::from_fn(|index| planes.size_of(index));
        let mut state = 1_u32;
        for (plane, (columns, _)) in planes.split_mut().into_iter().zip(sizes) {
            for (index, sample) in (0..).zip(plane) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, y) = (index % columns, index / columns);
                let edge = if (x / 11 + y / 7) % 3 == 0 { 90 } else { 0 };
                *sample = (40 + (x + 2 * y) % 100 + edge + (state >> 24) * noise / 255) as u8;
            }
        }
        planes.repeat_edges();
        planes
    }

    fn decoded(jpeg: &[u8]) -> Planes {
        let planes = turbo::decode_planes(jpeg, 8).expect("it is whole");
        planes.expect("it has planes")
    }

    /// Another decoder reads the same picture from one scan and from several, in every split.
    #[test]
    fn scans_have_the_same_coefficients() {
        for color in [None, Some((1, 1)), Some((2, 2))] {
            for size in [(1, 1), (8, 8), (17, 50), (131, 75), (300, 200)] {
                for (quality, noise) in [(1, 20), (50, 20), (80, 0), (95, 25), (100, 25)] {
                    let planes = picture(size.0, size.1, color, noise);
                    let plain = decoded(&baseline::encode(&planes, quality));
                    for effort in [1, 6, 7, 9] {
                        let case = format!("{color:?} {size:?} {quality} {effort}");
                        let one = decoded(&encode(&planes, quality, effort, false));
                        let many = decoded(&encode(&planes, quality, effort, true));
                        assert!(one == many, "{case}");
                        assert!(effort > 1 || one == plain, "{case}");
                    }
                }
            }
        }
    }

    /// The chosen coefficients take fewer bytes and cost little likeness.
    #[test]
    fn more_effort_gives_fewer_bytes() {
        let planes = picture(300, 200, Some((2, 2)), 25);
        let plain = baseline::encode(&planes, 80);
        let mut last = plain.len();
        for effort in [6, 7, 9] {
            let bytes = encode(&planes, 80, effort, true).len();
            assert!(bytes <= last, "{effort}: {bytes}, not {last}");
            last = bytes;
        }
        assert!(last * 100 < plain.len() * 97, "{last} of {}", plain.len());
    }
}
