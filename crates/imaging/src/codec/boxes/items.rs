//! Reads the items of a HEIF file: their kinds, places, properties and references (ISO/IEC 14496-12,
//! 8.11, and 23008-12). Everything has a limit, because libraries build objects of what is listed
//! here. Nothing of the file is copied.

use std::borrow::Cow;
use std::ops::Range;

use super::boxes;
use super::places::Layout;
use super::reader::Reader;

/// The most boxes in one box, or in the file itself.
const MOST_BOXES: usize = 4096;
/// The most items. A picture of 100 megapixels has 400 tiles of the usual size.
const MOST_ITEMS: usize = 4096;
/// The most extents of all items together.
const MOST_EXTENTS: usize = 16_384;
/// The most references of all items together.
const MOST_REFERENCES: usize = 65_536;
/// The most associations of properties with items.
const MOST_ASSOCIATIONS: usize = 65_536;
/// Items may share data, but all extents together are at most this many times the file, and
/// [`SHARED_BYTES`].
const SHARED_TIMES: u64 = 4;
const SHARED_BYTES: u64 = 32 << 20;

/// Whether a file of a usual number of boxes has no list of items.
#[cfg(feature = "heic")]
pub(crate) fn has_no_items(file: &[u8]) -> bool {
    let is_usual = boxes(file).nth(MOST_BOXES).is_none();
    is_usual && boxes(file).all(|(name, _)| name != b"meta")
}

/// The items of a file.
#[derive(Debug, Default)]
pub(crate) struct Items<'a> {
    pub(crate) primary: u32,
    /// In the order of their numbers.
    items: Vec<Item<'a>>,
    properties: Vec<Property<'a>>,
    references: Vec<Reference>,
    targets: Vec<u32>,
}

/// The first sample of a track of an image sequence.
#[cfg(feature = "avif")]
pub(super) struct Sample<'a> {
    pub(super) kind: [u8; 4],
    pub(super) data: &'a [u8],
    /// The boxes of its description.
    pub(super) properties: Vec<Property<'a>>,
}

/// The name and the payload of a property.
pub(crate) type Property<'a> = (&'a [u8; 4], &'a [u8]);

#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) id: u32,
    pub(crate) kind: [u8; 4],
    /// `None` if the data lies outside of the file.
    extents: Option<Vec<&'a [u8]>>,
    /// The media type of an item of kind `mime`.
    #[cfg_attr(
        not(feature = "avif"),
        expect(dead_code, reason = "libheif finds XMP by itself")
    )]
    content_type: &'a [u8],
    properties: Vec<u16>,
}

/// The references of one kind from one item.
#[derive(Debug)]
struct Reference {
    kind: [u8; 4],
    from: u32,
    targets: Range<usize>,
}

impl<'a> Items<'a> {
    /// Reads the items. What is cut short ends there.
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, String> {
        let [meta] = only(file, "the file", [b"meta"])?;
        let meta = meta.ok_or("it has no list of items (meta)")?;
        let meta = meta.get(4..).unwrap_or_default();
        let [pitm, iinf, iloc, iref, iprp, idat] = only(
            meta,
            "meta",
            [b"pitm", b"iinf", b"iloc", b"iref", b"iprp", b"idat"],
        )?;
        let mut items = Self {
            primary: pitm
                .and_then(primary)
                .ok_or("it has no primary item (pitm)")?,
            ..Self::default()
        };
        items.add_entries(iinf.ok_or("it has no items (iinf)")?)?;
        if let Some(iref) = iref {
            items.add_references(iref)?;
        }
        if let Some(iprp) = iprp {
            items.add_properties(iprp)?;
        }
        items.add_places(iloc.ok_or("its items have no places (iloc)")?, file, idat)?;
        items.check_lengths(file.len() as u64)?;
        Ok(items)
    }

