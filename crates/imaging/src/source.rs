//! An inspected picture: the content of its header, kept for the later steps.

use std::sync::Arc;

use crate::codec;
use crate::codec::decoder::ParsedPicture;
use crate::error::ImagingError;
use crate::format::Format;
use crate::limits::Limits;
use crate::sniff::sniff;

/// The header of a picture. [`inspect`] reads it once, and a clone is cheap.
///
/// A source does not hold the picture's bytes: they are passed again to the functions that decode
/// them.
#[derive(Clone, Debug)]
pub struct Source {
    parsed: Arc<ParsedPicture>,
}

/// Reads the header of a picture: its format, size and properties. Reads no more of its metadata than
/// the limits allow.
///
/// # Errors
///
/// [`ImagingError::NotAPicture`] and [`ImagingError::Header`].
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Source, ImagingError> {
    let parsed = codec::parse(sniff(bytes)?, bytes, limits)?;
    Ok(Source {
        parsed: Arc::new(parsed),
    })
}

/// Loads the library that a format needs, if it is one that is loaded when the first picture of the
/// format is read: libheif for HEIC. A process that gives up access to files calls this before.
pub fn preload(format: Format) {
    codec::preload(format);
}

impl Source {
    /// The format, by the first bytes.
    pub fn format(&self) -> Format {
        self.parsed.header().format
    }

    /// Pixels across, as a viewer sees them: after the orientation is applied.
    pub fn width(&self) -> u32 {
        self.parsed.header().viewed_size().0
    }

    /// Pixels down, as a viewer sees them: after the orientation is applied.
    pub fn height(&self) -> u32 {
        self.parsed.header().viewed_size().1
    }

    /// The frames of an animation; 1 for a still picture.
    pub fn frames(&self) -> u32 {
        self.parsed.header().frames
    }

    /// Whether pictures of this format and kind can be transparent.
    pub fn has_alpha(&self) -> bool {
        self.parsed.header().layout.has_alpha()
    }

    pub(crate) fn parsed(&self) -> &ParsedPicture {
        &self.parsed
    }
}
