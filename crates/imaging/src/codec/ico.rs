//! ICO: chooses the best of its pictures, and decodes it like a file of PNG or BMP.

use crate::codec::bmp;
use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::codec::png;
use crate::format::Format;
use crate::raster::{Layout, Raster};

/// An icon's best picture.
#[derive(Debug)]
struct Ico {
    entry: Entry,
    /// `None` if it is a PNG.
    bitmap: Option<bmp::Icon>,
}

/// An entry of the directory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    width: u32,
    height: u32,
    bits: u16,
    bytes: u32,
    start: usize,
}

/// Reads the header of the picture with the most colours, and among those the largest. An icon has no
/// metadata.
pub(super) fn parse(bytes: &[u8]) -> Result<ParsedPicture, String> {
    let entry = best(bytes).ok_or("it is cut short")?;
    let (header, bitmap) = match png_of(bytes, entry) {
        Some(png) => (png::picture(Format::Ico, png)?, None),
        None => {
            let bitmap = bmp::Icon::read(bytes, entry.start)?;
            let header = Header::new(Format::Ico, bitmap.size(), Layout::Rgba, 8);
            (header, Some(bitmap))
        }
    };
    let header = Header {
        frames: 1,
        ..header
    };
    Ok(ParsedPicture::new(header, Ico { entry, bitmap }))
}

impl Decoder for Ico {
    /// Decodes to Rgba with 8 bits, or to what a PNG has.
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
        if let Some(bitmap) = &self.bitmap {
            let pixels = bitmap.decode(bytes, entry.bytes as usize)?;
            return Ok(Raster::from_u8(width, height, Layout::Rgba, pixels));
        }
        let png = png_of(bytes, entry).ok_or("its picture is missing")?;
        if entry.bytes < 8 {
            return Err(format!("its picture has only {} bytes", entry.bytes));
        }
        png::decode(png, header)
    }
}

/// The PNG of an entry; `None` if it is no PNG.
fn png_of(bytes: &[u8], entry: Entry) -> Option<&[u8]> {
    let rest = bytes.get(entry.start..)?;
    rest.starts_with(b"\x89PNG\r\n\x1a\n").then_some(rest)
}

/// The entry with the most bits per pixel, and among those the largest; of equal ones the last if it
/// is the last of all, otherwise the first.
fn best(bytes: &[u8]) -> Option<Entry> {
    let count = usize::from(u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?));
    let entries = bytes.get(6..)?.get(..count * 16)?.as_chunks::<16>().0;
    let (last, others) = entries.split_last()?;
    let others = others.iter().map(Entry::read);
    Some(others.fold(Entry::read(last), |best, entry| {
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

    fn score(&self) -> (u16, u32) {
        (self.bits, self.width * self.height)
    }
}
