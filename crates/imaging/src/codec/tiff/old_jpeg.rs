//! Old-style JPEG in TIFF (TIFF 6.0, section 22), which Technical Note 2 has replaced: either a whole
//! JPEG file lies in the TIFF, or its parts do, and the strips have the coded data alone.

use std::borrow::Cow;

use crate::codec::jpeg;

use super::directory::{Directory, tag};
use super::kind::Kind;
use super::strips::Strip;

/// The whole JPEG file, if there is one of the size of the picture.
pub(super) fn whole<'a>(directory: &Directory<'a>, kind: &Kind) -> Option<&'a [u8]> {
    let place = usize::try_from(directory.number(tag::JPEG_FILE)?).ok()?;
    let bytes = directory.all().get(place..)?;
    let size = (u64::from(kind.width), u64::from(kind.height));
    let frame = jpeg::frames(bytes.strip_prefix(b"\xff\xd8").map(|_| bytes)?).next()?;
    ((frame.width, frame.height) == size && jpeg::has_scan(bytes)).then_some(bytes)
}

/// The JPEG file of a strip or tile: made of tables in fields and of coded data, unless the strip is
/// one.
///
/// # Errors
///
/// If a table is missing.
pub(super) fn of_strip<'a>(
    directory: &Directory<'_>,
    kind: &Kind,
    strip: &Strip<'a>,
) -> Result<Cow<'a, [u8]>, String> {
    if strip.data.starts_with(b"\xff\xd8") {
        return Ok(Cow::Borrowed(strip.data));
    }
    let count = kind.samples_together();
    let mut jpeg = vec![0xff, 0xd8];
    let mut put = |marker: u8, payload: &[u8]| {
        jpeg.extend([0xff, marker]);
        jpeg.extend((payload.len() as u16 + 2).to_be_bytes());
        jpeg.extend(payload);
    };
    for number in 0..count {
        let quantization = table(directory, tag::QUANTIZATION_TABLES, number, |_| 64)?;
        put(0xdb, &[&[number as u8], quantization].concat());
        for (class, tag) in [(0x00, tag::DC_TABLES), (0x10, tag::AC_TABLES)] {
            let codes = |counts: &[u8]| {
                16 + counts
                    .iter()
                    .take(16)
                    .map(|n| usize::from(*n))
                    .sum::<usize>()
            };
            let codes = table(directory, tag, number, codes)?;
            put(0xc4, &[&[class | number as u8], codes].concat());
        }
    }
    let mut sampling = directory.numbers(tag::CHROMA_SUBSAMPLING);
    let mut factor = || {
        sampling
            .next()
            .filter(|factor| (1..=4).contains(factor))
            .unwrap_or(2) as u8
    };
    let (across, down) = (factor(), factor());
    let mut frame = vec![8];
    frame.extend((strip.shape.rows as u16).to_be_bytes());
    frame.extend((strip.shape.width as u16).to_be_bytes());
    frame.push(count as u8);
    for number in 0..count as u8 {
        let factors = if number == 0 && count == 3 {
            across << 4 | down
        } else {
            0x11
        };
        frame.extend([number + 1, factors, number]);
    }
    put(0xc0, &frame);
    if let Some(interval) = directory.number(tag::RESTART_INTERVAL).filter(|it| *it > 0) {
        put(0xdd, &(interval as u16).to_be_bytes());
    }
    let mut scan = vec![count as u8];
    scan.extend((0..count as u8).flat_map(|number| [number + 1, number << 4 | number]));
    scan.extend([0, 63, 0]);
    put(0xda, &scan);
    jpeg.extend_from_slice(strip.data);
    jpeg.extend([0xff, 0xd9]);
    Ok(Cow::Owned(jpeg))
}

/// A table at the place that a field has for a component. `length` tells its bytes from their start.
fn table<'a>(
    directory: &Directory<'a>,
    tag: u16,
    component: usize,
    length: impl Fn(&[u8]) -> usize,
) -> Result<&'a [u8], String> {
    let find = || {
        let place = directory.numbers(tag).nth(component)?;
        let bytes = directory.all().get(usize::try_from(place).ok()?..)?;
        bytes.get(..length(bytes))
    };
    find().ok_or_else(|| "a table of its old-style JPEG is missing".to_owned())
}
