//! Why a picture cannot be read or made, in sentences for the person who sent it.

use crate::format::Format;
use crate::options::FieldError;

/// Why a picture cannot be read or made. Every message is for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ImagingError {
    /// The bytes begin like no picture format that is read here.
    #[error("{0}")]
    NotAPicture(String),
    /// The header is cut short or contradicts itself.
    #[error("the {format} header cannot be read: {reason}")]
    Header {
        /// The format that the first bytes name.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
    /// The picture, or the result asked for, is larger than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// An option does not go with this picture or these limits.
    #[error(transparent)]
    Option(#[from] FieldError),
    /// The header was good, the body is not.
    #[error("the {format} picture cannot be decoded: {reason}")]
    Body {
        /// The format of the source.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
    /// The result could not be written.
    #[error("the {format} result cannot be encoded: {reason}")]
    Encode {
        /// The format of the result.
        format: Format,
        /// What is wrong, as a sentence without a capital letter.
        reason: String,
    },
}
