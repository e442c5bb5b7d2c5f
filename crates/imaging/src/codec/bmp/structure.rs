//! The header of a bitmap: those of OS/2 and of Windows begin alike, and their size tells them apart.

use super::masks::Masks;
use super::rle::Runs;

/// The longest side: larger headers are damaged.
const MAX_SIDE: u32 = 65_535;
/// The header of OS/2 1 and Windows 2.
const CORE: usize = 12;
/// The header of Windows 3.
const INFO: usize = 40;

/// A bitmap without its file header: its size, its colours, and where its pixels are.
#[derive(Clone, Debug)]
pub(super) struct Dib {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_top_down: bool,
    /// Bits of a stored pixel.
    pub(super) bits: usize,
    pub(super) pixels: Pixels,
    /// 256 colours, those that are not stored black; empty without a palette.
    pub(super) palette: Vec<[u8; 4]>,
    /// The first byte of the pixels.
    pub(super) data: usize,
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pixels {
    /// Indices of 1, 2, 4 or 8 bits.
    Indexed,
    /// Colours of 16, 24 or 32 bits.
    Masks(Masks),
    Rle(Runs),
}

impl Dib {
    /// Reads the header at byte `start`. The pixels are at byte `data`, or they follow the header and
    /// the palette, as in an icon.
    ///
    /// # Errors
    ///
    /// If it is cut short, contradicts itself, or is of a kind that is not read.
    pub(super) fn read(bytes: &[u8], start: usize, data: Option<usize>) -> Result<Self, String> {
        let header = bytes.get(start..).unwrap_or_default();
        let size = Fields(header).long(0)? as usize;
        let is_windows = matches!(size, INFO | 52 | 56 | 108 | 124);
        let is_os2 = (16..=64).contains(&size) && !is_windows;
        if size != CORE && !is_windows && !is_os2 {
            return Err(format!("its header has the unknown size of {size} bytes"));
        }
        let is_icon = data.is_none();
        // A shorter header of OS/2 leaves out the last fields, which then are 0.
        let fields = Fields(&header[..header.len().min(size)]);
        let (width, height, planes, bits) = match size {
            CORE => (
                i32::from(fields.short(4)?),
                i32::from(fields.short(6)?),
                fields.short(8)?,
                fields.short(10)?,
            ),
            _ => (
                fields.long(4)?.cast_signed(),
                fields.long(8)?.cast_signed(),
                fields.short(12)?,
                fields.short(14)?,
            ),
        };
        if planes != 1 {
            return Err(format!("it has {planes} planes, not 1"));
        }
        if width < 0 || width.unsigned_abs() > MAX_SIDE || height.unsigned_abs() > MAX_SIDE {
            return Err(format!(
                "its size of {width} × {height} pixels is not possible; the limit is {MAX_SIDE}"
            ));
        }
        let compression = if size == CORE {
            0
        } else {
            fields.long_or_zero(16)
        };
        let is_top_down = height < 0;
        if is_top_down && !matches!(compression, 0 | 3 | 6) {
            return Err(
                "its rows are compressed and come from the top, which is not allowed".to_owned(),
            );
        }
        let (pixels, masks) = pixels(header, size, is_os2, is_icon, (compression, bits))?;
        let bits = usize::from(bits);
        let colors_used = if size == CORE {
            0
        } else {
            fields.long_or_zero(32)
        };
        let is_indexed = matches!(
            pixels,
            Pixels::Indexed | Pixels::Rle(Runs::Bytes | Runs::HalfBytes)
        );
        let stored = match (is_indexed, colors_used) {
            // Other pictures may have a palette for screens with few colours.
            (false, _) => colors_used.min(1 << 16) as usize,
            (true, 0) => 1 << bits,
            (true, used) if used as usize > 1 << bits => {
                return Err(format!(
                    "its palette has {used} colours, and {bits} bits have {}",
                    1 << bits
                ));
            }
            (true, used) => used as usize,
        };
        let color_bytes = if size == CORE { 3 } else { 4 };
        let palette_start = start + size + masks;
        let after = palette_start + stored * color_bytes;
        Ok(Self {
            width: width.unsigned_abs(),
            height: height.unsigned_abs(),
            is_top_down,
            bits,
            pixels,
            palette: match is_indexed {
                true => palette(bytes, palette_start, color_bytes, stored),
                false => Vec::new(),
            },
            data: match data {
                // Some writers count the headers alone.
                Some(data) if data == start + size && is_indexed => after,
                Some(data) if data >= start + size => data,
                _ => after,
            },
        })
    }

