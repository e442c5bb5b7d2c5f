//! Reads settings that must stay text, such as passwords.
//!
//! A value without quotes is refused. Converted back to text, a number could differ from what was
//! written: `1e5` would become `100000`, which is another password.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Reads a setting that is text.
pub(super) fn text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    deserializer.deserialize_any(Text).map(T::from)
}

/// Reads a table whose values are text.
pub(super) fn texts<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    #[derive(Deserialize)]
    struct Value(#[serde(deserialize_with = "text")] String);

    let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
    Ok(values
        .into_iter()
        .map(|(key, Value(text))| (key, text.into()))
        .collect())
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
        Err(without_quotes())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
        Err(without_quotes())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
        Err(without_quotes())
    }
}

/// Does not repeat the value: it may be a password.
fn without_quotes<E: Error>() -> E {
    E::custom("a value that must be text: write it in quotes,")
}
