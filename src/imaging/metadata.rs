//! What travels along with the pixels: EXIF, XMP and the ICC profile.

use exif::{In, Reader, Tag};

use super::orientation::Orientation;

/// The metadata blocks of a picture, each without its container's wrapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata {
    /// A TIFF structure, beginning with its byte order mark (CIPA DC-008).
    pub(crate) exif: Option<Vec<u8>>,
    /// An XML packet.
    pub(crate) xmp: Option<Vec<u8>>,
    /// An ICC profile.
    pub(crate) icc: Option<Vec<u8>>,
}

impl Metadata {
    /// The orientation that the EXIF block asks for; upright when there is none or it can't be
    /// read.
    pub(crate) fn orientation(&self) -> Orientation {
        let Some(exif) = &self.exif else {
            return Orientation::default();
        };
        let mut reader = Reader::new();
        reader.continue_on_error(true);
        let parsed = reader
            .read_raw(exif.clone())
            .or_else(|error| error.distill_partial_result(|_| ()));
        let value = parsed.ok().and_then(|exif| {
            let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
            field.value.get_uint(0)
        });
        Orientation::from_exif(value.unwrap_or(1))
    }
}
