//! The bytes of results: the same on any thread and in any build.

use picresize_imaging::ENGINE_VERSION;
use sha2::{Digest, Sha256};

use super::pictures::{animation, drawing, make, tagged};

const PINNED_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imaging/pinned.txt");

/// The cases whose bytes are pinned.
const PINNED: &[(&str, &str)] = &[
    ("png", "width=71"),
    ("png", "width=71 filter=mitchell sharpen=30 palette=40"),
    ("png", "width=90 height=90 fit=contain background=#336699"),
    ("png", "width=71 format=jpeg"),
    (
        "png",
        "width=71 format=jpeg quality=95 progressive=true profile=fine",
    ),
    ("png", "width=71 format=webp"),
    ("png", "width=71 format=webp lossless=true"),
    ("png", "width=71 format=gif"),
    ("png", "width=71 format=avif"),
    (
        "png",
        "width=50 height=50 fit=cover position=smart format=jpeg max_bytes=1500",
    ),
    ("jpeg", "width=50 height=30"),
    ("jpeg", "width=37 profile=fine"),
    ("jpeg", "width=70 profile=fine filter=mitchell format=png"),
    ("webp", "width=50 profile=fine"),
    ("avif", "width=50 format=png"),
    ("gif", "width=50"),
    ("gif", "width=50 format=webp"),
    ("tagged", "height=30 metadata=keep"),
    ("tagged", "height=30 color=keep format=png"),
];

fn pinned_source(kind: &str) -> Vec<u8> {
    let drawn = drawing(160, 120);
    match kind {
        "png" => drawn,
        "gif" => animation(4),
        "tagged" => tagged(),
        format => make(&drawn, &format!("width=160 format={format}")).bytes,
    }
}

/// A line for each case; `make` returns the bytes of a result.
fn digests(make: impl Fn(&str, &str) -> Vec<u8>) -> String {
    PINNED
        .iter()
        .map(|(kind, options)| {
            let digest = Sha256::digest(make(kind, options));
            let shown: String = digest[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("{shown} {kind} {options}\n")
        })
        .collect()
}

fn library_digests() -> String {
    digests(|kind, options| make(&pinned_source(kind), options).bytes)
}

/// The bytes may only change together with the engine version. If this fails, raise
/// `ENGINE_VERSION` and run with `PICRESIZE_PIN=1` to rewrite the file.
#[test]
fn results_are_the_pinned_bytes() {
    let found = format!("engine {ENGINE_VERSION}\n{}", library_digests());
    if std::env::var_os("PICRESIZE_PIN").is_some() {
        std::fs::write(PINNED_FILE, &found).unwrap();
    }
    assert_eq!(found, pinned());
}

fn pinned() -> String {
    std::fs::read_to_string(PINNED_FILE).unwrap()
}

#[test]
fn threads_do_not_change_the_bytes() {
    let alone = library_digests();
    for count in [2, 8] {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(library_digests)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), alone);
            }
        });
    }
}
