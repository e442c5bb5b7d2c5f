//! A request as JSON. It is read as serde_json and the `base64` crate read it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picresize_fuzz::{check_options, decoded, has_short_head, read, read_look_up};
use serde_json::{Map, Value};

const JSON: &str = "application/json";

fuzz_target!(|body: &[u8]| {
    let found = read(JSON, "", body);
    read_look_up(JSON, "", body);
    // This one differs in what it leaves out: lone surrogates, and all but the last of equal keys.
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return;
    };
    let image = object.get("image").and_then(Value::as_str);
    if !image.is_none_or(has_short_head) {
        return;
    }
    let expected = image.and_then(decoded).filter(|bytes| !bytes.is_empty());
    let Some((pairs, picture)) = found else {
        assert!(
            expected.is_none() || !is_plain(&object, body),
            "it was refused"
        );
        return;
    };
    check_options(&pairs);
    if image.is_some() {
        assert_eq!(Some(&picture), expected.as_ref());
    }
    for (key, value) in &pairs {
        let is_the_same = match &object[key] {
            Value::String(text) => text == value,
            _ => serde_json::from_str::<Value>(value).is_ok(),
        };
        let is_repeated = pairs.iter().filter(|(other, _)| other == key).count() > 1;
        assert!(is_the_same || is_repeated, "{key}");
    }
    let given = object
        .iter()
        .filter(|(key, value)| *key != "image" && !value.is_null());
    assert!(given.count() <= pairs.len());
});

/// Whether there is nothing in an object that could be refused beside its picture.
fn is_plain(object: &Map<String, Value>, body: &[u8]) -> bool {
    let short = |text: &str| text.len() <= 64;
    let is_data_url = |image: &str| image.starts_with("data:");
    let image = object.get("image").and_then(Value::as_str);
    // A key that is given twice has a colon more.
    let colons = body.iter().filter(|byte| **byte == b':').count();
    colons == object.len() + usize::from(image.is_some_and(is_data_url))
        && object.len() <= 64
        && object.iter().all(|(key, value)| match value {
            Value::String(text) => short(key) && (key == "image" || short(text)),
            Value::Array(_) | Value::Object(_) => false,
            _ => short(key),
        })
}
