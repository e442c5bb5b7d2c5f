//! Hostile sizes in TIFF, and the estimates of good ones.

use super::files::TiffValue::{Bytes, Number};
use super::{Done, Either, Refused, check, files};

#[test]
fn sizes_are_bounded() {
    let long = |tag, value| (tag, 4, 1, Number(value));
    let tile = |width, height| {
        vec![
            long(322, width),
            long(323, height),
            long(324, 8),
            long(325, 40),
        ]
    };
    let tiles = |count: u32| {
        let places = [8_u32, 40].map(|value| value.to_le_bytes().repeat(count as usize));
        let [offsets, lengths] = places;
        vec![
            long(322, 1 << 20),
            long(323, 16),
            (324, 4, count, Bytes(offsets)),
            (325, 4, count, Bytes(lengths)),
        ]
    };
    let strips = |kind: u16, count: u32| {
        let list = |tag| {
            (
                tag,
                kind,
                count,
                Bytes(vec![1; count as usize * if kind == 1 { 1 } else { 2 }]),
            )
        };
        vec![long(278, 1), list(273), list(279)]
    };
    let jpeg = |entries| files::tiff_jpeg(&files::jpeg_header(16_000, 16_000), entries);
    check(&[
        (
            "tile.tif",
            files::tiff(&tile(1 << 31, 16)),
            Refused("would unpack to"),
        ),
        ("tile-high.tif", files::tiff(&tile(16, 1 << 31)), Either),
        (
            "tiles.tif",
            files::tiff(&[tiles(1_000), vec![long(257, 16_000), long(256, 1)]].concat()),
            Refused("would unpack to"),
        ),
        (
            "samples.tif",
            files::tiff(&[
                (277, 3, 1, Number(65_535)),
                long(256, 5_000),
                long(257, 5_000),
            ]),
            Either,
        ),
        (
            "strips.tif",
            files::tiff(&strips(1, 8 << 20)),
            Refused("has 8388608 values"),
        ),
        (
            "more-strips.tif",
            files::tiff(&strips(3, 2 << 20)),
            Refused("has 2097152 values"),
        ),
        (
            "xmp.tif",
            files::tiff(&[(700, 1, 8 << 20, Bytes(vec![b' '; 8 << 20]))]),
            Done,
        ),
        (
            "orientation.tif",
            files::tiff(&[(274, 3, 4 << 20, Bytes(vec![0; 8 << 20]))]),
            Refused("the field 274"),
        ),
        ("jpeg.tif", jpeg(&[]), Refused("a JPEG of 16000 × 16000")),
        ("to-itself.tif", files::tiff_to_itself(), Either),
    ]);
}

/// Good pictures, and sizes whose product is more than 64 bits.
#[test]
fn estimates_hold() {
    let long = |tag, value| (tag, 4, 1, Number(value));
    let of = |width: u32, height: u32, photometric: u32, bits: u32, samples: u32| {
        let length = width * height * samples * bits / 8;
        let format = if bits == 32 { 3 } else { 1 };
        let fields = [
            long(256, width),
            long(257, height),
            long(258, bits),
            long(262, photometric),
            (273, 1, length, Bytes(vec![60; length as usize])),
            long(277, samples),
            long(278, height),
            long(279, length),
            (339, 3, 1, Number(format)),
        ];
        files::tiff_of_one_strip(&fields)
    };
    check(&[
        ("gray.tif", of(3_000, 2_000, 1, 8, 1), Done),
        ("rgb.tif", of(3_000, 2_000, 2, 8, 3), Done),
        ("deep.tif", of(2_000, 1_500, 2, 16, 3), Done),
        ("floats.tif", of(1_500, 1_000, 2, 32, 3), Done),
        ("inks.tif", of(2_000, 1_500, 5, 8, 4), Done),
        (
            "huge.tif",
            files::tiff(&[
                long(256, u32::MAX),
                long(257, u32::MAX),
                long(278, u32::MAX),
            ]),
            Refused("limit"),
        ),
        (
            "huge.bmp",
            files::bmp(i32::MAX as u32, i32::MAX as u32, 8, 1),
            Refused("limit"),
        ),
        (
            "entries.tif",
            files::big_tiff(u64::MAX),
            Refused("entries; the limit is 65535"),
        ),
    ]);
}
