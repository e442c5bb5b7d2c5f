//! How a result is written, and what an encoder's memory depends on.

use crate::options::{Profile, ResizeOptions};

/// The quality of lossy results when none is asked for.
const DEFAULT_QUALITY: u8 = 80;
/// The highest quality there is.
const BEST_QUALITY: u8 = 100;

/// How a result is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodeOptions {
    /// 1 to 100. When the bytes of the result are bounded, the highest that is tried.
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    pub(crate) lossless: bool,
    /// Most colours of a palette.
    pub(crate) palette: Option<u16>,
    /// Whether JPEG keeps colour in full resolution at every quality.
    pub(crate) full_color: bool,
}

/// The pixels that an encoder is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedPixels {
    pub(crate) count: u64,
    /// Bytes of one of them, as it is decoded.
    pub(crate) bytes: u32,
    pub(crate) has_alpha: bool,
}

impl EncodeOptions {
    pub(crate) fn of(options: &ResizeOptions) -> Self {
        let quality = match (options.quality, options.max_bytes) {
            (Some(quality), _) => quality,
            (None, Some(_)) => BEST_QUALITY,
            (None, None) => DEFAULT_QUALITY,
        };
        Self {
            quality,
            progressive: options.progressive == Some(true),
            lossless: options.lossless == Some(true),
            palette: options.palette,
            full_color: options.profile == Profile::Fine,
        }
    }

    /// Whether a lossy result may have a quality at which much of it is noise.
    pub(crate) fn is_high_quality(&self) -> bool {
        self.quality >= 90
    }
}
