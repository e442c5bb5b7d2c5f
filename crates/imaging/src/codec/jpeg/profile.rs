//! Joins the parts of a colour profile, which a JPEG file stores in several segments (ICC.1:2022,
//! B.4).

/// The content of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Counted from 1.
    pub(super) number: u8,
    /// The number of all parts.
    pub(super) count: u8,
    pub(super) bytes: &'a [u8],
}

/// Joins the parts of a profile. Returns `None` if there are none, or if one is missing, doubled or
/// misnumbered: nobody knows what such a profile was, and other readers show the picture without it.
pub(super) fn join(parts: &[Part<'_>]) -> Option<Vec<u8>> {
    let count = parts.first()?.count;
    let mut in_order = parts.to_vec();
    in_order.sort_by_key(|part| part.number);
    let is_right = |(number, part): (usize, &Part<'_>)| {
        usize::from(part.number) == number && part.count == count
    };
    let all = parts.len() == usize::from(count) && (1..).zip(&in_order).all(is_right);
    let bytes: Vec<_> = in_order.iter().map(|part| part.bytes).collect();
    all.then(|| bytes.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_parts_are_a_profile() {
        let joined = |parts: &[(u8, u8, &'static str)]| {
            let part = |&(number, count, bytes): &(u8, u8, &'static str)| Part {
                number,
                count,
                bytes: bytes.as_bytes(),
            };
            let parts: Vec<_> = parts.iter().map(part).collect();
            join(&parts).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        assert_eq!(joined(&[(2, 2, "b"), (1, 2, "a")]).as_deref(), Some("ab"));
        for broken in [
            &[][..],
            &[(1, 2, "a")],
            &[(1, 1, "a"), (1, 1, "a")],
            &[(1, 2, "a"), (1, 2, "a")],
            &[(0, 2, "a"), (1, 2, "b")],
            &[(1, 2, "a"), (2, 3, "b")],
            &[(0, 0, "a")],
        ] {
            assert_eq!(joined(broken), None, "{broken:?}");
        }
    }
}
