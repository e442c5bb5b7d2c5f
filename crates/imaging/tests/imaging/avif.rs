//! AVIF in every shape that its container has: crops, grids, layers of references, and sequences.

use png::ColorType;

use super::heif::{find, full_box, make_box, size_of};
use super::heif_file::{Item, auxiliary, av1, file, ispe};
use super::made::avif;
use super::pictures::{Pixels, difference, make, next_random, pixels, png};
use picresize_imaging::{Limits, inspect, resize};

const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha";
const TILE: (u32, u32) = (64, 48);

/// The AV1 data of a tile, different for every `seed`.
fn tile(seed: u32) -> Vec<u8> {
    let (width, height) = TILE;
    let at = |x: u32, y: u32| [x * 4, y * 5, (x / 8 + y / 8 + seed) % 2 * 200 + seed];
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let samples: Vec<u8> = pixels
        .flat_map(|(x, y)| at(x, y).map(|value| value as u8))
        .collect();
    let file = avif(&samples, TILE, ColorType::Rgb, false);
    let mdat = find(&file, 0, b"mdat");
    file[mdat + 8..mdat + size_of(&file, mdat)].to_vec()
}

/// The pixels of a file in its own size.
#[track_caller]
fn read(file: &[u8]) -> Pixels {
    let source = inspect(file, &Limits::default()).unwrap();
    let size = format!("width={} height={}", source.width(), source.height());
    Pixels::of(pixels(file, &size))
}

/// A file whose picture is one item with these properties.
fn single(data: &[u8], properties: &[Vec<u8>]) -> Vec<u8> {
    let numbers: Vec<u8> = (1..=properties.len() as u8).collect();
    file(b"avif", properties, &[Item::new(b"av01", data, &numbers)])
}

#[track_caller]
fn assert_same(found: &Pixels, expected: &Pixels, what: &str) {
    assert_eq!((found.0, found.1), (expected.0, expected.1), "{what}");
    assert!(found.2 == expected.2, "{what}");
}

/// A clean aperture of this size, whose centre lies this far from that of the picture, in fractions.
fn clap(size: [(u32, u32); 2], offset: [(i32, u32); 2]) -> Vec<u8> {
    let mut payload = Vec::new();
    for ((length, by), (centre, centre_by)) in size.into_iter().zip(offset) {
        let numbers = [length, by, centre as u32, centre_by];
        payload.push(numbers.map(u32::to_be_bytes).concat());
    }
    // Width and height come before both offsets.
    let (across, down) = (&payload[0], &payload[1]);
    let parts = [&across[..8], &down[..8], &across[8..], &down[8..]];
    make_box(b"clap", &parts.concat())
}

#[test]
fn a_clean_aperture_crops() {
    let data = tile(1);
    let whole = read(&single(&data, &[ispe(64, 48)]));
    for (size, offset, (left, top, width, height)) in [
        ([(32, 1), (24, 1)], [(0, 1), (0, 1)], (16, 12, 32, 24)),
        ([(32, 1), (24, 1)], [(-16, 1), (12, 1)], (0, 24, 32, 24)),
        ([(66, 2), (21, 1)], [(-31, 2), (-27, 2)], (0, 0, 33, 21)),
        ([(1, 1), (48, 1)], [(63, 2), (0, 7)], (63, 0, 1, 48)),
    ] {
        let file = single(&data, &[ispe(64, 48), clap(size, offset)]);
        let expected = whole.map(width, height, |x, y| (x + left, y + top));
        assert_same(&read(&file), &expected, &format!("{size:?} {offset:?}"));
    }
    // What is no part of the picture is ignored.
    for (size, offset) in [
        ([(65, 1), (24, 1)], [(0, 1), (0, 1)]),
        ([(32, 1), (24, 1)], [(17, 1), (0, 1)]),
        ([(0, 1), (24, 1)], [(0, 1), (0, 1)]),
        ([(32, 0), (24, 1)], [(0, 1), (0, 1)]),
        ([(32, 1), (24, 1)], [(0, 0), (0, 1)]),
    ] {
        let file = single(&data, &[ispe(64, 48), clap(size, offset)]);
        assert_same(&read(&file), &whole, &format!("{size:?} {offset:?}"));
    }
}

