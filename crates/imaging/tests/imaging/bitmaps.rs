//! Bitmaps made field by field, for BMP and icons, and their pixels.

use picresize_imaging::{ImagingError, Limits, inspect, resize};

use super::pictures::decode;
use super::support::request;

/// A bitmap. Fields that a header of its size does not have are left out.
#[derive(Clone)]
pub(crate) struct Bitmap {
    pub(crate) header: usize,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) planes: u16,
    pub(crate) bits: u16,
    pub(crate) coding: u32,
    pub(crate) used: u32,
    /// In the header, or after one of 40 bytes.
    pub(crate) masks: Vec<u32>,
    /// Other fields: the place in the header, and the value.
    pub(crate) fields: Vec<(usize, u32)>,
    pub(crate) palette: Vec<[u8; 3]>,
    /// What is between the palette and the pixels.
    pub(crate) gap: usize,
    pub(crate) pixels: Vec<u8>,
    /// Where the file header says that the pixels start, if that is wrong.
    pub(crate) offset: Option<u32>,
}

impl Bitmap {
    pub(crate) fn new(header: usize, width: i32, height: i32, bits: u16) -> Self {
        Self {
            header,
            width,
            height,
            planes: 1,
            bits,
            coding: 0,
            used: 0,
            masks: Vec::new(),
            fields: Vec::new(),
            palette: Vec::new(),
            gap: 0,
            pixels: Vec::new(),
            offset: None,
        }
    }

    /// The header, the palette and the pixels, as they are in an icon.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut bytes, _) = self.until_pixels();
        bytes.extend(&self.pixels);
        bytes
    }

    /// A file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let (start, length) = self.until_pixels();
        let mut file = b"BM".to_vec();
        file.extend((14 + start.len() as u32 + self.pixels.len() as u32).to_le_bytes());
        file.extend([0; 4]);
        file.extend(self.offset.unwrap_or(14 + length as u32).to_le_bytes());
        file.extend(start);
        file.extend(&self.pixels);
        file
    }

    fn until_pixels(&self) -> (Vec<u8>, usize) {
        let mut header = vec![0; self.header.max(124)];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &(self.header as u32).to_le_bytes());
        if self.header == 12 {
            put(4, &(self.width as u16).to_le_bytes());
            put(6, &(self.height as u16).to_le_bytes());
            put(8, &self.planes.to_le_bytes());
            put(10, &self.bits.to_le_bytes());
        } else {
            put(4, &self.width.to_le_bytes());
            put(8, &self.height.to_le_bytes());
            put(12, &self.planes.to_le_bytes());
            put(14, &self.bits.to_le_bytes());
            put(16, &self.coding.to_le_bytes());
            put(32, &self.used.to_le_bytes());
        }
        for (index, mask) in self.masks.iter().enumerate() {
            put(40 + index * 4, &mask.to_le_bytes());
        }
        for (at, value) in &self.fields {
            put(*at, &value.to_le_bytes());
        }
        let masks = if self.header == 40 {
            self.masks.len() * 4
        } else {
            0
        };
        header.truncate(self.header + masks);
        for [red, green, blue] in &self.palette {
            header.extend([*blue, *green, *red]);
            // The fourth byte has no meaning.
            header.extend(if self.header == 12 { &[][..] } else { &[99] });
        }
        header.resize(header.len() + self.gap, 77);
        let length = header.len();
        (header, length)
    }
}

/// Rows of indices, from the top, as a bitmap stores them from the bottom.
pub(crate) fn packed(rows: &[&[u8]], bits: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows.iter().rev() {
        let mut packed = vec![0; (row.len() * bits).div_ceil(32) * 4];
        for (x, index) in row.iter().enumerate() {
            packed[x * bits / 8] |= index << (8 - bits - x * bits % 8);
        }
        bytes.extend(packed);
    }
    bytes
}

/// Rows of pixels, from the top, as a bitmap stores them from the bottom: each row is filled up to a
/// multiple of four bytes.
pub(crate) fn stored<const N: usize>(rows: &[&[[u8; N]]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows.iter().rev() {
        bytes.extend(row.as_flattened());
        bytes.resize(bytes.len().next_multiple_of(4), 0xee);
    }
    bytes
}

/// The pixels of a picture, from the top; transparent ones are 0.
pub(crate) fn pixels(file: &[u8]) -> Vec<[u8; 4]> {
    match try_pixels(file) {
        Ok(pixels) => pixels,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn try_pixels(file: &[u8]) -> Result<Vec<[u8; 4]>, ImagingError> {
    let limits = Limits::default();
    let source = inspect(file, &limits)?;
    let (width, height) = (source.width(), source.height());
    let options = format!("width={width} height={height} format=png");
    let result = resize(file, &request(&options), &limits)?;
    let ((found_width, found_height), samples) = decode(&result.bytes);
    assert_eq!((found_width, found_height), (width, height));
    let pixels = samples.as_chunks::<4>().0.iter();
    let seen = |&pixel: &[u8; 4]| if pixel[3] == 0 { [0; 4] } else { pixel };
    Ok(pixels.map(seen).collect())
}

/// Why a file is refused.
pub(crate) fn refusal(file: &[u8]) -> String {
    match try_pixels(file) {
        Ok(_) => panic!("it is read"),
        Err(error) => error.to_string(),
    }
}

/// Opaque pixels of these colours.
pub(crate) fn opaque(colors: &[[u8; 3]]) -> Vec<[u8; 4]> {
    let pixels = colors
        .iter()
        .map(|&[red, green, blue]| [red, green, blue, 255]);
    pixels.collect()
}

/// Resizes damaged copies of a file: every prefix, and every byte replaced by some others. Each is read
/// or refused.
pub(crate) fn damage(file: &[u8]) {
    let limits = Limits {
        max_source_pixels: 1 << 16,
        ..Limits::default()
    };
    let options = request("width=2 height=2 format=png");
    for end in 0..file.len() {
        let _ = resize(&file[..end], &options, &limits);
    }
    let mut copy = file.to_vec();
    for at in 0..file.len() {
        for value in [0, 1, 2, 7, 0x7f, 0x80, 0xff, file[at] ^ 16] {
            copy[at] = value;
            let _ = resize(&copy, &options, &limits);
        }
        copy[at] = file[at];
    }
}
