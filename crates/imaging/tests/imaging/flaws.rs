//! GIF, PNG, BMP and ICO with flaws that cost no pixel, and rare variants, made in code.

use super::pictures::{Pixels, animation, make, opaque, pixels, png};
use super::support::request;
use picresize_imaging::{ImagingError, Limits, inspect, resize};

fn read(bytes: &[u8], (width, height): (u32, u32)) -> Vec<[u8; 4]> {
    Pixels::of(pixels(bytes, &format!("width={width} height={height}"))).2
}

/// Every route gives the bytes of the picture without the flaw.
fn check_same(name: &str, flawed: &[u8], whole: &[u8], ways: &[&str]) {
    for options in ways {
        let found = resize(flawed, &request(options), &Limits::default())
            .unwrap_or_else(|error| panic!("{name}, {options}: {error}"));
        assert!(
            found.bytes == make(whole, options).bytes,
            "{name}, {options}: another picture"
        );
    }
}

const GIF_WAYS: [&str; 4] = [
    "width=20",
    "width=64",
    "width=20 format=png",
    "width=20 format=webp",
];

#[test]
fn the_end_of_a_gif_may_be_anything() {
    let gif = animation(4);
    let data = &gif[..gif.len() - 1];
    for end in [
        &b""[..],
        b"\0\0\0\x3b",
        b"\0\0",
        b"\x3bPADDING",
        b"\x77\x77\x3b",
    ] {
        check_same(&format!("{end:?}"), &[data, end].concat(), &gif, &GIF_WAYS);
    }
    // Zeros between the blocks.
    let place = gif
        .windows(3)
        .rposition(|three| three == [0x21, 0xf9, 4])
        .unwrap();
    let spread = [&gif[..place], &[0; 5], &gif[place..]].concat();
    check_same("zeros between", &spread, &gif, &GIF_WAYS);
    // The last block may lack its end, but no pixel.
    check_same("no last block", &data[..data.len() - 1], &gif, &GIF_WAYS);
    for cut in [5, 40] {
        let cut = &data[..data.len() - cut];
        assert!(resize(cut, &request("width=20"), &Limits::default()).is_err());
        // The first frame is whole.
        make(cut, "width=20 format=png");
    }
}