#[test]
fn a_picture_is_cropped_then_turned_then_mirrored() {
    let data = tile(2);
    let whole = read(&single(&data, &[ispe(64, 48)]));
    let cropped = whole.map(20, 10, |x, y| (x + 1, y + 30));
    let aperture = || clap([(20, 1), (10, 1)], [(-21, 1), (11, 1)]);
    for turns in 0..4 {
        for mirror in [None, Some(0), Some(1)] {
            let mut properties = vec![ispe(64, 48), aperture(), make_box(b"irot", &[turns])];
            properties.extend(mirror.map(|axis| make_box(b"imir", &[axis])));
            let expected = cropped.turned_as_boxes_say(turns, mirror);
            let what = format!("{turns} turns, mirrored: {mirror:?}");
            assert_same(&read(&single(&data, &properties)), &expected, &what);
        }
    }
}

/// The item of a grid with this size, of the tiles with these numbers.
fn grid(columns: u8, rows: u8, size: (u16, u16), tiles: &[u16], properties: &[u8]) -> Item {
    let sides = [size.0.to_be_bytes(), size.1.to_be_bytes()].concat();
    let data = [&[0, 0, rows - 1, columns - 1], &sides[..]].concat();
    let mut item = Item::new(b"grid", &data, properties);
    item.references = vec![(*b"dimg", tiles.to_vec())];
    item
}

/// Six tiles in three columns, and what they show together.
fn six() -> (Vec<Vec<u8>>, Pixels) {
    let tiles: Vec<_> = (0..6).map(tile).collect();
    let shown: Vec<_> = tiles
        .iter()
        .map(|data| read(&single(data, &[ispe(64, 48)])))
        .collect();
    let (width, height) = (3 * TILE.0, 2 * TILE.1);
    let mut together = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let tile = &shown[(y / TILE.1 * 3 + x / TILE.0) as usize];
            together.push(tile.2[(y % TILE.1 * TILE.0 + x % TILE.0) as usize]);
        }
    }
    (tiles, Pixels(width, height, together))
}

#[test]
fn a_grid_is_put_together() {
    let (tiles, together) = six();
    for size in [(192, 96), (150, 70), (129, 49)] {
        let mut items = vec![grid(3, 2, size, &[2, 3, 4, 5, 6, 7], &[1])];
        items.extend(tiles.iter().map(|data| Item::new(b"av01", data, &[2])));
        let boxes = [ispe(size.0.into(), size.1.into()), ispe(64, 48)];
        let expected = together.map(size.0.into(), size.1.into(), |x, y| (x, y));
        assert_same(
            &read(&file(b"avif", &boxes, &items)),
            &expected,
            &format!("{size:?}"),
        );
    }
}

#[test]
fn a_grid_is_cropped_and_turned_as_a_whole() {
    let (tiles, together) = six();
    let mut items = vec![grid(3, 2, (192, 96), &[2, 3, 4, 5, 6, 7], &[1, 3, 4])];
    items.extend(tiles.iter().map(|data| Item::new(b"av01", data, &[2])));
    let aperture = clap([(100, 1), (60, 1)], [(0, 1), (0, 1)]);
    let boxes = [
        ispe(192, 96),
        ispe(64, 48),
        aperture,
        make_box(b"irot", &[1]),
    ];
    let cropped = together.map(100, 60, |x, y| (x + 46, y + 18));
    let expected = cropped.turned();
    assert_same(
        &read(&file(b"avif", &boxes, &items)),
        &expected,
        "cropped and turned",
    );
}

