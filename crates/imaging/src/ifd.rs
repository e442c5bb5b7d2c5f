//! Reads the directories of a TIFF or BigTIFF structure without copying a value (TIFF 6.0, section 2).
//! A TIFF file is one, and so is an EXIF block.

/// A structure, and how its numbers are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Structure<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) is_little: bool,
    pub(crate) is_big_tiff: bool,
}

/// A directory: where its entries begin, and how many it announces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directory {
    start: usize,
    pub(crate) count: usize,
}

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) tag: u16,
    pub(crate) kind: u16,
    pub(crate) values: u64,
    /// Where the value, or its offset, is.
    at: usize,
}

impl<'a> Structure<'a> {
    /// Reads the byte order and the version. `None` if it is cut short.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut structure = Self {
            bytes,
            is_little: bytes.starts_with(b"II"),
            is_big_tiff: false,
        };
        structure.is_big_tiff = structure.uint(2, 2)? == 43;
        Some(structure)
    }

    /// Where the first directory is.
    pub(crate) fn first(self) -> Option<usize> {
        let first = match self.is_big_tiff {
            true => self.uint(8, 8)?,
            false => self.uint(4, 4)?,
        };
        usize::try_from(first).ok()
    }

    /// The directory at this place.
    pub(crate) fn directory(self, at: usize) -> Option<Directory> {
        let width = if self.is_big_tiff { 8 } else { 2 };
        Some(Directory {
            count: usize::try_from(self.uint(at, width)?).ok()?,
            start: at.checked_add(width)?,
        })
    }

    /// The entries of a directory as far as they are there.
    pub(crate) fn entries(self, directory: Directory) -> impl Iterator<Item = Entry> + use<'a> {
        (0..directory.count).map_while(move |index| self.entry(directory, index))
    }

    fn entry(self, directory: Directory, index: usize) -> Option<Entry> {
        let width = self.offset_width();
        let length = 4 + 2 * width;
        let at = index.checked_mul(length)?.checked_add(directory.start)?;
        self.bytes.get(at..)?.get(..length)?;
        Some(Entry {
            tag: self.uint(at, 2)? as u16,
            kind: self.uint(at + 2, 2)? as u16,
            values: self.uint(at + 4, width)?,
            at: at + 4 + width,
        })
    }

    /// Where the next directory is, after the first `entries` of this one. 0 means that there is none.
    pub(crate) fn next(self, directory: Directory, entries: usize) -> Option<usize> {
        let width = self.offset_width();
        let end = entries.checked_mul(4 + 2 * width)?;
        let next = self.uint(directory.start.checked_add(end)?, width)?;
        usize::try_from(next).ok()
    }

    /// Where the value of an entry begins, and its bytes. They may lie outside of the structure.
    pub(crate) fn place(self, entry: Entry) -> Option<(usize, usize)> {
        let length = entry.values.checked_mul(unit(entry.kind) as u64)?;
        let width = self.offset_width();
        let start = match length <= width as u64 {
            true => entry.at,
            false => usize::try_from(self.uint(entry.at, width)?).ok()?,
        };
        Some((start, usize::try_from(length).ok()?))
    }

    /// The value of an entry, if all of it is there.
    pub(crate) fn value(self, entry: Entry) -> Option<&'a [u8]> {
        let (start, length) = self.place(entry)?;
        self.bytes.get(start..)?.get(..length)
    }

    /// An unsigned integer of `width` bytes.
    pub(crate) fn uint(self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..)?.get(..width)?;
        let add = |high: u64, low: &u8| high << 8 | u64::from(*low);
        Some(match self.is_little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }

    /// The bytes of an offset.
    fn offset_width(self) -> usize {
        if self.is_big_tiff { 8 } else { 4 }
    }
}

/// The bytes of a value of this type; 0 if the type is unknown.
pub(crate) fn unit(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 0,
    }
}
