//! ICO and CUR, the icons and cursors of Windows: chooses the best of their pictures. A picture is a PNG,
//! which is decoded like a PNG file, or a bitmap followed by a mask of its transparent pixels.

use crate::codec::bmp::Bitmap;
use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::codec::png;
use crate::format::Format;
use crate::raster::{Layout, Raster};

/// A file and its best picture.
#[derive(Debug)]
struct Icon {
    entry: Entry,
    /// `None` if the picture is a PNG.
    bitmap: Option<Bitmap>,
}

/// An entry of the directory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    width: u32,
    height: u32,
    /// Bits per pixel. In a cursor, the directory does not have them.
    bits: u16,
    bytes: u32,
    start: usize,
}

/// Reads the header of the picture with the most colours, and among those the largest. An icon has no
/// metadata.
pub(super) fn parse(bytes: &[u8]) -> Result<ParsedPicture, String> {
    let entry = best(bytes).ok_or("it is cut short: its directory is not complete")?;
    let rest = entry.data_to_end(bytes);
    if is_png(rest) {
        let header = Header {
            frames: 1,
            ..png::picture(Format::Ico, rest)?
        };
        let bitmap = None;
        return Ok(ParsedPicture::new(header, Icon { entry, bitmap }));
    }
    let data = entry.data(bytes);
    if data.is_empty() {
        return Err(format!(
            "its best picture is missing: {} bytes after byte {} of a file of {}",
            entry.bytes,
            entry.start,
            bytes.len()
        ));
    }
    let bitmap = Bitmap::read(data, 0, 0)?.without_mask();
    if bitmap.is_run_length_encoded() {
        return Err("its best picture is run-length encoded, which icons cannot be".to_owned());
    }
    let size = (bitmap.width, bitmap.height);
    let header = Header::new(Format::Ico, size, Layout::Rgba, 8);
    let bitmap = Some(bitmap);
    Ok(ParsedPicture::new(header, Icon { entry, bitmap }))
}

impl Decoder for Icon {
    /// Decodes a bitmap to 8-bit Rgba, and a PNG to its own layout.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let entry = self.entry;
        let (width, height) = (header.width, header.height);
        // The directory cannot store sizes above 256, and larger pictures exist. Some writers count the
        // rows of the mask too.
        let is_height = |height: u32| [height, 2 * height].contains(&entry.height);
        if entry.width != width.min(256) || !is_height(height.min(256)) {
            return Err(format!(
                "its directory says {} × {} pixels, but the picture has {width} × {height}",
                entry.width, entry.height
            ));
        }
        let Some(bitmap) = &self.bitmap else {
            return png::decode(entry.data_to_end(bytes), header);
        };
        let data = entry.data(bytes);
        let mut samples = bitmap.decode::<4>(data)?;
        let mask = entry.mask(data, bitmap)?;
        let pixels = samples.as_chunks_mut::<4>().0;
        // Windows and browsers use the mask only if no pixel has an alpha.
        let has_alpha = bitmap.bits == 32 && pixels.iter().any(|pixel| pixel[3] != 0);
        if !has_alpha {
            apply(mask, bitmap, pixels);
        }
        Ok(Raster::from_u8(width, height, Layout::Rgba, samples))
    }
}

/// Makes the pixels in the mask transparent and all others opaque. The rows of a mask have the order
/// of the bitmap's.
fn apply(mask: Option<&[u8]>, bitmap: &Bitmap, pixels: &mut [[u8; 4]]) {
    for pixel in pixels.iter_mut() {
        pixel[3] = 255;
    }
    let width = bitmap.width as usize;
    let rows = mask
        .unwrap_or_default()
        .chunks(mask_row_bytes(bitmap.width));
    for (stored, row) in rows.take(bitmap.height as usize).enumerate() {
        let start = bitmap.row(stored) * width;
        for (x, pixel) in pixels[start..start + width].iter_mut().enumerate() {
            let byte = row.get(x / 8).copied().unwrap_or(0);
            if byte << (x % 8) & 0x80 != 0 {
                pixel[3] = 0;
            }
        }
    }
}

fn mask_row_bytes(width: u32) -> usize {
    width.div_ceil(32) as usize * 4
}

fn is_png(data: &[u8]) -> bool {
    data.starts_with(b"\x89PNG\r\n\x1a\n")
}

/// The entry with the most bits per pixel, and among those the largest; of equal ones the last if it
/// is the last of all, otherwise the first.
fn best(bytes: &[u8]) -> Option<Entry> {
    let is_cursor = bytes.get(2) == Some(&2);
    let count = usize::from(u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?));
    let entries = bytes.get(6..)?.get(..count * 16)?.as_chunks::<16>().0;
    let read = |entry: &[u8; 16]| {
        let entry = Entry::read(entry);
        match is_cursor {
            true => entry.with_its_own_bits(bytes),
            false => entry,
        }
    };
    let (last, others) = entries.split_last()?;
    Some(others.iter().map(read).fold(read(last), |best, entry| {
        match entry.score() > best.score() {
            true => entry,
            false => best,
        }
    }))
}

impl Entry {
    fn read(bytes: &[u8; 16]) -> Self {
        // 0 means 256.
        let side = |byte: u8| match byte {
            0 => 256,
            side => u32::from(side),
        };
        let long = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            width: side(bytes[0]),
            height: side(bytes[1]),
            bits: u16::from_le_bytes([bytes[6], bytes[7]]),
            bytes: long(8),
            start: long(12) as usize,
        }
    }

    /// Takes the bits from the picture. In a cursor, the directory has the hot spot in their place.
    fn with_its_own_bits(self, bytes: &[u8]) -> Self {
        let data = self.data(bytes);
        let stored = data.get(14..).and_then(|rest| rest.first_chunk());
        let bits = match stored {
            _ if is_png(data) => 32,
            Some(two) => u16::from_le_bytes(*two),
            None => 0,
        };
        Self { bits, ..self }
    }

    fn score(&self) -> (u16, u32) {
        (self.bits, self.width * self.height)
    }

    /// The picture, without what the file has not got.
    fn data<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let rest = self.data_to_end(bytes);
        rest.get(..self.bytes as usize).unwrap_or(rest)
    }

    /// The picture and all that follows it. A PNG knows its own length.
    fn data_to_end<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.start..).unwrap_or_default()
    }

    /// The mask after the pixels of a bitmap. `None` if the entry ends with the pixels.
    fn mask<'a>(&self, data: &'a [u8], bitmap: &Bitmap) -> Result<Option<&'a [u8]>, String> {
        let end = bitmap.end();
        if u64::from(self.bytes) == end {
            return Ok(None);
        }
        let mask = data.get(end as usize..).unwrap_or_default();
        let others =
            mask_row_bytes(bitmap.width) as u64 * u64::from(bitmap.height.saturating_sub(1));
        let needed = others + u64::from(bitmap.width.div_ceil(8));
        if (mask.len() as u64) < needed {
            return Err(format!(
                "it is cut short: its mask has {} of {needed} bytes",
                mask.len()
            ));
        }
        Ok(Some(mask))
    }
}
