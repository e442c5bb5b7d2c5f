//! The options of a request as flags, for the commands that resize.

use super::Usage;
use crate::operation::{FieldError, ResizeRequest};

/// The options of a request as flags. They stay text here: the request reads them.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Pixels; a missing side follows from the aspect ratio
    #[arg(long, allow_negative_numbers = true)]
    width: Option<String>,
    /// Pixels; a missing side follows from the aspect ratio
    #[arg(long, allow_negative_numbers = true)]
    height: Option<String>,
    /// fill (stretch), cover, contain, inside or outside
    #[arg(long)]
    fit: Option<String>,
    /// center, top, top-right, … or smart, for cover and contain
    #[arg(long)]
    position: Option<String>,
    /// #rrggbb, #rrggbbaa, white, black or transparent
    #[arg(long)]
    background: Option<String>,
    /// Whether smaller pictures are made larger: true or false
    #[arg(long)]
    enlarge: Option<String>,
    /// same, jpeg, png, webp, gif or avif
    #[arg(long)]
    pub(super) format: Option<String>,
    /// 1 to 100
    #[arg(long)]
    quality: Option<String>,
    /// The highest quality that gives at most so many bytes
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<String>,
    /// lanczos3, catmullrom, mitchell, bilinear, box or nearest
    #[arg(long)]
    filter: Option<String>,
    /// fast, or fine (linear light)
    #[arg(long)]
    profile: Option<String>,
    /// Progressive JPEG: true or false
    #[arg(long)]
    progressive: Option<String>,
    /// Lossless WebP: true or false
    #[arg(long)]
    lossless: Option<String>,
    /// PNG with at most so many colours, 2 to 256
    #[arg(long, value_name = "COLOURS")]
    palette: Option<String>,
    /// Sharpening after shrinking, 0 to 100
    #[arg(long)]
    sharpen: Option<String>,
    /// srgb (convert), or keep the profile
    #[arg(long)]
    color: Option<String>,
    /// strip, copyright or keep
    #[arg(long)]
    metadata: Option<String>,
}

impl Options {
    /// What was given, in the text form of a request.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        // In the order of `ResizeRequest::KEYS`.
        let values = [
            &self.width,
            &self.height,
            &self.fit,
            &self.position,
            &self.background,
            &self.enlarge,
            &self.format,
            &self.quality,
            &self.max_bytes,
            &self.filter,
            &self.profile,
            &self.progressive,
            &self.lossless,
            &self.palette,
            &self.sharpen,
            &self.color,
            &self.metadata,
        ];
        let keys = ResizeRequest::KEYS.iter().zip(values);
        keys.filter_map(|(key, value)| Some((*key, value.as_deref()?)))
            .collect()
    }
}

/// Options that can't be read, told by the flags that gave them.
// The signature is what `map_err` asks for.
#[expect(clippy::needless_pass_by_value)]
pub(super) fn wrong_flags(errors: Vec<FieldError>) -> Usage {
    let lines: Vec<_> = errors
        .iter()
        .map(|error| format!("--{}: {}", error.field.replace('_', "-"), error.message))
        .collect();
    Usage(lines.join("\n           "))
}
