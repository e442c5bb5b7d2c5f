//! Walks over the fields of an EXIF block without copying a value: finds the orientation, and tells
//! blocks that a reader would need far more memory for than they have bytes.
//!
//! The walk follows the rules of the `kamadak-exif` crate, which reads the blocks that are kept.

use std::collections::HashSet;

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

/// One entry of a directory. Its value lies completely inside of the block.
#[derive(Clone, Copy, Debug)]
struct Field<'a> {
    tag: u16,
    /// The type (TIFF 6.0, section 2), 1 to 12; other types have no value here.
    kind: u16,
    value: &'a [u8],
}

/// A block and its byte order.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

/// The orientation in the main directory; `None` if there is none that can be read.
pub(super) fn orientation(exif: &[u8]) -> Option<u32> {
    let block = Block::read(exif)?;
    let fields = block.directory(block.first()?)?;
    // The last of several counts.
    let field = fields.flatten().filter(|f| f.tag == ORIENTATION).last()?;
    block.number(&field)
}

/// Whether a reader that copies every value needs no more than a small multiple of the block's bytes.
pub(super) fn is_modest(exif: &[u8]) -> bool {
    let Some(block) = Block::read(exif) else {
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
    fn chain(mut self, block: Block<'_>) -> Option<()> {
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
    fn directory(&mut self, block: Block<'_>, start: usize, depth: u32) -> Option<usize> {
        if !self.seen.insert(start) {
            return Some(0);
        }
        let Some(fields) = block.directory(start) else {
            return Some(0);
        };
        let mut end = start + 2;
        for field in fields {
            end += 12;
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return None;
            }
            let Some(field) = field else { continue };
            self.value_bytes += field.value.len() as u64;
            if self.value_bytes > MOST_VALUE_BYTES * block.bytes.len() as u64 {
                return None;
            }
            if field.kind == 2 {
                self.strings += 1 + field.value.iter().filter(|byte| **byte == 0).count();
                if self.strings > MAX_STRINGS {
                    return None;
                }
            }
            // A directory below cannot have more below it than the three kinds.
            if POINTERS.contains(&field.tag)
                && depth < 3
                && let Some(start) = block.number(&field)
            {
                self.directory(block, start as usize, depth + 1)?;
            }
        }
        Some(block.long(end).unwrap_or(0) as usize)
    }
}

impl<'a> Block<'a> {
    /// Reads the byte order and the number after it.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let is_little = match bytes.get(..4)? {
            b"II\x2a\0" => true,
            b"MM\0\x2a" => false,
            _ => return None,
        };
        Some(Self { bytes, is_little })
    }

    /// The start of the main directory.
    fn first(self) -> Option<usize> {
        self.long(4).map(|start| start as usize)
    }

    fn short(self, at: usize) -> Option<u16> {
        let two = *self.bytes.get(at..)?.first_chunk()?;
        Some(match self.is_little {
            true => u16::from_le_bytes(two),
            false => u16::from_be_bytes(two),
        })
    }

    fn long(self, at: usize) -> Option<u32> {
        let four = *self.bytes.get(at..)?.first_chunk()?;
        Some(match self.is_little {
            true => u32::from_le_bytes(four),
            false => u32::from_be_bytes(four),
        })
    }

    /// The entries of a directory as far as they are there; `None` for one whose value is not.
    fn directory(self, start: usize) -> Option<impl Iterator<Item = Option<Field<'a>>>> {
        let count = usize::from(self.short(start)?);
        let entries = self.bytes.get(start + 2..)?.chunks_exact(12).take(count);
        Some((0..entries.len()).map(move |index| self.field(start + 2 + index * 12)))
    }

    fn field(self, at: usize) -> Option<Field<'a>> {
        let (tag, kind, count) = (self.short(at)?, self.short(at + 2)?, self.long(at + 4)?);
        let unit = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 => 4,
            5 | 10 | 12 => 8,
            _ => 0,
        };
        let length = usize::try_from(u64::from(count) * unit).ok()?;
        let start = match length {
            0..=4 => at + 8,
            _ => self.long(at + 8)? as usize,
        };
        let value = self.bytes.get(start..)?.get(..length)?;
        Some(Field { tag, kind, value })
    }

    /// The first number of a field with unsigned integers.
    fn number(self, field: &Field<'_>) -> Option<u32> {
        let value = Block {
            bytes: field.value,
            ..self
        };
        match field.kind {
            1 => field.value.first().map(|byte| u32::from(*byte)),
            3 => value.short(0).map(u32::from),
            4 => value.long(0),
            _ => None,
        }
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
