//! The picture formats, their names and media types.

use std::fmt;

/// A picture format that is read, and mostly also written.
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
    /// Windows bitmaps. Only read.
    Bmp,
    /// TIFF. Only read, its first picture.
    Tiff,
    /// Windows icons. Only read, the best of the pictures in a file.
    Ico,
    /// JPEG XL. Only read, and only with the feature `jxl`.
    Jxl,
    /// HEIC, which is HEVC in HEIF. Only read, by the machine's libheif, and only with the feature
    /// `heic`.
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

    /// The lower-case name used in options, answers and the table.
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

    /// The cargo feature that reading and writing this format needs, and that this build lacks.
    pub fn missing_feature(self) -> Option<&'static str> {
        match self {
            Self::Avif if !cfg!(feature = "avif") => Some("avif"),
            Self::Heic if !cfg!(feature = "heic") => Some("heic"),
            Self::Jxl if !cfg!(feature = "jxl") => Some("jxl"),
            _ => None,
        }
    }

    /// Whether this build reads the format. HEIC also needs libheif on the machine.
    pub fn is_readable(self) -> bool {
        self.missing_feature().is_none()
    }

    /// Whether this build can write results in the format.
    pub fn is_writable(self) -> bool {
        let has_encoder = matches!(
            self,
            Self::Jpeg | Self::Png | Self::Webp | Self::Gif | Self::Avif
        );
        has_encoder && self.missing_feature().is_none()
    }

    /// Why results can't be written in the format.
    pub(crate) fn not_writable(self) -> String {
        match self.missing_feature() {
            Some(_) => self.not_built(),
            None => format!("{self} is read, but not written"),
        }
    }

    /// The reason when the format's feature is off.
    pub(crate) fn not_built(self) -> String {
        let feature = self.missing_feature().unwrap_or_default();
        let name = match self {
            Self::Jxl => "JPEG XL".to_owned(),
            _ => self.name().to_uppercase(),
        };
        format!("this build has no {name}: the feature `{feature}` is off")
    }

    /// The format with this name, or one of its usual other spellings (`jpg`, `tif`).
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

    #[cfg(not(feature = "jxl"))]
    #[test]
    fn a_source_whose_feature_is_off_is_refused_by_its_name() {
        let refusal = crate::inspect(b"\xff\x0a").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "the jxl header cannot be read: this build has no JPEG XL: the feature `jxl` is off"
        );
        let refusal = crate::inspect(b"%PDF").unwrap_err().to_string();
        assert!(!refusal.contains("jxl"), "{refusal}");
    }

    #[cfg(not(feature = "avif"))]
    #[test]
    fn a_result_whose_feature_is_off_is_refused_by_its_name() {
        let errors = crate::ResizeOptions::from_pairs([("width", "5"), ("format", "avif")]);
        assert_eq!(
            errors.unwrap_err()[0].to_string(),
            "format: this build has no AVIF: the feature `avif` is off"
        );
        let refusal = crate::result_format(
            Format::Png,
            &crate::ResizeOptions {
                format: Some(Format::Avif),
                ..Default::default()
            },
        );
        assert!(refusal.unwrap_err().message.contains("`avif` is off"));
    }
}
