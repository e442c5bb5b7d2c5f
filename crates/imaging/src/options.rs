//! What a client can ask for, option by option, and the one text form of it.

use std::fmt;

use crate::Format;

/// A value that can't be accepted, and the option it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    /// An error of `field`; `message` names the value and the limit.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Declares an enum whose variants have lower-case names, with `NAMES`, `name` and `from_name`.
macro_rules! named_values {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// Every name, in the order in which messages list them.
            pub const NAMES: &[&str] = &[$($name),+];

            /// The name used in options.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named_values! {
    /// How the picture meets the width and the height.
    Fit {
        /// Exactly width × height, stretched.
        #[default]
        Fill = "fill",
        /// Exactly width × height, the aspect ratio kept, what stands over cut off.
        Cover = "cover",
        /// Exactly width × height, the aspect ratio kept, the rest filled with the background.
        Contain = "contain",
        /// As large as possible within width × height, the aspect ratio kept.
        Inside = "inside",
        /// As small as possible around width × height, the aspect ratio kept.
        Outside = "outside",
    }
}

named_values! {
    /// Which part stays in view with [`Fit::Cover`], and where the picture lies with
    /// [`Fit::Contain`].
    Position {
        #[default]
        Center = "center",
        Top = "top",
        TopRight = "top-right",
        Right = "right",
        BottomRight = "bottom-right",
        Bottom = "bottom",
        BottomLeft = "bottom-left",
        Left = "left",
        TopLeft = "top-left",
        /// The part that catches the eye.
        Smart = "smart",
    }
}

named_values! {
    /// The resampling filter.
    Filter {
        #[default]
        Lanczos3 = "lanczos3",
        CatmullRom = "catmullrom",
        Mitchell = "mitchell",
        Bilinear = "bilinear",
        Box = "box",
        Nearest = "nearest",
    }
}

named_values! {
    /// The trade between speed and fidelity.
    Profile {
        /// Shrink-on-load, resampling in the picture's own light.
        #[default]
        Fast = "fast",
        /// Resampling in linear light; a JPEG is halved at the most while it is decoded.
        Fine = "fine",
    }
}

named_values! {
    /// What becomes of an embedded ICC profile.
    ColorPolicy {
        /// Pixels are converted to sRGB, the profile is left out.
        #[default]
        Srgb = "srgb",
        /// Pixels stay as they are, the profile is carried along.
        Keep = "keep",
    }
}

named_values! {
    /// What becomes of EXIF, XMP and comments. The orientation is always applied, never kept.
    MetadataPolicy {
        #[default]
        Strip = "strip",
        /// Only who made it and who owns it.
        Copyright = "copyright",
        Keep = "keep",
    }
}

/// The colour under transparent parts and beside a contained picture: red, green, blue, alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Background(pub [u8; 4]);

impl Background {
    const NAMED: [(&str, Self); 3] = [
        ("white", Self([255, 255, 255, 255])),
        ("black", Self([0, 0, 0, 255])),
        ("transparent", Self([0, 0, 0, 0])),
    ];

    fn parse(text: &str) -> Option<Self> {
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

/// What to make of a picture. At least one of the two sizes is there; a missing one follows from
/// the aspect ratio.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResizeRequest {
    /// Pixels, at least 1.
    pub width: Option<u32>,
    /// Pixels, at least 1.
    pub height: Option<u32>,
    pub fit: Fit,
    pub position: Position,
    /// Transparent where the result can be, else white, when absent.
    pub background: Option<Background>,
    /// Whether a picture smaller than asked for is made larger; `None` means yes.
    pub enlarge: Option<bool>,
    /// The result's format; the source's own when absent.
    pub format: Option<Format>,
    /// 1 to 100, for lossy formats.
    pub quality: Option<u8>,
    /// The highest quality is taken with which the result has at most so many bytes.
    pub max_bytes: Option<u64>,
    pub filter: Filter,
    pub profile: Profile,
    pub progressive: Option<bool>,
    pub lossless: Option<bool>,
    /// PNG with at most so many colours, 2 to 256.
    pub palette: Option<u16>,
    /// Strength of sharpening after resampling, 0 (none) to 100.
    pub sharpen: Option<u8>,
    pub color: ColorPolicy,
    pub metadata: MetadataPolicy,
}

impl ResizeRequest {
    /// Every option's key, in the order of [`pairs`](Self::pairs).
    pub const KEYS: &[&str] = &[
        "width",
        "height",
        "fit",
        "position",
        "background",
        "enlarge",
        "format",
        "quality",
        "max_bytes",
        "filter",
        "profile",
        "progressive",
        "lossless",
        "palette",
        "sharpen",
        "color",
        "metadata",
    ];

