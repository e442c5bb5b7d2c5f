//! Metadata in text chunks, as ImageMagick writes it: "Raw profile type" with a name, and the bytes in
//! hexadecimal digits.

/// What the keyword of such a chunk begins with.
pub(super) const KEYWORD: &[u8] = b"Raw profile type ";

/// Digits of a line.
const LINE: usize = 72;

/// The bytes of a profile; `None` if the text is damaged.
pub(super) fn read(text: &[u8]) -> Option<Vec<u8>> {
    // An empty line, the name, the number of bytes, and the digits.
    let mut lines = text.strip_prefix(b"\n")?.splitn(3, |byte| *byte == b'\n');
    let (_name, length, digits) = (lines.next()?, lines.next()?, lines.next()?);
    let length: usize = std::str::from_utf8(length).ok()?.trim().parse().ok()?;
    let mut values = digits
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(*byte).to_digit(16));
    if length > digits.len() / 2 {
        return None;
    }
    let mut byte = || Some((values.next()?? << 4 | values.next()??) as u8);
    (0..length).map(|_| byte()).collect()
}

/// The text of a profile.
pub(super) fn write(name: &str, bytes: &[u8]) -> String {
    let mut text = format!("\n{name}\n{:8}", bytes.len());
    for line in bytes.chunks(LINE / 2) {
        text.push('\n');
        for byte in line {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 36, 37, 200] {
            let bytes: Vec<u8> = (0..length).collect();
            assert_eq!(read(write("iptc", &bytes).as_bytes()), Some(bytes));
        }
        assert_eq!(read(b"\nexif\n       2\n4a\n 4B\n"), Some(b"JK".to_vec()));
        for damaged in [
            &b""[..],
            b"\nexif\n2\n4",
            b"\nexif\n2\n4a4",
            b"\nexif\nx\n4a4a",
            b"\ne\n2\n4a4g",
        ] {
            assert_eq!(read(damaged), None, "{damaged:?}");
        }
    }
}
