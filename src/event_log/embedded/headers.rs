//! The headers of an event as JSON: `[[name, value], …]`. A value is a text, or a list of bytes if
//! it is not UTF-8. Earlier versions wrote every value as a list of bytes.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names and values of headers.
type Headers = Vec<(String, Vec<u8>)>;

pub(super) fn to_text(headers: &Headers) -> String {
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name, Written(value)))
        .collect();
    serde_json::to_string(&pairs).expect("headers always have a JSON form")
}

pub(super) fn from_text(text: &str) -> serde_json::Result<Headers> {
    let pairs: Vec<(String, Read)> = serde_json::from_str(text)?;
    let headers = pairs.into_iter().map(|(name, value)| (name, value.0));
    Ok(headers.collect())
}

struct Written<'a>(&'a [u8]);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

struct Read(Vec<u8>);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of bytes")
            }

            fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
                Ok(text.as_bytes().to_vec())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = list.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }

        deserializer.deserialize_any(Bytes).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        let headers = vec![
            ("ce_id".to_owned(), b"01939a5e".to_vec()),
            ("empty".to_owned(), Vec::new()),
            ("quoted".to_owned(), "\"[1,2]\" \u{1f5bc}\n\0".into()),
            ("binary".to_owned(), vec![0, 159, 255]),
        ];
        let text = to_text(&headers);
        assert!(
            text.starts_with(r#"[["ce_id","01939a5e"],["empty",""],"#),
            "{text}"
        );
        assert_eq!(from_text(&text).unwrap(), headers);
    }

    #[test]
    fn lists_of_bytes_are_read() {
        let headers = from_text(r#"[["ce_id",[48,49]],["empty",[]]]"#).unwrap();
        let expected = [("ce_id", b"01".to_vec()), ("empty", Vec::new())];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name.to_owned(), value))
        );
    }
}
