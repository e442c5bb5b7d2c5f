//! Decodes Huffman-coded JPEG at one to four eighths of its size (shrink-on-load). Nearly all
//! photographs that become thumbnails are read by this decoder.
//!
//! A general decoder processes every coefficient, but a much smaller picture needs only the low
//! frequencies. This decoder skips the codes of all others, several at a time, and its transforms
//! are as small as the result.

use crate::planes::{Eighths, Planes};

use super::frame::Frame;
use super::segments::segment;
use super::spec::MAX_SCANS;

mod bits;
mod dct;
mod fault;
mod huffman;
mod plane;
pub(super) mod progressive;
pub(super) mod scan;
mod sequential;

use fault::Fault;
use plane::Plane;
use progressive::CoefficientStore;
use scan::{Scan, Tables};

/// The largest size, in eighths.
pub(super) const MOST_EIGHTHS: u32 = 4;

/// Decodes to planes of a number of eighths of the full size. Chroma planes have the same number as
/// luma, or one less. `frame` is the frame header of a picture for which
/// [`Markers::reducible`](super::markers::Markers::reducible) returned a subsampling.
///
/// # Errors
///
/// If something is damaged or missing.
pub(super) fn decode(
    bytes: &[u8],
    frame: &Frame,
    color: Option<(u32, u32)>,
    eighths: Eighths,
) -> Result<Planes, String> {
    match (eighths.brightness, eighths.color) {
        (1, _) => decode_to::<1, 1>(bytes, frame, color),
        (2, 1) => decode_to::<2, 1>(bytes, frame, color),
        (2, _) => decode_to::<2, 2>(bytes, frame, color),
        (3, 2) => decode_to::<3, 2>(bytes, frame, color),
        (3, _) => decode_to::<3, 3>(bytes, frame, color),
        (_, 3) => decode_to::<4, 3>(bytes, frame, color),
        _ => decode_to::<4, 4>(bytes, frame, color),
    }
}

