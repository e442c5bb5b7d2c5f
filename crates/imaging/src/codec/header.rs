//! The header of a picture in terms that all formats share.

use crate::format::Format;
use crate::metadata::Metadata;
use crate::orientation::Orientation;
use crate::raster::Layout;

/// The content of a header, in the stored orientation.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 1 for a still picture.
    pub(crate) frames: u32,
    /// The layout of the decoded picture.
    pub(crate) layout: Layout,
    /// Bits per decoded sample: 8 or 16.
    pub(crate) bits: u8,
    /// Whether the decoder supports shrink-on-load: pixels by 2, 4 and 8, planes to 1, 2, 3 and 4
    /// eighths.
    pub(crate) shrinks: bool,
    /// Bytes of four pixels in luma and chroma planes; `None` if the picture is not stored in such
    /// planes.
    pub(crate) planar_bytes: Option<u32>,
    /// The decoder's memory in bytes in addition to the decoded picture, for any shrink factor.
    pub(crate) decoder_bytes: u64,
    /// The part of `decoder_bytes` that the allocator keeps after the decoder has freed it.
    pub(crate) kept_bytes: u64,
    pub(crate) orientation: Orientation,
    pub(crate) metadata: Metadata,
}

impl Header {
    /// The header of an upright still picture without metadata, whose decoder cannot shrink and
    /// needs no memory of its own.
    pub(crate) fn new(
        format: Format,
        (width, height): (u32, u32),
        layout: Layout,
        bits: u8,
    ) -> Self {
        Self {
            format,
            width,
            height,
            frames: 1,
            layout,
            bits,
            shrinks: false,
            planar_bytes: None,
            decoder_bytes: 0,
            kept_bytes: 0,
            orientation: Orientation::default(),
            metadata: Metadata::default(),
        }
    }

    /// Width and height as a viewer sees them, after the orientation is applied.
    pub(crate) fn viewed_size(&self) -> (u32, u32) {
        self.orientation.turn_size((self.width, self.height))
    }

    /// Bytes of one decoded pixel.
    pub(crate) fn pixel_bytes(&self) -> u32 {
        self.layout.channels() as u32 * u32::from(self.bits / 8)
    }
}
