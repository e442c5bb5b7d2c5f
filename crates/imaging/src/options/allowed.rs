//! The values that an option can have, and their description in words.

use crate::format::Format;

/// The highest quality.
pub(super) const MOST_QUALITY: u8 = 100;
/// The highest SSIMULACRA2 score that a quality can name. No lossy result reaches 100.
pub(super) const MOST_SCORE: u8 = 95;
/// The score that `auto` stands for: about that of a photograph at quality 80.
pub(super) const USUAL_SCORE: u8 = 75;

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
    /// A quality as a number, or the likeness that the result must have.
    Quality,
}

impl Values {
    pub(super) const TRUTH: Self = Self::Words(&[("true", ""), ("false", "")]);
    /// A side in pixels, or another number whose upper limit is in [`Limits`](crate::Limits). That
    /// limit is checked later, when the picture is known.
    pub(super) const PIXELS: Self = Self::whole(1, u32::MAX as u64);

    pub(super) const fn whole(least: u64, most: u64) -> Self {
        Self::Whole { least, most }
    }

    /// Describes the values. `literal` marks up text that is typed literally.
    ///
    /// ```
    /// use picresize_imaging::OPTIONS;
    ///
    /// let profile = OPTIONS.iter().find(|option| option.key == "profile").unwrap();
    /// let values = profile.values.describe(|word| format!("`{word}`"));
    /// assert_eq!(values, "`fast`, `fine` (full colour, slower encoders)");
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
            Self::Quality => {
                let score = |score: u8| literal(&format!("auto:{score}"));
                let (auto, usual) = (literal("auto"), score(USUAL_SCORE));
                let (least, most) = (score(1), score(MOST_SCORE));
                return format!(
                    "1 to {MOST_QUALITY}, {least} to {most} (the SSIMULACRA2 score that the result \
                     must have), {auto} ({usual})"
                );
            }
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

/// The names of the formats that results can have.
pub(super) fn writable_formats() -> Vec<&'static str> {
    Format::ALL
        .into_iter()
        .filter(|format| format.is_writable())
        .map(Format::name)
        .collect()
}