/// A GIF of frames: each has a place, a size, codes, and whether it is interlaced.
fn gif(screen: (u16, u16), frames: &[([u16; 4], &[u8], bool)]) -> Vec<u8> {
    let shorts = |values: &[u16]| {
        values
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let mut file = b"GIF89a".to_vec();
    file.extend(shorts(&[screen.0, screen.1]));
    file.extend([0xf1, 0, 0]);
    file.extend([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
    for (place, indices, is_interlaced) in frames {
        file.extend([0x21, 0xf9, 4, 4, 10, 0, 0, 0, 0x2c]);
        file.extend(shorts(place));
        file.extend([if *is_interlaced { 0x40 } else { 0 }, 2]);
        let data = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 2)
            .encode(indices)
            .unwrap();
        for block in data.chunks(255) {
            file.push(block.len() as u8);
            file.extend(block);
        }
        file.push(0);
    }
    file.push(0x3b);
    file
}

const RED: [u8; 4] = [255, 0, 0, 255];
const BLUE: [u8; 4] = [0, 0, 255, 255];
const NONE: [u8; 4] = [0; 4];

#[test]
fn frames_of_a_gif_may_have_any_size() {
    // Larger than the screen, and to the right of it: the first frame enlarges the screen.
    let wide = gif((2, 2), &[([0, 0, 4, 2], &[0, 0, 2, 2, 0, 0, 2, 2], false)]);
    assert_eq!(read(&wide, (4, 2)), [RED, RED, BLUE, BLUE].repeat(2));
    let right = gif((2, 1), &[([2, 0, 2, 1], &[2, 2], false)]);
    assert_eq!(read(&right, (4, 1)), [NONE, NONE, BLUE, BLUE]);
    let no_screen = gif((0, 0), &[([0, 0, 2, 1], &[0, 2], false)]);
    assert_eq!(read(&no_screen, (2, 1)), [RED, BLUE]);
    // A later one does not: browsers cut it off.
    let later = gif(
        (2, 1),
        &[
            ([0, 0, 2, 1], &[0, 0], false),
            ([1, 0, 3, 1], &[2, 2, 2], false),
        ],
    );
    assert_eq!(inspect(&later, &Limits::default()).unwrap().width(), 2);
    // Without pixels, between others and alone.
    let empty = gif(
        (2, 1),
        &[
            ([0, 0, 2, 1], &[0, 0], false),
            ([0, 0, 0, 0], &[], false),
            ([0, 0, 2, 1], &[2, 2], false),
        ],
    );
    let resized = make(&empty, "width=2 height=1");
    assert_eq!((resized.frames, resized.width), (3, 2));
    let alone = gif((2, 1), &[([0, 0, 0, 0], &[], false)]);
    assert_eq!(read(&alone, (2, 1)), [NONE, NONE]);
}

#[test]
fn rows_of_a_gif_may_be_interlaced_or_missing() {
    let rows: Vec<u8> = [0, 8, 4, 2, 6, 1, 3, 5, 7]
        .iter()
        .map(|row| (row % 2 * 2) as u8)
        .collect();
    let interlaced = gif((1, 9), &[([0, 0, 1, 9], &rows, true)]);
    let expected: Vec<_> = (0..9)
        .map(|row| if row % 2 == 0 { RED } else { BLUE })
        .collect();
    assert_eq!(read(&interlaced, (1, 9)), expected);
    // Data that ends early, although no byte of the file is missing.
    let short = gif((2, 2), &[([0, 0, 2, 2], &[2, 2, 2], false)]);
    assert_eq!(read(&short, (2, 2)), [BLUE, BLUE, BLUE, RED]);
    // Data that goes on is not read.
    let long = gif((2, 1), &[([0, 0, 2, 1], &[2, 0, 1, 1, 1], false)]);
    assert_eq!(read(&long, (2, 1)), [BLUE, RED]);
}

#[test]
fn a_still_result_needs_one_frame() {
    let one: ([u16; 4], &[u8], bool) = ([0, 0, 2, 1], &[0, 2], false);
    let many = gif((2, 1), &vec![one; 700]);
    assert_eq!(read(&many, (2, 1)), [RED, BLUE]);
    for format in ["jpeg", "png", "avif"] {
        make(&many, &format!("width=2 format={format}"));
    }
    for format in ["gif", "webp"] {
        let refusal = resize(
            &many,
            &request(&format!("width=2 format={format}")),
            &Limits::default(),
        );
        let refusal = refusal.unwrap_err().to_string();
        assert!(
            refusal.contains("700 frames; the limit is 500"),
            "{refusal}"
        );
    }
}

const PNG_WAYS: [&str; 3] = ["width=30", "width=200", "width=30 format=jpeg"];

/// The chunks of a PNG: name and payload.
fn chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut rest = &png[8..];
    let mut found = Vec::new();
    while let [a, b, c, d, after @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        found.push((
            after[..4].try_into().unwrap(),
            after[4..4 + length].to_vec(),
        ));
        rest = &after[8 + length..];
    }
    found
}

fn join(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, payload) in chunks {
        png.extend((payload.len() as u32).to_be_bytes());
        let start = png.len();
        png.extend(name);
        png.extend(payload);
        let mut checksum = libdeflater::Crc::new();
        checksum.update(&png[start..]);
        png.extend(checksum.sum().to_be_bytes());
    }
    png
}

