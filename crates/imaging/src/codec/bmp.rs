//! BMP, alone and in ICO. Reads the headers of Windows and OS/2, palettes, bit fields and run lengths.

use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::format::Format;
use crate::raster::{Layout, Raster, sample_count};

mod masks;
mod rle;
mod structure;

use structure::{Dib, Pixels};

/// Bytes of the header of the file, before that of the picture.
const FILE_HEADER: usize = 14;

/// A BMP file.
#[derive(Debug)]
struct Bmp {
    dib: Dib,
}

/// Reads the header of a BMP.
pub(super) fn parse(bytes: &[u8]) -> Result<ParsedPicture, String> {
    let offset = bytes.get(10..).and_then(|rest| rest.first_chunk());
    let offset = offset.map_or(0, |offset| u32::from_le_bytes(*offset) as usize);
    let dib = Dib::read(bytes, FILE_HEADER, Some(offset))?;
    let layout = match dib.has_alpha() {
        true => Layout::Rgba,
        false => Layout::Rgb,
    };
    let header = Header::new(Format::Bmp, (dib.width, dib.height), layout, 8);
    Ok(ParsedPicture::new(header, Bmp { dib }))
}

impl Decoder for Bmp {
    /// Decodes to Rgb or Rgba with 8 bits.
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        let pixels = self.dib.decode(bytes, header.layout)?;
        Ok(Raster::from_u8(
            header.width,
            header.height,
            header.layout,
            pixels,
        ))
    }
}

/// A picture of an icon: its height is stored twice, because a mask follows it.
#[derive(Debug)]
pub(super) struct Icon {
    dib: Dib,
    start: usize,
}

impl Icon {
    /// Reads the header of an icon's picture that begins at byte `start`.
    pub(super) fn read(bytes: &[u8], start: usize) -> Result<Self, String> {
        let mut dib = Dib::read(bytes, start, None)?;
        dib.height /= 2;
        Ok(Self { dib, start })
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.dib.width, self.dib.height)
    }

    /// Decodes to Rgba. The picture and its mask have `length` bytes together.
    ///
    /// # Errors
    ///
    /// If it is cut short, or if the length is neither that of the picture nor that of both.
    pub(super) fn decode(&self, bytes: &[u8], length: usize) -> Result<Vec<u8>, String> {
        let (width, height) = (self.dib.width as usize, self.dib.height as usize);
        let mut pixels = self.dib.decode(bytes, Layout::Rgba)?;
        let all = pixels.as_chunks_mut::<4>().0;
        // Icons with 32 bits and no alpha have zeros there; Windows then shows them by the mask alone.
        if self.dib.bits == 32 && all.iter().all(|pixel| pixel[3] == 0) {
            all.iter_mut().for_each(|pixel| pixel[3] = 255);
        }
        let picture_end = self.dib.data + self.dib.row_bytes() * height;
        let end = self.start.saturating_add(length);
        let row_bytes = width.div_ceil(32) * 4;
        if end == picture_end || matches!(self.dib.pixels, Pixels::Rle(_)) {
            return Ok(pixels);
        }
        if end < picture_end + row_bytes * height {
            return Err(format!(
                "its directory says that a picture has {length} bytes; it needs {}",
                picture_end + row_bytes * height - self.start
            ));
        }
        let mask = bytes.get(picture_end..).unwrap_or_default();
        if mask.len() < row_bytes * height {
            return Err("its mask is cut short".to_owned());
        }
        let rows = mask.chunks_exact(row_bytes).take(height);
        for (mask, row) in rows.zip(all.rchunks_exact_mut(width)) {
            for (x, pixel) in row.iter_mut().enumerate() {
                if mask[x / 8] >> (7 - x % 8) & 1 == 1 {
                    pixel[3] = 0;
                }
            }
        }
        Ok(pixels)
    }
}

impl Dib {
    /// Decodes to Rgb or Rgba.
    fn decode(&self, bytes: &[u8], layout: Layout) -> Result<Vec<u8>, String> {
        let (width, height) = (self.width as usize, self.height as usize);
        let data = bytes.get(self.data..).unwrap_or_default();
        let channels = layout.channels();
        let mut pixels = vec![0; sample_count(self.width, self.height, channels)];
        if let Pixels::Rle(kind) = self.pixels {
            rle::decode(
                data,
                kind,
                &self.palette,
                (width, height),
                channels,
                &mut pixels,
            )?;
            return Ok(pixels);
        }
        let row_bytes = self.row_bytes();
        if data.len() < row_bytes.saturating_mul(height) {
            // The last row need not be padded.
            let least = row_bytes.saturating_mul(height - 1) + (width * self.bits).div_ceil(8);
            if data.len() < least {
                return Err("it is cut short".to_owned());
            }
        }
        let stored = data.chunks(row_bytes).take(height).enumerate();
        for (index, stored) in stored {
            let y = if self.is_top_down {
                index
            } else {
                height - 1 - index
            };
            let row = &mut pixels[y * width * channels..][..width * channels];
            self.read_row(stored, row, channels);
        }
        Ok(pixels)
    }

    fn read_row(&self, stored: &[u8], row: &mut [u8], channels: usize) {
        let targets = row.chunks_exact_mut(channels);
        let put = |target: &mut [u8], color: [u8; 4]| target.copy_from_slice(&color[..channels]);
        match self.pixels {
            Pixels::Indexed => {
                let per_byte = 8 / self.bits;
                for (x, target) in targets.enumerate() {
                    let shift = 8 - self.bits - x % per_byte * self.bits;
                    let index = stored[x / per_byte] >> shift & (0xff >> (8 - self.bits));
                    put(target, self.palette[usize::from(index)]);
                }
            }
            Pixels::Masks(masks) => {
                let values = stored.chunks_exact(self.bits / 8);
                for (bytes, target) in values.zip(targets) {
                    let value = bytes
                        .iter()
                        .rev()
                        .fold(0, |high, low| high << 8 | u32::from(*low));
                    put(target, masks.color(value));
                }
            }
            Pixels::Rle(_) => {}
        }
    }
}
