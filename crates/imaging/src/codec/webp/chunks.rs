//! Reads and writes the RIFF chunks of a WebP file (RFC 9649, section 2).

use crate::limits::Limits;
use crate::metadata::{self, Metadata};
use crate::orientation::Orientation;

/// What the chunks contain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunks<'a> {
    /// The frames of an animation; 0 for a still picture.
    pub(super) frames: u32,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
    icc: Option<&'a [u8]>,
}

impl Chunks<'_> {
    pub(super) fn orientation(&self) -> Orientation {
        self.exif
            .map_or_else(Orientation::default, metadata::orientation)
    }

    /// Copies the metadata within the limit.
    ///
    /// # Errors
    ///
    /// If the profile is above the limit.
    pub(super) fn metadata(&self, limits: &Limits) -> Result<Metadata, String> {
        let icc = self.icc.map(|icc| metadata::stored_profile(icc, limits));
        Ok(Metadata {
            exif: self.exif.and_then(|exif| metadata::block(exif, limits)),
            xmp: self.xmp.and_then(|xmp| metadata::block(xmp, limits)),
            icc: icc.transpose()?,
            iptc: None,
        })
    }
}

/// Walks over the chunks to the end of the bytes; the decoder finds out whether the picture data is
/// complete.
///
/// # Errors
///
/// If there is no complete chunk header.
pub(super) fn read(bytes: &[u8]) -> Result<Chunks<'_>, String> {
    let mut found = Chunks::default();
    let mut rest = bytes.get(12..).unwrap_or_default();
    if rest.len() < 8 {
        return Err("it is cut short".to_owned());
    }
    while let Some((name, payload, after)) = chunk(rest) {
        rest = after;
        match name {
            b"ANMF" => found.frames += 1,
            b"EXIF" => {
                // Some writers include the prefix that only JPEG needs.
                let tiff = payload.strip_prefix(b"Exif\0\0").unwrap_or(payload);
                found.exif = Some(tiff);
            }
            b"XMP " => found.xmp = Some(payload),
            b"ICCP" => found.icc = Some(payload),
            _ => {}
        }
    }
    Ok(found)
}

/// The first chunk's name and payload, and the bytes after it.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (name, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest.get(..length)?;
    let padded = length + length % 2;
    Some((name, payload, rest.get(padded..).unwrap_or_default()))
}

/// Adds metadata to an encoded picture, in the extended file format (RFC 9649, 2.7).
pub(super) fn with_metadata(
    webp: Vec<u8>,
    (width, height): (u32, u32),
    has_alpha: bool,
    metadata: &Metadata,
) -> Vec<u8> {
    const ICC: u8 = 0x20;
    const ALPHA: u8 = 0x10;
    const EXIF: u8 = 0x08;
    const XMP: u8 = 0x04;
    if *metadata == Metadata::default() {
        return webp;
    }
    // A file in the extended format keeps its flags: alpha, animation.
    let mut flags = match chunk(&webp[12..]) {
        Some((b"VP8X", payload, _)) => *payload.first().unwrap_or(&0),
        _ => 0,
    };
    for (present, flag) in [
        (metadata.icc.is_some(), ICC),
        (has_alpha, ALPHA),
        (metadata.exif.is_some(), EXIF),
        (metadata.xmp.is_some(), XMP),
    ] {
        if present {
            flags |= flag;
        }
    }
    let mut extended = vec![flags, 0, 0, 0];
    extended.extend(&(width - 1).to_le_bytes()[..3]);
    extended.extend(&(height - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    put(&mut body, b"VP8X", &extended);
    if let Some(icc) = &metadata.icc {
        put(&mut body, b"ICCP", icc);
    }
    let mut rest = &webp[12..];
    while let Some((name, payload, after)) = chunk(rest) {
        rest = after;
        if name != b"VP8X" {
            put(&mut body, name, payload);
        }
    }
    if let Some(exif) = &metadata.exif {
        put(&mut body, b"EXIF", exif);
    }
    if let Some(xmp) = &metadata.xmp {
        put(&mut body, b"XMP ", xmp);
    }
    let mut file = Vec::with_capacity(body.len() + 8);
    put(&mut file, b"RIFF", &body);
    file
}

fn put(file: &mut Vec<u8>, name: &[u8; 4], payload: &[u8]) {
    file.extend(name);
    file.extend((payload.len() as u32).to_le_bytes());
    file.extend(payload);
    if payload.len() % 2 == 1 {
        file.push(0);
    }
}
