//! Walks over the chunks of a PNG file (PNG third edition, section 5.3), and finds the metadata.

use std::borrow::Cow;

use libdeflater::{Crc, DecompressionError, Decompressor};

use crate::limits::Limits;
use crate::metadata::{self, Metadata, iptc};
use crate::orientation::Orientation;

use super::raw_profile;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The keyword of a text chunk with an XMP packet.
const XMP: &[u8] = b"XML:com.adobe.xmp";
/// Deflate cannot make more of a byte.
const MOST_INFLATED: usize = 1032;

/// One complete chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    pub(super) name: &'a [u8],
    pub(super) payload: &'a [u8],
    /// All bytes of the chunk.
    pub(super) whole: &'a [u8],
    /// Name and payload, which the checksum is of.
    checked: &'a [u8],
    checksum: u32,
}

impl Chunk<'_> {
    /// Whether the checksum is right.
    pub(super) fn is_intact(&self) -> bool {
        let mut found = Crc::new();
        found.update(self.checked);
        found.sum() == self.checksum
    }
}

/// The chunks of a file.
#[derive(Clone, Debug)]
pub(super) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// Returns `None` if the signature is missing.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        bytes.strip_prefix(SIGNATURE).map(Self)
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    /// Returns `None` at the end of the bytes, and if a chunk is cut short.
    fn next(&mut self) -> Option<Chunk<'a>> {
        let all = self.0;
        let (length, rest) = all.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let checked = rest.get(..length.checked_add(4)?)?;
        let (checksum, rest) = rest[checked.len()..].split_first_chunk::<4>()?;
        self.0 = rest;
        let (name, payload) = checked.split_at(4);
        Some(Chunk {
            name,
            payload,
            whole: &all[..all.len() - rest.len()],
            checked,
            checksum: u32::from_be_bytes(*checksum),
        })
    }
}

/// Reads the metadata and the orientation. As in other readers, a chunk with a wrong checksum does not
/// count, and the first of several does. Nothing is inflated beyond the limit.
///
/// # Errors
///
/// If the profile is above the limit.
pub(super) fn metadata(bytes: &[u8], limits: &Limits) -> Result<(Metadata, Orientation), String> {
    let mut found = Metadata::default();
    let (mut exif, mut has_profile, mut has_xmp) = (None, false, false);
    let mut raw = RawProfiles::default();
    let mut is_after_data = false;
    let most = usize::try_from(limits.max_metadata_bytes).unwrap_or(usize::MAX);
    for chunk in Chunks::of(bytes).into_iter().flatten() {
        match chunk.name {
            b"IDAT" => is_after_data = true,
            b"IEND" => break,
            b"iCCP" if !has_profile && !is_after_data && chunk.is_intact() => {
                has_profile = true;
                found.icc = profile(chunk.payload, most)?;
            }
            b"eXIf" if exif.is_none() && chunk.is_intact() => exif = Some(chunk.payload),
            b"iTXt" if !has_xmp && chunk.payload.starts_with(XMP) && chunk.is_intact() => {
                if let Some(text) = xmp(chunk.payload) {
                    has_xmp = true;
                    found.xmp = text.read(most);
                }
            }
            b"tEXt" | b"zTXt" | b"iTXt"
                if chunk.payload.starts_with(raw_profile::KEYWORD) && chunk.is_intact() =>
            {
                raw.add(&chunk, most);
            }
            _ => {}
        }
    }
    let exif = exif.map(Cow::Borrowed).or(raw.exif.map(Cow::Owned));
    let exif = exif.as_deref();
    let orientation = exif.map_or_else(Orientation::default, metadata::orientation);
    found.exif = exif.and_then(|exif| metadata::block(exif, limits));
    found.xmp = found.xmp.or(raw.xmp);
    found.iptc = raw.iptc;
    Ok((found, orientation))
}

/// Metadata in text chunks.
#[derive(Debug, Default)]
struct RawProfiles {
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
    iptc: Option<Vec<u8>>,
}