/// A PNG of 16 bits, of a palette, or interlaced is read by another route than most.
fn kinds_of_png() -> Vec<Vec<u8>> {
    let plain = opaque(90, 60);
    let deep = super::pictures::deep_png(40, 30, png::ColorType::Rgb, &[77; 40 * 30 * 3]);
    let palette = make(&plain, "width=90 palette=20").bytes;
    vec![plain, deep, palette]
}

#[test]
fn the_end_of_a_png_may_be_missing() {
    for whole in kinds_of_png() {
        let end = whole.len() - 12;
        for cut in [whole.len() - 1, whole.len() - 5, end + 4, end] {
            check_same("no end", &whole[..cut], &whole, &PNG_WAYS);
        }
        // The checksum of the last data.
        check_same("no checksum", &whole[..end - 4], &whole, &PNG_WAYS);
        for cut in [40, 400] {
            let cut = &whole[..end - cut.min(end / 2)];
            for options in PNG_WAYS {
                assert!(resize(cut, &request(options), &Limits::default()).is_err());
            }
        }
    }
}

/// Only as many bits of a transparent colour count as a sample has.
#[test]
fn a_transparent_colour_may_have_more_bits() {
    for (color, pixels, transparent) in [
        (png::ColorType::Grayscale, vec![5, 200], vec![0xff, 5]),
        (
            png::ColorType::Rgb,
            vec![1, 2, 3, 9, 9, 9],
            vec![0x77, 1, 1, 2, 0xff, 3],
        ),
    ] {
        let plain = png(2, 1, color, &pixels);
        let mut with = chunks(&plain);
        with.insert(1, (*b"tRNS", transparent));
        let found = read(&join(&with), (2, 1));
        assert_eq!((found[0][3], found[1][3]), (0, 255), "{color:?}");
    }
}

/// Apple's variant: no header of zlib, blue first, premultiplied.
#[test]
fn the_png_of_apple_is_read() {
    for has_alpha in [false, true] {
        let (color, rows) = match has_alpha {
            true => (6, vec![0, 50, 100, 200, 255, 25, 50, 100, 128]),
            false => (2, vec![0, 50, 100, 200, 50, 100, 200]),
        };
        let mut header = [2_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat();
        header.extend([8, color, 0, 0, 0]);
        // A block that is not compressed.
        let length = (rows.len() as u16).to_le_bytes();
        let data = [&[1][..], &length, &length.map(|byte| !byte), &rows].concat();
        let halves = data.split_at(data.len() / 2);
        let file = join(&[
            (*b"CgBI", vec![0x50, 0, 0x20, 6]),
            (*b"IHDR", header),
            (*b"IDAT", halves.0.to_vec()),
            (*b"IDAT", halves.1.to_vec()),
            (*b"IEND", Vec::new()),
        ]);
        let second = if has_alpha {
            [199, 100, 50, 128]
        } else {
            [200, 100, 50, 255]
        };
        assert_eq!(read(&file, (2, 1)), [[200, 100, 50, 255], second]);
    }
}

/// EXIF after the picture, and in text chunks as ImageMagick writes it.
#[test]
fn exif_may_be_anywhere_in_a_png() {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
    let plain = opaque(90, 60);
    let hexadecimal = |name: &str, bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<_> = digits
            .as_bytes()
            .chunks(72)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        format!("\n{name}\n{:8}\n{}\n", bytes.len(), lines.join("\n")).into_bytes()
    };
    let app1 = [b"Exif\0\0".as_slice(), &exif].concat();
    let text = |keyword: &str, bytes: &[u8]| {
        [b"Raw profile type ", keyword.as_bytes(), &[0], bytes].concat()
    };
    let zlib = |bytes: &[u8]| {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest());
        let mut packed = vec![0; compressor.zlib_compress_bound(bytes.len())];
        let length = compressor.zlib_compress(bytes, &mut packed).unwrap();
        packed[..length].to_vec()
    };
    for (name, payload) in [
        (*b"eXIf", exif.clone()),
        (*b"tEXt", text("exif", &hexadecimal("exif", &app1))),
        (
            *b"tEXt",
            text("APP1", &hexadecimal("generic profile", &app1)),
        ),
        (
            *b"zTXt",
            text(
                "exif",
                &[&[0], zlib(&hexadecimal("exif", &app1)).as_slice()].concat(),
            ),
        ),
        (
            *b"iTXt",
            text(
                "exif",
                &[&[0, 0, 0, 0], hexadecimal("exif", &app1).as_slice()].concat(),
            ),
        ),
    ] {
        for is_last in [false, true] {
            let mut with = chunks(&plain);
            let place = if is_last { with.len() - 1 } else { 1 };
            with.insert(place, (name, payload.clone()));
            let file = join(&with);
            let source = inspect(&file, &Limits::default()).unwrap();
            let shown = String::from_utf8_lossy(&name).into_owned();
            assert_eq!(
                (source.width(), source.height()),
                (60, 90),
                "{shown} {is_last}"
            );
            let kept = make(&file, "width=20 metadata=keep").bytes;
            assert!(
                memchr::memmem::find(&kept, b"eXIf").is_some(),
                "{shown} {is_last}"
            );
        }
    }
}

