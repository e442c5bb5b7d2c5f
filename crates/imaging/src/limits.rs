//! The limits of a resize: sizes, frames, memory, and the bytes of the result.

/// The limits that a picture and its result must respect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest side of a result, in pixels.
    pub max_side: u32,
    /// Pixels of a source, all frames together.
    pub max_source_pixels: u64,
    /// Pixels of a result, all frames together.
    pub max_result_pixels: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// The estimated memory of one resize, in bytes.
    pub max_memory_bytes: u64,
    /// Bytes of an encoded result.
    pub max_result_bytes: u64,
    /// Bytes of one block of metadata: EXIF, XMP or a colour profile, decompressed. A larger EXIF or
    /// XMP block is left out of the result. A picture with a larger profile is refused, because its
    /// colours would be wrong; a profile that is stored without compression, as in JPEG, WebP, GIF,
    /// TIFF and BMP, may have four times as many bytes.
    pub max_metadata_bytes: u64,
    /// The estimated processor time of one resize, in seconds.
    pub max_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: 20_000,
            max_source_pixels: 100_000_000,
            max_result_pixels: 50_000_000,
            max_frames: 500,
            max_memory_bytes: 1 << 30,
            max_result_bytes: 64 << 20,
            max_metadata_bytes: 1 << 20,
            max_seconds: 60,
        }
    }
}
