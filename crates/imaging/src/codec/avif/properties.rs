//! Reads the properties of an AVIF picture: colour, crop, rotation, mirroring, and the metadata items
//! (ISO/IEC 14496-12 and 23008-12).

use crate::codec::boxes::items::{Items, Property};
use crate::codec::ycbcr::{Coding, Window};
use crate::limits::Limits;
use crate::orientation::Orientation;

use super::picture::Picture;

/// The properties of the picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties<'a> {
    pub(super) icc: Option<&'a [u8]>,
    pub(super) coding: Option<Coding>,
    aperture: Option<[u32; 8]>,
    pub(super) orientation: Orientation,
    /// Left out if it is larger than the limit.
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
}

/// Reads the properties. Missing or damaged ones are left out; the picture data is checked elsewhere.
/// A profile that is larger than the limit is an error, because without it the colours would be wrong.
pub(super) fn read<'a>(
    items: &Items<'a>,
    picture: &Picture<'_>,
    limits: &Limits,
) -> Result<Properties<'a>, String> {
    let most = limits.max_metadata_bytes;
    let mut properties = Properties::default();
    for id in &picture.described_by {
        for property in items.properties_of(*id) {
            properties.put(property);
        }
    }
    // The tiles of a grid may have what the grid lacks.
    if properties.icc.is_none() && properties.coding.is_none() {
        let tile = items.properties_of(picture.first_tile);
        for property in tile.filter(|(name, _)| *name == b"colr") {
            properties.put(property);
        }
    }
    if let Some(icc) = properties.icc
        && icc.len() as u64 > most
    {
        return Err(format!(
            "its colour profile has {} bytes; the limit is {most}",
            icc.len()
        ));
    }
    properties.exif = items.exif(most);
    properties.xmp = items.xmp(most);
    Ok(properties)
}

impl<'a> Properties<'a> {
    fn put(&mut self, (name, payload): Property<'a>) {
        match (name, payload) {
            (b"colr", [b'r' | b'p', b'I' | b'r', b'C' | b'o', b'C' | b'f', icc @ ..]) => {
                self.icc = Some(icc);
            }
            (b"colr", [b'n', b'c', b'l', b'x', p0, p1, t0, t1, m0, m1, range, ..]) => {
                self.coding = Some(Coding {
                    primaries: u16::from_be_bytes([*p0, *p1]),
                    transfer: u16::from_be_bytes([*t0, *t1]),
                    matrix: u16::from_be_bytes([*m0, *m1]),
                    full_range: range & 0x80 != 0,
                });
            }
            (b"clap", numbers) => {
                let (numbers, _) = numbers.as_chunks::<4>();
                let numbers = numbers.first_chunk::<8>();
                self.aperture = numbers.map(|numbers| numbers.map(u32::from_be_bytes));
            }
            // Anticlockwise quarter turns, applied after cropping and before mirroring (MIAF
            // 7.3.6.7).
            (b"irot", [turns, ..]) => {
                let exif = [1, 8, 3, 6][usize::from(turns & 3)];
                self.orientation = Orientation::from_exif(exif);
            }
            (b"imir", [axis, ..]) => {
                if axis & 1 == 0 {
                    self.orientation.mirror_y ^= true;
                } else {
                    self.orientation.mirror_x ^= true;
                }
            }
            _ => {}
        }
    }

    /// The part of a decoded picture of this size that is shown (`clap`; ISO/IEC 14496-12,
    /// 12.1.4.1). An aperture that is no part of the picture is ignored, as browsers do.
    pub(super) fn window(&self, size: (u32, u32)) -> Window {
        let cropped = || {
            let [width, by_1, height, by_2, x, by_3, y, by_4] = self.aperture?;
            let (left, width) = span(size.0, (width, by_1), (x, by_3))?;
            let (top, height) = span(size.1, (height, by_2), (y, by_4))?;
            Some(Window {
                left,
                top,
                width,
                height,
            })
        };
        cropped().unwrap_or(Window::whole(size))
    }
}

/// Start and length of what is left of a side, by fractions: the length, and how far its centre lies
/// from that of the side.
fn span(side: u32, length: (u32, u32), centre: (u32, u32)) -> Option<(u32, u32)> {
    if length.1 == 0 || centre.1 == 0 {
        return None;
    }
    let length = f64::from(length.0) / f64::from(length.1);
    // The numerator of an offset has a sign.
    let centre = f64::from(centre.0 as i32) / f64::from(centre.1);
    let start = (f64::from(side) - length) / 2.0 + centre;
    let (start, length) = (start.round(), length.round());
    let fits = start >= 0.0 && length >= 1.0 && start + length <= f64::from(side);
    fits.then_some((start as u32, length as u32))
}
