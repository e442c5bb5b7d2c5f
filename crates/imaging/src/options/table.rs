//! The table of options: the one place where an option is declared.
//!
//! An entry has the option's key, the type of its field, one sentence of help, the placeholder for
//! its value in a usage line, the values that are allowed, and the default. From it follow:
//!
//! - the field of [`ResizeOptions`] and its documentation,
//! - reading and checking it in [`ResizeOptions::from_pairs`],
//! - its place and spelling in [`ResizeOptions::pairs`], in the order of the table,
//! - a flag in a command that builds its flags from the table,
//! - its row in the option table of the documentation, which a test compares and rewrites.
//!
//! Callers store keys and values permanently, so an entry is never renamed or moved, and a new one
//! is added at the end. A new type of value needs an implementation of [`OptionValue`].

use crate::format::Format;

use super::allowed::Values;
use super::read::OptionValue;
use super::values::{
    Background, ColorPolicy, Filter, Fit, Gravity, MetadataPolicy, Profile, Quality,
};

/// The declaration of an option.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// The name in the text form, with underscores.
    pub key: &'static str,
    /// One sentence, without a full stop.
    pub help: &'static str,
    /// The placeholder for the value in a usage line, such as `PIXELS`.
    pub value_name: &'static str,
    /// The values that are allowed.
    pub values: Values,
    /// The default: a value of the option, or a description if no single value expresses it. `None`
    /// means that the option has no effect if it is not given.
    pub default: Option<&'static str>,
    pub(super) set: fn(&mut ResizeOptions, &str) -> Result<(), String>,
    pub(super) get: fn(&ResizeOptions) -> Option<String>,
}

/// Makes [`ResizeOptions`] and [`OPTIONS`] from the entries.
macro_rules! options {
    ($($key:ident: $type:ty {
        help: $help:literal,
        value_name: $value_name:literal,
        values: $values:expr,
        default: $default:expr,
    })+) => {
        /// The options of a resize. At least a width or a height must be given; a missing one
        /// follows from the aspect ratio. `None` stands for the default in [`OPTIONS`].
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ResizeOptions {
            $(#[doc = concat!($help, ".")] pub $key: $type,)+
        }

        impl ResizeOptions {
            /// Every option's key, in the order of [`OPTIONS`].
            pub const KEYS: &[&str] = &[$(stringify!($key)),+];
        }

        /// Every option, in the order of [`ResizeOptions::pairs`].
        pub const OPTIONS: &[OptionSpec] = &[$(OptionSpec {
            key: stringify!($key),
            help: $help,
            value_name: $value_name,
            values: $values,
            default: $default,
            set: |options, text| {
                options.$key = OptionValue::read(text, &$values)?;
                Ok(())
            },
            get: |options| options.$key.write(),
        }),+];
    };
}

options! {
    width: Option<u32> {
        help: "Width in pixels; it follows from the aspect ratio when only the height is given",
        value_name: "PIXELS",
        values: Values::PIXELS,
        default: None,
    }
    height: Option<u32> {
        help: "Height in pixels; it follows from the aspect ratio when only the width is given",
        value_name: "PIXELS",
        values: Values::PIXELS,
        default: None,
    }
    fit: Fit {
        help: "How the picture is fitted to the width and the height",
        value_name: "FIT",
        values: Fit::VALUES,
        default: Some("fill"),
    }
    position: Gravity {
        help: "Which part `cover` keeps, and where `contain` puts the picture",
        value_name: "POSITION",
        values: Gravity::VALUES,
        default: Some("center"),
    }
    background: Option<Background> {
        help: "Colour behind transparent parts and of the padding",
        value_name: "COLOUR",
        values: Values::Color,
        default: Some("transparent, or white where the result has no transparency"),
    }
    enlarge: Option<bool> {
        help: "Whether a picture smaller than the given size is enlarged",
        value_name: "BOOL",
        values: Values::TRUTH,
        default: Some("true"),
    }
    format: Option<Format> {
        help: "Format of the result; `same` is the source's own. If that cannot be written, it is JPEG for HEIC, JPEG XL and TIFF (WebP if they are transparent), and PNG for others",
        value_name: "FORMAT",
        values: Values::Format,
        default: Some("same"),
    }
    quality: Option<Quality> {
        help: "Quality of lossy formats; `auto` finds the lowest one whose result looks like its \
               original",
        value_name: "QUALITY",
        values: Values::Quality,
        default: Some("80"),
    }
    max_bytes: Option<u64> {
        help: "Largest size of the result in bytes; the highest quality that fits is used, up to \
               `quality` if that is given",
        value_name: "BYTES",
        values: Values::whole(1, u64::MAX),
        default: None,
    }
    filter: Filter {
        help: "Resampling filter",
        value_name: "FILTER",
        values: Filter::VALUES,
        default: Some("lanczos3"),
    }
    profile: Profile {
        help: "Whether speed or fidelity comes first",
        value_name: "PROFILE",
        values: Profile::VALUES,
        default: Some("fast"),
    }
    progressive: Option<bool> {
        help: "Whether a JPEG is progressive",
        value_name: "BOOL",
        values: Values::TRUTH,
        default: Some("false"),
    }
    lossless: Option<bool> {
        help: "Whether a WebP is lossless",
        value_name: "BOOL",
        values: Values::TRUTH,
        default: Some("false"),
    }
    palette: Option<u16> {
        help: "Largest number of colours of a PNG or GIF",
        value_name: "COLOURS",
        values: Values::whole(2, 256),
        default: None,
    }
    sharpen: Option<u8> {
        help: "How much the picture is sharpened after resampling",
        value_name: "NUMBER",
        values: Values::whole(0, 100),
        default: Some("0"),
    }
    color: ColorPolicy {
        help: "What happens to an embedded ICC profile",
        value_name: "POLICY",
        values: ColorPolicy::VALUES,
        default: Some("srgb"),
    }
    metadata: MetadataPolicy {
        help: "Which metadata (EXIF, XMP, IPTC) the result keeps; the orientation is always applied",
        value_name: "POLICY",
        values: MetadataPolicy::VALUES,
        default: Some("strip"),
    }
    effort: Option<u8> {
        help: "How much time the encoder may take for fewer bytes",
        value_name: "NUMBER",
        values: Values::whole(1, 9),
        default: Some("4, or 7 with the profile `fine`"),
    }
}
