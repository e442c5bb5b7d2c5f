//! Writes AVIF and HEIC files of given items.

use png::ColorType;

use super::heif::{find, full_box, make_box, size_of};
use super::made::avif;

/// An item and the references from it. Its data lies in `idat`.
#[derive(Clone, Default)]
pub(crate) struct Item {
    pub(crate) kind: [u8; 4],
    pub(crate) data: Vec<u8>,
    /// How often the data is listed.
    pub(crate) extents: u16,
    /// The numbers of its properties, starting at 1.
    pub(crate) properties: Vec<u8>,
    pub(crate) references: Vec<([u8; 4], Vec<u16>)>,
}

impl Item {
    pub(crate) fn new(kind: &[u8; 4], data: &[u8], properties: &[u8]) -> Self {
        Self {
            kind: *kind,
            data: data.to_vec(),
            extents: 1,
            properties: properties.to_vec(),
            references: Vec::new(),
        }
    }

    /// A grid of `tiles`, each of 64 × 64 pixels.
    pub(crate) fn grid(columns: u8, rows: u8, tiles: &[u16]) -> Self {
        let side = |count: u8| (u16::from(count) * 64).to_be_bytes();
        let data = [
            &[0, 0, rows - 1, columns - 1],
            &side(columns)[..],
            &side(rows),
        ]
        .concat();
        let mut item = Self::new(b"grid", &data, &[1]);
        item.references = vec![(*b"dimg", tiles.to_vec())];
        item
    }
}

/// A file of these items with numbers from 1; the first is the picture.
pub(crate) fn file(brand: &[u8; 4], properties: &[Vec<u8>], items: &[Item]) -> Vec<u8> {
    let count = (items.len() as u16).to_be_bytes();
    let mut entries = count.to_vec();
    let mut places = [&[0x44, 0], &count[..]].concat();
    let mut associations = [&[0, 0], &count[..]].concat();
    let (mut references, mut idat) = (Vec::new(), Vec::new());
    for (item, id) in items.iter().zip(1_u16..) {
        let id = id.to_be_bytes();
        // Items of this kind say their media type.
        let media: &[u8] = match &item.kind {
            b"mime" => b"application/rdf+xml\0",
            _ => &[],
        };
        let entry = [&id[..], &[0, 0], &item.kind, &[0], media].concat();
        entries.extend(full_box(b"infe", 2, &entry));
        places.extend([&id[..], &[0, 1, 0, 0], &item.extents.to_be_bytes()].concat());
        let start = (idat.len() as u32).to_be_bytes();
        let length = (item.data.len() as u32).to_be_bytes();
        for _ in 0..item.extents {
            places.extend([start, length].concat());
        }
        idat.extend(&item.data);
        associations.extend([&id[..], &[item.properties.len() as u8], &item.properties].concat());
        for (kind, targets) in &item.references {
            let mut payload = [id, (targets.len() as u16).to_be_bytes()].concat();
            payload.extend(targets.iter().flat_map(|target| target.to_be_bytes()));
            references.extend(make_box(kind, &payload));
        }
    }
    let iprp = [
        make_box(b"ipco", &properties.concat()),
        full_box(b"ipma", 0, &associations),
    ];
    let boxes = [
        full_box(b"pitm", 0, &[0, 1]),
        full_box(b"iinf", 0, &entries),
        full_box(b"iloc", 1, &places),
        full_box(b"iref", 0, &references),
        make_box(b"iprp", &iprp.concat()),
        make_box(b"idat", &idat),
    ];
    let kind = [&brand[..], &[0; 4], b"mif1"].concat();
    [
        make_box(b"ftyp", &kind),
        full_box(b"meta", 0, &boxes.concat()),
    ]
    .concat()
}

pub(crate) fn ispe(width: u32, height: u32) -> Vec<u8> {
    full_box(
        b"ispe",
        0,
        &[width.to_be_bytes(), height.to_be_bytes()].concat(),
    )
}

pub(crate) fn auxiliary(kind: &[u8]) -> Vec<u8> {
    full_box(b"auxC", 0, &[kind, &[0]].concat())
}

/// The AV1 data of a picture that is one item.
pub(crate) fn av1(width: u32, height: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..width * height * 3).map(|at| (at / 7) as u8).collect();
    let file = avif(&samples, (width, height), ColorType::Rgb, false);
    let mdat = find(&file, 0, b"mdat");
    file[mdat + 8..mdat + size_of(&file, mdat)].to_vec()
}
