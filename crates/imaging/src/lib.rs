//! Pictures in, pictures out: a pure function of bytes, request and limits.
//!
//! Nothing here does I/O, knows an async runtime or keeps state that shows: the same bytes,
//! request and [`ENGINE_VERSION`] give the same result in any thread of any role.
//!
//! A caller goes three steps, each of which can refuse: [`inspect`] reads the header,
//! [`plan`] checks request and limits against it and estimates the memory, [`resize`] does the
//! work.

mod animation;
mod codec;
mod color;
mod compose;
mod estimate;
mod fingerprint;
mod format;
mod geometry;
mod linear;
mod metadata;
mod options;
mod orientation;
mod pipeline;
mod plan;
mod planar;
mod quantize;
mod raster;
mod resample;
mod sharpen;
mod similarity;
mod smart;
mod sniff;

use codec::Header;
pub use estimate::ReducedDecoder;
pub use fingerprint::Fingerprint;
pub use format::Format;
pub use options::{
    Background, ColorPolicy, FieldError, Filter, Fit, MetadataPolicy, Position, Profile,
    ResizeRequest,
};

/// Changes whenever the same input could give other bytes.
pub const ENGINE_VERSION: &str = "4";

/// What one picture may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of one side of a result.
    pub max_side: u32,
    /// Pixels of a source, all frames together.
    pub max_source_pixels: u64,
    /// Pixels of a result, all frames together.
    pub max_result_pixels: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Estimated bytes of memory while one picture is worked on.
    pub max_memory_bytes: u64,
    /// Bytes of an encoded result.
    pub max_result_bytes: u64,
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
        }
    }
}

/// What the header of a picture tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    pub format: Format,
    /// As a viewer sees it: after the orientation was applied.
    pub width: u32,
    /// As a viewer sees it: after the orientation was applied.
    pub height: u32,
    /// The frames of an animation; 1 for a still picture.
    pub frames: u32,
    /// Bytes of one decoded pixel.
    pub pixel_bytes: u32,
    pub has_alpha: bool,
    /// Bytes that four decoded pixels take as planes of brightness and colour, when the picture
    /// can be resized so.
    pub planar_bytes: Option<u32>,
    /// Whether the decoder can shrink while it decodes.
    pub shrinks: bool,
    /// Bytes the decoder holds beside the decoded picture.
    pub decoder_bytes: u64,
    /// What the same depends on beside planes of one to four eighths of the size, when they have a
    /// decoder of their own.
    pub reduced_decoder: Option<ReducedDecoder>,
}

impl SourceInfo {
    fn of(format: Format, header: &Header) -> Self {
        let (width, height) = header.orientation.turn_size((header.width, header.height));
        Self {
            format,
            width,
            height,
            frames: header.frames,
            pixel_bytes: header.layout.channels() as u32 * u32::from(header.bits / 8),
            has_alpha: header.layout.has_alpha(),
            // A profile may have to be followed, which takes whole pixels.
            planar_bytes: header
                .planar_bytes
                .filter(|_| header.metadata.icc.is_none()),
            shrinks: header.shrinks,
            decoder_bytes: header.decoder_bytes,
            reduced_decoder: header.reduced_decoder.clone(),
        }
    }
}

/// What will be made of a picture, before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub frames: u32,
    /// An upper bound of the memory that [`resize`] takes beside the source's bytes.
    pub memory_bytes: u64,
}

/// A result picture.
#[derive(Clone, Debug)]
pub struct Resized {
    pub bytes: Vec<u8>,
    pub format: Format,
    pub width: u32,
    pub height: u32,
    pub frames: u32,
}

/// Why a picture can't be read or made. Every message is for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ImagingError {
    /// The bytes begin like no picture format that is read here.
    #[error("{0}")]
    NotAPicture(String),
    /// The header is cut short or contradicts itself.
    #[error("the {format} header cannot be read: {reason}")]
    Header { format: Format, reason: String },
    /// The picture, or the result asked for, is larger than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// An option does not go with this picture or these limits.
    #[error(transparent)]
    Option(#[from] FieldError),
    /// The header was good, the body is not.
    #[error("the {format} picture cannot be decoded: {reason}")]
    Body { format: Format, reason: String },
    /// The result could not be written.
    #[error("the {format} result cannot be encoded: {reason}")]
    Encode { format: Format, reason: String },
}

/// Reads the header of a picture: what it is and how large, by its bytes alone.
///
/// # Errors
///
/// [`ImagingError::NotAPicture`] and [`ImagingError::Header`].
pub fn inspect(bytes: &[u8]) -> Result<SourceInfo, ImagingError> {
    let format = sniff::sniff(bytes)?;
    Ok(SourceInfo::of(format, &codec::header(format, bytes)?))
}

/// Says what [`resize`] would make of a picture, or why it would refuse.
///
/// # Errors
///
/// [`ImagingError::TooLarge`] and [`ImagingError::Option`].
pub fn plan(
    source: &SourceInfo,
    request: &ResizeRequest,
    limits: &Limits,
) -> Result<Plan, ImagingError> {
    plan::plan(source, request, limits).map(|(plan, _)| plan)
}

/// Decodes, resizes and encodes one picture.
///
/// # Errors
///
/// Every kind of [`ImagingError`].
pub fn resize(
    bytes: &[u8],
    request: &ResizeRequest,
    limits: &Limits,
) -> Result<Resized, ImagingError> {
    let format = sniff::sniff(bytes)?;
    let header = codec::header(format, bytes)?;
    let source = SourceInfo::of(format, &header);
    let (plan, geometry) = plan::plan(&source, request, limits)?;
    let resized = pipeline::run(bytes, format, &header, request, &plan, geometry)?;
    let size = resized.bytes.len() as u64;
    if size > limits.max_result_bytes {
        return Err(ImagingError::TooLarge(format!(
            "the result has {size} bytes: the most is {}",
            limits.max_result_bytes
        )));
    }
    Ok(resized)
}

/// SSIMULACRA2 of a picture against a reference of the same size: 100 is the same, 90 can't be told
/// apart, 70 is high quality, 50 medium, below 30 is poor. None when the sizes differ, a side has
/// less than 8 pixels, one of them is an animation or can't be decoded, or comparing them would
/// take more memory than the limit.
pub fn similarity(picture: &[u8], reference: &[u8], limits: &Limits) -> Option<f64> {
    let size = inspect(reference).ok()?;
    let bytes = similarity_bytes(size.width, size.height);
    (bytes <= limits.max_memory_bytes).then(|| similarity::ssimulacra2(picture, reference))?
}

/// An upper bound of the memory that [`similarity`] takes for pictures of this size.
pub fn similarity_bytes(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) * similarity::BYTES_PER_PIXEL
}

/// The perceptual hash of a picture, or of the first frame of an animation, as a viewer sees it on
/// white. None when it can't be decoded within the limits, or when there is so little in it (a
/// flat colour, a plain gradient) that a hash would say nothing.
pub fn fingerprint(bytes: &[u8], limits: &Limits) -> Option<Fingerprint> {
    fingerprint::fingerprint(bytes, limits)
}

/// An upper bound of the memory that [`fingerprint`] takes beside the picture's bytes.
pub fn fingerprint_bytes(source: &SourceInfo) -> u64 {
    estimate::fingerprint(source)
}