/// Alpha is a grid of its own, or each tile has some.
#[test]
fn a_grid_may_have_alpha() {
    let (tiles, together) = six();
    let alpha_of = |seed: u8| vec![seed; 64 * 48 * 3];
    let alpha = |seed: u8| {
        let file = avif(&alpha_of(seed), TILE, ColorType::Rgb, false);
        let mdat = find(&file, 0, b"mdat");
        file[mdat + 8..].to_vec()
    };
    let boxes = [ispe(192, 96), ispe(64, 48), auxiliary(ALPHA)];
    let tiles = || tiles.iter().map(|data| Item::new(b"av01", data, &[2]));
    let alphas = |properties: &'static [u8]| {
        (0..6).map(move |seed| Item::new(b"av01", &alpha(40 * seed + 30), properties))
    };
    let mut whole = vec![grid(3, 2, (192, 96), &[2, 3, 4, 5, 6, 7], &[1])];
    whole.extend(tiles());
    let mut by_tile = whole.clone();
    let mut of_whole = grid(3, 2, (192, 96), &[9, 10, 11, 12, 13, 14], &[1, 3]);
    of_whole.references.push((*b"auxl", vec![1]));
    whole.push(of_whole);
    whole.extend(alphas(&[2]));
    by_tile.extend(alphas(&[2, 3]));
    for (index, item) in by_tile[7..].iter_mut().enumerate() {
        item.references = vec![(*b"auxl", vec![index as u16 + 2])];
    }
    for (items, what) in [(whole, "a grid"), (by_tile, "by tile")] {
        let found = read(&file(b"avif", &boxes, &items));
        assert_eq!((found.0, found.1), (192, 96), "{what}");
        for (place, pixel) in found.2.iter().enumerate() {
            let (x, y) = (place as u32 % 192, place as u32 / 192);
            let alpha = 40 * (y / TILE.1 * 3 + x / TILE.0) + 30;
            assert!(u32::from(pixel[3]).abs_diff(alpha) <= 2, "{what}: {x}, {y}");
            assert_eq!(pixel[..3], together.2[place][..3], "{what}: {x}, {y}");
        }
    }
}

#[test]
fn grids_that_do_not_fit_are_refused() {
    let refusal = |grid: Item, tiles: Vec<Item>| {
        let items = [vec![grid], tiles].concat();
        let file = file(b"avif", &[ispe(64, 48), ispe(64, 48)], &items);
        inspect(&file, &Limits::default()).unwrap_err().to_string()
    };
    let tile = |seed| Item::new(b"av01", &tile(seed), &[2]);
    let two = || vec![tile(1), tile(2)];
    for (size, ids, part) in [
        ((129, 48), &[2, 3][..], "does not fit its size"),
        ((64, 48), &[2, 3], "does not fit its size"),
        ((128, 48), &[2], "2 × 1 places, but 1 tiles"),
        ((128, 48), &[2, 9], "its picture is missing"),
        ((128, 48), &[2, 1], "an item of kind grid"),
    ] {
        let found = refusal(grid(2, 1, size, ids, &[1]), two());
        assert!(found.contains(part), "{found}");
    }
    let other = Item::new(b"av01", &av1(80, 48), &[2]);
    let found = refusal(grid(2, 1, (128, 48), &[2, 3], &[1]), vec![tile(1), other]);
    assert!(found.contains("differ in kind or size"), "{found}");
    let found = refusal(grid(200, 200, (128, 48), &[2, 3], &[1]), two());
    assert!(
        found.contains("40000 pictures; the limit is 4096"),
        "{found}"
    );
}

/// The limit of pixels counts what is decoded, not what is left after cropping.
#[test]
fn the_limit_of_pixels_counts_before_cropping() {
    let limits = Limits {
        max_source_pixels: 64 * 48 - 1,
        ..Limits::default()
    };
    let aperture = clap([(8, 1), (8, 1)], [(0, 1), (0, 1)]);
    let file = single(&tile(1), &[ispe(64, 48), aperture]);
    let refusal = inspect(&file, &limits).unwrap_err().to_string();
    assert!(
        refusal.contains("3072 pixels; the limit is 3071"),
        "{refusal}"
    );
}

