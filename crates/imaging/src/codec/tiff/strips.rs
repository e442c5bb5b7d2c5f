//! The strips or tiles of a TIFF: where they are, and how much work and memory they are.

use crate::codec::jpeg;

use super::directory::{Directory, tag};
use super::fax;
use super::kind::{Compression, Kind, Meaning};
use super::unpack::{self, Shape};

/// How many times the bytes of the decoded picture its strips may unpack to: tiles overlap the edges,
/// and samples without a meaning are dropped.
const MOST_UNPACKED: u64 = 16;
/// How many times the bytes of the file its JPEG strips may have: several may share their bytes.
const MOST_SHARED: u64 = 16;
/// Work that is allowed in any case, in bytes.
const ALWAYS: u64 = 64 << 20;

/// The strips, or tiles, of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strips {
    is_tiled: bool,
    /// The size of one in pixels. The last strip may have fewer rows.
    width: u64,
    height: u64,
    /// Columns and rows of them in a plane.
    across: u64,
    down: u64,
    planes: u64,
    /// The bytes of a row, padding and dropped samples included; of subsampled YCbCr, those of a row of
    /// chroma samples.
    row_bytes: u64,
    /// Rows of pixels that are stored together.
    rows_together: u64,
    /// The bytes of the longest one in the file.
    longest: u64,
    /// The memory of a JPEG decoder.
    jpeg_bytes: u64,
}

/// One strip or tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip<'a> {
    pub(super) data: &'a [u8],
    /// The sample, if each has strips of its own.
    pub(super) plane: usize,
    /// Where it lies in the picture.
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) shape: Shape,
}

impl<'a> Strip<'a> {
    /// A strip that is the whole picture, with 8 bits per sample.
    pub(super) fn whole(data: &'a [u8], kind: &Kind) -> Self {
        let (width, rows) = (kind.width as usize, kind.height as usize);
        let row_bytes = width * kind.samples;
        Self {
            data,
            plane: 0,
            left: 0,
            top: 0,
            shape: Shape {
                width,
                rows,
                row_bytes,
                most: row_bytes * rows,
            },
        }
    }
}

impl Strips {
    /// Reads the sizes.
    ///
    /// # Errors
    ///
    /// If there is no place for them, if a JPEG strip is larger than its place in the picture, or if
    /// all of them are far longer than the file.
    pub(super) fn read(directory: &Directory<'_>, kind: &Kind) -> Result<Self, String> {
        let (width, height) = (u64::from(kind.width), u64::from(kind.height));
        let number = |tag: u16, default: u64| directory.number(tag).unwrap_or(default);
        let is_tiled = directory.number(tag::TILE_WIDTH).is_some();
        let (strip_width, strip_height) = match is_tiled {
            true => (number(tag::TILE_WIDTH, 0), number(tag::TILE_HEIGHT, 0)),
            // 0 and very many mean all.
            false => match number(tag::ROWS_PER_STRIP, height) {
                0 => (width, height),
                rows => (width, rows.min(height)),
            },
        };
        if strip_width == 0 || strip_height == 0 {
            return Err(format!(
                "its strips or tiles have {strip_width} × {strip_height} pixels"
            ));
        }
        let (sampling, row_bits) = match &kind.meaning {
            Meaning::YCbCr(ycbcr) if ycbcr.is_subsampled() => {
                let (across, down) = (ycbcr.sampling.0 as u64, ycbcr.sampling.1 as u64);
                let units = strip_width.div_ceil(across);
                (
                    down,
                    units.saturating_mul(across * down + 2).saturating_mul(8),
                )
            }
            _ => (
                1,
                strip_width
                    .saturating_mul(kind.samples_together() as u64)
                    .saturating_mul(kind.number.bits.into()),
            ),
        };
        let mut strips = Self {
            is_tiled,
            width: strip_width,
            height: strip_height,
            across: width.div_ceil(strip_width),
            down: height.div_ceil(strip_height),
            planes: if kind.is_separate {
                kind.samples as u64
            } else {
                1
            },
            row_bytes: row_bits.div_ceil(8),
            rows_together: sampling,
            longest: 0,
            jpeg_bytes: 0,
        };
        if matches!(kind.compression, Compression::Fax(_)) && strip_width > fax::MAX_WIDTH.into() {
            return Err(format!(
                "its fax data has rows of {strip_width} pixels; the limit is {}",
                fax::MAX_WIDTH
            ));
        }
        // Bytes that lie outside of the file are not used.
        let in_file = |length: u64| length.min(directory.all().len() as u64);
        strips.longest = strips.lengths(directory).map(in_file).max().unwrap_or(0);
        if kind.compression == Compression::OldJpeg {
            // A decoded strip or picture, the coefficients of a progressive one, and copies of its
            // bytes.
            let side = (strip_width.max(width), strip_height.max(height));
            let pixels = side.0.saturating_mul(side.1);
            let file = directory.all().len() as u64;
            strips.jpeg_bytes = pixels
                .saturating_mul(9)
                .saturating_add(file.saturating_mul(4));
        }
        if kind.compression == Compression::Jpeg {
            strips.jpeg_bytes = strips.jpeg_memory(directory, kind)?;
        }
        Ok(strips)
    }

