//! The metadata of a picture: EXIF, XMP and the ICC profile. Selects and rewrites what a result
//! keeps.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Exif, Field, In, Reader, Tag, Value};

use crate::limits::Limits;
use crate::options::{ColorPolicy, MetadataPolicy, ResizeOptions};
use crate::orientation::Orientation;

mod fields;
pub(crate) mod iptc;
mod xmp;

/// The metadata blocks of a picture, without the container's framing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata {
    /// A TIFF structure, beginning with its byte order mark (CIPA DC-008).
    pub(crate) exif: Option<Vec<u8>>,
    /// An XML packet.
    pub(crate) xmp: Option<Vec<u8>>,
    /// An ICC profile.
    pub(crate) icc: Option<Vec<u8>>,
    /// IPTC records.
    pub(crate) iptc: Option<Vec<u8>>,
}

/// Fields that describe how the source's pixels were stored, which no longer apply, and the maker
/// notes, whose inner offsets would become invalid.
const STORAGE_TAGS: [Tag; 22] = [
    Tag::ImageWidth,
    Tag::ImageLength,
    Tag::BitsPerSample,
    Tag::Compression,
    Tag::PhotometricInterpretation,
    Tag::StripOffsets,
    Tag::SamplesPerPixel,
    Tag::RowsPerStrip,
    Tag::StripByteCounts,
    Tag::PlanarConfiguration,
    Tag::TileOffsets,
    Tag::TileByteCounts,
    Tag::JPEGInterchangeFormat,
    Tag::JPEGInterchangeFormatLength,
    Tag::YCbCrCoefficients,
    Tag::YCbCrSubSampling,
    Tag::YCbCrPositioning,
    Tag::ReferenceBlackWhite,
    Tag::PixelXDimension,
    Tag::PixelYDimension,
    Tag::MakerNote,
    Tag::Orientation,
];

impl Metadata {
    /// The orientation in the EXIF block; upright if there is none or it cannot be read.
    pub(crate) fn orientation(&self) -> Orientation {
        self.exif
            .as_deref()
            .map_or_else(Orientation::default, orientation)
    }

    /// The memory of [`kept`](Self::kept) and of writing what it returns.
    pub(crate) fn kept_bytes(&self, options: &ResizeOptions) -> u64 {
        let bytes = |block: &Option<Vec<u8>>| block.as_ref().map_or(0, Vec::len) as u64;
        let blocks = match options.metadata {
            MetadataPolicy::Strip => 0,
            // The block, its fields, their values, and the new block as it grows.
            MetadataPolicy::Copyright | MetadataPolicy::Keep => {
                bytes(&self.exif) * 8 + bytes(&self.xmp) * 3 + bytes(&self.iptc) * 3
            }
        };
        let icc = match options.color {
            ColorPolicy::Srgb => 0,
            ColorPolicy::Keep => bytes(&self.icc) * 3,
        };
        blocks + icc
    }

    /// The metadata of the result: by default none. A kept EXIF block is rewritten: upright,
    /// without a thumbnail and without the storage fields. A profile is kept only with the pixels
    /// it describes.
    pub(crate) fn kept(&self, options: &ResizeOptions) -> Self {
        let exif = || self.exif.as_deref().and_then(read);
        let (exif, xmp, iptc) = match options.metadata {
            MetadataPolicy::Strip => (None, None, None),
            MetadataPolicy::Copyright => (
                exif().and_then(|exif| {
                    write(exif.fields().filter(|field| {
                        field.ifd_num == In::PRIMARY
                            && matches!(field.tag, Tag::Artist | Tag::Copyright)
                    }))
                }),
                self.xmp.as_deref().and_then(xmp::rights),
                self.iptc.as_deref().and_then(iptc::rights),
            ),
            MetadataPolicy::Keep => {
                let upright = Field {
                    tag: Tag::Orientation,
                    ifd_num: In::PRIMARY,
                    value: Value::Short(vec![1]),
                };
                let exif = exif().and_then(|exif| {
                    let fields = exif.fields().filter(|field| {
                        field.ifd_num == In::PRIMARY && !STORAGE_TAGS.contains(&field.tag)
                    });
                    write(fields.chain([&upright]))
                });
                (exif, self.xmp.clone(), self.iptc.clone())
            }
        };
        let icc = match options.color {
            ColorPolicy::Srgb => None,
            ColorPolicy::Keep => self.icc.clone(),
        };
        Self {
            exif,
            xmp,
            icc,
            iptc,
        }
    }
}

/// The orientation in an EXIF block of any size; upright if it has none.
pub(crate) fn orientation(exif: &[u8]) -> Orientation {
    Orientation::from_exif(fields::orientation(exif).unwrap_or(1))
}

/// How many times [`Limits::max_metadata_bytes`] a profile may have that is stored as it is, without
/// compression: such a profile is no larger in memory than in the file, and those of printing presses
/// have up to 3 MB.
const STORED_PROFILE: u64 = 4;

/// An EXIF or XMP block to keep. One above the limit is left out: the picture needs none.
pub(crate) fn block(bytes: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    (bytes.len() as u64 <= limits.max_metadata_bytes).then(|| bytes.to_vec())
}

/// Checks the size of a profile that is stored without compression.
///
/// # Errors
///
/// If it is above the limit. Without its profile, the picture would get wrong colours.
pub(crate) fn check_stored_profile(bytes: usize, limits: &Limits) -> Result<(), String> {
    let most = limits.max_metadata_bytes.saturating_mul(STORED_PROFILE);
    if bytes as u64 > most {
        return Err(format!(
            "its colour profile has {bytes} bytes; the limit is {most}"
        ));
    }
    Ok(())
}

/// Copies a profile that is stored without compression.
///
/// # Errors
///
/// If it is above the limit.
pub(crate) fn stored_profile(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, String> {
    check_stored_profile(bytes.len(), limits)?;
    Ok(bytes.to_vec())
}

/// Reads all valid fields: cameras and editors often write slightly invalid blocks. A block whose
/// fields would take many times its own memory is left out.
fn read(exif: &[u8]) -> Option<Exif> {
    if !fields::is_modest(exif) {
        return None;
    }
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(|_| ()))
        .ok()
}

/// A TIFF structure with these fields; `None` if there are none or one cannot be written.
fn write<'a>(fields: impl Iterator<Item = &'a Field>) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    let mut count = 0;
    for field in fields {
        // A value of unknown type cannot be written, and would make all other fields fail too.
        if !matches!(field.value, Value::Unknown(..)) {
            writer.push_field(field);
            count += 1;
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    writer.write(&mut bytes, false).ok()?;
    (count > 0).then(|| bytes.into_inner())
}
