//! The picture formats, with their names and media types.

use std::fmt;

/// A picture format. All can be read, most can also be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG: baseline, progressive and arithmetic; gray, YCbCr, RGB, CMYK and YCCK.
    Jpeg,
    /// PNG of every colour type and depth, and APNG.
    Png,
    /// WebP: lossy, lossless and animated.
    Webp,
    /// GIF, still and animated.
    Gif,
    /// AVIF, still pictures of 8 to 12 bits. Needs the feature `avif`.
    Avif,
    /// Bitmaps of Windows and OS/2. Read only.
    Bmp,
    /// TIFF. Read only, and only the first picture.
    Tiff,
    /// Icons and cursors of Windows. Read only, and only the best picture in the file.
    Ico,
    /// JPEG XL. Read only. Needs the feature `jxl`.
    Jxl,
    /// HEIC (HEVC in HEIF). Read only, with the system's libheif. Needs the feature `heic`.
    Heic,
}

impl Format {
    /// Every format, in the order in which messages list them.
    pub const ALL: [Self; 10] = [
        Self::Jpeg,
        Self::Png,
        Self::Webp,
        Self::Gif,
        Self::Avif,
        Self::Bmp,
        Self::Tiff,
        Self::Ico,
        Self::Jxl,
        Self::Heic,
    ];

    /// The lower-case name, as in the text form of options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Avif => "avif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Ico => "ico",
            Self::Jxl => "jxl",
            Self::Heic => "heic",
        }
    }

    /// The media type, as in a `Content-Type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
            Self::Ico => "image/x-icon",
            Self::Jxl => "image/jxl",
            Self::Heic => "image/heic",
        }
    }

    /// The usual file name extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            _ => self.name(),
        }
    }

    /// The cargo feature that this format needs, if this build lacks it.
    pub fn missing_feature(self) -> Option<&'static str> {
        match self {
            Self::Avif if !cfg!(feature = "avif") => Some("avif"),
            Self::Heic if !cfg!(feature = "heic") => Some("heic"),
            Self::Jxl if !cfg!(feature = "jxl") => Some("jxl"),
            _ => None,
        }
    }

    /// Whether this build reads the format. HEIC also needs libheif on the system.
    pub fn is_readable(self) -> bool {
        self.missing_feature().is_none()
    }

    /// Whether this build can write results in the format.
    pub fn is_writable(self) -> bool {
        self.has_encoder() && self.missing_feature().is_none()
    }

    /// Whether a build with every feature writes the format.
    pub(crate) fn has_encoder(self) -> bool {
        matches!(
            self,
            Self::Jpeg | Self::Png | Self::Webp | Self::Gif | Self::Avif
        )
    }

    /// Why results can't be written in the format.
    pub(crate) fn not_writable(self) -> String {
        match self.missing_feature() {
            Some(_) if self.has_encoder() => self.not_built(),
            _ => format!("{self} can be read, but not written"),
        }
    }

    /// The error if the format's feature is off.
    pub(crate) fn not_built(self) -> String {
        let feature = self.missing_feature().unwrap_or_default();
        let name = match self {
            Self::Jxl => "JPEG XL".to_owned(),
            _ => self.name().to_uppercase(),
        };
        format!("this build has no {name}: the feature `{feature}` is off")
    }

    /// The format with this name or with a common alternative (`jpg`, `tif`).
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "jpg" => Some(Self::Jpeg),
            "tif" => Some(Self::Tiff),
            _ => Self::ALL.into_iter().find(|format| format.name() == name),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_found_by_their_names() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
        }
        assert_eq!(Format::from_name("jpg"), Some(Format::Jpeg));
        assert_eq!(Format::from_name("svg"), None);
    }
}
