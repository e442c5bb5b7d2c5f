//! Finds the codestream in a JPEG XL file: the whole file, or its boxes of that kind (ISO/IEC
//! 18181-2, 9). All other boxes are skipped.

use std::borrow::Cow;

/// The codestream. It is copied only if it lies in several boxes. A last box that is cut short
/// counts as far as it goes.
pub(super) fn codestream(file: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if file.starts_with(&[0xff, 0x0a]) {
        return Ok(Cow::Borrowed(file));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    let mut rest = file;
    while let Some((name, payload, after)) = next_box(rest) {
        match name {
            b"jxlc" if parts.is_empty() => return Ok(Cow::Borrowed(payload)),
            b"jxlc" => return Err("its codestream is there twice".to_owned()),
            b"jxlp" => {
                let Some((number, part)) = payload.split_first_chunk::<4>() else {
                    break;
                };
                // The highest bit marks the last part.
                let number = u32::from_be_bytes(*number);
                if number & 0x7fff_ffff != parts.len() as u32 {
                    return Err("the parts of its codestream are out of order".to_owned());
                }
                parts.push(part);
                if number >> 31 == 1 {
                    break;
                }
            }
            _ => {}
        }
        rest = after;
    }
    match parts.as_slice() {
        [] => Err("it is cut short".to_owned()),
        [part] => Ok(Cow::Borrowed(part)),
        parts => Ok(Cow::Owned(parts.concat())),
    }
}

/// The name and the payload of the first box, and what follows it.
fn next_box(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let (size, payload) = match u32::from_be_bytes(*size) {
        0 => (rest.len(), rest),
        1 => {
            let (size, payload) = rest.split_first_chunk::<8>()?;
            let size = u64::from_be_bytes(*size).checked_sub(16)?;
            (usize::try_from(size).unwrap_or(usize::MAX), payload)
        }
        size => ((size as usize).checked_sub(8)?, rest),
    };
    let (payload, after) = payload.split_at(size.min(payload.len()));
    Some((name, payload, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let payload = parts.concat();
        let size = (8 + payload.len() as u32).to_be_bytes();
        [&size, name.as_slice(), &payload].concat()
    }

    #[test]
    fn parts_are_joined_in_order() {
        let first = boxed(b"jxlp", &[&[0; 4], b"ab"]);
        let other = boxed(b"brob", &[b"xml compressed"]);
        let last = boxed(b"jxlp", &[&[0x80, 0, 0, 1], b"cd"]);
        let file = [first.clone(), other.clone(), last.clone()].concat();
        assert_eq!(*codestream(&file).unwrap(), *b"abcd");
        assert_eq!(*codestream(&file[..file.len() - 1]).unwrap(), *b"abc");
        assert!(codestream(&[last, first].concat()).is_err());
        assert!(codestream(&other).is_err());
    }
}
