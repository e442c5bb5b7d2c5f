//! The strips or tiles of a TIFF: how much work and memory they are.

use crate::codec::jpeg;

use super::directory::{Directory, tag};

/// How many times the bytes of the decoded picture its strips may unpack to: tiles overlap the edges,
/// and samples without a meaning are dropped.
const MOST_UNPACKED: u64 = 16;
/// How many times the bytes of the file its JPEG strips may have: several may share their bytes.
const MOST_SHARED: u64 = 16;
/// Work that is allowed in any case, in bytes.
const ALWAYS: u64 = 64 << 20;

/// What the strips, or tiles, need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strips {
    /// The bytes of the longest one, as the file says.
    pub(super) longest: u64,
    /// The bytes of a row, padding and dropped samples included.
    row_bytes: u64,
    /// The bytes to which all of them unpack.
    unpacked: u64,
    /// The memory of a JPEG decoder.
    jpeg_bytes: u64,
}

impl Strips {
    /// Reads the sizes of a picture whose fields the `image` crate has accepted.
    ///
    /// # Errors
    ///
    /// If a JPEG strip is larger than its place in the picture, if all of them are far longer than the
    /// file, or if the crate cannot place them.
    pub(super) fn read(directory: &Directory<'_>, size: (u32, u32)) -> Result<Self, String> {
        let (width, height) = (u64::from(size.0), u64::from(size.1));
        let number = |tag: u16, default: u64| directory.number(tag).unwrap_or(default).max(1);
        let is_tiled = directory.number(tag::TILE_OFFSETS).is_some();
        let (strip_width, strip_height) = match is_tiled {
            true => (
                number(tag::TILE_WIDTH, width),
                number(tag::TILE_HEIGHT, height),
            ),
            false => (width, number(tag::ROWS_PER_STRIP, height)),
        };
        let all_samples = number(tag::SAMPLES, 1);
        let (samples, planes) = match directory.number(tag::PLANES) {
            Some(tag::SEPARATE) => (1, all_samples),
            _ => (all_samples, 1),
        };
        // The crate takes the last tiles of all planes but the first for whole ones, and panics.
        if is_tiled && planes > 1 && !height.is_multiple_of(strip_height) {
            return Err(format!(
                "it has a plane of tiles for each of {planes} samples, and {height} rows are not whole \
                 tiles of {strip_height}; this is not supported"
            ));
        }
        let row_bits = strip_width
            .saturating_mul(samples)
            .saturating_mul(number(tag::BITS, 1));
        let row_bytes = row_bits.div_ceil(8);
        let rows = width
            .div_ceil(strip_width)
            .saturating_mul(height)
            .saturating_mul(planes);
        let (offsets, lengths) = match is_tiled {
            true => (tag::TILE_OFFSETS, tag::TILE_BYTES),
            false => (tag::STRIP_OFFSETS, tag::STRIP_BYTES),
        };
        let jpeg_bytes = match directory.number(tag::COMPRESSION) {
            Some(tag::JPEG) => {
                let places = directory.numbers(offsets).zip(directory.numbers(lengths));
                let most = (strip_width, strip_height.min(height.max(16)));
                jpeg_memory(directory, places, most)?
            }
            _ => 0,
        };
        Ok(Self {
            longest: directory.numbers(lengths).max().unwrap_or(0),
            row_bytes,
            unpacked: row_bytes.saturating_mul(rows),
            jpeg_bytes,
        })
    }

    /// Refuses a picture whose strips unpack to far more than its pixels, `decoded` bytes.
    pub(super) fn check(&self, decoded: u64) -> Result<(), String> {
        let most = decoded.saturating_mul(MOST_UNPACKED).max(ALWAYS);
        if self.unpacked > most {
            return Err(format!(
                "its strips or tiles would unpack to {} bytes, and the picture has only {decoded}; \
                 the limit is {most}",
                self.unpacked
            ));
        }
        Ok(())
    }

    /// The memory in addition to the picture: two rows, and a decoded strip.
    pub(super) fn decoder_bytes(&self) -> u64 {
        self.row_bytes
            .saturating_mul(2)
            .saturating_add(self.jpeg_bytes)
    }
}

/// The memory for the largest of the JPEG strips at these places, offsets and lengths. None may be
/// larger than `most`, columns and rows.
fn jpeg_memory(
    directory: &Directory<'_>,
    places: impl Iterator<Item = (u64, u64)>,
    most: (u64, u64),
) -> Result<u64, String> {
    let file = directory.all();
    let tables = directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
    let limit = (file.len() as u64).saturating_mul(MOST_SHARED).max(ALWAYS);
    let (mut shared, mut memory) = (0_u64, 0);
    for (start, length) in places {
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
                memory = memory.max(frame.decoder_bytes + 4 * length as u64);
            }
        }
    }
    Ok(memory)
}
