//! HEIF files that list more than they are: extents that overlap, pictures that are derived from
//! each other, data that is larger than its header says. Each is refused by its header.

use super::heif::{find, make_box};
use super::heif_file::{Item, auxiliary, av1, file, ispe};
use super::support::request;
use picresize_imaging::{Limits, inspect, resize};

fn refusal(file: &[u8]) -> String {
    inspect(file, &Limits::default()).unwrap_err().to_string()
}

#[track_caller]
fn assert_refused(file: &[u8], part: &str) {
    let refusal = refusal(file);
    assert!(refusal.contains(part), "{refusal}");
}

/// The writer here makes good files, so what is refused is what was added.
#[test]
fn an_item_in_the_file_is_read() {
    let file = file(
        b"avif",
        &[ispe(64, 48)],
        &[Item::new(b"av01", &av1(64, 48), &[1])],
    );
    let resized = resize(&file, &request("width=32"), &Limits::default()).unwrap();
    assert_eq!((resized.width, resized.height), (32, 24));
}

/// A decoder that aborts would end this test.
#[test]
fn damaged_av1_data_is_an_error_or_a_picture() {
    let good = av1(64, 48);
    let mut refused = 0;
    for at in (20..good.len()).step_by(7) {
        for flipped in [0x01, 0x10, 0xff] {
            let mut damaged = good.clone();
            damaged[at] ^= flipped;
            let item = Item::new(b"av01", &damaged, &[1]);
            let file = file(b"avif", &[ispe(64, 48)], &[item]);
            let resized = resize(&file, &request("width=32"), &Limits::default());
            refused += usize::from(resized.is_err());
        }
    }
    assert!(refused > 0);
}

#[test]
fn extents_that_repeat_the_data_are_refused() {
    for (brand, kind) in [(b"avif", b"av01"), (b"heic", b"hvc1")] {
        let mut item = Item::new(kind, &[7; 50_000], &[1]);
        let file_of = |item: &Item| file(brand, &[ispe(64, 48)], std::slice::from_ref(item));
        item.extents = 20_000;
        assert_refused(&file_of(&item), "extents; the limit is 16384");
        item.extents = 1000;
        assert_refused(
            &file_of(&item),
            "its item 1 has 50000000 bytes, but the whole file has",
        );
        // Each item is smaller than the file, but all are not.
        item.extents = 1;
        let items = vec![item; 400];
        let many = file(brand, &[ispe(64, 48)], &items);
        assert!(many.len() > 20_000_000);
        let data = |item: &Item, extents| Item {
            data: vec![7; 50_000],
            extents,
            ..item.clone()
        };
        let few: Vec<_> = (0..200).map(|_| data(&items[0], 15)).collect();
        assert_refused(
            &file(brand, &[ispe(64, 48)], &few),
            "its items share so much data",
        );
    }
}

#[test]
fn metadata_items_that_share_data_are_refused() {
    let mut items = vec![Item::new(b"hvc1", &[1; 64], &[1])];
    let mut exif = Item::new(b"Exif", &[0; 5000], &[]);
    exif.extents = 3;
    items.extend(vec![exif; 100]);
    assert_refused(
        &file(b"heic", &[ispe(64, 48)], &items),
        "its items share so much data",
    );
}

#[test]
fn too_many_items_are_refused() {
    let items = vec![Item::new(b"hvc1", &[1], &[1]); 5000];
    for brand in [b"heic", b"avif"] {
        let file = file(brand, &[ispe(64, 64)], &items);
        assert_refused(&file, "the limit is 4096");
    }
}

/// Grids of twice the next grid: the work doubles with each level.
#[test]
fn grids_of_grids_are_refused() {
    for levels in [9, 12, 30, 2000] {
        let mut items: Vec<_> = (0..levels)
            .map(|level| Item::grid(2, 1, &[level + 2, level + 2]))
            .collect();
        items.push(Item::new(b"hvc1", &[1; 64], &[1]));
        let file = file(b"heic", &[ispe(64, 64)], &items);
        assert_refused(&file, "in more than 8 levels");
    }
}

/// Few levels, but each has many times the next.
#[test]
fn wide_grids_of_grids_are_refused() {
    let many = |next: u16| vec![next; 100];
    let mut items: Vec<_> = (0..4)
        .map(|level| Item::grid(10, 10, &many(level + 2)))
        .collect();
    items.push(Item::new(b"hvc1", &[1; 64], &[1]));
    let file = file(b"heic", &[ispe(640, 640)], &items);
    assert_refused(
        &file,
        "it is composed of 100000000 pictures; the limit is 4096",
    );
}

/// The tiles are larger than the whole that is cut out of them.
#[test]
fn tiles_much_larger_than_the_picture_are_refused() {
    let items = [
        Item::grid(1, 1, &[2; 200]),
        Item::new(b"hvc1", &[1; 64], &[2]),
    ];
    let file = file(b"heic", &[ispe(64, 64), ispe(4000, 4000)], &items);
    assert_refused(
        &file,
        "the pictures that it is composed of have 3200004096 pixels",
    );
}

