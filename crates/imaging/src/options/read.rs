//! Which values an option can have, and how they are read and written.

use std::num::IntErrorKind;

use crate::format::Format;

/// The values that an option can have.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these words, each with a note on what it means. The note may be empty.
    Words(&'static [(&'static str, &'static str)]),
    /// A whole number between two limits, both included.
    Whole {
        /// The smallest number.
        least: u64,
        /// The largest number.
        most: u64,
    },
    /// A colour by its name or its hexadecimal digits.
    Color,
    /// A format that can be written, or the source's own.
    Format,
}

impl Values {
    pub(super) const TRUTH: Self = Self::Words(&[("true", ""), ("false", "")]);
    /// A side in pixels, or another number whose upper limit depends on the settings. That limit
    /// is checked later, with the picture at hand.
    pub(super) const PIXELS: Self = Self::whole(1, u32::MAX as u64);

    pub(super) const fn whole(least: u64, most: u64) -> Self {
        Self::Whole { least, most }
    }

    /// The values in words. `literal` marks up what is typed as it stands.
    ///
    /// ```
    /// use picresize_imaging::OPTIONS;
    ///
    /// let profile = OPTIONS.iter().find(|option| option.key == "profile").unwrap();
    /// let values = profile.values.describe(|word| format!("`{word}`"));
    /// assert_eq!(values, "`fast`, `fine` (linear light, full colour)");
    /// ```
    pub fn describe(&self, literal: impl Fn(&str) -> String) -> String {
        let list = |words: &[&str]| -> Vec<String> { words.iter().map(|w| literal(w)).collect() };
        let words = match self {
            Self::Words(words) => {
                let noted = words.iter().map(|(word, note)| match *note {
                    "" => literal(word),
                    note => format!("{} ({note})", literal(word)),
                });
                noted.collect()
            }
            Self::Whole { least, most } if *most >= u32::MAX.into() => {
                return format!("{least} or more");
            }
            Self::Whole { least, most } => return format!("{least} to {most}"),
            Self::Color => list(&[
                "#rgb",
                "#rrggbb",
                "#rrggbbaa",
                "white",
                "black",
                "transparent",
            ]),
            Self::Format => [vec![literal("same")], list(&writable_formats())].concat(),
        };
        words.join(", ")
    }
}

/// A value as text. The default of each type means that the option was not given.
pub(super) trait OptionValue: Default {
    /// Reads a value, which `allowed` limits; the error says what is wrong.
    fn read(text: &str, allowed: &Values) -> Result<Self, String>;

    /// The value's text, or `None` for the default.
    fn write(&self) -> Option<String>;
}

/// Whole numbers.
macro_rules! number_values {
    ($($number:ty),+) => {
        $(impl OptionValue for Option<$number> {
            fn read(text: &str, allowed: &Values) -> Result<Self, String> {
                whole(text, allowed).map(Some)
            }

            fn write(&self) -> Option<String> {
                self.map(|number| number.to_string())
            }
        })+
    };
}

number_values!(u8, u16, u32, u64);

impl OptionValue for Option<bool> {
    fn read(text: &str, _: &Values) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(format!("{:?} is neither true nor false", clip(text))),
        }
    }

    fn write(&self) -> Option<String> {
        self.map(|truth| truth.to_string())
    }
}

impl OptionValue for Option<Format> {
    fn read(text: &str, _: &Values) -> Result<Self, String> {
        if text == "same" {
            return Ok(None);
        }
        match Format::from_name(text) {
            Some(format) if format.is_writable() => Ok(Some(format)),
            _ => Err(format!(
                "{:?} is not one of same, {}",
                clip(text),
                writable_formats().join(", ")
            )),
        }
    }

    fn write(&self) -> Option<String> {
        self.map(|format| format.name().to_owned())
    }
}

/// The names of the formats that results can have.
pub(super) fn writable_formats() -> Vec<&'static str> {
    Format::ALL
        .into_iter()
        .filter(|format| format.is_writable())
        .map(Format::name)
        .collect()
}

fn whole<T: TryFrom<u64>>(text: &str, allowed: &Values) -> Result<T, String> {
    let (least, most) = match *allowed {
        Values::Whole { least, most } => (least, most),
        _ => (0, u64::MAX),
    };
    // More digits than any limit has: too large, whatever they are.
    let parsed = match text.parse::<i128>() {
        Ok(number) => number,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => i128::MAX,
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => i128::MIN,
        Err(_) => return Err(format!("{:?} is not a whole number", clip(text))),
    };
    if parsed < least.into() {
        return Err(format!("{} is too small: the least is {least}", clip(text)));
    }
    u64::try_from(parsed)
        .ok()
        .filter(|number| *number <= most)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("{} is too large: the most is {most}", clip(text)))
}

/// Finds a named value; the error lists the names.
pub(super) fn one_of<T>(
    text: &str,
    names: &[&str],
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    find(text).ok_or_else(|| format!("{:?} is not one of {}", clip(text), names.join(", ")))
}

/// Enough of a text to recognise it in a message.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
