//! Modifies the boxes of AVIF and HEIC files (ISO/IEC 14496-12 and 23008-12).

/// The file with the properties `irot` and, if there is one, `imir` for its first item, which is
/// the picture.
pub(crate) fn turned(heif: &[u8], turns: u8, mirror: Option<u8>) -> Vec<u8> {
    let mut properties = vec![make_box(b"irot", &[turns])];
    properties.extend(mirror.map(|axis| make_box(b"imir", &[axis])));
    with_properties(heif, &properties)
}

/// The file with further properties for its first item, which is the picture.
pub(crate) fn with_properties(heif: &[u8], properties: &[Vec<u8>]) -> Vec<u8> {
    let mut file = heif.to_vec();
    let meta = find(&file, 0, b"meta");
    let iprp = find(&file, meta + 12, b"iprp");
    let ipco = find(&file, iprp + 8, b"ipco");
    let before = children(&file, ipco);
    let boxes = properties.concat();
    let numbers = (1..=properties.len() as u8).map(|number| 0x80 | (before + number));
    let numbers: Vec<u8> = numbers.collect();
    // From the end, so that what is found stays where it is.
    let ipma = find(&file, iprp + 8, b"ipma");
    let count = ipma + 8 + 4 + 4 + 2;
    let end = count + 1 + usize::from(file[count]);
    file.splice(end..end, numbers.iter().copied());
    file[count] += numbers.len() as u8;
    grow(&mut file, ipma, numbers.len());
    let end = ipco + size_of(&file, ipco);
    file.splice(end..end, boxes.iter().copied());
    grow(&mut file, ipco, boxes.len());
    let more = numbers.len() + boxes.len();
    grow(&mut file, iprp, more);
    grow(&mut file, meta, more);
    let iloc = find(&file, meta + 12, b"iloc");
    move_items(&mut file, iloc, more as u32);
    file
}

/// A HEIC of `columns` × `rows` copies of one tile, cropped to `size`. The tile is a HEIC picture
/// without metadata.
pub(crate) fn tiled(
    tile: &[u8],
    tile_size: (u16, u16),
    (columns, rows): (u8, u8),
    size: (u16, u16),
) -> Vec<u8> {
    let ftyp = &tile[..size_of(tile, 0)];
    let meta = find(tile, 0, b"meta");
    let hdlr = find(tile, meta + 12, b"hdlr");
    let iprp = find(tile, meta + 12, b"iprp");
    let hvcc = find(tile, find(tile, iprp + 8, b"ipco") + 8, b"hvcC");
    let mdat = find(tile, 0, b"mdat");
    let copy = |at: usize| &tile[at..at + size_of(tile, at)];

    // Items from 1 are tiles, all in the same place, with properties 1 and 2; the whole comes after
    // them, with property 3.
    let count = columns * rows;
    let whole = count + 1;
    let ispe = |(width, height): (u16, u16)| {
        let [width, height] = [width, height].map(|side| u32::from(side).to_be_bytes());
        full_box(b"ispe", 0, &[width, height].concat())
    };
    let properties = [copy(hvcc), &ispe(tile_size), &ispe(size)].concat();
    let mut associations = vec![0, 0, 0, whole];
    let mut entries = vec![0, whole];
    let mut references = vec![0, whole, 0, count];
    for id in 1..=whole {
        let is_tile = id <= count;
        associations.extend([0, id]);
        associations.extend(if is_tile { &[2, 0x81, 2][..] } else { &[1, 3] });
        let kind = if is_tile { b"hvc1" } else { b"grid" };
        let entry = [&[0, id, 0, 0][..], kind, &[0]].concat();
        entries.extend(full_box(b"infe", 2, &entry));
        if is_tile {
            references.extend([0, id]);
        }
    }
    let iprp = [
        make_box(b"ipco", &properties),
        full_box(b"ipma", 0, &associations),
    ];
    let sides = [size.0.to_be_bytes(), size.1.to_be_bytes()].concat();
    let grid = [&[0, 0, rows - 1, columns - 1], sides.as_slice()].concat();

    let file = |start: u32| {
        // Tiles lie in the file, the grid in `idat`.
        let place = |id: u8, method: u8, start: u32, length: u32| {
            let extent = [start.to_be_bytes(), length.to_be_bytes()].concat();
            [&[0, id, 0, method, 0, 0, 0, 1], extent.as_slice()].concat()
        };
        let mut places = vec![0x44, 0, 0, whole];
        for id in 1..=count {
            places.extend(place(id, 0, start, number(tile, mdat) - 8));
        }
        places.extend(place(whole, 1, 0, grid.len() as u32));
        let boxes = [
            copy(hdlr).to_vec(),
            full_box(b"pitm", 0, &[0, whole]),
            make_box(b"idat", &grid),
            full_box(b"iloc", 1, &places),
            full_box(b"iinf", 0, &entries),
            make_box(b"iprp", &iprp.concat()),
            full_box(b"iref", 0, &make_box(b"dimg", &references)),
        ];
        [ftyp, &full_box(b"meta", 0, &boxes.concat()), copy(mdat)].concat()
    };
    let length = file(0).len() as u32;
    file(length - number(tile, mdat) + 8)
}

pub(crate) fn make_box(name: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = (8 + payload.len() as u32).to_be_bytes();
    [&size, name, payload].concat()
}

pub(crate) fn full_box(name: &[u8; 4], version: u8, payload: &[u8]) -> Vec<u8> {
    make_box(name, &[&[version, 0, 0, 0], payload].concat())
}

fn number(file: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(file[at..at + 4].try_into().unwrap())
}

pub(crate) fn size_of(file: &[u8], at: usize) -> usize {
    number(file, at) as usize
}

fn grow(file: &mut [u8], at: usize, by: usize) {
    let grown = number(file, at) + by as u32;
    file[at..at + 4].copy_from_slice(&grown.to_be_bytes());
}

/// The start of a box, searched among its siblings from `at` on.
pub(crate) fn find(file: &[u8], mut at: usize, name: &[u8; 4]) -> usize {
    while file[at + 4..at + 8] != *name {
        at += size_of(file, at);
    }
    at
}

fn children(file: &[u8], at: usize) -> u8 {
    let end = at + size_of(file, at);
    let mut count = 0;
    let mut child = at + 8;
    while child < end {
        child += size_of(file, child);
        count += 1;
    }
    count
}

/// Adds to the offsets of all items, as avif-serialize and libheif write them: version 0 or 1, four
/// bytes each for offset and length, a base or none, one extent.
fn move_items(file: &mut [u8], iloc: usize, by: u32) {
    let version = usize::from(file[iloc + 8]);
    assert!(version < 2);
    assert_eq!(file[iloc + 9..iloc + 13], [0, 0, 0, 0x44]);
    // Between an item's number and its extents.
    let between = 2 * version + 2 + usize::from(file[iloc + 13] >> 4);
    let count = u16::from_be_bytes([file[iloc + 14], file[iloc + 15]]);
    for item in 0..usize::from(count) {
        let extents = iloc + 16 + item * (2 + between + 10) + 2 + between;
        assert_eq!(file[extents..extents + 2], [0, 1]);
        let offset = number(file, extents + 2) + by;
        file[extents + 2..extents + 6].copy_from_slice(&offset.to_be_bytes());
    }
}
