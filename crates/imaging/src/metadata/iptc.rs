//! IPTC records (IPTC-NAA IIM 4.2), which name the author and the rights of a picture, and the
//! resources of Photoshop in which JPEG stores them.

/// The number of the resource with IPTC records.
const RESOURCE: [u8; 2] = [0x04, 0x04];
/// What every resource begins with.
const SIGNATURE: &[u8] = b"8BIM";

/// The records in Photoshop's resources; `None` if there are none.
pub(crate) fn of_resources(mut bytes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let rest = bytes.strip_prefix(SIGNATURE)?;
        let (number, rest) = rest.split_first_chunk::<2>()?;
        // A name of an even number of bytes, its length included.
        let name = usize::from(*rest.first()?) + 1;
        let rest = rest.get(name.next_multiple_of(2)..)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let content = rest.get(..length)?;
        if *number == RESOURCE && !content.is_empty() {
            return Some(content.to_vec());
        }
        bytes = rest.get(length.checked_next_multiple_of(2)?..)?;
    }
}

/// The resource with these records.
pub(crate) fn resource(iptc: &[u8]) -> Vec<u8> {
    let mut resource = SIGNATURE.to_vec();
    resource.extend(RESOURCE);
    resource.extend([0, 0]);
    resource.extend((iptc.len() as u32).to_be_bytes());
    resource.extend(iptc);
    if iptc.len() % 2 == 1 {
        resource.push(0);
    }
    resource
}

/// The records about the author and the rights, and the one that tells the character set; `None` if
/// there are none of the former.
pub(super) fn rights(iptc: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut has_rights = false;
    let mut rest = iptc;
    while let Some((record, number, whole, after)) = dataset(rest) {
        rest = after;
        // By-line and its title, credit, source, copyright notice, contact.
        let is_right = record == 2 && matches!(number, 80 | 85 | 110 | 115 | 116 | 118);
        has_rights |= is_right;
        if is_right || (record, number) == (1, 90) {
            kept.extend_from_slice(whole);
        }
    }
    has_rights.then_some(kept)
}

/// The first dataset: its record, its number, its bytes, and what follows.
fn dataset(bytes: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let [0x1c, record, number, high, low, rest @ ..] = bytes else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    // Longer ones say in how many bytes their length is written.
    let (head, length) = match length & 0x8000 {
        0 => (5, length),
        _ => {
            let width = length & 0x7fff;
            let digits = rest.get(..width).filter(|_| width <= 4)?;
            let length = digits
                .iter()
                .fold(0, |high, low| high << 8 | usize::from(*low));
            (5 + width, length)
        }
    };
    let (whole, after) = bytes.split_at_checked(head.checked_add(length)?)?;
    Some((*record, *number, whole, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_among_other_resources() {
        let records = b"\x1c\x02\x74\0\x03ABC";
        let other = b"8BIM\x03\xed\x03Res\0\0\0\x03xyz\0";
        let resources = [other, resource(records).as_slice()].concat();
        assert_eq!(of_resources(&resources).as_deref(), Some(&records[..]));
        assert_eq!(of_resources(other), None);
        for cut in 0..resources.len() {
            assert_eq!(of_resources(&resources[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn only_rights_are_kept() {
        let set = b"\x1c\x01\x5a\0\x03\x1b%G";
        let title = b"\x1c\x02\x05\0\x05Title";
        let by = b"\x1c\x02\x50\0\x03Ann";
        let long = b"\x1c\x02\x74\x80\x04\0\0\0\x02(c";
        let all = [&set[..], title, by, long].concat();
        assert_eq!(rights(&all), Some([&set[..], by, long].concat()));
        assert_eq!(rights(&[&set[..], title].concat()), None);
        assert_eq!(rights(&[&by[..], &title[..7]].concat()), Some(by.to_vec()));
    }
}
