//! How a result is encoded, and the properties of its pixels that an encoder's memory depends on.

use crate::format::Format;
use crate::options::{Profile, Quality, ResizeOptions};

/// The quality of lossy results if the options give none.
const DEFAULT_QUALITY: u8 = 80;
/// The highest possible quality.
const BEST_QUALITY: u8 = 100;
/// The effort if the options give none: with the profile `fast`, and with `fine`.
const FAST_EFFORT: u8 = 4;
const FINE_EFFORT: u8 = 7;
/// The most pixels of a result for which the encoder of AVIF may search longer. It takes about four
/// times as long then, which is too long for large pictures.
const MOST_THOROUGH: u64 = 1 << 20;

/// How a result is encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodeOptions {
    /// 1 to 100. If the size of the result is limited, or its likeness given, the highest quality
    /// that is tried.
    pub(crate) quality: u8,
    /// The score that the result must have, if the quality is sought for it.
    pub(crate) likeness: Option<u8>,
    /// 1 to 9: how much time the encoder may take for fewer bytes.
    pub(crate) effort: u8,
    /// Whether a JPEG is progressive; `None` if the effort decides that.
    pub(crate) progressive: Option<bool>,
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
            (Some(Quality::Fixed(quality)), _) => quality,
            (Some(Quality::Auto(_)), _) | (None, Some(_)) => BEST_QUALITY,
            (None, None) => DEFAULT_QUALITY,
        };
        let likeness = match options.quality {
            Some(Quality::Auto(score)) => Some(score),
            _ => None,
        };
        Self {
            quality,
            likeness,
            effort: options.effort.unwrap_or(match options.profile {
                Profile::Fast => FAST_EFFORT,
                Profile::Fine => FINE_EFFORT,
            }),
            progressive: options.progressive,
            lossless: options.lossless == Some(true),
            palette: options.palette,
            full_color: options.profile == Profile::Fine,
        }
    }

    /// Whether a format has a quality.
    pub(crate) fn has_quality(&self, format: Format) -> bool {
        !self.lossless && matches!(format, Format::Jpeg | Format::Webp | Format::Avif)
    }

    /// Whether the encoder of AVIF searches longer for a result of this many pixels.
    pub(crate) fn is_thorough(&self, pixels: u64) -> bool {
        self.full_color && pixels <= MOST_THOROUGH
    }

    /// How often a result is encoded at most to find its quality; `None` if the quality is known.
    pub(crate) fn tries(&self, format: Format) -> Option<u32> {
        self.likeness.filter(|_| self.has_quality(format))?;
        Some(if format == Format::Avif { 5 } else { 4 })
    }

    /// The same with the usual quality, for pictures and formats whose likeness cannot be sought.
    pub(crate) fn without_likeness(&self) -> Self {
        match self.likeness {
            Some(_) => Self {
                quality: DEFAULT_QUALITY,
                likeness: None,
                ..*self
            },
            None => *self,
        }
    }

    /// Whether a lossy result may have such a high quality that most of its bytes encode noise.
    pub(crate) fn is_high_quality(&self) -> bool {
        self.quality >= 90
    }
}