/// An identity shows another picture, with its own properties after those of that picture.
#[test]
fn an_identity_is_followed() {
    let data = tile(3);
    let whole = read(&single(&data, &[ispe(64, 48)]));
    let mut identity = Item::new(b"iden", &[], &[3]);
    identity.references = vec![(*b"dimg", vec![2])];
    let items = [identity, Item::new(b"av01", &data, &[1, 2])];
    let aperture = clap([(32, 1), (24, 1)], [(0, 1), (0, 1)]);
    let boxes = [ispe(64, 48), aperture, make_box(b"irot", &[1])];
    let expected = whole.map(32, 24, |x, y| (x + 16, y + 12)).turned();
    assert_same(&read(&file(b"avif", &boxes, &items)), &expected, "identity");
    let mut own = Item::new(b"iden", &[], &[1]);
    own.references = vec![(*b"dimg", vec![1])];
    let circle = file(b"avif", &[ispe(64, 48)], &[own]);
    let refusal = inspect(&circle, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(refusal.contains("more than 8 levels"), "{refusal}");
}

#[test]
fn a_last_box_may_reach_to_the_end() {
    let data = tile(4);
    let plain = single(&data, &[ispe(64, 48)]);
    let expected = read(&plain);
    let mut open = plain.clone();
    let meta = find(&open, 0, b"meta");
    open[meta..meta + 4].fill(0);
    assert_same(&read(&open), &expected, "meta");
    let samples = [120; 64 * 48 * 3];
    let mut open = avif(&samples, TILE, ColorType::Rgb, false);
    let expected = read(&open);
    let mdat = find(&open, 0, b"mdat");
    open[mdat..mdat + 4].fill(0);
    assert_same(&read(&open), &expected, "mdat");
}

/// A track with this handler, whose first sample is `data` and lies at an offset that is filled in
/// later.
fn track(handler: &[u8; 4], data: &[u8], offset: u32, extra: &[u8], is_long: bool) -> Vec<u8> {
    let mut description = vec![0; 78];
    description[24..28].copy_from_slice(&[0, 64, 0, 48]);
    description.extend(extra);
    let entry = make_box(b"av01", &description);
    let stsd = full_box(b"stsd", 0, &[&[0, 0, 0, 1], &entry[..]].concat());
    let offsets = match is_long {
        true => full_box(
            b"co64",
            0,
            &[&[0, 0, 0, 1, 0, 0, 0, 0], &offset.to_be_bytes()[..]].concat(),
        ),
        false => full_box(
            b"stco",
            0,
            &[&[0, 0, 0, 1], &offset.to_be_bytes()[..]].concat(),
        ),
    };
    let length = (data.len() as u32).to_be_bytes();
    // One size for all samples, or a list of sizes.
    let sizes = match is_long {
        true => [&length[..], &[0, 0, 0, 2]].concat(),
        false => [&[0, 0, 0, 0, 0, 0, 0, 2], &length[..], &[0, 0, 0, 9]].concat(),
    };
    let table = [stsd, offsets, full_box(b"stsz", 0, &sizes)].concat();
    let minf = make_box(b"minf", &make_box(b"stbl", &table));
    let hdlr = full_box(b"hdlr", 0, &[&[0; 4], &handler[..], &[0; 13]].concat());
    make_box(b"trak", &make_box(b"mdia", &[hdlr, minf].concat()))
}

/// A sequence whose pictures are in tracks only.
#[test]
fn the_first_picture_of_a_sequence_is_read() {
    let gray: Vec<u8> = (0..64 * 48).flat_map(|at| [(at / 13) as u8; 3]).collect();
    let alpha = avif(&gray, TILE, ColorType::Rgb, false);
    let alpha = alpha[find(&alpha, 0, b"mdat") + 8..].to_vec();
    let color = tile(5);
    let expected = read(&single(&color, &[ispe(64, 48)]));
    let transparency = read(&single(&alpha, &[ispe(64, 48)]));
    let auxi = full_box(b"auxi", 0, &[ALPHA, &[0]].concat());
    for is_long in [false, true] {
        let ftyp = make_box(b"ftyp", b"avis\0\0\0\0avismsf1miaf");
        let moov = |start: u32| {
            let first = track(b"pict", &color, start, &[], is_long);
            let after = start + color.len() as u32;
            let second = track(b"auxv", &alpha, after, &auxi, is_long);
            make_box(b"moov", &[first, second].concat())
        };
        let start = (ftyp.len() + moov(0).len() + 8) as u32;
        let mdat = make_box(
            b"mdat",
            &[&color[..], &alpha, b"the second picture"].concat(),
        );
        let found = read(&[ftyp, moov(start), mdat].concat());
        assert_eq!((found.0, found.1), TILE);
        for ((found, expected), alpha) in found.2.iter().zip(&expected.2).zip(&transparency.2) {
            assert_eq!(found[..3], expected[..3]);
            assert!(found[3].abs_diff(alpha[1]) <= 1, "{found:?}, {alpha:?}");
        }
    }
    let mut cut = make_box(b"ftyp", b"avis\0\0\0\0avismsf1miaf");
    cut.extend(make_box(b"moov", &track(b"pict", &color, 4000, &[], false)));
    let refusal = inspect(&cut, &Limits::default()).unwrap_err().to_string();
    assert!(refusal.contains("is not in the file"), "{refusal}");
}

#[test]
fn xmp_is_kept() {
    let xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>Ann</x:xmpmeta>";
    let items = [
        Item::new(b"av01", &tile(6), &[1]),
        Item::new(b"mime", xmp, &[]),
    ];
    let file = file(b"avif", &[ispe(64, 48)], &items);
    let kept = make(&file, "width=20 format=png metadata=keep").bytes;
    assert!(kept.windows(xmp.len()).any(|part| part == xmp));
    let stripped = make(&file, "width=20 format=png").bytes;
    assert!(!stripped.windows(xmp.len()).any(|part| part == xmp));
}

/// No cut or bent grid makes the reader panic.
#[test]
fn damaged_grids_give_errors() {
    let (tiles, _) = six();
    let mut items = vec![grid(3, 2, (190, 90), &[2, 3, 4, 5, 6, 7], &[1])];
    items.extend(tiles.iter().map(|data| Item::new(b"av01", data, &[2])));
    let good = file(b"avif", &[ispe(190, 90), ispe(64, 48)], &items);
    let options = crate::support::request("width=10 format=png");
    let idat = good.windows(4).position(|part| part == b"idat").unwrap();
    for at in (8..idat + 300).step_by(3) {
        let mut bent = good.clone();
        bent[at] ^= 0x55;
        let _ = resize(&bent, &options, &Limits::default());
        let _ = resize(&good[..at], &options, &Limits::default());
    }
}

/// The encoder's own pictures decode to what was encoded: every kind of content, small and odd sizes,
/// every quality, with and without alpha.
#[test]
fn what_is_encoded_is_read_again() {
    let mut state = 7;
    let mut random = |below: u32| {
        state = next_random(state);
        (state >> 8) % below
    };
    for case in 0..60 {
        let most = if case % 4 == 0 { 16 } else { 150 };
        let (width, height) = (1 + random(most), 1 + random(most));
        let (kind, quality, step) = (case % 5, 1 + random(100), 1 + random(20));
        let mut rgba = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let is_on = (x / step + y / step) % 2 == 0;
                rgba.extend(match kind {
                    0 => [90, 200, 30, 255],
                    1 => [x * 255 / width, y * 255 / height, 128, 255].map(|value| value as u8),
                    2 => [if is_on { 255 } else { 0 }; 4].map(|value| value | 1),
                    3 => [255, 0, 0, if is_on { 255 } else { 60 }],
                    _ => [random(256) as u8, random(256) as u8, random(256) as u8, 255],
                });
            }
        }
        let source = png(width, height, ColorType::Rgba, &rgba);
        let size = format!("width={width} height={height}");
        let profile = if case % 3 == 0 { "fine" } else { "fast" };
        let options = format!("{size} format=avif quality={quality} profile={profile}");
        let encoded = make(&source, &options).bytes;
        let (found, expected) = (pixels(&encoded, &size).1, pixels(&source, &size).1);
        // Noise has nothing that could be predicted, and a low quality little of the rest.
        let most = match kind {
            4 => 75.0,
            _ => 8.0 + f64::from(100 - quality) * 0.4,
        };
        let mean = difference(&on_black(&found), &on_black(&expected));
        assert!(mean <= most, "{case}: {options}, kind {kind}: {mean}");
    }
}

/// The pixels as they look on black: what cannot be seen does not count.
fn on_black(rgba: &[u8]) -> Vec<u8> {
    let shown = |&[r, g, b, alpha]: &[u8; 4]| {
        [r, g, b].map(|value| (u32::from(value) * u32::from(alpha) / 255) as u8)
    };
    rgba.as_chunks::<4>().0.iter().flat_map(shown).collect()
}
