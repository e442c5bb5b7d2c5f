//! ICO and CUR: which picture is chosen, and what its mask does, from files made in code.

use super::bitmaps::{Bitmap, damage, opaque, packed, pixels, refusal, stored};
use super::pictures::{deep_png, png};
use picresize_imaging::{Format, sniff};

const A: [u8; 3] = [200, 100, 50];
const B: [u8; 3] = [1, 2, 3];

/// An entry of the directory: its sides, its bits, and the picture.
struct Entry {
    width: u8,
    height: u8,
    bits: u16,
    picture: Vec<u8>,
}

fn entry(width: u8, height: u8, bits: u16, picture: Vec<u8>) -> Entry {
    Entry {
        width,
        height,
        bits,
        picture,
    }
}

/// A file of the type 1, an icon, or 2, a cursor.
fn file(kind: u8, entries: &[Entry]) -> Vec<u8> {
    let mut file = vec![0, 0, kind, 0];
    file.extend((entries.len() as u16).to_le_bytes());
    let mut start = 6 + 16 * entries.len();
    for entry in entries {
        file.extend([entry.width, entry.height, 0, 0, 1, 0]);
        file.extend(entry.bits.to_le_bytes());
        file.extend((entry.picture.len() as u32).to_le_bytes());
        file.extend((start as u32).to_le_bytes());
        start += entry.picture.len();
    }
    for entry in entries {
        file.extend(&entry.picture);
    }
    file
}

/// A bitmap whose mask has these rows, from the top.
fn masked(bitmap: &Bitmap, mask: &[&[u8]]) -> Vec<u8> {
    let doubled = Bitmap {
        height: bitmap.height * 2,
        ..bitmap.clone()
    };
    [doubled.bytes(), packed(mask, 1)].concat()
}

fn icon(bitmap: &Bitmap, mask: &[&[u8]]) -> Vec<u8> {
    let (width, height) = (bitmap.width as u8, bitmap.height.unsigned_abs() as u8);
    file(
        1,
        &[entry(width, height, bitmap.bits, masked(bitmap, mask))],
    )
}

/// One pixel of a colour.
fn dot(color: [u8; 3], bits: u16) -> Vec<u8> {
    let [red, green, blue] = color;
    let pixel = match bits {
        32 => stored(&[&[[blue, green, red, 255]]]),
        24 => stored(&[&[[blue, green, red]]]),
        _ => packed(&[&[1]], bits.into()),
    };
    let bitmap = Bitmap {
        used: if bits <= 8 { 2 } else { 0 },
        palette: if bits <= 8 {
            vec![[0; 3], color]
        } else {
            Vec::new()
        },
        pixels: pixel,
        ..Bitmap::new(40, 1, 1, bits)
    };
    masked(&bitmap, &[&[0]])
}

#[test]
fn the_mask_decides_where_pixels_have_no_alpha() {
    let expected = [
        [200, 100, 50, 255],
        [0; 4],
        [1, 2, 3, 255],
        [0; 4],
        [1, 2, 3, 255],
        [0; 4],
    ];
    let mask: [&[u8]; 2] = [&[0, 1, 0], &[1, 0, 1]];
    for bits in [1, 2, 4, 8] {
        let bitmap = Bitmap {
            used: 2,
            palette: vec![A, B],
            pixels: packed(&[&[0, 1, 1], &[0, 1, 0]], bits.into()),
            ..Bitmap::new(40, 3, 2, bits)
        };
        assert_eq!(pixels(&icon(&bitmap, &mask)), expected, "{bits} bits");
    }
    let [a, b] = [[50, 100, 200], [3, 2, 1]];
    let bitmap = Bitmap {
        pixels: stored(&[&[a, b, b], &[a, b, a]]),
        ..Bitmap::new(40, 3, 2, 24)
    };
    assert_eq!(pixels(&icon(&bitmap, &mask)), expected, "24 bits");
    let upside_down = Bitmap {
        height: -2,
        pixels: stored(&[&[a, b, a], &[a, b, b]]),
        ..bitmap
    };
    let reversed: [&[u8]; 2] = [mask[1], mask[0]];
    assert_eq!(
        pixels(&icon(&upside_down, &reversed)),
        expected,
        "from the top"
    );
    // Without any alpha, 32 bits are like 24.
    let [a, b] = [[50, 100, 200, 0], [3, 2, 1, 0]];
    let bitmap = Bitmap {
        pixels: stored(&[&[a, b, b], &[a, b, a]]),
        ..Bitmap::new(40, 3, 2, 32)
    };
    assert_eq!(pixels(&icon(&bitmap, &mask)), expected, "32 bits");
    let words = |value: u16| value.to_le_bytes();
    let bitmap = Bitmap {
        pixels: stored(&[&[words(31), words(31 << 10)]]),
        ..Bitmap::new(40, 2, 1, 16)
    };
    let found = pixels(&icon(&bitmap, &[&[1, 0]]));
    assert_eq!(found, [[0; 4], [255, 0, 0, 255]], "16 bits");
}

