//! Reads the first directory of a TIFF or BigTIFF file without copying a value (TIFF 6.0, section 2).

/// The fields that are read, and the values that are looked for.
pub(super) mod tag {
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTES: u16 = 279;
    pub(crate) const PLANES: u16 = 284;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTES: u16 = 325;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const JPEG_TABLES: u16 = 347;
    pub(crate) const XMP: u16 = 700;
    pub(crate) const ICC: u16 = 34_675;

    /// The value of COMPRESSION for JPEG.
    pub(crate) const JPEG: u64 = 7;
    /// The value of PHOTOMETRIC for inks.
    pub(crate) const SEPARATED: u64 = 5;
    /// The value of PLANES if each sample has strips of its own.
    pub(crate) const SEPARATE: u64 = 2;
}

/// Strips or tiles of one picture. Each takes memory in the reader several times.
const MAX_STRIPS: u64 = 1 << 17;
/// Bytes of the JPEG tables that all strips share; real ones have less than 2,000.
const MAX_TABLES: u64 = 1 << 16;
/// Values of every other field that the reader takes: one for each sample at most.
const MAX_VALUES: u64 = 1 << 10;
/// XMP and profiles, which only this project reads, and in which it checks the bytes.
const UNREAD: [u16; 2] = [tag::XMP, tag::ICC];

/// The first directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    is_little: bool,
    pub(super) is_big_tiff: bool,
    /// Where the entries begin, and how many there are.
    start: usize,
    count: usize,
}

/// An entry of the directory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u16,
    kind: u16,
    values: u64,
    /// Where the value, or its offset, is.
    at: usize,
}

impl<'a> Directory<'a> {
    /// Finds the first directory.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let cut = || "it is cut short".to_owned();
        let mut directory = Self {
            bytes,
            is_little: bytes.starts_with(b"II"),
            is_big_tiff: false,
            start: 0,
            count: 0,
        };
        let version = directory.uint(2, 2).ok_or_else(cut)?;
        directory.is_big_tiff = version == 43;
        let (offset, width, number) = match directory.is_big_tiff {
            true => (8, 8, 8),
            false => (4, 4, 2),
        };
        let at = directory.uint(offset, width).ok_or_else(cut)?;
        let at = usize::try_from(at).map_err(|_| cut())?;
        let count = directory.uint(at, number).ok_or_else(cut)?;
        directory.count = usize::try_from(count).map_err(|_| cut())?;
        directory.start = at + number;
        Ok(directory)
    }

    /// Refuses what would make the reader allocate far more than a picture needs.
    ///
    /// # Errors
    ///
    /// If there are more entries than tags, a field has too many values, or BigTIFF has a type that is
    /// unknown, after which the reader loses its place.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.count > usize::from(u16::MAX) {
            return Err(format!(
                "its directory has {} entries; the limit is {}",
                self.count,
                u16::MAX
            ));
        }
        for entry in self.entries() {
            if self.is_big_tiff && unit(entry.kind) == 0 {
                return Err(format!(
                    "the field {} has the unknown type {}",
                    entry.tag, entry.kind
                ));
            }
            let most = match entry.tag {
                tag::STRIP_OFFSETS | tag::STRIP_BYTES | tag::TILE_OFFSETS | tag::TILE_BYTES => {
                    MAX_STRIPS
                }
                tag::JPEG_TABLES => MAX_TABLES,
                tag if UNREAD.contains(&tag) || !is_read(tag) => continue,
                _ => MAX_VALUES,
            };
            if entry.values > most {
                return Err(format!(
                    "the field {} has {} values; the limit is {most}",
                    entry.tag, entry.values
                ));
            }
        }
        Ok(())
    }

    /// The whole file.
    pub(super) fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first value of a field of unsigned integers.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).next()
    }

    /// The values of a field of unsigned integers.
    pub(super) fn numbers(&self, tag: u16) -> impl Iterator<Item = u64> + use<'a> {
        let of = *self;
        let entry = of
            .find(tag)
            .filter(|entry| matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18));
        let (width, place) = entry.map_or((0, None), |entry| (unit(entry.kind), of.place(entry)));
        let (start, length) = place.unwrap_or_default();
        let count = length.checked_div(width).unwrap_or(0);
        (0..count).map_while(move |index| {
            let at = index.checked_mul(width)?.checked_add(start)?;
            of.uint(at, width)
        })
    }

    /// The value of a field of bytes.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.find(tag).filter(|entry| matches!(entry.kind, 1 | 7))?;
        let (start, length) = self.place(entry)?;
        self.bytes.get(start..)?.get(..length)
    }

    /// The last entry with this tag counts.
    fn find(&self, tag: u16) -> Option<Entry> {
        let known = |entry: &Entry| entry.tag == tag && unit(entry.kind) != 0;
        self.entries().filter(known).last()
    }

    /// The entries as far as they are there.
    fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let of = *self;
        (0..of.count).map_while(move |index| of.entry(index))
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let (bytes, width) = match self.is_big_tiff {
            true => (20, 8),
            false => (12, 4),
        };
        let at = index.checked_mul(bytes)?.checked_add(self.start)?;
        Some(Entry {
            tag: self.uint(at, 2)? as u16,
            kind: self.uint(at + 2, 2)? as u16,
            values: self.uint(at + 4, width)?,
            at: at + 4 + width,
        })
    }

    /// Where the value of an entry begins, and its bytes.
    fn place(&self, entry: Entry) -> Option<(usize, usize)> {
        let length = entry.values.checked_mul(unit(entry.kind) as u64)?;
        let width = if self.is_big_tiff { 8 } else { 4 };
        let start = match length <= width {
            true => entry.at,
            false => usize::try_from(self.uint(entry.at, width as usize)?).ok()?,
        };
        Some((start, usize::try_from(length).ok()?))
    }

    /// An unsigned integer of `width` bytes.
    fn uint(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..)?.get(..width)?;
        let add = |high: u64, low: &u8| high << 8 | u64::from(*low);
        Some(match self.is_little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }
}

/// The bytes of a value of this type; 0 if the type is unknown.
fn unit(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => 0,
    }
}

/// Whether the reader takes the values of a field.
fn is_read(tag: u16) -> bool {
    matches!(tag, 254..=347 | 530..=532)
}
