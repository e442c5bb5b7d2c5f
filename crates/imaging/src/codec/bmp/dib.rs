//! The header of a bitmap as it is stored: that of Windows 2 and OS/2 1 (BITMAPCOREHEADER), of OS/2 2
//! (16 to 64 bytes), and of Windows since (BITMAPINFOHEADER to BITMAPV5HEADER).

/// The longest side. Longer ones are not those of pictures, but of damaged headers.
const MAX_SIDE: u32 = 65_535;
/// The bytes of the longest header, BITMAPV5HEADER.
const LONGEST: usize = 124;
/// Where the masks are: in the header, or just after one of 40 bytes.
const MASKS: usize = 40;
/// The colour space of a V5 header with an embedded profile, "MBED" with its bytes reversed.
const EMBEDDED: u32 = 0x4d42_4544;

/// How the pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Indices, or 24 or 32 bits of blue, green and red.
    Plain,
    /// 16 or 32 bits, of which each sample takes those in its mask: red, green, blue, alpha.
    Masks([u32; 4]),
    /// Runs of 4-bit indices.
    Rle4,
    /// Runs of 8-bit indices.
    Rle8,
    /// Runs of colours of 24 bits.
    Rle24,
}

/// A checked header.
#[derive(Clone, Debug)]
pub(super) struct Dib {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) is_top_down: bool,
    /// Bits per pixel: 1, 2, 4, 8, 16, 24 or 32.
    pub(super) bits: u32,
    pub(super) coding: Coding,
    /// The bytes of the header and its masks. A palette follows them.
    pub(super) length: usize,
    /// Colours of the palette; 0 if there is none.
    pub(super) colors: usize,
    /// The bytes of a colour of the palette.
    pub(super) color_bytes: usize,
    /// The first byte of the profile, counted from that of the header, and its length.
    pub(super) profile: Option<(usize, usize)>,
}

/// Who defined a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// 12 bytes, with sides of 16 bits.
    Core,
    /// OS/2 2. It may end after any field, and has other codings.
    Os2,
    Windows,
}

impl Dib {
    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// If it is not complete, if a field is wrong, or if the coding is not supported.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let fields = Fields::read(bytes)?;
        let size = fields.long(0) as usize;
        let kind = match size {
            12 => Kind::Core,
            40 | 52 | 56 | 108 | LONGEST => Kind::Windows,
            16..=64 => Kind::Os2,
            _ => {
                return Err(format!(
                    "its header has {size} bytes; those of bitmaps have 12, 16 to 64, 108 or 124"
                ));
            }
        };
        let (sides, planes_at) = match kind {
            Kind::Core => ([4, 6].map(|at| i64::from(fields.short(at))), 8),
            _ => ([4, 8].map(|at| i64::from(fields.long(at) as i32)), 12),
        };
        let [width, height] = sides;
        let most = i64::from(MAX_SIDE);
        if !(0..=most).contains(&width) || height.abs() > most {
            return Err(format!(
                "its header says {width} × {height} pixels; the limit of a side is {MAX_SIDE}"
            ));
        }
        let (planes, bits) = (fields.short(planes_at), fields.short(planes_at + 2));
        if planes > 1 {
            return Err(format!("it has {planes} planes; a bitmap has 1"));
        }
        if !matches!(bits, 1 | 2 | 4 | 8 | 16 | 24 | 32) {
            return Err(format!(
                "it has {bits} bits per pixel; supported are 1, 2, 4, 8, 16, 24 and 32"
            ));
        }
        let is_top_down = height < 0;
        let (coding, masks) = match kind {
            Kind::Core => (Coding::Plain, 0),
            _ => coding(&fields, kind, bits)?,
        };
        let is_run_length = matches!(coding, Coding::Rle4 | Coding::Rle8 | Coding::Rle24);
        if is_top_down && is_run_length {
            return Err(
                "its rows are stored from the top and run-length encoded; such \
                        bitmaps must start at the bottom"
                    .to_owned(),
            );
        }
        let length = size.max(MASKS * usize::from(masks > 0) + masks * 4);
        if bytes.len() < length {
            return Err(cut_header());
        }
        let is_embedded = size == LONGEST && fields.long(56) == EMBEDDED;
        Ok(Self {
            width: width as u32,
            height: height.unsigned_abs() as u32,
            is_top_down,
            bits: bits.into(),
            coding: match (coding, bits) {
                (Coding::Plain, 16) => Coding::Masks([0x7c00, 0x03e0, 0x001f, 0]),
                _ => coding,
            },
            length,
            colors: colors(&fields, kind, bits)?,
            color_bytes: if kind == Kind::Core { 3 } else { 4 },
            profile: is_embedded.then(|| (fields.long(112) as usize, fields.long(116) as usize)),
        })
    }
}

