//! Large bitmaps, whose memory the estimate must state.

use super::Expected::{Done, Refused};
use super::check;
use crate::bitmaps::Bitmap;

#[test]
fn estimates_hold() {
    let plain = |bits: u16, width: i32, height: i32| {
        let row = (width as usize * usize::from(bits)).div_ceil(32) * 4;
        Bitmap {
            pixels: vec![60; row * height as usize],
            palette: match bits {
                ..=8 => vec![[1, 2, 3]; 1 << bits],
                _ => Vec::new(),
            },
            ..Bitmap::new(40, width, height, bits)
        }
    };
    let masks = Bitmap {
        coding: 3,
        masks: vec![0x0f00, 0x00f0, 0x000f, 0xf000],
        ..plain(16, 2_000, 1_500)
    };
    let runs = |count: usize| Bitmap {
        coding: 1,
        pixels: [200, 1].repeat(15 * count),
        ..plain(8, 3_000, 2_000)
    };
    let rows = [[200, 1].repeat(15), vec![0, 0]].concat();
    let icon = |side: i32| {
        let bitmap = Bitmap {
            height: side * 2,
            ..plain(24, side, side)
        };
        let mask = vec![0; (side as usize).div_ceil(32) * 4 * side as usize];
        super::files::ico(0, &[bitmap.bytes(), mask].concat())
    };
    check(&[
        ("1.bmp", plain(1, 6_000, 4_000).file(), Done),
        ("8.bmp", plain(8, 3_000, 2_000).file(), Done),
        ("24.bmp", plain(24, 3_000, 2_000).file(), Done),
        ("32.bmp", plain(32, 3_000, 2_000).file(), Done),
        (
            "masks.bmp",
            Bitmap {
                header: 56,
                ..masks
            }
            .file(),
            Done,
        ),
        (
            "runs.bmp",
            Bitmap {
                pixels: rows.repeat(2_000),
                ..runs(0)
            }
            .file(),
            Done,
        ),
        // The first row never ends.
        ("endless.bmp", runs(200_000).file(), Refused("cut short")),
        ("icon.ico", icon(1_500), Done),
    ]);
}
