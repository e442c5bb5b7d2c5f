//! Reads the properties of an AVIF picture: colour, rotation, mirroring and EXIF (ISO/IEC 14496-12
//! and 23008-12).

use crate::codec::boxes::items::{Items, Property};
use crate::codec::ycbcr::Coding;
use crate::limits::Limits;
use crate::orientation::Orientation;

/// The properties of the primary item.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties<'a> {
    pub(super) icc: Option<&'a [u8]>,
    pub(super) coding: Option<Coding>,
    pub(super) orientation: Orientation,
    /// Left out if it is larger than the limit.
    pub(super) exif: Option<Vec<u8>>,
}

/// Reads the properties of the primary item. Missing or damaged ones are left out; the picture data
/// is checked elsewhere. A profile that is larger than the limit is an error, because without it the
/// colours would be wrong.
pub(super) fn read<'a>(items: &Items<'a>, limits: &Limits) -> Result<Properties<'a>, String> {
    let most = limits.max_metadata_bytes;
    let mut properties = Properties::default();
    for property in items.properties_of(items.primary) {
        properties.put(property);
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
            // Anticlockwise quarter turns, applied before mirroring (MIAF 7.3.6.7).
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
}
