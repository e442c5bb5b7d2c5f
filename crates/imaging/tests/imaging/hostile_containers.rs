//! The files that once ended or starved a program, if the folder of pictures is there. They are
//! opened in a child process.

use super::memory::header_peak;
use super::support::{corpus, files_below};

/// Refused by their headers, by name and a part of the sentence.
const REFUSED: &[(&str, &str)] = &[
    ("avif_bitflip_abort.avif", "only av01 is supported"),
    (
        "avif_extents_20000x50kb.avif",
        "20000 extents; the limit is",
    ),
    (
        "avif_second_sequence_header_5000.avif",
        "two different sequence headers",
    ),
    ("heic_grid_150x150_64.heic", "22500 pictures; the limit is"),
    ("heic_grid_depth_2000_stack_overflow.heic", "8 levels"),
    ("heic_grid_exponential_12.heic", "8 levels"),
    ("heic_grid_exponential_30.heic", "8 levels"),
    ("jxl_frames_kills_at_the_door.jxl", "more than 500 frames"),
    ("jxl_frames_stack_overflow.jxl", "more than 500 frames"),
];

#[test]
fn hostile_avif_heic_and_jpeg_xl_are_refused_by_their_headers() {
    let Some(pictures) = corpus() else { return };
    let folder = pictures.join("hostile");
    for (name, part) in REFUSED {
        let (said, _) = header_peak(&folder.join(name));
        assert!(said.contains(part), "{name}: {said}");
    }
}

/// What a header check may take: a little, and a few times the file.
#[test]
fn header_checks_stay_small() {
    let Some(pictures) = corpus() else { return };
    for folder in ["hostile", "reports"] {
        for path in files_below(&pictures.join(folder)) {
            let is_ours = path
                .extension()
                .is_some_and(|kind| ["avif", "heic", "jxl"].iter().any(|ours| kind == *ours));
            if !is_ours {
                continue;
            }
            let (said, peak) = header_peak(&path);
            let file = std::fs::metadata(&path).unwrap().len();
            assert!(
                peak < (8 << 20) + 4 * file,
                "{path:?}: {peak} bytes: {said}"
            );
        }
    }
}
