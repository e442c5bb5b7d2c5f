//! Collects the fields of a TIFF that describe the picture, such as its author and copyright, into an
//! EXIF block (CIPA DC-008, 4.6).

use crate::ifd::{self, Entry};
use crate::limits::Limits;

use super::directory::Directory;

/// The fields of the first directory: description, camera, date, software, author and copyright.
const FIELDS: [u16; 10] = [270, 271, 272, 282, 283, 296, 305, 306, 315, 33_432];
/// The fields that point to the directories of EXIF and GPS.
const POINTERS: [u16; 2] = [0x8769, 0x8825];
/// The notes of a camera's maker, whose inner places would no longer be right.
const MAKER_NOTE: u16 = 0x927c;

/// An EXIF block with the fields; `None` if there are none, or if they are above the limit.
pub(super) fn block(directory: &Directory<'_>, limits: &Limits) -> Option<Vec<u8>> {
    let main = fields(directory, directory.entries(), |tag| FIELDS.contains(&tag));
    let below: Vec<_> = POINTERS
        .into_iter()
        .filter_map(|pointer| {
            let entries = directory.entries_below(pointer)?;
            let fields = fields(directory, entries, |tag| {
                tag != MAKER_NOTE && !POINTERS.contains(&tag) && tag != 0xa005
            });
            (!fields.is_empty()).then_some((pointer, fields))
        })
        .collect();
    if main.is_empty() && below.is_empty() {
        return None;
    }
    let all = below.iter().map(|(_, fields)| fields).chain([&main]);
    let bytes: usize = all.flatten().map(|field| field.value.len() + 12).sum();
    if bytes as u64 > limits.max_metadata_bytes {
        return None;
    }
    Some(Writer::new(directory.is_little()).write(&main, &below))
}

/// A field with its value, in the byte order of the file.
#[derive(Clone, Debug)]
struct Field<'a> {
    tag: u16,
    kind: u16,
    value: &'a [u8],
}

/// The fields that `wanted` names, of the types that EXIF has, in order and each once.
fn fields<'a>(
    directory: &Directory<'a>,
    entries: impl Iterator<Item = Entry>,
    wanted: impl Fn(u16) -> bool,
) -> Vec<Field<'a>> {
    let entries = entries.filter(|entry| wanted(entry.tag) && matches!(entry.kind, 1..=12));
    let mut fields: Vec<_> = entries
        .filter_map(|entry| {
            Some(Field {
                tag: entry.tag,
                kind: entry.kind,
                value: directory.value(entry).filter(|value| !value.is_empty())?,
            })
        })
        .collect();
    fields.sort_by_key(|field| field.tag);
    fields.dedup_by_key(|field| field.tag);
    fields
}

/// Writes a block.
struct Writer {
    is_little: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(is_little: bool) -> Self {
        Self {
            is_little,
            bytes: Vec::new(),
        }
    }

    fn write(mut self, main: &[Field<'_>], below: &[(u16, Vec<Field<'_>>)]) -> Vec<u8> {
        self.bytes
            .extend(if self.is_little { b"II" } else { b"MM" });
        self.short(42);
        self.long(8);
        let count = main.len() + below.len();
        let mut values = 8 + 2 + 12 * count + 4;
        // The directories below follow the values of the main one.
        let sizes = below.iter().map(|(_, fields)| size(fields));
        let mut place = values + main.iter().map(outside).sum::<usize>();
        let mut entries: Vec<_> = main
            .iter()
            .map(|field| (field.tag, Some(field), 0))
            .collect();
        for ((pointer, _), size) in below.iter().zip(sizes) {
            entries.push((*pointer, None, place));
            place += size;
        }
        entries.sort_by_key(|(tag, ..)| *tag);
        self.short(count as u16);
        for (tag, field, place) in entries {
            match field {
                Some(field) => self.entry(field, &mut values),
                None => {
                    self.short(tag);
                    self.short(4);
                    self.long(1);
                    self.long(place as u32);
                }
            }
        }
        self.long(0);
        self.values(main);
        for (_, fields) in below {
            let mut values = self.bytes.len() + 2 + 12 * fields.len() + 4;
            self.short(fields.len() as u16);
            for field in fields {
                self.entry(field, &mut values);
            }
            self.long(0);
            self.values(fields);
        }
        self.bytes
    }

    /// Writes an entry, whose value is at `values` if it is long.
    fn entry(&mut self, field: &Field<'_>, values: &mut usize) {
        self.short(field.tag);
        self.short(field.kind);
        self.long((field.value.len() / ifd::unit(field.kind)) as u32);
        match outside(field) {
            0 => {
                self.bytes.extend(field.value);
                self.bytes
                    .resize(self.bytes.len() + 4 - field.value.len(), 0);
            }
            length => {
                self.long(*values as u32);
                *values += length;
            }
        }
    }

    fn values(&mut self, fields: &[Field<'_>]) {
        for field in fields.iter().filter(|field| outside(field) > 0) {
            self.bytes.extend(field.value);
            if field.value.len() % 2 == 1 {
                self.bytes.push(0);
            }
        }
    }

    fn short(&mut self, value: u16) {
        self.bytes.extend(match self.is_little {
            true => value.to_le_bytes(),
            false => value.to_be_bytes(),
        });
    }

    fn long(&mut self, value: u32) {
        self.bytes.extend(match self.is_little {
            true => value.to_le_bytes(),
            false => value.to_be_bytes(),
        });
    }
}

/// The bytes of a value that does not fit into its entry.
fn outside(field: &Field<'_>) -> usize {
    match field.value.len() {
        0..=4 => 0,
        length => length.next_multiple_of(2),
    }
}

/// The bytes of a directory with its values.
fn size(fields: &[Field<'_>]) -> usize {
    2 + 12 * fields.len() + 4 + fields.iter().map(outside).sum::<usize>()
}