    /// Reads a request from its text form.
    ///
    /// # Errors
    ///
    /// Every field that is unknown, given twice, malformed or missing, in the order met.
    pub fn from_pairs<K, V>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Vec<FieldError>>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut request = Self::default();
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for (key, value) in pairs {
            let key = key.as_ref();
            if seen.iter().any(|earlier| earlier == key) {
                errors.push(FieldError::new(key, "was given more than once"));
                continue;
            }
            seen.push(key.to_owned());
            if let Err(message) = request.set(key, value.as_ref().trim()) {
                errors.push(FieldError::new(clip(key), message));
            }
        }
        let given = |key: &str| seen.iter().any(|earlier| earlier == key);
        if !given("width") && !given("height") {
            for key in ["width", "height"] {
                errors.push(FieldError::new(key, "give a width, a height, or both"));
            }
        }
        if errors.is_empty() {
            Ok(request)
        } else {
            Err(errors)
        }
    }

    /// The request in its text form: what was set, and nothing that is only a default.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let default = Self::default();
        let mut pairs = Vec::new();
        let mut put = |key, value: Option<String>| {
            if let Some(value) = value {
                pairs.push((key, value));
            }
        };
        let named = |is_default: bool, name: &str| (!is_default).then(|| name.to_owned());
        put("width", self.width.map(|n| n.to_string()));
        put("height", self.height.map(|n| n.to_string()));
        put("fit", named(self.fit == default.fit, self.fit.name()));
        put(
            "position",
            named(self.position == default.position, self.position.name()),
        );
        put("background", self.background.map(|c| c.to_string()));
        put("enlarge", self.enlarge.map(|b| b.to_string()));
        put("format", self.format.map(|f| f.name().to_owned()));
        put("quality", self.quality.map(|n| n.to_string()));
        put("max_bytes", self.max_bytes.map(|n| n.to_string()));
        put(
            "filter",
            named(self.filter == default.filter, self.filter.name()),
        );
        put(
            "profile",
            named(self.profile == default.profile, self.profile.name()),
        );
        put("progressive", self.progressive.map(|b| b.to_string()));
        put("lossless", self.lossless.map(|b| b.to_string()));
        put("palette", self.palette.map(|n| n.to_string()));
        put("sharpen", self.sharpen.map(|n| n.to_string()));
        put(
            "color",
            named(self.color == default.color, self.color.name()),
        );
        put(
            "metadata",
            named(self.metadata == default.metadata, self.metadata.name()),
        );
        pairs
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "width" => self.width = Some(pixels(value)?),
            "height" => self.height = Some(pixels(value)?),
            "fit" => self.fit = one_of(value, Fit::NAMES, Fit::from_name)?,
            "position" => self.position = one_of(value, Position::NAMES, Position::from_name)?,
            "background" => {
                self.background = Some(Background::parse(value).ok_or_else(|| {
                    format!(
                        "{:?} is not a colour: use #rgb, #rrggbb, #rrggbbaa, white, black or transparent",
                        clip(value)
                    )
                })?);
            }
            "enlarge" => self.enlarge = Some(truth(value)?),
            "format" => self.format = writable_format(value)?,
            "quality" => self.quality = Some(whole(value, 1, 100)?),
            "max_bytes" => self.max_bytes = Some(whole(value, 1, u64::MAX)?),
            "filter" => self.filter = one_of(value, Filter::NAMES, Filter::from_name)?,
            "profile" => self.profile = one_of(value, Profile::NAMES, Profile::from_name)?,
            "progressive" => self.progressive = Some(truth(value)?),
            "lossless" => self.lossless = Some(truth(value)?),
            "palette" => self.palette = Some(whole(value, 2, 256)?),
            "sharpen" => self.sharpen = Some(whole(value, 0, 100)?),
            "color" => self.color = one_of(value, ColorPolicy::NAMES, ColorPolicy::from_name)?,
            "metadata" => {
                self.metadata = one_of(value, MetadataPolicy::NAMES, MetadataPolicy::from_name)?;
            }
            _ => {
                return Err(format!(
                    "is not an option; the options are {}",
                    Self::KEYS.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// A side in pixels. The upper limit depends on the settings and is checked later, with the
/// picture at hand.
fn pixels(value: &str) -> Result<u32, String> {
    whole(value, 1, u32::MAX)
}

fn whole<T>(value: &str, least: T, most: T) -> Result<T, String>
where
    T: TryFrom<i128> + Into<i128> + Copy + fmt::Display,
{
    // More digits than any limit has: too large, whatever they are.
    let parsed = match value.parse::<i128>() {
        Ok(number) => number,
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => i128::MAX,
        Err(error) if *error.kind() == std::num::IntErrorKind::NegOverflow => i128::MIN,
        Err(_) => return Err(format!("{:?} is not a whole number", clip(value))),
    };
    if parsed < least.into() {
        return Err(format!(
            "{} is too small: the least is {least}",
            clip(value)
        ));
    }
    match T::try_from(parsed) {
        Ok(number) if parsed <= most.into() => Ok(number),
        _ => Err(format!("{} is too large: the most is {most}", clip(value))),
    }
}

fn truth(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{:?} is neither true nor false", clip(value))),
    }
}

fn one_of<T>(value: &str, names: &[&str], find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    find(value).ok_or_else(|| format!("{:?} is not one of {}", clip(value), names.join(", ")))
}

fn writable_format(value: &str) -> Result<Option<Format>, String> {
    if value == "same" {
        return Ok(None);
    }
    match Format::from_name(value) {
        Some(format) if format.is_writable() => Ok(Some(format)),
        _ => {
            let names: Vec<_> = Format::ALL
                .into_iter()
                .filter(|format| format.is_writable())
                .map(Format::name)
                .collect();
            Err(format!(
                "{:?} is not one of same, {}",
                clip(value),
                names.join(", ")
            ))
        }
    }
}

/// Enough of a value to recognise it in a message.
fn clip(value: &str) -> String {
    const MOST: usize = 60;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> String {
        let errors = ResizeRequest::from_pairs(pairs.iter().copied()).unwrap_err();
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    #[test]
    fn a_request_survives_its_text_form() {
        let pairs = [
            ("width", "320"),
            ("height", "200"),
            ("fit", "contain"),
            ("position", "top-left"),
            ("background", "#11223344"),
            ("enlarge", "false"),
            ("format", "webp"),
            ("quality", "77"),
            ("max_bytes", "100000"),
            ("filter", "bilinear"),
            ("profile", "fine"),
            ("progressive", "true"),
            ("lossless", "true"),
            ("palette", "16"),
            ("sharpen", "20"),
            ("color", "keep"),
            ("metadata", "copyright"),
        ];
        let keys: Vec<_> = pairs.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ResizeRequest::KEYS, "every option is in this test");
        let request = ResizeRequest::from_pairs(pairs).unwrap();
        let text = request.pairs();
        let text: Vec<_> = text
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(text, pairs);
    }

    #[test]
    fn defaults_are_not_written() {
        let request = ResizeRequest::from_pairs([("width", "5"), ("format", "same")]).unwrap();
        assert_eq!(request.pairs(), [("width", "5".to_owned())]);
    }

    #[test]
    fn errors_name_the_field_the_value_and_the_limit() {
        assert_eq!(
            refused(&[("width", "0")]),
            "width: 0 is too small: the least is 1"
        );
        assert_eq!(
            refused(&[("width", "1.5")]),
            "width: \"1.5\" is not a whole number"
        );
        assert_eq!(
            refused(&[("width", "5"), ("quality", "101")]),
            "quality: 101 is too large: the most is 100"
        );
        assert!(
            refused(&[("width", "99999999999999999999999999999999999999999999")])
                .contains("too large")
        );
        assert!(refused(&[("width", "5"), ("fit", "squash")]).contains("fill, cover, contain"));
        assert!(refused(&[("width", "5"), ("format", "bmp")]).contains("same, jpeg, png"));
        assert!(
            refused(&[("width", "5"), ("colour", "x")]).starts_with("colour: is not an option")
        );
        assert!(refused(&[("width", "5"), ("width", "6")]).contains("more than once"));
        assert_eq!(refused(&[("fit", "fill")]).lines().count(), 2);
    }

    #[test]
    fn colours_are_read_in_every_usual_form() {
        for (text, expected) in [
            ("#fff", "#ffffffff"),
            ("f008", "#ff000088"),
            ("#102030", "#102030ff"),
            ("10203040", "#10203040"),
            ("transparent", "#00000000"),
        ] {
            assert_eq!(Background::parse(text).unwrap().to_string(), expected);
        }
        assert_eq!(Background::parse("#ggg"), None);
        assert_eq!(Background::parse("#12345"), None);
        assert_eq!(Background::parse("#éa"), None);
    }
}