/// Decodes to `N` × `N` luma samples and `C` × `C` chroma samples per block.
fn decode_to<const N: usize, const C: usize>(
    bytes: &[u8],
    frame: &Frame,
    color: Option<(u32, u32)>,
) -> Result<Planes, String> {
    let describe = |fault: Fault| fault.to_string();
    let mut tables = Tables::default();
    let mut rest = bytes.get(2..).unwrap_or_default();
    let eighths = Eighths {
        brightness: N as u32,
        color: C as u32,
    };
    let mut planes = Planes::reduced(frame.size(), color, eighths);
    let sizes: [_; 3] = std::array::from_fn(|index| planes.size_of(index));
    let slices = planes.split_mut().into_iter().zip(sizes);
    let mut targets: Vec<_> = slices
        .take(frame.components.len())
        .map(|(samples, size)| Plane::new(samples, size))
        .collect();
    let mut coefficients = frame
        .is_progressive
        .then(|| CoefficientStore::<N, C>::new(frame));
    let mut scans = 0;
    loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            0xd9 if scans == 0 => return Err("it ends before any picture data".to_owned()),
            0xd9 => break,
            0xda => {
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(format!("it has more than {MAX_SCANS} scans"));
                }
                let scan = Scan::read(payload, frame).ok_or("a scan header is damaged")?;
                rest = match &mut coefficients {
                    Some(coefficients) => coefficients.scan(rest, &scan, &tables),
                    None => sequential::decode::<N, C>(rest, frame, &scan, &tables, &mut targets),
                }
                .map_err(describe)?;
            }
            // The frame header was read before and is skipped.
            _ => tables.read(marker, payload)?,
        }
    }
    if let Some(coefficients) = coefficients {
        coefficients
            .transform(frame, &tables, &mut targets)
            .map_err(describe)?;
    }
    planes.repeat_edges();
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

    use crate::codec::jpeg::{markers, turbo};
    use crate::limits::Limits;

    use super::*;

    /// Gradients, stripes and noise, which give coefficients of every frequency.
    fn picture(width: usize, height: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 24) as usize % 30 * (y / 24 % 2);
                let stripes = if x / 3 % 2 == 0 { 60 } else { 0 };
                pixels.push((x * 150 / width + noise + 20) as u8);
                pixels.push((y * 150 / height + stripes + noise) as u8);
                pixels.push((200 - x * 100 / width) as u8);
            }
        }
        pixels
    }

    fn encode((width, height): (usize, usize), subsamp: Subsamp, progressive: bool) -> Vec<u8> {
        let pixels = picture(width, height);
        let image = Image {
            pixels: pixels.as_slice(),
            width,
            pitch: width * 3,
            height,
            format: PixelFormat::RGB,
        };
        let mut compressor = Compressor::new().unwrap();
        compressor.set_quality(88).unwrap();
        compressor.set_subsamp(subsamp).unwrap();
        compressor.set_progressive(progressive).unwrap();
        compressor.compress_to_vec(image).unwrap()
    }

    fn decoded(bytes: &[u8], eighths: Eighths) -> Result<Planes, String> {
        let (markers, _) = markers::read(bytes, &Limits::default())?;
        let color = markers.reducible().expect("it is of the kind");
        decode(bytes, &markers.frame, color, eighths)
    }

    fn reduced(bytes: &[u8], eighths: u32) -> Result<Planes, String> {
        decoded(bytes, Eighths::both(eighths))
    }

    /// `None` where libjpeg-turbo would read past its buffer.
    fn libjpeg(bytes: &[u8], eighths: u32) -> Option<Planes> {
        turbo::decode_planes(bytes, eighths).unwrap()
    }

    fn difference(found: &Planes, expected: &Planes) -> u8 {
        assert_eq!(found.samples.len(), expected.samples.len());
        let pairs = found.samples.iter().zip(&expected.samples);
        pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    const SAMPLINGS: [Subsamp; 6] = [
        Subsamp::None,
        Subsamp::Sub2x1,
        Subsamp::Sub2x2,
        Subsamp::Sub1x2,
        Subsamp::Sub4x1,
        Subsamp::Gray,
    ];

    /// libjpeg-turbo has the same transforms to one and three eighths, but not to two and four.
    #[test]
    fn planes_are_those_of_libjpeg() {
        for subsamp in SAMPLINGS {
            for progressive in [false, true] {
                for size in [(1, 1), (7, 50), (64, 48), (131, 75), (300, 17)] {
                    let bytes = encode(size, subsamp, progressive);
                    for eighths in [1, 3] {
                        let found = reduced(&bytes, eighths).unwrap();
                        let Some(expected) = libjpeg(&bytes, eighths) else {
                            let is_narrow = matches!(subsamp, Subsamp::Sub4x1) && size.0 <= 8;
                            assert!(is_narrow && eighths == 1, "{subsamp:?} {size:?}");
                            continue;
                        };
                        let most = difference(&found, &expected);
                        let case = format!("{subsamp:?} {progressive} {size:?} {eighths}/8");
                        assert!(most <= 2, "{case}: they differ by {most}");
                    }
                }
            }
        }
    }

    /// Both kinds have the same coefficients; only the order of their bits differs.
    #[test]
    fn progressive_pictures_are_those_of_one_scan() {
        for subsamp in SAMPLINGS {
            let size = (139, 93);
            let (one, many) = (encode(size, subsamp, false), encode(size, subsamp, true));
            for eighths in 1..=4 {
                let case = format!("{subsamp:?} {eighths}/8");
                assert!(
                    reduced(&one, eighths).unwrap() == reduced(&many, eighths).unwrap(),
                    "{case}"
                );
            }
        }
    }

    /// If chroma has one eighth less, each plane equals the one decoded with both at its size.
    #[test]
    fn colour_may_be_smaller() {
        for subsamp in SAMPLINGS {
            for progressive in [false, true] {
                let bytes = encode((131, 75), subsamp, progressive);
                for eighths in 2..=4 {
                    let smaller = Eighths {
                        brightness: eighths,
                        color: eighths - 1,
                    };
                    let found = decoded(&bytes, smaller).unwrap();
                    let large = reduced(&bytes, eighths).unwrap();
                    let small = reduced(&bytes, eighths - 1).unwrap();
                    let case = format!("{subsamp:?} {progressive} {eighths}/8");
                    assert_eq!(found.eighths, smaller, "{case}");
                    assert!(found.split()[0] == large.split()[0], "{case}");
                    assert!(found.split()[1..] == small.split()[1..], "{case}");
                }
            }
        }
    }

    /// The mean brightness is the same at every size.
    #[test]
    fn every_size_is_as_bright() {
        let bytes = encode((256, 192), Subsamp::Sub2x2, false);
        let mean = |planes: &Planes| {
            let brightness = planes.split()[0];
            let sum: u64 = brightness.iter().map(|sample| u64::from(*sample)).sum();
            sum as f64 / brightness.len() as f64
        };
        let full = mean(&libjpeg(&bytes, 8).unwrap());
        for eighths in 1..=4 {
            let found = mean(&reduced(&bytes, eighths).unwrap());
            assert!(
                (found - full).abs() < 0.5,
                "{eighths}/8: {found}, not {full}"
            );
        }
    }

    #[test]
    fn what_is_cut_short_is_found_out() {
        for progressive in [false, true] {
            let bytes = encode((200, 150), Subsamp::Sub2x2, progressive);
            for eighths in 1..=4 {
                for cut in (0..bytes.len()).step_by(97) {
                    if markers::read(&bytes[..cut], &Limits::default()).is_err() {
                        continue;
                    }
                    let result = reduced(&bytes[..cut], eighths);
                    assert!(result.is_err(), "{progressive} {eighths}/8 cut to {cut}");
                }
            }
        }
    }

    /// Whichever bits are damaged, the result is an error or a picture, never a panic.
    #[test]
    fn damage_does_no_harm() {
        for progressive in [false, true] {
            let good = encode((90, 70), Subsamp::Sub2x2, progressive);
            for at in (2..good.len()).step_by(3) {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << (at % 8);
                if let Ok((markers, _)) = markers::read(&bytes, &Limits::default())
                    && markers.reducible().is_some()
                    && markers.frame.width * markers.frame.height < 1 << 20
                {
                    for eighths in 1..=4 {
                        let _ = reduced(&bytes, eighths);
                    }
                }
            }
        }
    }

    /// The header of one picture with the bytes of another: an error or a picture, never a panic.
    #[test]
    fn the_bytes_of_another_picture_do_no_harm() {
        let kinds = [
            (Subsamp::Sub2x2, false),
            (Subsamp::Sub2x2, true),
            (Subsamp::Gray, true),
        ];
        let pictures: Vec<_> = [(90, 70), (17, 200)]
            .into_iter()
            .flat_map(|size| kinds.map(|(subsamp, progressive)| encode(size, subsamp, progressive)))
            .collect();
        for inspected in &pictures {
            let (markers, _) = markers::read(inspected, &Limits::default()).unwrap();
            let color = markers.reducible().unwrap();
            for bytes in pictures
                .iter()
                .map(Vec::as_slice)
                .chain([&b""[..], b"\xff\xd8"])
            {
                for eighths in 1..=4 {
                    let _ = decode(bytes, &markers.frame, color, Eighths::both(eighths));
                }
            }
        }
    }
}