impl RawProfiles {
    /// Reads a chunk with the keyword of a raw profile. The first of each kind counts.
    fn add(&mut self, chunk: &Chunk<'_>, most: usize) {
        const EXIF: &[u8] = b"Exif\0\0";
        const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
        let Some((keyword, name_end)) = keyword(chunk.payload) else {
            return;
        };
        let name = keyword[raw_profile::KEYWORD.len()..].to_ascii_lowercase();
        let is_there = match name.as_slice() {
            b"exif" => self.exif.is_some(),
            b"app1" => self.exif.is_some() && self.xmp.is_some(),
            b"xmp" => self.xmp.is_some(),
            b"iptc" | b"8bim" => self.iptc.is_some(),
            _ => true,
        };
        if is_there {
            return;
        }
        // Two digits a byte, and the ends of the lines.
        let text = text_of(chunk, name_end, most.saturating_mul(3));
        let Some(bytes) = text.and_then(|text| raw_profile::read(&text)) else {
            return;
        };
        let exif = bytes.strip_prefix(EXIF);
        let xmp = bytes.strip_prefix(XMP);
        match name.as_slice() {
            b"iptc" | b"8bim" => {
                // Either the records, or the resource in which JPEG stores them.
                self.iptc =
                    iptc::of_resources(&bytes).or((bytes.first() == Some(&0x1c)).then_some(bytes));
            }
            b"xmp" => self.xmp = Some(xmp.map_or_else(|| bytes.clone(), <[u8]>::to_vec)),
            b"exif" => self.exif = Some(exif.map_or_else(|| bytes.clone(), <[u8]>::to_vec)),
            _ => {
                self.exif = self.exif.take().or(exif.map(<[u8]>::to_vec));
                self.xmp = self.xmp.take().or(xmp.map(<[u8]>::to_vec));
            }
        }
    }
}

/// The keyword of a text chunk, and where it ends.
fn keyword(payload: &[u8]) -> Option<(&[u8], usize)> {
    let end = payload.iter().take(80).position(|byte| *byte == 0)?;
    Some((&payload[..end], end))
}

/// The text of a text chunk of any kind, up to `most` bytes.
fn text_of<'a>(chunk: &Chunk<'a>, name_end: usize, most: usize) -> Option<Cow<'a, [u8]>> {
    let rest = chunk.payload.get(name_end + 1..)?;
    let inflated = |data| inflate(data, most).ok().map(Cow::Owned);
    match chunk.name {
        b"tEXt" => Some(Cow::Borrowed(rest)).filter(|text| text.len() <= most),
        b"zTXt" => inflated(rest.strip_prefix(b"\0")?),
        _ => {
            let ([is_compressed, _], rest) = rest.split_first_chunk()?;
            let text = rest.splitn(3, |byte| *byte == 0).nth(2)?;
            match is_compressed {
                0 => Some(Cow::Borrowed(text)).filter(|text| text.len() <= most),
                _ => inflated(text),
            }
        }
    }
}

/// The profile in an `iCCP` chunk (11.3.2.3); `None` if it is damaged.
fn profile(payload: &[u8], most: usize) -> Result<Option<Vec<u8>>, String> {
    let name = payload.iter().take(80).position(|byte| *byte == 0);
    let Some(name) = name.filter(|length| *length > 0) else {
        return Ok(None);
    };
    let Some((0, data)) = payload[name + 1..].split_first() else {
        return Ok(None);
    };
    match inflate(data, most) {
        Ok(profile) => Ok(Some(profile)),
        Err(DecompressionError::InsufficientSpace) => Err(format!(
            "its colour profile has more than {most} bytes when it is decompressed; the limit is {most}"
        )),
        Err(DecompressionError::BadData) => Ok(None),
    }
}

/// The text of an `iTXt` chunk.
#[derive(Debug)]
enum Text<'a> {
    Plain(&'a str),
    Compressed(&'a [u8]),
}

/// The text in an `iTXt` chunk with the keyword of XMP (11.3.3.4); `None` if the chunk is damaged.
fn xmp(payload: &[u8]) -> Option<Text<'_>> {
    let rest = payload.strip_prefix(XMP)?.strip_prefix(b"\0")?;
    let ([is_compressed, method], rest) = rest.split_first_chunk()?;
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let (language, keyword, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !language.is_ascii() || std::str::from_utf8(keyword).is_err() {
        return None;
    }
    match (is_compressed, method) {
        (0, _) => std::str::from_utf8(text).ok().map(Text::Plain),
        (1, 0) => Some(Text::Compressed(text)),
        _ => None,
    }
}

impl Text<'_> {
    /// The text; `None` if it is damaged or longer than `most`.
    fn read(&self, most: usize) -> Option<Vec<u8>> {
        let bytes = match self {
            Text::Plain(text) if text.len() <= most => text.as_bytes().to_vec(),
            Text::Plain(_) => return None,
            Text::Compressed(data) => inflate(data, most).ok()?,
        };
        std::str::from_utf8(&bytes).is_ok().then_some(bytes)
    }
}

/// Inflates a zlib stream to no more than `most` bytes.
fn inflate(data: &[u8], most: usize) -> Result<Vec<u8>, DecompressionError> {
    let room = data.len().saturating_mul(MOST_INFLATED).min(most);
    let mut bytes = vec![0; room];
    let length = Decompressor::new().zlib_decompress(data, &mut bytes)?;
    bytes.truncate(length);
    bytes.shrink_to_fit();
    Ok(bytes)
}