#[test]
fn pictures_derived_from_themselves_are_refused() {
    let own = [Item::grid(1, 1, &[1])];
    assert_refused(
        &file(b"heic", &[ispe(64, 64)], &own),
        "in more than 8 levels",
    );
    let each_other = [Item::grid(1, 1, &[2]), Item::grid(1, 1, &[1])];
    let file_of_two = file(b"heic", &[ispe(64, 64)], &each_other);
    assert_refused(&file_of_two, "in more than 8 levels");
    let mut alpha = Item::new(b"hvc1", &[1; 64], &[1, 2]);
    alpha.references = vec![(*b"auxl", vec![1])];
    let properties = [ispe(64, 64), auxiliary(b"urn:mpeg:hevc:2015:auxid:1")];
    assert_refused(
        &file(b"heic", &properties, &[alpha]),
        "in more than 8 levels",
    );
}

#[test]
fn boxes_that_are_there_twice_are_refused() {
    let good = file(
        b"avif",
        &[ispe(64, 48)],
        &[Item::new(b"av01", &av1(64, 48), &[1])],
    );
    let meta = find(&good, 0, b"meta");
    let twice = [&good[..], &good[meta..]].concat();
    assert_refused(&twice, "it has two boxes meta in the file");
}

#[test]
fn data_larger_than_its_header_is_refused() {
    let (small, large) = (av1(64, 48), av1(640, 480));
    let item = |data: &[u8]| Item::new(b"av01", data, &[1]);
    // Before its sequence header there is a unit that only separates.
    assert_eq!(small[..2], [0x12, 0]);
    let header = &small[2..4 + usize::from(small[3])];
    assert_eq!(header[0] >> 3, 1);
    let data = [header, large.as_slice()].concat();
    let hidden = file(b"avif", &[ispe(64, 48)], &[item(&data)]);
    assert_refused(&hidden, "its AV1 data has two different sequence headers");
    // The decoder would take the size in the data; the estimate does so too.
    let other = file(b"avif", &[ispe(64, 48)], &[item(&large)]);
    assert_eq!(inspect(&other, &Limits::default()).unwrap().width(), 640);
}

#[test]
fn alpha_larger_than_the_picture_is_refused() {
    let mut alpha = Item::new(b"av01", &av1(640, 480), &[1, 2]);
    alpha.references = vec![(*b"auxl", vec![1])];
    let items = [Item::new(b"av01", &av1(64, 48), &[1]), alpha];
    let kind = auxiliary(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha");
    let file = file(b"avif", &[ispe(64, 48), kind], &items);
    assert_refused(
        &file,
        "its alpha channel has 640 × 480 pixels, but its colours have 64 × 48",
    );
}

/// The first AV1 unit of a still picture of 64 × 48 pixels, with 8 or 10 bits per sample. Colours
/// have planes of 4:2:0.
fn sequence_header(is_deep: bool, is_alpha: bool) -> Vec<u8> {
    let color = u8::from(is_deep) << 3 | u8::from(is_alpha) << 2;
    let end = if is_alpha { 0x40 } else { 0x80 };
    vec![0x0a, 6, 0x18, 0x15, 0x7f, 0xbc, color, end]
}

/// The colours and the alpha channel may have different depths: each counts with its own.
#[test]
fn alpha_counts_with_its_own_depth() {
    let memory = |deep_color: bool, deep_alpha: bool| {
        let mut alpha = Item::new(b"av01", &sequence_header(deep_alpha, true), &[1, 2]);
        alpha.references = vec![(*b"auxl", vec![1])];
        let color = Item::new(b"av01", &sequence_header(deep_color, false), &[1]);
        let kind = auxiliary(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha");
        let file = file(b"avif", &[ispe(64, 48), kind], &[color, alpha]);
        let source = inspect(&file, &Limits::default()).unwrap();
        assert!(source.has_alpha());
        let request = request("width=8 format=png");
        let plan = source.plan(&request, &Limits::default()).unwrap();
        plan.memory_bytes()
    };
    // The decoder pads both sides to 256 pixels.
    let second_bytes = 256 * 256;
    for deep_color in [false, true] {
        let (shallow, deep) = (memory(deep_color, false), memory(deep_color, true));
        assert_eq!(deep - shallow, second_bytes, "deep colours: {deep_color}");
    }
}

/// EXIF that is too large is left out; without its colour profile a picture would look wrong.
#[test]
fn large_metadata_is_not_read() {
    let picture = Item::new(b"av01", &av1(64, 48), &[1]);
    let exif = [
        &[0; 4][..],
        b"MM\0*\0\0\0\x08\0\0\0\0\0\0",
        &vec![0; 2 << 20],
    ]
    .concat();
    let items = [picture.clone(), Item::new(b"Exif", &exif, &[])];
    let with_exif = file(b"avif", &[ispe(64, 48)], &items);
    assert!(inspect(&with_exif, &Limits::default()).is_ok());
    let icc = make_box(b"colr", &[b"prof", vec![0; 2 << 20].as_slice()].concat());
    let picture = Item {
        properties: vec![1, 2],
        ..picture
    };
    let with_icc = file(b"avif", &[ispe(64, 48), icc], &[picture]);
    assert_refused(
        &with_icc,
        "its colour profile has 2097152 bytes; the limit is 1048576",
    );
}
