//! The fields of a request beside its picture, with limits of their number and length.

use crate::operation::FieldError;

/// The field that carries the picture.
pub(super) const IMAGE: &str = "image";
/// The most fields of a query, a form or an object.
pub(super) const MOST_FIELDS: usize = 64;
/// The most bytes of a field's value.
pub(super) const MOST_VALUE_BYTES: usize = 4096;
/// The most bytes of a field's name.
const MOST_NAME_BYTES: usize = 64;

/// The fields that were read, and what is wrong with others.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) errors: Vec<FieldError>,
}

impl Fields {
    /// A field's name, unless it is too long for one.
    pub(super) fn key(&mut self, key: String) -> Option<String> {
        if key.len() <= MOST_NAME_BYTES {
            return Some(key);
        }
        let message = format!("is not an option: its name has more than {MOST_NAME_BYTES} bytes");
        self.errors.push(FieldError::new(clip(&key), message));
        None
    }

    /// Adds a field, unless it is too long.
    pub(super) fn add(&mut self, key: String, value: String) {
        let Some(key) = self.key(key) else {
            return;
        };
        if value.len() > MOST_VALUE_BYTES {
            self.refuse_long(key);
        } else {
            self.pairs.push((key, without_zeros(value)));
        }
    }

    /// Refuses a field whose value is too long.
    pub(super) fn refuse_long(&mut self, key: String) {
        let message = format!("has more than {MOST_VALUE_BYTES} bytes");
        self.errors.push(FieldError::new(key, message));
    }
}

/// A whole number without `.0`: some programs write 60 as 60.0.
fn without_zeros(mut value: String) -> String {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = value.split_once('.').filter(|(whole, zeros)| {
        let digits = whole.trim_start_matches('-');
        !digits.is_empty() && is_digits(digits) && zeros.bytes().all(|byte| byte == b'0')
    });
    if let Some(length) = whole.map(|(whole, _)| whole.len()) {
        value.truncate(length);
    }
    value
}

/// Shortens a value that was sent, for an error message.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_have_zeros_behind_its_point() {
        for (given, taken) in [
            ("60.0", "60"),
            ("60.000", "60"),
            ("-3.0", "-3"),
            ("60.5", "60.5"),
            ("60.", "60"),
            (".0", ".0"),
            ("1.2.0", "1.2.0"),
            ("a.0", "a.0"),
            ("60", "60"),
        ] {
            assert_eq!(without_zeros(given.to_owned()), taken);
        }
    }
}
