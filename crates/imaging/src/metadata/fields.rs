//! Walks over the fields of an EXIF block without copying a value: finds the orientation, and tells
//! blocks that a reader would need far more memory for than they have bytes.
//!
//! The walk follows the rules of the `kamadak-exif` crate, which reads the blocks that are kept.

use std::collections::HashSet;

use crate::ifd::{self, Entry, Structure};

/// Fields of an honest block: a camera writes about a hundred.
const MAX_FIELDS: usize = 2_000;
/// Strings of all ASCII fields. A field has one per zero byte, and each takes memory of its own.
const MAX_STRINGS: usize = 4_096;
/// How many times the bytes of the block the values may have. In an honest block no two fields share
/// a value, so its values have fewer bytes than the block.
const MOST_VALUE_BYTES: u64 = 2;
/// Directories in the main chain.
const MAX_DIRECTORIES: u16 = 8;

const ORIENTATION: u16 = 0x0112;
/// The fields that point to the directories of EXIF, GPS and interoperability.
const POINTERS: [u16; 3] = [0x8769, 0x8825, 0xa005];

/// A block with the first number that EXIF demands.
fn block(exif: &[u8]) -> Option<Structure<'_>> {
    matches!(exif.get(..4)?, b"II\x2a\0" | b"MM\0\x2a").then(|| Structure::read(exif))?
}

/// The value of an entry. A value of a type that EXIF does not know has no bytes here.
fn value<'a>(block: Structure<'a>, entry: Entry) -> Option<&'a [u8]> {
    match entry.kind {
        1..=12 => block.value(entry),
        _ => Some(&[]),
    }
}

/// The first number of an entry with unsigned integers.
fn number(block: Structure<'_>, entry: Entry) -> Option<u32> {
    let (start, length) = match entry.kind {
        1 | 3 | 4 => block.place(entry)?,
        _ => return None,
    };
    let width = ifd::unit(entry.kind);
    let number = (length >= width).then(|| block.uint(start, width))?;
    u32::try_from(number?).ok()
}

/// The orientation in the main directory; `None` if there is none that can be read.
pub(super) fn orientation(exif: &[u8]) -> Option<u32> {
    let block = block(exif)?;
    let entries = block.entries(block.directory(block.first()?)?);
    let is_there = |it: &Entry| it.tag == ORIENTATION && value(block, *it).is_some();
    // The last of several counts.
    number(block, entries.filter(is_there).last()?)
}

/// Whether a reader that copies every value needs no more than a small multiple of the block's bytes.
pub(super) fn is_modest(exif: &[u8]) -> bool {
    let Some(block) = block(exif) else {
        // No reader takes anything from it.
        return true;
    };
    Count::default().chain(block).is_some()
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Count {
    fields: usize,
    strings: usize,
    value_bytes: u64,
    seen: HashSet<usize>,
}

impl Count {
    /// Counts the main chain. Returns `None` if there is too much.
    fn chain(mut self, block: Structure<'_>) -> Option<()> {
        let mut next = block.first().unwrap_or(0);
        for _ in 0..MAX_DIRECTORIES {
            if next == 0 {
                break;
            }
            next = self.directory(block, next, 0)?;
        }
        Some(())
    }

    /// Counts a directory and those below it. Returns where the next one starts, 0 if there is none,
    /// and `None` if there is too much.
    fn directory(&mut self, block: Structure<'_>, start: usize, depth: u32) -> Option<usize> {
        if !self.seen.insert(start) {
            return Some(0);
        }
        let Some(directory) = block.directory(start) else {
            return Some(0);
        };
        let mut entries = 0;
        for entry in block.entries(directory) {
            entries += 1;
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return None;
            }
            let Some(value) = value(block, entry) else {
                continue;
            };
            self.value_bytes += value.len() as u64;
            if self.value_bytes > MOST_VALUE_BYTES * block.bytes.len() as u64 {
                return None;
            }
            if entry.kind == 2 {
                self.strings += 1 + value.iter().filter(|byte| **byte == 0).count();
                if self.strings > MAX_STRINGS {
                    return None;
                }
            }
            // A directory below cannot have more below it than the three kinds.
            if POINTERS.contains(&entry.tag)
                && depth < 3
                && let Some(start) = number(block, entry)
            {
                self.directory(block, start as usize, depth + 1)?;
            }
        }
        Some(block.next(directory, entries).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one directory, at byte 8, that points to `next`; values follow it.
    fn block(entries: &[(u16, u16, u32, [u8; 4])], next: u32, values: &[u8]) -> Vec<u8> {
        let mut bytes = b"MM\0\x2a\0\0\0\x08".to_vec();
        bytes.extend((entries.len() as u16).to_be_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_be_bytes());
            bytes.extend(kind.to_be_bytes());
            bytes.extend(count.to_be_bytes());
            bytes.extend(value);
        }
        bytes.extend(next.to_be_bytes());
        bytes.extend(values);
        bytes
    }

    #[test]
    fn the_last_orientation_of_the_main_directory_counts() {
        let upright = (ORIENTATION, 3, 1, [0, 1, 0, 0]);
        let turned = (ORIENTATION, 3, 1, [0, 6, 0, 0]);
        assert_eq!(orientation(&block(&[upright, turned], 0, &[])), Some(6));
        // A value that is not there, a string, and a block without a directory.
        let outside = (ORIENTATION, 3, 9, [0, 1, 0, 0]);
        assert_eq!(orientation(&block(&[turned, outside], 0, &[])), Some(6));
        let text = (ORIENTATION, 2, 1, *b"6\0\0\0");
        assert_eq!(orientation(&block(&[text], 0, &[])), None);
        assert_eq!(orientation(b"MM\0\x2a\0\0\0\x09"), None);
        assert_eq!(orientation(b"II"), None);
        // A directory that is cut short keeps its complete entries.
        let whole = block(&[turned, upright], 0, &[]);
        assert_eq!(orientation(&whole[..8 + 2 + 12 + 7]), Some(6));
    }

    #[test]
    fn fields_that_share_a_value_are_too_many() {
        let values = [7; 3_000];
        let shared = |count: usize| {
            let start = (8 + 2 + count * 12 + 4) as u32;
            let entry = (0x9286, 7, values.len() as u32, start.to_be_bytes());
            block(&vec![entry; count], 0, &values)
        };
        assert!(is_modest(&shared(2)));
        assert!(!is_modest(&shared(40)));
    }

    #[test]
    fn many_strings_and_many_fields_are_too_many() {
        let start = (8 + 2 + 12 + 4_u32).to_be_bytes();
        let strings = |count: usize| block(&[(0x010e, 2, count as u32, start)], 0, &vec![0; count]);
        assert!(is_modest(&strings(MAX_STRINGS - 1)));
        assert!(!is_modest(&strings(MAX_STRINGS)));
        let small = (0x0100, 3, 1, [0; 4]);
        assert!(is_modest(&block(&[small; MAX_FIELDS], 0, &[])));
        assert!(!is_modest(&block(&[small; MAX_FIELDS + 1], 0, &[])));
    }

    #[test]
    fn directories_that_point_to_themselves_end() {
        let to_itself = POINTERS.map(|tag| (tag, 4, 1, 8_u32.to_be_bytes()));
        assert!(is_modest(&block(&to_itself, 8, &[])));
        assert!(is_modest(b"II\x2a\0\xff\xff\xff\xff"));
    }
}
