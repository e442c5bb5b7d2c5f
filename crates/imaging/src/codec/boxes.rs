//! Reads the boxes of an ISO base media file, the container of AVIF and HEIC (ISO/IEC 14496-12).

#[cfg(feature = "heic")]
pub(super) mod derivation;
pub(super) mod items;
mod places;
mod reader;
#[cfg(feature = "avif")]
pub(super) mod sequence;

/// The names and payloads of all complete boxes in `bytes`.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, rest) = bytes.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let (header, size) = match u32::from_be_bytes(*size) {
            0 => (8, bytes.len()),
            1 => {
                let (size, _) = rest.split_first_chunk::<8>()?;
                (16, usize::try_from(u64::from_be_bytes(*size)).ok()?)
            }
            size => (8, size as usize),
        };
        let payload = bytes.get(header..size)?;
        bytes = &bytes[size..];
        Some((name, payload))
    })
}

/// The TIFF structure in an Exif item. The item starts with the offset of that structure (ISO/IEC
/// 23008-12, A.2.1).
pub(super) fn exif_of_item(item: &[u8]) -> Option<Vec<u8>> {
    let (skip, rest) = item.split_first_chunk::<4>()?;
    Some(rest.get(u32::from_be_bytes(*skip) as usize..)?.to_vec())
}