    fn add_entries(&mut self, iinf: &'a [u8]) -> Result<(), String> {
        let entries = match iinf.first() {
            Some(0) => 6,
            _ => 8,
        };
        let entries = limited(iinf.get(entries..).unwrap_or_default(), "iinf")?;
        for (name, infe) in entries {
            if name == b"infe"
                && let Some((id, kind, content_type)) = entry(infe)
            {
                self.items.push(Item {
                    id,
                    kind,
                    extents: Some(Vec::new()),
                    content_type,
                    properties: Vec::new(),
                });
            }
        }
        check("items", self.items.len(), MOST_ITEMS)?;
        self.items.sort_by_key(|item| item.id);
        match self.items.windows(2).find(|pair| pair[0].id == pair[1].id) {
            Some(pair) => Err(format!("its item {} is listed twice", pair[0].id)),
            None => Ok(()),
        }
    }

    fn add_references(&mut self, iref: &'a [u8]) -> Result<(), String> {
        let has_two_bytes = iref.first() == Some(&0);
        for (kind, payload) in limited(iref.get(4..).unwrap_or_default(), "iref")? {
            let mut reader = Reader(payload);
            let Some(from) = reader.id(has_two_bytes) else {
                continue;
            };
            let start = self.targets.len();
            let count = reader.short(2).unwrap_or_default();
            check("references", start + count as usize, MOST_REFERENCES)?;
            for _ in 0..count {
                self.targets.extend(reader.id(has_two_bytes));
            }
            self.references.push(Reference {
                kind: *kind,
                from,
                targets: start..self.targets.len(),
            });
        }
        Ok(())
    }

    fn add_properties(&mut self, iprp: &'a [u8]) -> Result<(), String> {
        let [ipco] = only(iprp, "iprp", [b"ipco"])?;
        self.properties = limited(ipco.unwrap_or_default(), "ipco")?;
        let mut total = 0;
        for (name, ipma) in limited(iprp, "iprp")? {
            if name == b"ipma" {
                self.add_associations(ipma, &mut total)?;
            }
        }
        Ok(())
    }

    fn add_associations(&mut self, ipma: &[u8], total: &mut usize) -> Result<(), String> {
        let mut reader = Reader(ipma);
        let Some((version, flags)) = reader.version() else {
            return Ok(());
        };
        let size = if flags & 1 == 1 { 2 } else { 1 };
        for _ in 0..reader.short(4).unwrap_or_default() {
            let (Some(id), Some(count)) = (reader.id(version == 0), reader.short(1)) else {
                break;
            };
            *total += 1 + count as usize;
            check("properties of items", *total, MOST_ASSOCIATIONS)?;
            // The highest bit means "essential".
            let mask = if size == 2 { 0x7fff } else { 0x7f };
            let own = (0..count).filter_map(|_| Some((reader.short(size)? & mask) as u16));
            let own: Vec<u16> = own.collect();
            if let Some(item) = self.place_of(id) {
                if !item.properties.is_empty() {
                    return Err(format!("the properties of its item {id} are listed twice"));
                }
                item.properties = own;
            }
        }
        Ok(())
    }

