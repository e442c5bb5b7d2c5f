//! How a result is encoded, and the properties of its pixels that an encoder's memory depends on.

use crate::options::{Profile, ResizeOptions};

/// The quality of lossy results if the options give none.
const DEFAULT_QUALITY: u8 = 80;
/// The highest possible quality.
const BEST_QUALITY: u8 = 100;
/// The most pixels of a result for which the encoder of AVIF may search longer. It takes about four
/// times as long then, which is too long for large pictures.
const MOST_THOROUGH: u64 = 1 << 20;

/// How a result is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodeOptions {
    /// 1 to 100. If the size of the result is limited, the highest quality that is tried.
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    pub(crate) lossless: bool,
    /// The maximum number of palette colours.
    pub(crate) palette: Option<u16>,
    /// Whether JPEG and AVIF keep chroma at full resolution at every quality.
    pub(crate) full_color: bool,
}

/// The pixels passed to an encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedPixels {
    pub(crate) count: u64,
    /// Bytes of one pixel, as decoded.
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

    /// Whether the encoder of AVIF searches longer for a result of this many pixels.
    pub(crate) fn is_thorough(&self, pixels: u64) -> bool {
        self.full_color && pixels <= MOST_THOROUGH
    }

    /// Whether a lossy result may have such a high quality that most of its bytes encode noise.
    pub(crate) fn is_high_quality(&self) -> bool {
        self.quality >= 90
    }
}
