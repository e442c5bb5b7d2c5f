//! Reads the properties of an AVIF picture that `avif-parse` does not expose: colour, rotation,
//! mirroring and EXIF (ISO/IEC 14496-12 and 23008-12).

use crate::codec::boxes::{boxes, exif_of_item, find};
use crate::codec::ycbcr::Coding;
use crate::orientation::Orientation;

/// The properties of the primary item.
#[derive(Clone, Debug, Default)]
pub(super) struct Properties {
    pub(super) icc: Option<Vec<u8>>,
    pub(super) coding: Option<Coding>,
    pub(super) orientation: Orientation,
    pub(super) exif: Option<Vec<u8>>,
}

/// Reads the properties of the primary item. Missing or damaged ones are left out; the picture data
/// is checked elsewhere.
pub(super) fn read(file: &[u8]) -> Properties {
    let mut properties = Properties::default();
    let Some(meta) = find(file, b"meta").and_then(|meta| meta.get(4..)) else {
        return properties;
    };
    let primary = find(meta, b"pitm").and_then(primary_item);
    if let (Some(primary), Some(iprp)) = (primary, find(meta, b"iprp")) {
        let all: Vec<_> = find(iprp, b"ipco").map_or(Vec::new(), |ipco| boxes(ipco).collect());
        let own = find(iprp, b"ipma").and_then(|ipma| associations(ipma, primary));
        for index in own.unwrap_or_default() {
            if let Some((name, payload)) = index.checked_sub(1).and_then(|index| all.get(index)) {
                properties.put(name, payload);
            }
        }
    }
    properties.exif = exif(file, meta);
    properties
}

impl Properties {
    fn put(&mut self, name: &[u8; 4], payload: &[u8]) {
        match (name, payload) {
            (b"colr", [b'r' | b'p', b'I' | b'r', b'C' | b'o', b'C' | b'f', icc @ ..]) => {
                self.icc = Some(icc.to_vec());
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

fn primary_item(pitm: &[u8]) -> Option<u32> {
    let mut reader = Reader(pitm);
    let version = reader.number(4)? >> 24;
    reader.id(version == 0)
}

/// The indices, starting at 1, of an item's properties.
fn associations(ipma: &[u8], item: u32) -> Option<Vec<usize>> {
    let mut reader = Reader(ipma);
    let head = reader.number(4)?;
    let (version, wide) = (head >> 24, head & 1 == 1);
    for _ in 0..reader.number(4)? {
        let id = reader.id(version == 0)?;
        let count = reader.number(1)?;
        let mut own = Vec::new();
        for _ in 0..count {
            // The highest bit means "essential".
            own.push(if wide {
                reader.number(2)? & 0x7fff
            } else {
                reader.number(1)? & 0x7f
            } as usize);
        }
        if id == item {
            return Some(own);
        }
    }
    None
}

/// The TIFF structure of the first Exif item whose data is in the file itself.
fn exif(file: &[u8], meta: &[u8]) -> Option<Vec<u8>> {
    let iinf = find(meta, b"iinf")?;
    let entries = if iinf.first()? == &0 { 6 } else { 8 };
    let id = boxes(iinf.get(entries..)?).find_map(|(name, infe)| {
        let mut reader = Reader(infe);
        let version = reader.number(4)? >> 24;
        let id = reader.id(version < 3)?;
        reader.number(2)?;
        (name == b"infe" && reader.number(4)? == u32::from_be_bytes(*b"Exif")).then_some(id)
    })?;
    let (offset, length) = location(find(meta, b"iloc")?, id)?;
    exif_of_item(file.get(offset..offset.checked_add(length)?)?)
}

/// The range of an item's only extent in the file.
fn location(iloc: &[u8], item: u32) -> Option<(usize, usize)> {
    let mut reader = Reader(iloc);
    let version = reader.number(4)? >> 24;
    let sizes = reader.number(2)?;
    let size = |shift: u32| (sizes >> shift & 15) as usize;
    let (offset_size, length_size, base_size) = (size(12), size(8), size(4));
    let index_size = if version == 0 { 0 } else { size(0) };
    let count = reader.id(version < 2)?;
    for _ in 0..count {
        let id = reader.id(version < 2)?;
        let method = if version == 0 {
            0
        } else {
            reader.number(2)? & 15
        };
        reader.number(2)?;
        let base = reader.number(base_size)? as usize;
        for extent in 0..reader.number(2)? {
            reader.number(index_size)?;
            let offset = reader.number(offset_size)? as usize;
            let length = reader.number(length_size)? as usize;
            if id == item && method == 0 && extent == 0 {
                return Some((base.checked_add(offset)?, length));
            }
        }
    }
    None
}

/// Reads big-endian numbers from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Reads a number of up to 8 bytes. Returns `None` if it does not fit into 32 bits.
    fn number(&mut self, size: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        let number = digits
            .iter()
            .fold(0_u64, |number, digit| number << 8 | u64::from(*digit));
        u32::try_from(number).ok()
    }

    fn id(&mut self, short: bool) -> Option<u32> {
        self.number(if short { 2 } else { 4 })
    }
}
