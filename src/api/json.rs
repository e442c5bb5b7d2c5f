//! Reads the JSON form of a request. Nothing of the body is copied but the options: the picture's
//! base64 stays where it is, and what is not wanted is skipped.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{Fields, IMAGE, MOST_FIELDS, MOST_VALUE_BYTES};
use super::problem::{Kind, Problem};
use crate::operation::FieldError;

/// The most lists and objects within each other, as in serde_json.
const MOST_DEPTH: usize = 128;

/// The fields of a JSON object, and where in `body` the text of the image is, with its quotes.
///
/// # Errors
///
/// The body is not a JSON object, or has too many keys.
pub(super) fn read(body: &[u8], fields: &mut Fields) -> Result<Option<Range<usize>>, Problem> {
    check_depth(body)?;
    let invalid = |error: serde_json::Error| unreadable(format!("the JSON is invalid: {error}"));
    let mut reader = serde_json::Deserializer::from_slice(body);
    if body.trim_ascii_start().first() != Some(&b'{') {
        reader
            .deserialize_ignored_any(IgnoredAny)
            .and_then(|_| reader.end())
            .map_err(invalid)?;
        return Err(unreadable(
            "the JSON must be an object such as {\"image\": \"<base64>\", \"width\": 320}",
        ));
    }
    let mut object = Object {
        fields,
        image: None,
        keys: 0,
    };
    let read = reader.deserialize_map(&mut object);
    let (keys, image) = (object.keys, object.image);
    if keys > MOST_FIELDS {
        return Err(unreadable(format!(
            "the JSON has more than {MOST_FIELDS} keys"
        )));
    }
    read.and_then(|()| reader.end()).map_err(invalid)?;
    Ok(image.map(|text| {
        let start = text.as_ptr() as usize - body.as_ptr() as usize;
        start..start + text.len()
    }))
}

fn unreadable(detail: impl Into<String>) -> Problem {
    Problem::new(Kind::UnreadableBody, detail)
}

/// Refuses lists within lists without end: the reader would remember each of them.
fn check_depth(body: &[u8]) -> Result<(), Problem> {
    let opens = |byte: &u8| matches!(byte, b'[' | b'{');
    // Counting is many times faster than following strings, and nearly always enough.
    if body.iter().filter(|byte| opens(byte)).count() <= MOST_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b']' | b'}' => depth = depth.saturating_sub(1),
            byte if opens(byte) => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return Err(unreadable(format!(
                        "the JSON is invalid: it has more than {MOST_DEPTH} lists and objects \
                         within each other"
                    )));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The object of a request, while it is read.
struct Object<'a, 'de> {
    fields: &'a mut Fields,
    /// The JSON text of the image.
    image: Option<&'de str>,
    keys: usize,
}

impl<'de> Visitor<'de> for &mut Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            self.keys += 1;
            if self.keys > MOST_FIELDS {
                return Err(serde::de::Error::custom("too many keys"));
            }
            let value = value.get();
            if value == "null" {
                continue;
            }
            let Some(key) = self.fields.key(unquoted(key.get())) else {
                continue;
            };
            self.take(key, value);
        }
        Ok(())
    }
}

impl<'de> Object<'_, 'de> {
    fn take(&mut self, key: String, value: &'de str) {
        let errors = &mut self.fields.errors;
        let is_text = value.starts_with('"');
        if key == IMAGE {
            if self.image.is_some() {
                errors.push(FieldError::new(key, "is given more than once"));
            } else if is_text {
                self.image = Some(value);
            } else {
                errors.push(FieldError::new(key, "must be base64 text"));
            }
        } else if value.starts_with(['[', '{']) {
            let message = "must be a single value, not a list or an object";
            errors.push(FieldError::new(key, message));
        } else if value.len() > 6 * MOST_VALUE_BYTES {
            // Even if every letter of it is written as \u0000.
            self.fields.refuse_long(key);
        } else if is_text {
            self.fields.add(key, unquoted(value));
        } else {
            self.fields.add(key, written_out(value));
        }
    }
}

/// A number without an exponent, if it is a whole one: 6e1 is 60.
fn written_out(value: &str) -> String {
    let number = value.parse::<f64>().ok();
    let whole = number.filter(|number| number.fract() == 0.0 && number.abs() < 1e15);
    match whole {
        Some(number) if value.contains(['e', 'E']) => format!("{number:.0}"),
        _ => value.to_owned(),
    }
}

/// The text of a JSON string. Of a very long one only the beginning: it is refused for its length.
fn unquoted(raw: &str) -> String {
    if raw.len() > 6 * MOST_VALUE_BYTES {
        return raw.chars().skip(1).take(MOST_VALUE_BYTES + 1).collect();
    }
    // The reader has accepted it before, except for lone surrogates.
    serde_json::from_str(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Option<&str>, Fields) {
        let mut fields = Fields::default();
        let image = read(text.as_bytes(), &mut fields).unwrap();
        (image.map(|range| &text[range]), fields)
    }

    fn refused(text: &str) -> Problem {
        read(text.as_bytes(), &mut Fields::default()).unwrap_err()
    }

    #[test]
    fn single_values_are_taken_as_text() {
        let text = r#" {"width":320, "he\u0069ght":"20\/0", "fit":null, "enlarge":true,"image":"A\/==",
                 "a":60.0, "b":6e1, "c":1.5, "d":"7.0"} "#;
        let (image, fields) = read_text(text);
        assert_eq!(image, Some(r#""A\/==""#));
        let expected = [
            ("width", "320"),
            ("height", "20/0"),
            ("enlarge", "true"),
            ("a", "60"),
            ("b", "60"),
            ("c", "1.5"),
            ("d", "7"),
        ];
        let pairs = fields.pairs.iter();
        assert!(pairs.map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
        assert!(fields.errors.is_empty());
    }

    #[test]
    fn what_is_no_single_value_is_named() {
        let text = r#"{"image":"A","image":"B","x":[1,{"y":[]}],"long":"LONG"}"#;
        let text = text.replace("LONG", &"x".repeat(100_000));
        let (_, fields) = read_text(&text);
        let named: Vec<_> = fields.errors.iter().map(|error| &error.field).collect();
        assert_eq!(named, ["image", "x", "long"]);
    }

    #[test]
    fn what_is_no_object_of_a_few_keys_is_refused() {
        for (text, words) in [
            ("[1]".to_owned(), "must be an object"),
            ("[1".to_owned(), "invalid"),
            ("{\"a\":1} x".to_owned(), "trailing"),
            ("{\"a\":\"\u{1}\"}".to_owned(), "line 1"),
            (format!("{{\"a\":{}", "[".repeat(1_000_000)), "128"),
            (format!("{{{}\"z\":1}}", "\"a\":1,".repeat(64)), "64 keys"),
        ] {
            let shown = format!("{:?}", refused(&text));
            assert!(shown.contains(words), "{shown}");
        }
        let brackets = format!("{{\"a\":\"{}\"}}", "\\\"[".repeat(1000));
        assert_eq!(read_text(&brackets).1.pairs.len(), 1);
    }
}
