//! What travels along with the pixels: EXIF, XMP and the ICC profile.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Exif, Field, In, Reader, Tag, Value};

use crate::options::{ColorPolicy, MetadataPolicy, ResizeOptions};
use crate::orientation::Orientation;

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

/// Fields that describe how the pixels were stored, which are stored anew, and the maker's notes,
/// whose inner offsets would no longer be right.
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
    /// The orientation that the EXIF block asks for; upright when there is none or it can't be
    /// read.
    pub(crate) fn orientation(&self) -> Orientation {
        let value = self.exif.as_ref().and_then(|exif| {
            let exif = read(exif)?;
            let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
            field.value.get_uint(0)
        });
        Orientation::from_exif(value.unwrap_or(1))
    }

    /// What goes into the result: by default nothing. A kept EXIF block is written anew: upright,
    /// without a thumbnail and without what describes the old storage. A profile stays only with
    /// the pixels it describes.
    pub(crate) fn kept(&self, options: &ResizeOptions) -> Self {
        let exif = self.exif.as_deref().and_then(read);
        let (exif, xmp) = match options.metadata {
            MetadataPolicy::Strip => (None, None),
            MetadataPolicy::Copyright => (
                exif.and_then(|exif| {
                    write(exif.fields().filter(|field| {
                        field.ifd_num == In::PRIMARY
                            && matches!(field.tag, Tag::Artist | Tag::Copyright)
                    }))
                }),
                None,
            ),
            MetadataPolicy::Keep => {
                let upright = Field {
                    tag: Tag::Orientation,
                    ifd_num: In::PRIMARY,
                    value: Value::Short(vec![1]),
                };
                let exif = exif.and_then(|exif| {
                    let fields = exif.fields().filter(|field| {
                        field.ifd_num == In::PRIMARY && !STORAGE_TAGS.contains(&field.tag)
                    });
                    write(fields.chain([&upright]))
                });
                (exif, self.xmp.clone())
            }
        };
        let icc = match options.color {
            ColorPolicy::Srgb => None,
            ColorPolicy::Keep => self.icc.clone(),
        };
        Self { exif, xmp, icc }
    }
}

/// Reads what can be read: cameras and editors write much that is a little wrong.
fn read(exif: &[u8]) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    reader
        .read_raw(exif.to_vec())
        .or_else(|error| error.distill_partial_result(|_| ()))
        .ok()
}

/// A TIFF structure of these fields; `None` when there are none or one can't be written.
fn write<'a>(fields: impl Iterator<Item = &'a Field>) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    let mut count = 0;
    for field in fields {
        // Writing a value of unknown type fails, and would take all other fields with it.
        if !matches!(field.value, Value::Unknown(..)) {
            writer.push_field(field);
            count += 1;
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    writer.write(&mut bytes, false).ok()?;
    (count > 0).then(|| bytes.into_inner())
}
