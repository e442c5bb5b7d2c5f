//! The options of a request in its query, with a picture as the body. The options that were read can be
//! written as a query again, and are then read as the same.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_fuzz::{check_options, read, read_look_up};

const PICTURE: &str = "image/png";
/// Each letter of a query takes three when it is escaped, and a URL has at most 64 KiB.
const MOST_ESCAPED: usize = 20_000;

fuzz_target!(|query: &[u8]| -> Corpus {
    let Ok(query) = std::str::from_utf8(query) else {
        return Corpus::Reject;
    };
    read_look_up(PICTURE, query, b"picture");
    let Some((pairs, picture)) = read(PICTURE, query, b"picture") else {
        return Corpus::Keep;
    };
    assert_eq!(picture, b"picture");
    check_options(&pairs);
    let mut written = String::new();
    for (key, value) in &pairs {
        if !written.is_empty() {
            written.push('&');
        }
        escape(key, &mut written);
        written.push('=');
        escape(value, &mut written);
    }
    if written.len() <= MOST_ESCAPED {
        let again = read(PICTURE, &written, b"picture");
        assert_eq!(again, Some((pairs, picture)));
    }
    Corpus::Keep
});

fn escape(text: &str, written: &mut String) {
    for byte in text.bytes() {
        let _ = write!(written, "%{byte:02X}");
    }
}