#[test]
fn alpha_decides_where_pixels_have_it() {
    let bitmap = Bitmap {
        pixels: stored(&[&[[50, 100, 200, 255], [3, 2, 1, 0], [3, 2, 1, 255]]]),
        ..Bitmap::new(40, 3, 1, 32)
    };
    let expected = [[200, 100, 50, 255], [0; 4], [1, 2, 3, 255]];
    for mask in [[0; 3], [1; 3], [0, 1, 0]] {
        assert_eq!(pixels(&icon(&bitmap, &[&mask])), expected);
    }
}

#[test]
fn masks_have_rows_of_whole_longs() {
    let width = 33;
    let row = [1_u8; 33];
    let mask: Vec<u8> = (0..width).map(|x| u8::from(x % 3 == 0)).collect();
    let bitmap = Bitmap {
        used: 2,
        palette: vec![A, B],
        pixels: packed(&[&row, &row], 1),
        ..Bitmap::new(40, 33, 2, 1)
    };
    let found = pixels(&icon(&bitmap, &[&mask, &[0; 33]]));
    for (x, pixel) in found[..33].iter().enumerate() {
        assert_eq!(pixel[3], if x % 3 == 0 { 0 } else { 255 }, "{x}");
    }
    assert_eq!(found[33..], vec![[1, 2, 3, 255]; 33]);
}

#[test]
fn a_mask_may_be_missing_but_not_cut() {
    let bitmap = Bitmap {
        height: 4,
        pixels: stored(&[&[[50, 100, 200]], &[[3, 2, 1]]]),
        ..Bitmap::new(40, 1, 2, 24)
    };
    let whole = file(1, &[entry(1, 2, 24, bitmap.bytes())]);
    assert_eq!(pixels(&whole), opaque(&[A, B]));
    let mut cut = file(1, &[entry(1, 2, 24, [bitmap.bytes(), vec![0; 4]].concat())]);
    let refused = refusal(&cut);
    assert!(refused.contains("its mask has 4 of 5 bytes"), "{refused}");
    // The directory says more bytes than the file has.
    cut.truncate(whole.len());
    assert!(refusal(&cut).contains("its mask has 0 of 5 bytes"));
    cut.truncate(whole.len() - 2);
    assert!(refusal(&cut).contains("cut short: only 1 of its 2 rows"));
}

#[test]
fn the_most_colours_come_first_and_then_the_size() {
    let square = |side: i32, color: [u8; 3], bits: u16| {
        let [red, green, blue] = color;
        let row = vec![[blue, green, red]; side as usize];
        let bitmap = Bitmap {
            pixels: stored(&vec![row.as_slice(); side as usize]),
            ..Bitmap::new(40, side, side, 24)
        };
        let mask = vec![0; side as usize];
        entry(
            side as u8,
            side as u8,
            bits,
            masked(&bitmap, &vec![mask.as_slice(); side as usize]),
        )
    };
    let (dots, large) = (entry(1, 1, 8, dot(A, 8)), square(2, B, 4));
    assert_eq!(pixels(&file(1, &[dots, large])), opaque(&[A]));
    let found = pixels(&file(
        1,
        &[square(1, A, 24), square(3, B, 24), square(2, A, 24)],
    ));
    assert_eq!(found, opaque(&[B; 9]));
    // Of equal ones the last of all, otherwise the first.
    let found = pixels(&file(1, &[square(1, A, 24), square(1, B, 24)]));
    assert_eq!(found, opaque(&[B]));
    let found = pixels(&file(
        1,
        &[square(2, A, 24), square(2, B, 24), square(1, B, 24)],
    ));
    assert_eq!(found, opaque(&[A; 4]));
}