    fn count(&self) -> u64 {
        self.across
            .saturating_mul(self.down)
            .saturating_mul(self.planes)
    }

    fn offsets<'a>(&self, directory: &Directory<'a>) -> impl Iterator<Item = u64> + use<'a> {
        directory.numbers(
            match self.is_tiled && directory.number(tag::TILE_OFFSETS).is_some() {
                true => tag::TILE_OFFSETS,
                false => tag::STRIP_OFFSETS,
            },
        )
    }

    /// The bytes of each. A file that does not say has one that ends with the file at the latest.
    fn lengths<'a>(&self, directory: &Directory<'a>) -> impl Iterator<Item = u64> + use<'a> {
        let lengths = match self.is_tiled && directory.number(tag::TILE_BYTES).is_some() {
            true => tag::TILE_BYTES,
            false => tag::STRIP_BYTES,
        };
        let is_known = directory.numbers(lengths).any(|length| length > 0);
        let rest = match is_known {
            true => 0,
            false => self.count().min(super::directory::MAX_STRIPS) as usize,
        };
        let known = directory.numbers(lengths).filter(move |_| is_known);
        known.chain(std::iter::repeat_n(u64::MAX, rest))
    }

    /// The strips in the order of the file.
    pub(super) fn all<'a>(
        &self,
        directory: &Directory<'a>,
        height: u32,
    ) -> impl Iterator<Item = Result<Strip<'a>, String>> + use<'a> {
        let strips = *self;
        let file = directory.all();
        let mut places = strips.offsets(directory).zip(strips.lengths(directory));
        let places: Vec<_> = places
            .by_ref()
            .take(usize::try_from(strips.count()).unwrap_or(usize::MAX))
            .collect();
        (0..strips.count()).map(move |index| {
            let missing = || format!("strip or tile {index} is missing");
            let (start, length) = *places.get(index as usize).ok_or_else(missing)?;
            let rest = usize::try_from(start)
                .ok()
                .and_then(|start| file.get(start..));
            let rest = rest.ok_or_else(missing)?;
            let length = usize::try_from(length).map_or(rest.len(), |most| most.min(rest.len()));
            let in_plane = index % (strips.across * strips.down);
            let top = in_plane / strips.across * strips.height;
            let rows = match strips.is_tiled {
                true => strips.height,
                false => strips.height.min(u64::from(height) - top),
            };
            Ok(Strip {
                data: &rest[..length],
                plane: (index / (strips.across * strips.down)) as usize,
                left: (in_plane % strips.across * strips.width) as usize,
                top: top as usize,
                shape: Shape {
                    width: strips.width as usize,
                    rows: rows.div_ceil(strips.rows_together) as usize,
                    row_bytes: strips.row_bytes as usize,
                    most: strips.unpacked_one() as usize,
                },
            })
        })
    }

    /// The bytes to which a strip or tile unpacks.
    fn unpacked_one(&self) -> u64 {
        let rows = self.height.div_ceil(self.rows_together);
        self.row_bytes.saturating_mul(rows)
    }

    /// Refuses a picture whose strips unpack to far more than its pixels, `decoded` bytes.
    pub(super) fn check(&self, decoded: u64) -> Result<(), String> {
        let most = decoded.saturating_mul(MOST_UNPACKED).max(ALWAYS);
        let unpacked = match self.is_tiled {
            true => self.unpacked_one().saturating_mul(self.count()),
            false => self
                .unpacked_one()
                .saturating_mul(self.down)
                .saturating_mul(self.planes),
        };
        if unpacked > most {
            return Err(format!(
                "its strips or tiles would unpack to {unpacked} bytes, and the picture has only \
                 {decoded}; the limit is {most}"
            ));
        }
        let count = self.count();
        if count > super::directory::MAX_STRIPS {
            return Err(format!(
                "it has {count} strips or tiles; the limit is {}",
                super::directory::MAX_STRIPS
            ));
        }
        Ok(())
    }

    /// The memory in addition to the picture: an unpacked strip, a copy of its bytes in the other
    /// order of bits, a row of samples, and the list of places.
    pub(super) fn decoder_bytes(&self, kind: &Kind) -> u64 {
        let unpacked = self.unpacked_one();
        let reversed = if kind.is_reversed { self.longest } else { 0 };
        let unpacked = match kind.compression {
            Compression::None => 0,
            Compression::Jpeg | Compression::OldJpeg => self.jpeg_bytes,
            Compression::Zstd => unpacked.saturating_add(unpack::zstd_bytes(unpacked)),
            _ => unpacked,
        };
        let samples = self.width.saturating_mul(kind.samples_together() as u64);
        unpacked
            .saturating_add(reversed)
            .saturating_add(samples.saturating_mul(4))
            .saturating_add(self.row_bytes.saturating_mul(2))
            .saturating_add(self.count().saturating_mul(16))
    }

    /// The memory for the largest of the JPEG strips. None may be larger than its place.
    fn jpeg_memory(&self, directory: &Directory<'_>, kind: &Kind) -> Result<u64, String> {
        let file = directory.all();
        let tables = directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
        let limit = (file.len() as u64).saturating_mul(MOST_SHARED).max(ALWAYS);
        // Writers round the height of a strip up to whole blocks.
        let most = (
            self.width,
            self.height.max(16).min(u64::from(kind.height).max(16)),
        );
        let most = match self.is_tiled {
            true => (self.width, self.height),
            false => most,
        };
        let (mut shared, mut memory) = (0_u64, 0);
        for (start, length) in self.offsets(directory).zip(self.lengths(directory)) {
            let strip = usize::try_from(start)
                .ok()
                .and_then(|start| file.get(start..));
            let strip = strip.unwrap_or_default();
            let length = usize::try_from(length).map_or(strip.len(), |most| most.min(strip.len()));
            let strip = &strip[..length];
            shared += (length + tables.len()) as u64;
            if shared > limit {
                return Err(format!(
                    "its strips or tiles have more than {limit} bytes together, and the file has {}",
                    file.len()
                ));
            }
            // The tables come first, and may have a frame header too.
            for part in [tables, strip] {
                for frame in jpeg::frames(part) {
                    if frame.width > most.0 || frame.height > most.1 {
                        return Err(format!(
                            "a strip or tile of {} × {} pixels has a JPEG of {} × {}",
                            most.0, most.1, frame.width, frame.height
                        ));
                    }
                    memory = memory.max(frame.decoder_bytes + 4 * (length + tables.len()) as u64);
                }
            }
        }
        Ok(memory)
    }
}
