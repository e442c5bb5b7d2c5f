//! The types of the options' values.

use std::fmt;

use super::allowed::{MOST_QUALITY, MOST_SCORE, USUAL_SCORE, Values};
use super::read::{OptionValue, clip, one_of, whole};

/// Declares an enum whose values have names in the text form. A note in brackets goes into lists of
/// the values.
macro_rules! named_values {
    ($(#[$doc:meta])* $type:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $name:literal $(($note:literal))?),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// Every name, in the order in which messages list them.
            pub const NAMES: &[&str] = &[$($name),+];

            pub(super) const VALUES: Values =
                Values::Words(&[$(($name, concat!($($note)?))),+]);

            /// The name used in options.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl OptionValue for $type {
            fn read(text: &str, _: &Values) -> Result<Self, String> {
                one_of(text, Self::NAMES, Self::from_name)
            }

            fn write(&self) -> Option<String> {
                (*self != Self::default()).then(|| self.name().to_owned())
            }
        }
    };
}

named_values! {
    /// How the picture is fitted to the width and the height.
    Fit {
        /// Exactly width × height, stretched.
        #[default]
        Fill = "fill" ("stretch"),
        /// Exactly width × height; the aspect ratio is kept, the overhang is cropped.
        Cover = "cover" ("crop"),
        /// Exactly width × height; the aspect ratio is kept, the rest is filled with the
        /// background.
        Contain = "contain" ("pad"),
        /// As large as possible within width × height; the aspect ratio is kept.
        Inside = "inside" ("at most this size"),
        /// As small as possible around width × height; the aspect ratio is kept.
        Outside = "outside" ("at least this size"),
    }
}

named_values! {
    /// Which part [`Fit::Cover`] keeps, and where the picture is placed with
    /// [`Fit::Contain`].
    Gravity {
        /// The middle.
        #[default]
        Center = "center",
        /// The middle of the upper edge.
        Top = "top",
        /// The upper right corner.
        TopRight = "top-right",
        /// The middle of the right edge.
        Right = "right",
        /// The lower right corner.
        BottomRight = "bottom-right",
        /// The middle of the lower edge.
        Bottom = "bottom",
        /// The lower left corner.
        BottomLeft = "bottom-left",
        /// The middle of the left edge.
        Left = "left",
        /// The upper left corner.
        TopLeft = "top-left",
        /// The most eye-catching part; the middle with [`Fit::Contain`].
        Smart = "smart" ("the most eye-catching part"),
    }
}

named_values! {
    /// The resampling filter.
    Filter {
        /// A windowed sinc over three samples to each side: sharp.
        #[default]
        Lanczos3 = "lanczos3",
        /// The cubic filter of Catmull and Rom: nearly as sharp, with less ringing.
        CatmullRom = "catmullrom",
        /// The cubic filter of Mitchell and Netravali: soft, almost without ringing.
        Mitchell = "mitchell",
        /// A triangle: soft and fast.
        Bilinear = "bilinear",
        /// The mean of the source pixels that a result pixel covers.
        Box = "box",
        /// The nearest pixel, without interpolation.
        Nearest = "nearest",
    }
}

named_values! {
    /// The trade-off between speed and fidelity.
    Profile {
        /// Shrink-on-load as far as it shows little; half the colour samples where the format allows.
        #[default]
        Fast = "fast",
        /// A JPEG is at most halved while it is decoded, and keeps all colour samples; encoders take
        /// more time.
        Fine = "fine" ("full colour, slower encoders"),
    }
}

named_values! {
    /// What happens to an embedded ICC profile.
    ColorPolicy {
        /// Pixels are converted to sRGB, the profile is left out.
        #[default]
        Srgb = "srgb" ("convert to sRGB"),
        /// Pixels stay as they are, the profile goes into the result.
        Keep = "keep" ("keep the profile"),
    }
}

named_values! {
    /// Which metadata the result keeps. The orientation is always applied, never kept.
    MetadataPolicy {
        /// None.
        #[default]
        Strip = "strip" ("none"),
        /// Only the author and the copyright.
        Copyright = "copyright" ("author and copyright only"),
        /// EXIF and XMP, but nothing that describes how the source was stored.
        Keep = "keep" ("all"),
    }
}

/// The colour behind transparent parts and of the padding: red, green, blue, alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Background(pub [u8; 4]);

impl Background {
    const NAMED: [(&str, Self); 3] = [
        ("white", Self([255, 255, 255, 255])),
        ("black", Self([0, 0, 0, 255])),
        ("transparent", Self([0, 0, 0, 0])),
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((_, color)) = Self::NAMED.iter().find(|(name, _)| *name == text) {
            return Some(*color);
        }
        let hex = text.strip_prefix('#').unwrap_or(text);
        if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let byte = |digits: &str| u8::from_str_radix(digits, 16).ok();
        let (digits, step) = match hex.len() {
            3 | 4 => (hex, 1),
            6 | 8 => (hex, 2),
            _ => return None,
        };
        let mut color = [255; 4];
        for (index, channel) in color.iter_mut().enumerate().take(digits.len() / step) {
            let value = byte(&digits[index * step..(index + 1) * step])?;
            *channel = if step == 1 { value * 17 } else { value };
        }
        Some(Self(color))
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue, alpha] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}{alpha:02x}")
    }
}

impl OptionValue for Option<Background> {
    fn read(text: &str, _: &Values) -> Result<Self, String> {
        match Background::parse(text) {
            Some(color) => Ok(Some(color)),
            None => Err(format!(
                "{:?} is not a colour: use #rgb, #rrggbb, #rrggbbaa, white, black or transparent",
                clip(text)
            )),
        }
    }

    fn write(&self) -> Option<String> {
        self.map(|color| color.to_string())
    }
}

/// The quality of lossy formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quality {
    /// A quality on the scale of the format's encoder, 1 to 100.
    Fixed(u8),
    /// The lowest quality whose result has at least this SSIMULACRA2 score, 1 to 95, against the
    /// picture before it is encoded.
    Auto(u8),
}

impl OptionValue for Option<Quality> {
    fn read(text: &str, _: &Values) -> Result<Self, String> {
        let quality = match text.strip_prefix("auto") {
            Some("") => Quality::Auto(USUAL_SCORE),
            Some(score) if score.starts_with(':') => {
                Quality::Auto(whole(&score[1..], &Values::whole(1, MOST_SCORE.into()))?)
            }
            _ => Quality::Fixed(whole(text, &Values::whole(1, MOST_QUALITY.into()))?),
        };
        Ok(Some(quality))
    }

    fn write(&self) -> Option<String> {
        self.map(|quality| match quality {
            Quality::Fixed(number) => number.to_string(),
            Quality::Auto(score) => format!("auto:{score}"),
        })
    }
}