/// In the place of the bits, a cursor has the row of its hot spot.
#[test]
fn cursors_are_read_and_the_hot_spot_does_not_count() {
    let entries = [
        entry(1, 1, 200, dot(A, 1)),
        entry(1, 1, 0, dot(B, 32)),
        entry(1, 1, 100, dot(A, 24)),
    ];
    let cursor = file(2, &entries);
    assert_eq!(sniff(&cursor).unwrap(), Format::Ico);
    assert_eq!(pixels(&cursor), opaque(&[B]));
    // A TGA of 24 bits begins like a cursor without pictures.
    let tga = [
        &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 24, 0][..],
        &[9; 3],
    ]
    .concat();
    assert!(sniff(&tga).is_err());
}

#[test]
fn a_png_of_any_colour_type_is_read() {
    let rgb = png(2, 1, png::ColorType::Rgb, &[A, B].concat());
    assert_eq!(pixels(&file(1, &[entry(2, 1, 24, rgb)])), opaque(&[A, B]));
    let gray = png(2, 1, png::ColorType::Grayscale, &[7, 9]);
    let expected = opaque(&[[7; 3], [9; 3]]);
    assert_eq!(pixels(&file(1, &[entry(2, 1, 8, gray)])), expected);
    let deep = deep_png(1, 1, png::ColorType::Rgba, &[200, 100, 50, 255]);
    assert_eq!(pixels(&file(1, &[entry(1, 1, 32, deep)])), opaque(&[A]));
    let large = png(300, 1, png::ColorType::Rgb, &[B; 300].concat());
    assert_eq!(
        pixels(&file(1, &[entry(0, 1, 24, large)])),
        opaque(&[B; 300])
    );
}

#[test]
fn what_is_wrong_is_named() {
    let runs = Bitmap {
        coding: 1,
        height: 2,
        used: 2,
        palette: vec![A, B],
        ..Bitmap::new(40, 1, 1, 8)
    };
    for (wrong, words) in [
        (
            file(1, &[entry(2, 1, 24, dot(A, 24))]),
            "says 2 × 1 pixels, but the picture has 1 × 1",
        ),
        (
            file(1, &[entry(1, 1, 8, runs.bytes())]),
            "run-length encoded, which icons cannot be",
        ),
        (
            file(1, &[entry(1, 1, 8, Vec::new())]),
            "its best picture is missing: 0 bytes",
        ),
        (
            file(1, &[entry(1, 1, 24, dot(A, 24))])[..20].to_vec(),
            "its directory is not complete",
        ),
        (
            file(1, &[entry(1, 1, 24, dot(A, 24))])[..22].to_vec(),
            "its best picture is missing",
        ),
        (
            file(1, &[entry(1, 1, 24, dot(A, 24))])[..40].to_vec(),
            "its header is not complete",
        ),
        (
            file(1, &[entry(1, 1, 24, file(1, &[]))]),
            "its header has 65536 bytes",
        ),
    ] {
        let refused = refusal(&wrong);
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn damaged_icons_are_read_or_refused() {
    let bitmap = Bitmap {
        pixels: stored(&[&[[50, 100, 200, 0], [3, 2, 1, 0]]]),
        ..Bitmap::new(40, 2, 1, 32)
    };
    damage(&icon(&bitmap, &[&[1, 0]]));
    damage(&file(
        2,
        &[entry(1, 1, 0, dot(A, 4)), entry(1, 1, 0, dot(B, 24))],
    ));
}
