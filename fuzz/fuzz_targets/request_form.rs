//! A multipart form. The first line of an input is the rest of the content type, such as
//! `boundary=X`. What was read can be written as a form again, and is then read as the same.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_fuzz::{check_options, read, read_look_up};

const FORM: &str = "multipart/form-data;";

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(end) = memchr::memchr(b'\n', input) else {
        return Corpus::Reject;
    };
    let (first, body) = (&input[..end], &input[end + 1..]);
    let content_type = format!("{FORM}{}", String::from_utf8_lossy(first));
    read_look_up(&content_type, "", body);
    let Some((pairs, picture)) = read(&content_type, "", body) else {
        return Corpus::Keep;
    };
    check_options(&pairs);
    assert!(pairs.len() < 64, "{} fields", pairs.len());
    let mut parts = vec![("image", picture.as_slice())];
    parts.extend(
        pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_bytes())),
    );
    assert!(memchr::memmem::find(body, &picture).is_some());

    let boundary = unused_boundary(&parts);
    let again = read(
        &format!("{FORM}boundary={boundary}"),
        "",
        &written(&parts, &boundary),
    );
    assert_eq!(again, Some((pairs, picture)));
    Corpus::Keep
});

fn unused_boundary(parts: &[(&str, &[u8])]) -> String {
    let is_in = |boundary: &String, text| memchr::memmem::find(text, boundary.as_bytes()).is_some();
    (0..)
        .map(|number| format!("b{number}"))
        .find(|it| {
            !parts
                .iter()
                .any(|(name, content)| is_in(it, name.as_bytes()) || is_in(it, content))
        })
        .expect("there is no end of numbers")
}

fn written(parts: &[(&str, &[u8])], boundary: &str) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        let header =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        form.extend_from_slice(header.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    form
}
