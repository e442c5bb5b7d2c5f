//! The options of a resize, and their canonical text form.
//!
//! `options/table.rs` declares every option once; the parser and the text form here follow from
//! that table, as do the command's flags and the documentation. To add an option, add one entry
//! there. `options/values.rs` has the types of the values, `options/allowed.rs` says which of them an
//! option can have, and `options/read.rs` reads them.

mod allowed;
mod read;
mod table;
mod values;

pub use allowed::Values;
pub use table::{OPTIONS, OptionSpec, ResizeOptions};
pub use values::{Background, ColorPolicy, Filter, Fit, Gravity, MetadataPolicy, Profile, Quality};

use read::clip;

/// An invalid value, and the option it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The key of the option.
    pub field: String,
    /// What is wrong with the value.
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

impl ResizeOptions {
    /// Reads options from their text form.
    ///
    /// # Errors
    ///
    /// Every field that is unknown, given twice, malformed or missing, in the order of the pairs.
    pub fn from_pairs<K, V>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Vec<FieldError>>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut options = Self::default();
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for (key, value) in pairs {
            let key = key.as_ref();
            if seen.iter().any(|earlier| earlier == key) {
                errors.push(FieldError::new(key, "is given more than once"));
                continue;
            }
            seen.push(key.to_owned());
            if let Err(message) = options.set(key, value.as_ref().trim()) {
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
            Ok(options)
        } else {
            Err(errors)
        }
    }

    /// The options in their text form. Defaults that were not given are left out.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        OPTIONS
            .iter()
            .filter_map(|option| Some((option.key, (option.get)(self)?)))
            .collect()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match OPTIONS.iter().find(|option| option.key == key) {
            Some(option) => (option.set)(self, value),
            None => Err(format!(
                "is not an option; the options are {}",
                Self::KEYS.join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> String {
        let errors = ResizeOptions::from_pairs(pairs.iter().copied()).unwrap_err();
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
            ("effort", "9"),
        ];
        let keys: Vec<_> = pairs.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ResizeOptions::KEYS, "every option is in this test");
        let options = ResizeOptions::from_pairs(pairs).unwrap();
        let text = options.pairs();
        let text: Vec<_> = text
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        assert_eq!(text, pairs);
    }

    /// Values that an option of the table must accept, and values that it must refuse.
    fn tries(option: &OptionSpec) -> (Vec<String>, Vec<String>) {
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect();
        match option.values {
            Values::Words(list) => (
                list.iter().map(|(word, _)| (*word).to_owned()).collect(),
                words(&["", "other", list[0].0.to_uppercase().as_str()]),
            ),
            Values::Whole { least, most } => (
                vec![least.to_string(), most.to_string()],
                vec![
                    (i128::from(least) - 1).to_string(),
                    (i128::from(most) + 1).to_string(),
                    "1.0".to_owned(),
                    String::new(),
                ],
            ),
            Values::Color => (
                words(&["#123", "#112233", "#11223344", "white", "transparent"]),
                words(&["#12", "grey", ""]),
            ),
            Values::Quality => (
                words(&["1", "100", "auto", "auto:1", "auto:95"]),
                words(&["0", "101", "auto:0", "auto:96", "auto:", "automatic", ""]),
            ),
            Values::Format => (
                words(&[&["same"][..], &allowed::writable_formats()[..]].concat()),
                words(&["bmp", "jxl", ""]),
            ),
        }
    }

    #[test]
    fn every_value_of_the_table_survives_its_text_form() {
        for option in OPTIONS {
            let (accepted, refused) = tries(option);
            for value in &accepted {
                let mut options = ResizeOptions::default();
                (option.set)(&mut options, value)
                    .unwrap_or_else(|message| panic!("{}: {message}", option.key));
                let mut again = ResizeOptions::default();
                for (key, text) in options.pairs() {
                    assert_eq!(key, option.key, "an option sets itself only");
                    (option.set)(&mut again, &text).unwrap();
                }
                assert_eq!(options, again, "{}={value}", option.key);
            }
            for value in &refused {
                let mut options = ResizeOptions::default();
                let message = (option.set)(&mut options, value).unwrap_err();
                let value = value.strip_prefix("auto:").unwrap_or(value);
                assert!(message.contains(value), "{}: {message}", option.key);
                assert_eq!(options, ResizeOptions::default());
            }
        }
    }

    #[test]
    fn every_option_is_described() {
        for option in OPTIONS {
            let (key, help) = (option.key, option.help);
            assert!(help.starts_with(char::is_uppercase), "{key}: {help}");
            assert!(!help.ends_with('.'), "{key}: {help}");
            let upper = option.value_name.bytes().all(|b| b.is_ascii_uppercase());
            assert!(upper && !option.value_name.is_empty(), "{key}");
            assert!(!option.values.describe(str::to_owned).is_empty(), "{key}");
        }
    }

    #[test]
    fn the_default_of_a_word_is_the_default_of_its_field() {
        for option in OPTIONS {
            let (Values::Words(_) | Values::Format, Some(default)) =
                (option.values, option.default)
            else {
                continue;
            };
            let mut options = ResizeOptions::default();
            (option.set)(&mut options, default).unwrap();
            let text = (option.get)(&options);
            // A boolean that was given is always written.
            let is_written = ["true", "false"].contains(&default);
            assert_eq!(
                text.as_deref(),
                is_written.then_some(default),
                "{}",
                option.key
            );
        }
    }

    #[test]
    fn defaults_are_not_written() {
        let options = ResizeOptions::from_pairs([("width", "5"), ("format", "same")]).unwrap();
        assert_eq!(options.pairs(), [("width", "5".to_owned())]);
    }

    #[test]
    fn errors_name_the_field_the_value_and_the_limit() {
        assert_eq!(
            refused(&[("width", "0")]),
            "width: 0 is too small; the minimum is 1"
        );
        assert_eq!(
            refused(&[("width", "1.5")]),
            "width: \"1.5\" is not a whole number"
        );
        assert_eq!(
            refused(&[("width", "5"), ("quality", "101")]),
            "quality: 101 is too large; the maximum is 100"
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
