//! BMP: every header, depth and coding, from files made in code.

use moxcms::ColorProfile;

use super::bitmaps::{Bitmap, damage, opaque, packed, pixels, refusal, stored, try_pixels};
use picresize_imaging::{Format, ImagingError, sniff};

mod runs;

use runs::runs;

const A: [u8; 3] = [200, 100, 50];
const B: [u8; 3] = [1, 2, 3];
const C: [u8; 3] = [255, 0, 128];
const D: [u8; 3] = [9, 250, 77];
const BLACK: [u8; 3] = [0; 3];

fn bgr(color: [u8; 3]) -> [u8; 3] {
    [color[2], color[1], color[0]]
}

/// A B C above D A B, with 24 bits.
fn true_color(header: usize) -> Bitmap {
    Bitmap {
        pixels: stored(&[&[A, B, C].map(bgr), &[D, A, B].map(bgr)]),
        ..Bitmap::new(header, 3, 2, 24)
    }
}

fn four_colors(header: usize, bits: u16) -> Bitmap {
    Bitmap {
        used: 4,
        palette: vec![A, B, C, D],
        ..Bitmap::new(header, 9, 2, bits)
    }
}

#[test]
fn every_header_is_read() {
    let expected = opaque(&[A, B, C, D, A, B]);
    for header in [12, 16, 20, 36, 40, 42, 48, 52, 56, 60, 64, 108, 124] {
        let bitmap = true_color(header);
        assert_eq!(pixels(&bitmap.file()), expected, "{header}");
        if header > 12 {
            let bitmap = Bitmap {
                height: -2,
                pixels: stored(&[&[D, A, B].map(bgr), &[A, B, C].map(bgr)]),
                ..bitmap
            };
            assert_eq!(pixels(&bitmap.file()), expected, "{header}, from the top");
        }
    }
    for header in [4, 11, 13, 15, 65, 107, 109, 123, 125, 1000] {
        let refused = refusal(&true_color(header).file());
        assert!(
            refused.contains(&format!("its header has {header} bytes")),
            "{refused}"
        );
    }
}

#[test]
fn indices_have_one_to_eight_bits() {
    let (first, second): ([u8; 9], [u8; 9]) =
        ([0, 1, 1, 0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1, 1, 0, 0]);
    let color = |index: &u8| [A, B, C, D][usize::from(*index)];
    let more = |row: [u8; 9]| row.map(|index| index * 2 + 1);
    for header in [12, 40, 64, 124] {
        for bits in [1, 2, 4, 8_u16] {
            let rows = match bits {
                1 => [first, second],
                _ => [more(first), second],
            };
            let all = if header == 12 { 1 << bits } else { 4 };
            let mut palette = vec![A, B, C, D];
            palette.resize(if bits == 1 { 2 } else { all }, BLACK);
            let bitmap = Bitmap {
                used: palette.len() as u32,
                palette,
                pixels: packed(&[&rows[0], &rows[1]], bits.into()),
                ..Bitmap::new(header, 9, 2, bits)
            };
            let colors: Vec<_> = rows.as_flattened().iter().map(color).collect();
            assert_eq!(
                pixels(&bitmap.file()),
                opaque(&colors),
                "{header}, {bits} bits"
            );
        }
    }
}

#[test]
fn colours_that_the_palette_lacks_are_black() {
    let row = [0, 1, 2, 3, 4, 5, 15, 255, 0];
    let bitmap = Bitmap {
        height: 1,
        pixels: packed(&[&row], 8),
        ..four_colors(40, 8)
    };
    let expected = opaque(&[A, B, C, D, BLACK, BLACK, BLACK, BLACK, A]);
    assert_eq!(pixels(&bitmap.file()), expected);
    // The header says 256 colours, and the pixels start after four.
    let bitmap = Bitmap { used: 0, ..bitmap };
    assert_eq!(pixels(&bitmap.file()), expected);
    let core = Bitmap {
        header: 12,
        ..bitmap.clone()
    };
    assert_eq!(pixels(&core.file()), expected);
    let refused = refusal(
        &Bitmap {
            used: 300,
            ..bitmap
        }
        .file(),
    );
    assert!(
        refused.contains("300 colours; 8 bits per pixel can number 256"),
        "{refused}"
    );
}

#[test]
fn pixels_start_where_the_header_says_or_after_the_palette() {
    let row = [3, 2, 1, 0, 3, 2, 1, 0, 3];
    let bitmap = Bitmap {
        height: 1,
        pixels: packed(&[&row], 8),
        ..four_colors(40, 8)
    };
    let expected = opaque(&[D, C, B, A, D, C, B, A, D]);
    for (gap, offset) in [
        (0, None),
        (20, None),
        (0, Some(0)),
        (0, Some(14)),
        (0, Some(54)),
    ] {
        let bitmap = Bitmap {
            gap,
            offset,
            ..bitmap.clone()
        };
        assert_eq!(pixels(&bitmap.file()), expected, "{gap}, {offset:?}");
    }
    for offset in [1000, u32::MAX] {
        let bitmap = Bitmap {
            offset: Some(offset),
            ..bitmap.clone()
        };
        let refused = refusal(&bitmap.file());
        assert!(refused.contains("only 0 of its 1 rows"), "{refused}");
    }
}