    fn add_places(
        &mut self,
        iloc: &[u8],
        file: &'a [u8],
        idat: Option<&'a [u8]>,
    ) -> Result<(), String> {
        let mut reader = Reader(iloc);
        let mut total = 0;
        let mut placed = Vec::new();
        let Some(layout) = Layout::read(&mut reader) else {
            return Ok(());
        };
        for _ in 0..layout.items {
            let Some(place) = layout.place(&mut reader) else {
                break;
            };
            total += place.extents as usize;
            check("extents", total, MOST_EXTENTS)?;
            placed.push(place.id);
            let source = match (place.method, place.is_elsewhere) {
                (0, false) => Some(file),
                (1, false) => Some(idat.unwrap_or_default()),
                _ => None,
            };
            let mut extents = source.map(|_| Vec::new());
            for _ in 0..place.extents {
                let Some((offset, length)) = layout.extent(&mut reader) else {
                    break;
                };
                let found = source.and_then(|source| {
                    let start = usize::try_from(place.base.checked_add(offset)?).ok()?;
                    let rest = source.get(start..)?;
                    match usize::try_from(length).ok()? {
                        0 => Some(rest),
                        length => rest.get(..length),
                    }
                });
                match (&mut extents, found) {
                    (Some(extents), Some(found)) => extents.push(found),
                    (extents, _) => *extents = None,
                }
            }
            if let Some(item) = self.place_of(place.id) {
                item.extents = extents;
            }
        }
        placed.sort_unstable();
        match placed.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("the place of its item {} is listed twice", pair[0])),
            None => Ok(()),
        }
    }

    /// Refuses extents that overlap so much that their data would be many times the file.
    fn check_lengths(&self, file: u64) -> Result<(), String> {
        let mut total = 0;
        let mut beside = 0;
        for item in &self.items {
            let length = item.length();
            if length > file {
                return Err(format!(
                    "its item {} has {length} bytes, but the whole file has {file}",
                    item.id
                ));
            }
            total += length;
            if !item.is_picture() {
                beside += length;
            }
        }
        let most = SHARED_TIMES * file + SHARED_BYTES;
        if total > most || beside > 2 * file {
            return Err(format!(
                "its items share so much data that they have {total} bytes together; the whole \
                 file has {file}"
            ));
        }
        Ok(())
    }

    fn place_of(&mut self, id: u32) -> Option<&mut Item<'a>> {
        let at = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get_mut(at)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Item<'a>> {
        let at = self.items.binary_search_by_key(&id, |item| item.id).ok()?;
        self.items.get(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Item<'a>> {
        self.items.iter()
    }

    /// The properties of an item, in order.
    pub(crate) fn properties_of(&self, id: u32) -> impl Iterator<Item = Property<'a>> {
        let own = self.get(id).map(|item| item.properties.as_slice());
        own.unwrap_or_default().iter().filter_map(|index| {
            let index = usize::from(*index).checked_sub(1)?;
            self.properties.get(index).copied()
        })
    }

    /// The items to which an item refers, in order.
    pub(crate) fn targets(&self, kind: &[u8; 4], from: u32) -> impl Iterator<Item = u32> {
        self.references
            .iter()
            .filter(move |reference| reference.from == from && reference.kind == *kind)
            .flat_map(|reference| &self.targets[reference.targets.clone()])
            .copied()
    }

    /// The pairs of a picture with alpha channel and the item of that channel.
    pub(crate) fn alpha_channels(&self) -> impl Iterator<Item = (u32, u32)> {
        self.references
            .iter()
            .filter(|reference| reference.kind == *b"auxl" && self.is_alpha(reference.from))
            .flat_map(|reference| {
                let pictures = &self.targets[reference.targets.clone()];
                pictures.iter().map(|picture| (*picture, reference.from))
            })
    }

    fn is_alpha(&self, id: u32) -> bool {
        self.properties_of(id).any(|(name, payload)| {
            let kind = payload.get(4..).unwrap_or_default();
            let kind = kind.split(|byte| *byte == 0).next();
            name == b"auxC"
                && matches!(
                    kind,
                    Some(
                        b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"
                            | b"urn:mpeg:hevc:2015:auxid:1"
                            | b"urn:mpeg:avc:2015:auxid:1"
                    )
                )
        })
    }

    /// Width and height that an item declares (`ispe`).
    #[cfg(feature = "heic")]
    pub(crate) fn size_of(&self, id: u32) -> Option<(u32, u32)> {
        self.properties_of(id).find_map(|(name, payload)| {
            let mut reader = Reader(payload.get(4..)?);
            (name == b"ispe").then_some((reader.short(4)?, reader.short(4)?))
        })
    }

    /// The TIFF structure of the first Exif item, if it has at most `most` bytes.
    #[cfg(feature = "avif")]
    pub(crate) fn exif(&self, most: u64) -> Option<Vec<u8>> {
        let item = self.iter().find(|item| item.kind == *b"Exif")?;
        match item.length() <= most {
            true => super::exif_of_item(&item.data()?),
            false => None,
        }
    }

    /// The first XMP packet, if it has at most `most` bytes.
    #[cfg(feature = "avif")]
    pub(crate) fn xmp(&self, most: u64) -> Option<Vec<u8>> {
        let mut items = self.iter();
        let item = items.find(|item| item.content_type == b"application/rdf+xml")?;
        match item.length() <= most {
            true => item.data().map(Cow::into_owned),
            false => None,
        }
    }

    /// The first picture of an image sequence, and its alpha channel, as items.
    #[cfg(feature = "avif")]
    pub(super) fn of_samples(color: Sample<'a>, alpha: Option<Sample<'a>>) -> Self {
        const COLOR: u32 = 1;
        const ALPHA: u32 = 2;
        let mut items = Self {
            primary: COLOR,
            ..Self::default()
        };
        for (id, sample) in [(COLOR, Some(color)), (ALPHA, alpha)] {
            let Some(sample) = sample else {
                continue;
            };
            let first = items.properties.len() as u16 + 1;
            items.properties.extend(sample.properties);
            items.items.push(Item {
                id,
                kind: sample.kind,
                extents: Some(vec![sample.data]),
                content_type: &[],
                properties: (first..=items.properties.len() as u16).collect(),
            });
            if id == ALPHA {
                items.targets.push(COLOR);
                items.references.push(Reference {
                    kind: *b"auxl",
                    from: ALPHA,
                    targets: 0..1,
                });
            }
        }
        items
    }
}

