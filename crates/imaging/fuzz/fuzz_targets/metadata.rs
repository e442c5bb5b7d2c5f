//! EXIF, XMP and colour profiles with arbitrary content, in a good picture: read, applied and kept.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_imaging::inspect;
use picresize_imaging_fuzz::{limits, options, resize, tagged};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((&[kind, request], content)) = input.split_first_chunk() else {
        return Corpus::Reject;
    };
    let Some(picture) = tagged(kind, content) else {
        return Corpus::Reject;
    };
    let choose = |bits: u8, values: &[&'static str]| values[usize::from(bits) % values.len()];
    let options = options(&[
        ("width", "8"),
        ("metadata", choose(request, &["strip", "copyright", "keep"])),
        ("color", choose(request / 3, &["srgb", "keep"])),
        ("profile", choose(request / 6, &["fast", "fine"])),
        ("format", choose(request / 12, &["jpeg", "png", "webp"])),
    ]);
    // A block that cannot be read is left out, or the picture is refused.
    if let Ok(source) = inspect(&picture, &limits()) {
        resize(&source, &picture, &options);
    }
    Corpus::Keep
});