#[test]
fn samples_of_16_bits_are_scaled() {
    let rows = |pixels: [u16; 3]| stored(&[&pixels.map(u16::to_le_bytes)]);
    // 5, 5 and 5 bits; the highest bit has no meaning.
    let plain = Bitmap {
        pixels: rows([0xffff, 1 << 10 | 2 << 5 | 3, 16 << 10 | 30 << 5 | 15]),
        ..Bitmap::new(40, 3, 1, 16)
    };
    let expected = opaque(&[[255; 3], [8, 16, 25], [132, 247, 123]]);
    assert_eq!(pixels(&plain.file()), expected);
    let core = Bitmap {
        header: 12,
        ..plain
    };
    assert_eq!(pixels(&core.file()), expected);

    for header in [40, 52, 56, 108, 124] {
        let masked = Bitmap {
            coding: 3,
            masks: vec![0xf800, 0x07e0, 0x001f],
            pixels: rows([0xffff, 1 << 11 | 2 << 5 | 3, 16 << 11 | 62 << 5 | 15]),
            ..Bitmap::new(header, 3, 1, 16)
        };
        let expected = opaque(&[[255; 3], [8, 8, 25], [132, 251, 123]]);
        assert_eq!(pixels(&masked.file()), expected, "{header}");
    }
}

#[test]
fn a_mask_of_alpha_counts() {
    let masks = vec![0x0f00, 0x00f0, 0x000f, 0xf000];
    let two = [0xf123_u16, 0x7fff, 0x0fff].map(u16::to_le_bytes);
    let expected = [[17, 34, 51, 255], [255, 255, 255, 119], [0; 4]];
    for (header, coding) in [
        (40, 6),
        (56, 3),
        (56, 6),
        (64, 0),
        (108, 3),
        (124, 3),
        (124, 6),
    ] {
        let bitmap = Bitmap {
            coding,
            masks: masks.clone(),
            pixels: stored(&[&two]),
            ..Bitmap::new(header, 3, 1, 16)
        };
        let found = pixels(&bitmap.file());
        match coding {
            // The bytes in the place of the masks have another meaning.
            0 => assert_eq!(found[0][3], 255),
            _ => assert_eq!(found, expected, "{header}, coding {coding}"),
        }
    }
}

#[test]
fn pixels_of_32_bits_are_opaque_unless_a_mask_says_alpha() {
    let pixels_of = |values: [u32; 2]| stored(&[&values.map(u32::to_le_bytes)]);
    let plain = Bitmap {
        pixels: pixels_of([0x00c8_6432, 0x80ff_0080]),
        ..Bitmap::new(40, 2, 1, 32)
    };
    assert_eq!(pixels(&plain.file()), opaque(&[A, C]));
    // Masks without the coding that uses them.
    let unused = Bitmap {
        header: 108,
        masks: vec![0xff, 0xff00, 0xff_0000, 0xff00_0000],
        ..plain.clone()
    };
    assert_eq!(pixels(&unused.file()), opaque(&[A, C]));
    let with_alpha = Bitmap {
        coding: 3,
        ..unused
    };
    assert_eq!(pixels(&with_alpha.file()), [[0; 4], [128, 0, 255, 128]]);
    // 10 bits: 1 of 1023 is 0, 2 is 0.5 of 255 and rounded.
    let deep = Bitmap {
        coding: 3,
        masks: vec![0x3ff0_0000, 0x000f_fc00, 0x0000_03ff],
        pixels: pixels_of([1 << 20 | 3 << 10 | 1023, 512 << 20 | 1022 << 10 | 5]),
        ..plain.clone()
    };
    assert_eq!(pixels(&deep.file()), opaque(&[[0, 1, 255], [128, 255, 1]]));
    // A colour without a mask.
    let two = Bitmap {
        coding: 3,
        masks: vec![0xff, 0, 0xff00],
        ..plain
    };
    assert_eq!(pixels(&two.file()), opaque(&[[50, 0, 100], [128, 0, 0]]));
}

