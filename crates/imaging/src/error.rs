//! The errors of the library, as sentences for the person who sent the picture.

use crate::format::Format;
use crate::options::FieldError;

/// Why a picture cannot be read or resized. Every message is for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ImagingError {
    /// The first bytes are not those of a supported format.
    #[error("{0}")]
    NotAPicture(String),
    /// The header is cut short or contradicts itself.
    #[error("the {format} header cannot be read: {reason}")]
    Header {
        /// The format that the first bytes identify.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
    /// The picture, or the requested result, exceeds a limit.
    #[error("{0}")]
    TooLarge(String),
    /// An option cannot be used with this picture or these limits.
    #[error(transparent)]
    Option(#[from] FieldError),
    /// The header is valid, but the picture data is damaged.
    #[error("the {format} picture cannot be decoded: {reason}")]
    Body {
        /// The format of the source.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
    /// The result cannot be encoded.
    #[error("the {format} result cannot be encoded: {reason}")]
    Encode {
        /// The format of the result.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
}
