//! Finds the fields of a `multipart/form-data` body (RFC 7578). The body is in memory as a whole,
//! so a picture stays where it is.

use std::ops::Range;

use memchr::memmem::Finder;

use super::fields::{Fields, IMAGE, MOST_FIELDS, MOST_VALUE_BYTES};
use super::problem::{Kind, Problem};
use crate::operation::FieldError;

/// The most bytes of the header of a part.
const MOST_HEADER_BYTES: usize = 8192;
/// The most letters of a boundary (RFC 2046, section 5.1.1).
const MOST_BOUNDARY: usize = 70;

/// The boundary that a content type names.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let boundary = parameter(content_type, "boundary")?;
    (1..=MOST_BOUNDARY)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// Reads the fields of a form, and finds where in `body` the image is.
///
/// # Errors
///
/// The body is not such a form, or has too many fields.
pub(super) fn read(
    body: &[u8],
    boundary: &str,
    fields: &mut Fields,
) -> Result<Option<Range<usize>>, Problem> {
    let delimiter = format!("\r\n--{boundary}");
    let finder = Finder::new(delimiter.as_bytes());
    // The first delimiter may be at the very beginning, without a line break.
    let mut at = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        let first = finder.find(body);
        first.ok_or_else(|| invalid("the boundary is not in it"))? + delimiter.len()
    };
    let mut image = None;
    let mut count = 0;
    loop {
        if body[at..].starts_with(b"--") {
            return Ok(image);
        }
        count += 1;
        if count > MOST_FIELDS {
            return Err(invalid(&format!("it has more than {MOST_FIELDS} fields")));
        }
        let (name, start) = part_header(body, at)?;
        // From its last line break, so that an empty part is found too.
        let length = finder.find(&body[start - 2..]);
        let length = length.ok_or_else(|| invalid("it is cut off"))?;
        let content = start..(start - 2 + length).max(start);
        at = start - 2 + length + delimiter.len();
        if name == IMAGE {
            if image.is_some() {
                let message = "is given more than once";
                fields.errors.push(FieldError::new(name, message));
            }
            image = Some(content);
        } else if content.len() > MOST_VALUE_BYTES {
            if let Some(name) = fields.key(name) {
                fields.refuse_long(name);
            }
        } else {
            let value = String::from_utf8_lossy(&body[content]).into_owned();
            // An empty field of a form was not filled in.
            if !value.is_empty() {
                fields.add(name, value);
            }
        }
    }
}

/// The name of the part whose header begins at `at`, and where its content begins.
fn part_header(body: &[u8], at: usize) -> Result<(String, usize), Problem> {
    let rest = &body[at..body.len().min(at + MOST_HEADER_BYTES)];
    // Padding may follow the boundary.
    let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    let padding = padding.count();
    if !rest[padding..].starts_with(b"\r\n") {
        return Err(invalid("no line break follows a boundary"));
    }
    let lines = &rest[padding..];
    let end = memchr::memmem::find(lines, b"\r\n\r\n")
        .ok_or_else(|| invalid("the header of a part has no end"))?;
    let header = String::from_utf8_lossy(&lines[..end]);
    let name = header.split("\r\n").find_map(|line| {
        let (field, value) = line.split_once(':')?;
        let is_disposition = field.trim().eq_ignore_ascii_case("content-disposition");
        is_disposition.then(|| parameter(value, "name")).flatten()
    });
    let name = name.ok_or_else(|| invalid("a part has no name"))?;
    Ok((name, at + padding + end + 4))
}

/// The value of a parameter of a header field: `; name="value"` or `; name=value`.
fn parameter(field: &str, name: &str) -> Option<String> {
    let mut rest = field;
    loop {
        rest = rest.split_once(';')?.1.trim_start();
        let (key, value) = rest.split_once('=')?;
        let (value, after) = parameter_value(value);
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

/// A value, quoted or not, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

fn invalid(reason: &str) -> Problem {
    Problem::new(
        Kind::UnreadableBody,
        format!("the form is invalid: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(disposition: &str, content: &str) -> String {
        format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    #[test]
    fn fields_and_the_image_are_found() {
        let body = part("name=\"width\"", "320")
            + &part(
                "filename=\"a;name=b\\\".png\"; name=image",
                "\r\n--bytes\r\n--",
            )
            + &part("name=\"fit\"", "")
            + "--X--\r\nepilogue";
        for (before, end) in [("", ""), ("preamble\r\n", "")] {
            let body = format!("{before}{body}{end}");
            let mut fields = Fields::default();
            let image = read(body.as_bytes(), "X", &mut fields).unwrap().unwrap();
            assert_eq!(&body[image], "\r\n--bytes\r\n--");
            // An empty field was not filled in.
            let expected = [("width", "320")];
            let pairs = fields.pairs.iter();
            assert!(pairs.map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let many = part("name=a", "1").repeat(65) + "--X--";
        let unnamed = part("filename=\"name=x\"", "1") + "--X--";
        let endless = format!("--X\r\nContent-Disposition: {}", "x".repeat(10_000));
        let unended = part("name=a", "1");
        for (body, words) in [
            ("", "boundary"),
            ("--Xyz", "line break"),
            (many.as_str(), "64"),
            (&unnamed, "no name"),
            (&endless, "no end"),
            (unended.trim_end(), "cut off"),
        ] {
            let error = read(body.as_bytes(), "X", &mut Fields::default()).unwrap_err();
            let shown = format!("{error:?}");
            assert!(shown.contains(words), "{body:.40} gives {shown}");
        }
    }

    #[test]
    fn boundaries_are_read_from_the_content_type() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "multipart/form-data; charset=x; Boundary=\"a b\"",
                Some("a b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
        ] {
            assert_eq!(boundary(content_type).as_deref(), expected);
        }
    }
}