/// The coding, and how many masks there are.
fn coding(fields: &Fields, kind: Kind, bits: u16) -> Result<(Coding, usize), String> {
    let wrong = |name: &str| {
        Err(format!(
            "it has {bits} bits per pixel, which the coding {name} does not have"
        ))
    };
    let unsupported = |name: &str| {
        Err(format!(
            "its pixels are coded as {name}, which is not supported"
        ))
    };
    match (fields.long(16), kind) {
        (0, _) => Ok((Coding::Plain, 0)),
        (1, _) if bits == 8 => Ok((Coding::Rle8, 0)),
        (1, _) => wrong("RLE8"),
        (2, _) if bits == 4 => Ok((Coding::Rle4, 0)),
        (2, _) => wrong("RLE4"),
        (3, Kind::Os2) => unsupported("Huffman 1D"),
        (4, Kind::Os2) if bits == 24 => Ok((Coding::Rle24, 0)),
        (4, Kind::Os2) => wrong("RLE24"),
        (3 | 6, Kind::Windows) if !matches!(bits, 16 | 32) => wrong("BITFIELDS"),
        (code @ (3 | 6), Kind::Windows) => {
            let count = match (fields.long(0), code) {
                (52, _) | (40, 3) => 3,
                _ => 4,
            };
            let mut masks = [0; 4];
            for (index, mask) in masks.iter_mut().take(count).enumerate() {
                *mask = fields.long(MASKS + index * 4);
            }
            Ok((Coding::Masks(masks), count))
        }
        (4, _) => unsupported("a JPEG"),
        (5, _) => unsupported("a PNG"),
        (11..=13, _) => unsupported("CMYK"),
        (other, _) => unsupported(&format!("number {other}")),
    }
}

/// The number of colours in the palette of a picture with indices.
fn colors(fields: &Fields, kind: Kind, bits: u16) -> Result<usize, String> {
    if bits > 8 {
        return Ok(0);
    }
    let most = 1 << bits;
    match fields.long(32) {
        _ if kind == Kind::Core => Ok(most),
        0 => Ok(most),
        used if used as usize <= most => Ok(used as usize),
        used => Err(format!(
            "its palette has {used} colours; {bits} bits per pixel can number {most}"
        )),
    }
}

/// The bytes of the longest header; those that the file does not have are 0.
struct Fields([u8; LONGEST]);

impl Fields {
    /// Reads the size of the header, and its fields. A field after its end has no meaning.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let size = bytes.first_chunk().copied().map(u32::from_le_bytes);
        let size = size.ok_or_else(cut_header)? as usize;
        if size <= LONGEST && bytes.len() < size {
            return Err(cut_header());
        }
        // Masks may follow a header of 40 bytes.
        let end = match size {
            40 => MASKS + 16,
            _ => size.min(LONGEST),
        };
        let mut fields = [0; LONGEST];
        for (field, byte) in fields[..end].iter_mut().zip(bytes) {
            *field = *byte;
        }
        Ok(Self(fields))
    }

    fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn long(&self, at: usize) -> u32 {
        u32::from_le_bytes([0, 1, 2, 3].map(|index| self.0[at + index]))
    }
}

fn cut_header() -> String {
    "it is cut short: its header is not complete".to_owned()
}
