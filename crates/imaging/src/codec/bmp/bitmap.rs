//! A bitmap: a header, perhaps a palette, and pixels. It is what a BMP has after its file header, and
//! what an icon has for each of its pictures.

use crate::raster::sample_count;

use super::dib::{Coding, Dib};
use super::masks::Masks;
use super::rle::{self, Unit};
use super::rows::{self, Palette, Pixels};

/// A bitmap whose header and palette were read. It works on the bytes that they were read from.
#[derive(Debug)]
pub(crate) struct Bitmap {
    pub(crate) width: u32,
    pub(crate) height: u32,
    is_top_down: bool,
    /// Bits per pixel.
    pub(crate) bits: u32,
    stored: Stored,
    /// Where the pixels start.
    pixels: usize,
    /// Where the profile is, and its length.
    profile: Option<(usize, usize)>,
}

/// How the pixels are stored, with what is needed to read them.
#[derive(Debug)]
enum Stored {
    Indices(Box<Palette>),
    Colors,
    Masks(Masks),
    Rle4(Box<Palette>),
    Rle8(Box<Palette>),
    Rle24,
}

impl Bitmap {
    /// Reads the header at `start`, and the palette. The pixels start at `pixels`. If that is before
    /// the end of the header, such as 0, then they follow the palette.
    ///
    /// # Errors
    ///
    /// If the header or the palette is not complete or wrong, or if the pixels are coded in a way that
    /// is not supported.
    pub(crate) fn read(bytes: &[u8], start: usize, pixels: usize) -> Result<Self, String> {
        let dib = Dib::read(bytes.get(start..).unwrap_or_default())?;
        let header_end = start + dib.length;
        // Some writers store fewer colours than they should.
        let stored_colors = match pixels.checked_sub(header_end) {
            Some(room @ 1..) => dib.colors.min(room / dib.color_bytes),
            _ => dib.colors,
        };
        let palette_end = header_end + stored_colors * dib.color_bytes;
        let palette = match bytes.get(header_end..palette_end) {
            Some(stored) => palette(stored, dib.color_bytes),
            None => return Err("it is cut short: its palette is not complete".to_owned()),
        };
        let stored = match dib.coding {
            Coding::Plain if dib.bits <= 8 => Stored::Indices(palette),
            Coding::Plain => Stored::Colors,
            Coding::Masks(masks) => Stored::Masks(Masks::new(masks, dib.bits)?),
            Coding::Rle4 => Stored::Rle4(palette),
            Coding::Rle8 => Stored::Rle8(palette),
            Coding::Rle24 => Stored::Rle24,
        };
        let (width, height) = (dib.width, dib.height);
        Ok(Self {
            width,
            height,
            is_top_down: dib.is_top_down,
            bits: dib.bits,
            stored,
            pixels: match pixels > header_end {
                true => pixels,
                false => palette_end,
            },
            profile: dib
                .profile
                .map(|(at, length)| (start.saturating_add(at), length)),
        })
    }

    /// The same with half of the height: in an icon, the other half is that of the mask.
    pub(crate) fn without_mask(self) -> Self {
        Self {
            height: self.height / 2,
            ..self
        }
    }

    /// Whether the pixels of a file have an alpha channel. The fourth byte of a pixel without masks is
    /// one only in an icon.
    pub(crate) fn has_alpha(&self) -> bool {
        matches!(&self.stored, Stored::Masks(masks) if masks.has_alpha)
    }

    /// Whether the pixels are run-length encoded, and so decoded only to Rgb.
    pub(crate) fn is_run_length_encoded(&self) -> bool {
        matches!(
            self.stored,
            Stored::Rle4(_) | Stored::Rle8(_) | Stored::Rle24
        )
    }

    /// The embedded profile; `None` if its place is not in the file.
    pub(crate) fn profile<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (start, length) = self.profile.filter(|(_, length)| *length > 0)?;
        bytes.get(start..)?.get(..length)
    }

    /// Where the pixels end if they are not run-length encoded.
    pub(crate) fn end(&self) -> u64 {
        let row = rows::row_bytes(self.width, self.bits);
        self.pixels as u64 + row as u64 * u64::from(self.height)
    }

    /// Which row from the top is stored as number `stored`.
    pub(crate) fn row(&self, stored: usize) -> usize {
        match self.is_top_down {
            true => stored,
            false => (self.height as usize).saturating_sub(1 + stored),
        }
    }

    /// Decodes to Rgb with `N` = 3, or to Rgba with 4. Run-length encoded pixels are Rgb.
    ///
    /// # Errors
    ///
    /// If pixels are missing, or if run-length encoded data leave the picture.
    pub(crate) fn decode<const N: usize>(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let data = bytes.get(self.pixels..).unwrap_or_default();
        let pixels = match &self.stored {
            Stored::Rle4(palette) => return self.runs(data, Unit::Nibbles(palette)),
            Stored::Rle8(palette) => return self.runs(data, Unit::Bytes(palette)),
            Stored::Rle24 => return self.runs(data, Unit::Colors),
            Stored::Indices(palette) => Pixels::Indices(self.bits, palette),
            Stored::Colors if self.bits == 24 => Pixels::Bgr,
            Stored::Colors => Pixels::Bgra,
            Stored::Masks(masks) if self.bits == 16 => Pixels::Masks16(masks),
            Stored::Masks(masks) => Pixels::Masks32(masks),
        };
        let row_bytes = rows::row_bytes(self.width, self.bits);
        let height = self.height as usize;
        self.check(data, row_bytes)?;
        let mut samples = vec![0; sample_count(self.width, self.height, N)];
        let row_samples = self.width as usize * N;
        for (stored, row) in data.chunks(row_bytes).take(height).enumerate() {
            let start = self.row(stored) * row_samples;
            rows::convert::<N>(row, pixels, &mut samples[start..start + row_samples]);
        }
        Ok(samples)
    }

    /// Checks that every row is there, before memory is taken for all of them. The last row may lack
    /// its padding.
    fn check(&self, data: &[u8], row_bytes: usize) -> Result<(), String> {
        let used = (u64::from(self.width) * u64::from(self.bits)).div_ceil(8);
        let others = u64::from(self.height).saturating_sub(1) * row_bytes as u64;
        if (data.len() as u64) < others + used {
            return Err(format!(
                "it is cut short: only {} of its {} rows are there",
                data.len() / row_bytes.max(1),
                self.height
            ));
        }
        Ok(())
    }

    fn runs(&self, data: &[u8], unit: Unit<'_>) -> Result<Vec<u8>, String> {
        let mut samples = vec![0; sample_count(self.width, self.height, 3)];
        let size = (self.width as usize, self.height as usize);
        rle::decode(data, unit, size, &mut samples)?;
        Ok(samples)
    }
}

/// The colours of a palette, which are stored as blue, green, red, and perhaps a byte without meaning.
fn palette(stored: &[u8], color_bytes: usize) -> Box<Palette> {
    let mut palette = Box::new([[0; 3]; 256]);
    let colors = stored.chunks_exact(color_bytes.max(3));
    for (color, stored) in palette.iter_mut().zip(colors) {
        *color = [stored[2], stored[1], stored[0]];
    }
    palette
}