#[test]
fn what_is_not_supported_is_named() {
    let bitmap = true_color(40);
    let with = |header, coding, bits| Bitmap {
        header,
        coding,
        bits,
        ..bitmap.clone()
    };
    for (bitmap, words) in [
        (with(40, 4, 0), "0 bits per pixel"),
        (with(40, 4, 24), "a JPEG, which is not supported"),
        (with(108, 5, 24), "a PNG, which is not supported"),
        (with(40, 11, 32), "CMYK"),
        (with(40, 77, 24), "number 77"),
        (with(64, 3, 1), "Huffman"),
        (with(64, 4, 8), "8 bits per pixel, which the coding RLE24"),
        (with(40, 1, 4), "4 bits per pixel, which the coding RLE8"),
        (with(40, 2, 8), "RLE4"),
        (with(40, 3, 24), "BITFIELDS"),
        (with(40, 0, 3), "3 bits per pixel"),
        (
            Bitmap {
                planes: 3,
                ..bitmap.clone()
            },
            "3 planes",
        ),
        (
            Bitmap {
                width: -3,
                ..bitmap.clone()
            },
            "-3 × 2",
        ),
        (
            Bitmap {
                width: 65_536,
                ..bitmap.clone()
            },
            "the limit of a side is 65535",
        ),
        (
            Bitmap {
                height: i32::MIN,
                ..bitmap.clone()
            },
            "the limit of a side is 65535",
        ),
        (
            Bitmap {
                width: 0,
                ..bitmap.clone()
            },
            "0 × 2",
        ),
        (
            Bitmap {
                height: -3,
                ..runs(1, 8, &[])
            },
            "from the top",
        ),
        (
            Bitmap {
                masks: vec![5, 2, 8],
                ..with(40, 3, 32)
            },
            "red, 0x5",
        ),
        (
            Bitmap {
                masks: vec![0; 3],
                ..with(40, 3, 32)
            },
            "all 0",
        ),
    ] {
        let refused = refusal(&bitmap.file());
        assert!(refused.contains(words), "{words}: {refused}");
    }
}

#[test]
fn a_file_that_is_cut_says_so() {
    let masked = Bitmap {
        coding: 3,
        masks: vec![0xff, 0xff00, 0xff_0000],
        bits: 32,
        pixels: vec![0; 24],
        ..true_color(40)
    };
    let indices = Bitmap {
        pixels: packed(&[&[1; 9], &[2; 9]], 8),
        ..four_colors(40, 8)
    };
    for (bitmap, padding) in [(true_color(40), 3), (masked, 0), (indices, 3)] {
        let file = bitmap.file();
        let whole = pixels(&file);
        // Without its padding, the last row is still there.
        let used = file.len() - padding;
        assert_eq!(pixels(&file[..used]), whole);
        for end in 70..used {
            let refused = refusal(&file[..end]);
            assert!(refused.contains("cut short"), "{end}: {refused}");
        }
        assert!(matches!(
            try_pixels(&file[..used - 1]),
            Err(ImagingError::Body { .. })
        ));
        assert!(refusal(&file[..20]).contains("its header is not complete"));
        assert!(refusal(&file[..12]).contains("its file header is not complete"));
    }
}

#[test]
fn an_embedded_profile_is_used() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let with = |space: &[u8; 4], at: u32, length: usize| Bitmap {
        fields: vec![
            (56, u32::from_be_bytes(*space)),
            (112, at),
            (116, length as u32),
        ],
        pixels: [stored(&[&[bgr(A)]]), profile.clone()].concat(),
        ..Bitmap::new(124, 1, 1, 24)
    };
    let converted = pixels(&with(b"MBED", 128, profile.len()).file())[0];
    let expected = [215, 93, 31, 255];
    assert!(
        converted
            .iter()
            .zip(expected)
            .all(|(a, b)| a.abs_diff(b) <= 2),
        "{converted:?}"
    );
    for bitmap in [
        with(b"MBED", 128, 0),
        // Not in the file.
        with(b"MBED", 128, profile.len() + 1),
        with(b"MBED", u32::MAX, profile.len()),
        with(b"LINK", 128, profile.len()),
        with(b"sRGB", 128, profile.len()),
        with(b"\0\0\0\0", 128, profile.len()),
        Bitmap {
            header: 108,
            ..with(b"MBED", 128, profile.len())
        },
    ] {
        assert_eq!(pixels(&bitmap.file()), opaque(&[A]));
    }
}

#[test]
fn damaged_files_are_read_or_refused() {
    let masked = Bitmap {
        coding: 3,
        masks: vec![0xffe0_0000, 0x001f_fc00, 0x3fe, 1],
        bits: 32,
        pixels: vec![77; 24],
        ..true_color(124)
    };
    let indices = Bitmap {
        pixels: packed(&[&[1; 9], &[2; 9]], 2),
        ..four_colors(40, 2)
    };
    let nibbles = [
        5, 0x12, 0, 0, 0, 5, 0x01, 0x23, 0x10, 0, 0, 2, 1, 1, 1, 0x20, 0, 1,
    ];
    for bitmap in [
        true_color(12),
        masked,
        indices,
        runs(2, 4, &nibbles),
        Bitmap {
            header: 64,
            palette: Vec::new(),
            ..runs(4, 24, &[4, 1, 2, 3, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
        },
    ] {
        let file = bitmap.file();
        assert_eq!(sniff(&file).unwrap(), Format::Bmp);
        damage(&file);
    }
}
