//! Parses and writes the values of options.

use std::num::IntErrorKind;

use crate::format::Format;

use super::allowed::{Values, writable_formats};

/// The text form of a value. The default of each type means that the option was not given.
pub(super) trait OptionValue: Default {
    /// Parses a value that must be one of `allowed`. The error says what is wrong.
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
            Some(format) if format.has_encoder() => Err(format.not_writable()),
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

/// A whole number between the limits of `allowed`.
pub(super) fn whole<T: TryFrom<u64>>(text: &str, allowed: &Values) -> Result<T, String> {
    let (least, most) = match *allowed {
        Values::Whole { least, most } => (least, most),
        _ => (0, u64::MAX),
    };
    // More digits than any limit has mean that the number is too large.
    let parsed = match text.parse::<i128>() {
        Ok(number) => number,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => i128::MAX,
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => i128::MIN,
        Err(_) => return Err(format!("{:?} is not a whole number", clip(text))),
    };
    if parsed < least.into() {
        return Err(format!(
            "{} is too small; the minimum is {least}",
            clip(text)
        ));
    }
    u64::try_from(parsed)
        .ok()
        .filter(|number| *number <= most)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("{} is too large; the maximum is {most}", clip(text)))
}

/// Finds a value by its name; the error lists the names.
pub(super) fn one_of<T>(
    text: &str,
    names: &[&str],
    find: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    find(text).ok_or_else(|| format!("{:?} is not one of {}", clip(text), names.join(", ")))
}

/// The start of a text, long enough to recognise it in a message.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