    pub(super) fn has_alpha(&self) -> bool {
        matches!(self.pixels, Pixels::Masks(masks) if masks.has_alpha())
    }

    /// Bytes of a row, which are whole words of 32 bits.
    pub(super) fn row_bytes(&self) -> usize {
        (self.width as usize * self.bits).div_ceil(32) * 4
    }
}

/// How pixels are stored, and the bytes of masks that follow the header.
fn pixels(
    header: &[u8],
    size: usize,
    is_os2: bool,
    is_icon: bool,
    (compression, bits): (u32, u16),
) -> Result<(Pixels, usize), String> {
    let not_supported = |name: &str| Err(format!("{name} in BMP is not supported"));
    let pixels = match (compression, bits) {
        (0, 1 | 2 | 4 | 8) => Pixels::Indexed,
        (0, 16) => Pixels::Masks(Masks::FIVE_BITS),
        (0, 32) if is_icon => Pixels::Masks(Masks::BYTES_WITH_ALPHA),
        (0, 24 | 32) => Pixels::Masks(Masks::BYTES),
        (1, 8) => Pixels::Rle(Runs::Bytes),
        (2, 4) => Pixels::Rle(Runs::HalfBytes),
        (3, 1) if is_os2 => return not_supported("fax data"),
        (4, 24) if is_os2 => Pixels::Rle(Runs::Colors),
        (3 | 6, 16 | 32) => {
            // After the first 40 bytes, be they a part of the header or not.
            let masks = Fields(header);
            let mask = |index: usize| masks.long(INFO + 4 * index);
            let has_alpha = compression == 6 || size >= 56 && !is_os2;
            let alpha = if has_alpha { mask(3)? } else { 0 };
            let masks = Masks::read([mask(0)?, mask(1)?, mask(2)?, alpha], bits.into())?;
            let outside = match (size, compression) {
                (INFO, 6) => 16,
                (INFO, _) => 12,
                _ => 0,
            };
            return Ok((Pixels::Masks(masks), outside));
        }
        (4, _) => return not_supported("JPEG"),
        (5, _) => return not_supported("PNG"),
        (11..=13, _) => return not_supported("CMYK"),
        (0..=3 | 6, _) => {
            return Err(format!(
                "pixels of {bits} bits with compression {compression} are unknown"
            ));
        }
        _ => return Err(format!("its compression {compression} is unknown")),
    };
    Ok((pixels, 0))
}

/// The colours as far as they are there, and black.
fn palette(bytes: &[u8], start: usize, color_bytes: usize, stored: usize) -> Vec<[u8; 4]> {
    let stored = bytes
        .get(start..)
        .unwrap_or_default()
        .chunks_exact(color_bytes)
        .take(stored);
    let mut palette: Vec<_> = stored
        .map(|color| [color[2], color[1], color[0], 255])
        .collect();
    palette.resize(256, [0, 0, 0, 255]);
    palette
}

/// The fields of a header, the lowest byte first.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn short(self, at: usize) -> Result<u16, String> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes
            .map(|two| u16::from_le_bytes(*two))
            .ok_or_else(|| "it is cut short".to_owned())
    }

    fn long(self, at: usize) -> Result<u32, String> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes
            .map(|four| u32::from_le_bytes(*four))
            .ok_or_else(|| "it is cut short".to_owned())
    }

    fn long_or_zero(self, at: usize) -> u32 {
        self.long(at).unwrap_or(0)
    }
}
