//! Reads the fields of the first directory of a TIFF or BigTIFF file, and bounds them.

use crate::ifd::{self, Entry, Structure};

/// The fields that are read, and the values that are looked for.
pub(super) mod tag {
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const T4_OPTIONS: u16 = 292;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const COLOR_MAP: u16 = 320;
    pub(crate) const INK_SET: u16 = 332;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const LEAST_VALUE: u16 = 340;
    pub(crate) const MOST_VALUE: u16 = 341;
    pub(crate) const CHROMA_WEIGHTS: u16 = 529;
    pub(crate) const CHROMA_SUBSAMPLING: u16 = 530;
    pub(crate) const REFERENCE_BLACK_WHITE: u16 = 532;
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
    pub(crate) const JPEG_FILE: u16 = 513;
    pub(crate) const RESTART_INTERVAL: u16 = 515;
    pub(crate) const QUANTIZATION_TABLES: u16 = 519;
    pub(crate) const DC_TABLES: u16 = 520;
    pub(crate) const AC_TABLES: u16 = 521;
    pub(crate) const XMP: u16 = 700;
    pub(crate) const IPTC: u16 = 33_723;
    pub(crate) const PHOTOSHOP: u16 = 34_377;
    pub(crate) const ICC: u16 = 34_675;

    /// The value of COMPRESSION for JPEG.
    pub(crate) const JPEG: u64 = 7;
    /// The value of PHOTOMETRIC for inks.
    pub(crate) const SEPARATED: u64 = 5;
    /// The value of PHOTOMETRIC for luma and chroma.
    pub(crate) const YCBCR: u64 = 6;
    /// The value of PLANES if each sample has strips of its own.
    pub(crate) const SEPARATE: u64 = 2;
}

/// Strips or tiles of one picture. Each takes memory in the reader several times.
pub(super) const MAX_STRIPS: u64 = 1 << 17;
/// Bytes of the JPEG tables that all strips share; real ones have less than 2,000.
const MAX_TABLES: u64 = 1 << 16;
/// Values of every other field that the reader takes: one for each sample at most.
const MAX_VALUES: u64 = 1 << 10;
/// Values of the largest palette.
const MAX_PALETTE: u64 = 3 << 16;
/// XMP and profiles, which only this project reads, and in which it checks the bytes.
const UNREAD: [u16; 2] = [tag::XMP, tag::ICC];

/// The first directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory<'a> {
    file: Structure<'a>,
    first: ifd::Directory,
}

impl<'a> Directory<'a> {
    /// Finds the first directory.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let read = || {
            let file = Structure::read(bytes)?;
            let first = file.directory(file.first()?)?;
            Some(Self { file, first })
        };
        read().ok_or_else(|| "it is cut short".to_owned())
    }

    pub(super) fn is_little(&self) -> bool {
        self.file.is_little
    }

    /// Refuses what would make the reader allocate far more than a picture needs.
    ///
    /// # Errors
    ///
    /// If there are more entries than tags, a field has too many values, or BigTIFF has a type that is
    /// unknown, after which the reader loses its place.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.first.count > usize::from(u16::MAX) {
            return Err(format!(
                "its directory has {} entries; the limit is {}",
                self.first.count,
                u16::MAX
            ));
        }
        for entry in self.entries() {
            if self.file.is_big_tiff && ifd::unit(entry.kind) == 0 {
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
                tag::COLOR_MAP => MAX_PALETTE,
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
        self.file.bytes
    }

    /// The first value of a field of unsigned integers.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.numbers(tag).next()
    }

    /// The values of a field of unsigned integers.
    pub(super) fn numbers(&self, tag: u16) -> impl Iterator<Item = u64> + use<'a> {
        let file = self.file;
        let entry = self
            .find(tag)
            .filter(|entry| matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18));
        let (width, place) = entry.map_or((0, None), |entry| {
            (ifd::unit(entry.kind), file.place(entry))
        });
        let (start, length) = place.unwrap_or_default();
        let count = length.checked_div(width).unwrap_or(0);
        (0..count).map_while(move |index| {
            let at = index.checked_mul(width)?.checked_add(start)?;
            file.uint(at, width)
        })
    }

    /// The first value of a field of floats.
    pub(super) fn float(&self, tag: u16) -> Option<f32> {
        let entry = self.find(tag)?;
        let (start, _) = self.file.place(entry)?;
        match entry.kind {
            11 => Some(f32::from_bits(self.file.uint(start, 4)? as u32)),
            12 => Some(f64::from_bits(self.file.uint(start, 8)?) as f32),
            _ => None,
        }
    }

    /// The values of a field of fractions.
    pub(super) fn fractions(&self, tag: u16) -> impl Iterator<Item = f32> + use<'a> {
        let file = self.file;
        let entry = self.find(tag).filter(|entry| entry.kind == 5);
        let (start, length) = entry
            .and_then(|entry| file.place(entry))
            .unwrap_or_default();
        (0..length / 8).map_while(move |index| {
            let at = start.checked_add(8 * index)?;
            let (above, below) = (file.uint(at, 4)?, file.uint(at + 4, 4)?);
            (below > 0).then(|| above as f32 / below as f32)
        })
    }

    /// The value of a field of bytes. Some writers say that IPTC has longer numbers.
    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        let is_bytes = |entry: &Entry| matches!(entry.kind, 1 | 7) || tag == tag::IPTC;
        let entry = self.find(tag).filter(is_bytes)?;
        self.file.value(entry)
    }

    /// The last entry with this tag counts.
    fn find(&self, tag: u16) -> Option<Entry> {
        let known = |entry: &Entry| entry.tag == tag && ifd::unit(entry.kind) != 0;
        self.entries().filter(known).last()
    }

    /// The value of an entry, if all of it is there.
    pub(super) fn value(&self, entry: Entry) -> Option<&'a [u8]> {
        self.file.value(entry)
    }

    /// The entries of the directory to which a field points, the first ones of very many.
    pub(super) fn entries_below(
        &self,
        pointer: u16,
    ) -> Option<impl Iterator<Item = Entry> + use<'a>> {
        const MOST: usize = 500;
        let place = usize::try_from(self.number(pointer)?).ok()?;
        let directory = self.file.directory(place)?;
        Some(self.file.entries(directory).take(MOST))
    }

    /// The entries as far as they are there.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        self.file.entries(self.first)
    }
}

/// Whether the reader takes the values of a field.
fn is_read(tag: u16) -> bool {
    matches!(
        tag,
        256..=259 | 262 | 266 | 273 | 274 | 277..=279 | 284 | 292 | 317 | 320 | 322..=325 | 332 | 338..=347
            | 513 | 515 | 519..=521 | 529..=532
    )
}