/// A BMP with a header of this size and these fields after the height: planes, bits, compression.
fn bmp(
    header: usize,
    size: (u32, u32),
    bits: u16,
    compression: u32,
    palette: &[[u8; 3]],
    data: &[u8],
) -> Vec<u8> {
    let mut dib = (header as u32).to_le_bytes().to_vec();
    if header == 12 {
        dib.extend(
            [size.0 as u16, size.1 as u16, 1, bits]
                .iter()
                .flat_map(|v| v.to_le_bytes()),
        );
    } else {
        dib.extend([size.0, size.1].iter().flat_map(|v| v.to_le_bytes()));
        dib.extend([1, bits].iter().flat_map(|v| v.to_le_bytes()));
        dib.extend(compression.to_le_bytes());
        dib.extend([0; 12]);
        dib.extend((palette.len() as u32).to_le_bytes());
    }
    dib.resize(header, 0);
    for [r, g, b] in palette {
        dib.extend([*b, *g, *r]);
        if header != 12 {
            dib.push(0);
        }
    }
    let start = 14 + dib.len() as u32;
    let mut file = b"BM".to_vec();
    file.extend((start + data.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(start.to_le_bytes());
    [file, dib, data.to_vec()].concat()
}

const COLORS: [[u8; 3]; 2] = [[200, 100, 50], [0, 0, 255]];

#[test]
fn headers_of_bmp_may_have_any_size() {
    let one = [200, 100, 50, 255];
    for header in [12, 16, 20, 24, 36, 40, 42, 48, 52, 56, 60, 64, 108, 124] {
        // Rows of 24 bits, padded to four bytes, from the bottom.
        let row = [50, 100, 200, 255, 0, 0, 0, 0];
        let rows = [row, [255, 0, 0, 50, 100, 200, 0, 0]].concat();
        let file = bmp(header, (2, 2), 24, 0, &[], &rows);
        assert_eq!(read(&file, (2, 2)), [BLUE, one, one, BLUE], "{header}");
        // A palette; a header that has no field for it has all colours.
        let all = match header {
            12 | 16..36 => COLORS.repeat(8),
            _ => COLORS.to_vec(),
        };
        let file = bmp(header, (3, 1), 4, 0, &all, &[0x01, 0x00, 0, 0]);
        assert_eq!(read(&file, (3, 1)), [one, BLUE, one], "{header}");
    }
    for header in [4, 15, 65, 107, 125] {
        let file = bmp(header.max(40), (2, 2), 24, 0, &[], &[0; 16]);
        let mut other = file.clone();
        other[14] = header as u8;
        let error = inspect(&other, &Limits::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("header has {header} bytes")),
            "{error}"
        );
    }
}

#[test]
fn run_lengths_of_bmp_are_read() {
    let [one, other] = [[200, 100, 50, 255], BLUE];
    // Two pixels and two more; a row; three single ones and one; the end.
    let bytes = [2, 0, 2, 1, 0, 0, 0, 3, 1, 0, 1, 0, 1, 0, 0, 1];
    let half_bytes = [2, 0, 2, 0x11, 0, 0, 0, 3, 0x10, 0x10, 1, 0, 0, 1];
    let expected = [other, one, other, one, one, one, other, other];
    for header in [40, 64, 108, 124] {
        let file = bmp(header, (4, 2), 8, 1, &COLORS, &bytes);
        assert_eq!(read(&file, (4, 2)), expected, "{header}");
        let file = bmp(header, (4, 2), 4, 2, &COLORS, &half_bytes);
        assert_eq!(read(&file, (4, 2)), expected, "{header}");
    }
    // Colours, which only OS/2 has.
    let colors = [
        2, 50, 100, 200, 2, 255, 0, 0, 0, 0, 0, 3, 255, 0, 0, 50, 100, 200, 255, 0, 0, 0, 1, 50,
        100, 200, 0, 1,
    ];
    assert_eq!(
        read(&bmp(64, (4, 2), 24, 4, &[], &colors), (4, 2)),
        expected
    );
    // A place further on, and a missing end.
    let jump = [1, 1, 0, 2, 1, 1, 2, 1, 0, 1];
    let black = [0, 0, 0, 255];
    let found = read(&bmp(40, (4, 2), 8, 1, &COLORS, &jump), (4, 2));
    assert_eq!(
        found,
        [black, black, other, other, other, black, black, black]
    );
    let open = [4, 1, 0, 0, 4, 0];
    assert_eq!(
        read(&bmp(40, (4, 2), 8, 1, &COLORS, &open), (4, 2))[..4],
        [one; 4]
    );
    for cut in [1, 3, 7, 10] {
        let file = bmp(40, (4, 2), 8, 1, &COLORS, &bytes[..cut]);
        assert!(
            resize(&file, &request("width=4"), &Limits::default()).is_err(),
            "{cut}"
        );
    }
}

#[test]
fn bit_fields_of_bmp_are_read() {
    for (bits, masks, pixel, expected) in [
        (
            16,
            [0xf800_u32, 0x07e0, 0x001f, 0],
            0xf80f_u32,
            [255, 0, 123, 255],
        ),
        (
            16,
            [0x0f00, 0x00f0, 0x000f, 0xf000],
            0x8f0f,
            [255, 0, 255, 136],
        ),
        (
            32,
            [0xff, 0xff00, 0xff_0000, 0],
            0x0032_64c8,
            [200, 100, 50, 255],
        ),
        (
            32,
            [0x3ff0_0000, 0x000f_fc00, 0x3ff, 0],
            0x3ff0_0000 | 0x200,
            [255, 0, 128, 255],
        ),
        (
            32,
            [0xff_0000, 0xff00, 0xff, 0xff00_0000],
            0x80c8_6432,
            [200, 100, 50, 128],
        ),
    ] {
        for (header, compression) in [(40, 6), (40, 3), (56, 3), (108, 3), (124, 3)] {
            if (header, compression) == (40, 3) && masks[3] != 0 {
                continue;
            }
            let data = &pixel.to_le_bytes()[..if bits == 16 { 2 } else { 4 }];
            let mut file = bmp(
                header,
                (1, 1),
                bits,
                compression,
                &[],
                &[data, &[0, 0]].concat(),
            );
            let masks: Vec<u8> = masks
                .iter()
                .flat_map(|mask: &u32| mask.to_le_bytes())
                .collect();
            let count = if header == 40 && compression == 3 {
                12
            } else {
                16
            };
            match header {
                // They follow the header.
                40 => {
                    file.splice(54..54, masks[..count].iter().copied());
                    file[10] += count as u8;
                }
                _ => file[54..54 + count].copy_from_slice(&masks[..count]),
            }
            assert_eq!(
                read(&file, (1, 1)),
                [expected],
                "{bits} {header} {compression}"
            );
        }
    }
}

#[test]
fn kinds_of_bmp_that_are_not_read_are_named() {
    for (header, bits, compression, word) in [
        (40, 24, 4, "JPEG"),
        (40, 24, 5, "PNG"),
        (64, 1, 3, "Huffman"),
        (40, 32, 11, "CMYK"),
        (40, 24, 99, "number 99"),
        (40, 7, 0, "7 bits"),
    ] {
        let error = inspect(
            &bmp(header, (2, 2), bits, compression, &[], &[0; 64]),
            &Limits::default(),
        );
        let error = error.unwrap_err();
        assert!(matches!(error, ImagingError::Header { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// An icon with one picture, and whether it has a mask.
fn icon(bits: u16, size: (u8, u8), palette: &[[u8; 3]], data: &[u8], mask: &[u8]) -> Vec<u8> {
    let bitmap = bmp(
        40,
        (size.0.into(), u32::from(size.1) * 2),
        bits,
        0,
        palette,
        data,
    )[14..]
        .to_vec();
    let bitmap = [bitmap, mask.to_vec()].concat();
    let mut file = vec![0, 0, 1, 0, 1, 0, size.0, size.1, 0, 0, 1, 0, bits as u8, 0];
    file.extend((bitmap.len() as u32).to_le_bytes());
    file.extend(22_u32.to_le_bytes());
    [file, bitmap].concat()
}

#[test]
fn the_mask_of_an_icon_is_applied() {
    let clear = |pixel: [u8; 4]| [pixel[0], pixel[1], pixel[2], 0];
    let one = [200, 100, 50, 255];
    let mask = [0x40, 0, 0, 0];
    for (bits, palette, data) in [
        (1, &COLORS[..], vec![0x00, 0, 0, 0]),
        (4, &COLORS[..], vec![0x00, 0, 0, 0]),
        (8, &COLORS[..], vec![0, 0, 0, 0]),
        (24, &[][..], vec![50, 100, 200, 50, 100, 200, 0, 0]),
        // Without alpha, the mask counts.
        (32, &[][..], vec![50, 100, 200, 0, 50, 100, 200, 0]),
    ] {
        let file = icon(bits, (2, 1), palette, &data, &mask);
        let found = read(&file, (2, 1));
        assert_eq!((found[0], found[1][3]), (one, clear(one)[3]), "{bits}");
        // No mask at all.
        let file = icon(bits, (2, 1), palette, &data, &[]);
        assert_eq!(read(&file, (2, 1)), [one, one], "{bits}");
    }
    let half = icon(
        32,
        (2, 1),
        &[],
        &[50, 100, 200, 128, 50, 100, 200, 255],
        &[0; 4],
    );
    assert_eq!(read(&half, (2, 1))[0], [200, 100, 50, 128]);
}

/// A PNG in an icon may be of any kind.
#[test]
fn icons_may_have_any_png() {
    for color in [
        png::ColorType::Grayscale,
        png::ColorType::Rgb,
        png::ColorType::Rgba,
    ] {
        let inner = png(2, 1, color, &vec![90; 2 * color.samples()]);
        let mut file = vec![0, 0, 1, 0, 1, 0, 2, 1, 0, 0, 1, 0, 32, 0];
        file.extend((inner.len() as u32).to_le_bytes());
        file.extend(22_u32.to_le_bytes());
        file.extend(&inner);
        let alpha = if color == png::ColorType::Rgba {
            90
        } else {
            255
        };
        assert_eq!(read(&file, (2, 1))[0], [90, 90, 90, alpha], "{color:?}");
    }
}
