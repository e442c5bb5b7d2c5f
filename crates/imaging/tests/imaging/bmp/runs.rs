//! Run-length encoded bitmaps.

use super::{A, B, BLACK, C, D, bgr, four_colors};
use crate::bitmaps::{Bitmap, opaque, pixels, refusal};

/// Runs: the picture is 5 × 3 pixels of the colours A, B, C and D.
pub(super) fn runs(coding: u32, bits: u16, data: &[u8]) -> Bitmap {
    Bitmap {
        coding,
        width: 5,
        height: 3,
        pixels: data.to_vec(),
        ..four_colors(40, bits)
    }
}

#[test]
fn runs_of_bytes_are_decoded() {
    // Runs; a row that ends early; stored pixels with padding, a run, and the end.
    let data = [3, 1, 2, 2, 0, 0, 2, 3, 0, 0, 0, 3, 1, 2, 3, 0, 2, 1, 0, 1];
    let expected = opaque(
        &[
            [B, C, D, B, B].as_slice(),
            &[D, D, BLACK, BLACK, BLACK],
            &[B, B, B, C, C],
        ]
        .concat(),
    );
    assert_eq!(pixels(&runs(1, 8, &data).file()), expected);
    // Nothing is missing without the end.
    assert_eq!(
        pixels(&runs(1, 8, &data[..data.len() - 2]).file()),
        expected
    );
    let os2 = Bitmap {
        header: 64,
        ..runs(1, 8, &data)
    };
    assert_eq!(pixels(&os2.file()), expected);
    // A run is cut at the end of its row, and skipped pixels are black.
    let data = [255, 3, 0, 2, 0, 1, 0, 0, 1, 1, 0, 2, 2, 0, 1, 2, 0, 1];
    let expected = opaque(&[[B, BLACK, BLACK, C, BLACK].as_slice(), &[BLACK; 5], &[D; 5]].concat());
    assert_eq!(pixels(&runs(1, 8, &data).file()), expected);
}

#[test]
fn runs_of_nibbles_are_decoded() {
    // Two colours that take turns; five stored pixels with padding; a run of an odd number.
    let data = [
        5, 0x12, 0, 0, 0, 5, 0x01, 0x23, 0x10, 0, 0, 0, 3, 0x30, 0, 2, 1, 0, 1, 0x20, 0, 1,
    ];
    let expected = opaque(
        &[
            [D, A, D, BLACK, C].as_slice(),
            &[A, B, C, D, B],
            &[B, C, B, C, B],
        ]
        .concat(),
    );
    assert_eq!(pixels(&runs(2, 4, &data).file()), expected);
}

#[test]
fn runs_of_colours_are_decoded_in_os2() {
    let mut data = vec![4];
    data.extend(bgr(A));
    data.extend([1]);
    data.extend(bgr(B));
    data.extend([0, 0, 0, 3]);
    data.extend([A, C, D].map(bgr).as_flattened());
    data.extend([0, 0, 0, 2]);
    data.extend(bgr(D));
    data.extend([0, 1]);
    let bitmap = Bitmap {
        header: 64,
        palette: Vec::new(),
        ..runs(4, 24, &data)
    };
    let expected = opaque(
        &[
            [D, D, BLACK, BLACK, BLACK].as_slice(),
            &[A, C, D, BLACK, BLACK],
            &[A, A, A, A, B],
        ]
        .concat(),
    );
    assert_eq!(pixels(&bitmap.file()), expected);
}

#[test]
fn damaged_runs_are_refused() {
    for (data, words) in [
        (
            &[3, 1][..],
            "cut short: its run-length encoded data end in row 1 of 3",
        ),
        (&[5, 1, 0, 0, 5], "end in row 2"),
        (&[0, 0, 0, 0, 4, 1], "end in row 3"),
        (&[0, 9, 1, 2, 3], "end in row 1"),
        (&[0, 2, 1], "end in row 1"),
        (&[0, 2, 6, 0], "jump to column 6 and row 0 of 5 × 3"),
        (&[0, 0, 0, 2, 0, 2], "jump to column 0 and row 3"),
        (&[0, 2, 0, 255], "row 255"),
    ] {
        let refused = refusal(&runs(1, 8, data).file());
        assert!(refused.contains(words), "{data:?}: {refused}");
    }
}
