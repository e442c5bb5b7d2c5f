//! The base64 of a picture in a JSON string. It is decoded as the `base64` crate decodes it. An input is
//! what stands between the quotes; if that is no JSON, it is escaped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picresize::api::fuzzing::decode_base64;
use picresize_fuzz::{bounded, decoded, has_short_head};

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let quoted = format!("\"{text}\"");
    check(&match serde_json::from_str::<String>(&quoted) {
        Ok(_) => quoted,
        Err(_) => serde_json::to_string(&text).expect("a text is JSON"),
    });
});

fn check(quoted: &str) {
    let body = format!("{{\"image\":{quoted}}}").into_bytes();
    let range = 9..body.len() - 1;
    let found = bounded(body.len(), 2, 16 << 10, || decode_base64(body, range));
    let text: String = serde_json::from_str(quoted).expect("it was JSON before");
    if has_short_head(&text) {
        assert_eq!(found.as_ref().ok(), decoded(&text).as_ref(), "{found:?}");
    }
}
