//! Reads the places of items (`iloc`; ISO/IEC 14496-12, 8.11.3).

use super::reader::Reader;

/// The sizes of the fields in `iloc`.
pub(super) struct Layout {
    version: u8,
    pub(super) items: u32,
    offset: usize,
    length: usize,
    pub(super) base: usize,
    index: usize,
}

/// The place of an item, without its extents.
pub(super) struct Place {
    pub(super) id: u32,
    pub(super) method: u32,
    pub(super) is_elsewhere: bool,
    pub(super) base: u64,
    pub(super) extents: u32,
}

impl Layout {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (version, _) = reader.version()?;
        let sizes = reader.short(2)?;
        let size = |shift: u32| (sizes >> shift & 15) as usize;
        let index = if version == 0 { 0 } else { size(0) };
        Some(Self {
            version,
            items: reader.id(version < 2)?,
            offset: size(12),
            length: size(8),
            base: size(4),
            index,
        })
    }

    pub(super) fn place(&self, reader: &mut Reader<'_>) -> Option<Place> {
        let id = reader.id(self.version < 2)?;
        let method = match self.version {
            0 => 0,
            _ => reader.short(2)? & 15,
        };
        Some(Place {
            id,
            method,
            is_elsewhere: reader.short(2)? != 0,
            base: reader.number(self.base)?,
            extents: reader.short(2)?,
        })
    }

    /// Offset and length of an extent.
    pub(super) fn extent(&self, reader: &mut Reader<'_>) -> Option<(u64, u64)> {
        reader.number(self.index)?;
        Some((reader.number(self.offset)?, reader.number(self.length)?))
    }
}
