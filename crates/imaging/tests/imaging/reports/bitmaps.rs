//! BMP and ICO.

use crate::bitmaps::pixels;
use crate::support::corpus;

#[test]
fn bitmaps_of_os2_are_read() {
    let Some(folder) = corpus() else { return };
    let file = std::fs::read(folder.join("reports/bmp-os2v2.bmp")).unwrap();
    assert_eq!(pixels(&file), vec![[200, 100, 50, 255]; 256]);
}

/// All alpha is 0, so the mask counts. It has the left half.
#[test]
fn the_mask_counts_in_icons_without_alpha() {
    let Some(folder) = corpus() else { return };
    let file = std::fs::read(folder.join("reports/ico-32bit-mask-only.ico")).unwrap();
    let row = [[[0; 4]; 8], [[200, 100, 50, 255]; 8]].concat();
    assert_eq!(pixels(&file), row.repeat(16));
}

/// The profile exchanges red and green, and the pixels are exchanged too. What remains of the
/// difference comes from the profile's curves.
#[test]
fn embedded_profiles_of_bitmaps_are_used() {
    let Some(folder) = corpus() else { return };
    let read = |name: &str| {
        let path = folder.join("formats/test-images/bmp/images").join(name);
        pixels(&std::fs::read(path).unwrap())
    };
    let (plain, exchanged) = (read("rgb24.bmp"), read("rgb24prof2.bmp"));
    let pairs = plain.as_flattened().iter().zip(exchanged.as_flattened());
    let most = pairs.map(|(one, other)| one.abs_diff(*other)).max();
    assert!(most <= Some(12), "{most:?}");
    assert_eq!(read("rgb24prof.bmp"), plain);
}