impl<'a> Item<'a> {
    /// The item's data, copied only if it has several extents; `None` if it lies outside of the
    /// file.
    pub(crate) fn data(&self) -> Option<Cow<'a, [u8]>> {
        match self.extents.as_deref()? {
            [] => None,
            [extent] => Some(Cow::Borrowed(extent)),
            extents => Some(Cow::Owned(extents.concat())),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        let extents = self.extents.iter().flatten();
        extents.map(|extent| extent.len() as u64).sum()
    }

    fn is_picture(&self) -> bool {
        matches!(
            &self.kind,
            b"hvc1" | b"hev1" | b"av01" | b"avc1" | b"vvc1" | b"jpeg" | b"j2k1" | b"unci"
        )
    }
}

fn primary(pitm: &[u8]) -> Option<u32> {
    let mut reader = Reader(pitm);
    let (version, _) = reader.version()?;
    reader.id(version == 0)
}

/// The number, the kind and the media type of an item.
fn entry(infe: &[u8]) -> Option<(u32, [u8; 4], &[u8])> {
    let mut reader = Reader(infe);
    let (version, _) = reader.version()?;
    let id = reader.id(version < 3)?;
    reader.short(2)?;
    let kind = match version {
        // These have no kind.
        0 | 1 => [0; 4],
        _ => reader.short(4)?.to_be_bytes(),
    };
    // After the name.
    let mut texts = reader.0.split(|byte| *byte == 0).skip(1);
    let content_type = texts.next().filter(|_| kind == *b"mime");
    Some((id, kind, content_type.unwrap_or_default()))
}

/// The boxes in a box, unless there are too many.
pub(super) fn limited<'a>(bytes: &'a [u8], name: &str) -> Result<Vec<Property<'a>>, String> {
    let found: Vec<_> = boxes(bytes).take(MOST_BOXES + 1).collect();
    check(&format!("boxes in {name}"), found.len(), MOST_BOXES)?;
    Ok(found)
}

/// The payloads of the boxes with these names, each of which may be there once: readers differ in
/// which of two they take.
fn only<'a, const N: usize>(
    bytes: &'a [u8],
    place: &str,
    names: [&[u8; 4]; N],
) -> Result<[Option<&'a [u8]>; N], String> {
    let mut found = [None; N];
    for (name, payload) in limited(bytes, place)? {
        for (wanted, found) in names.iter().zip(&mut found) {
            if name == *wanted && found.replace(payload).is_some() {
                let name = String::from_utf8_lossy(name);
                return Err(format!("it has two boxes {name} in {place}"));
            }
        }
    }
    Ok(found)
}

fn check(what: &str, count: usize, most: usize) -> Result<(), String> {
    match count > most {
        true => Err(format!(
            "it has at least {count} {what}; the limit is {most}"
        )),
        false => Ok(()),
    }
}
