//! The bytes of results: the same on any thread, in any build, and by the program as by the library.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

#[path = "imaging/pictures.rs"]
mod pictures;
#[path = "imaging/support.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use picresize::imaging::ENGINE_VERSION;
use picresize::operation::{Digest, Format};
use pictures::{animation, drawing, make, tagged};
use support::request;

/// The program that is held to the pinned bytes; the one of this build when it isn't set.
const PROGRAM: &str = "PICRESIZE_TEST_PROGRAM";

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

/// A line for each case; `make` gives a result's bytes.
fn digests(make: impl Fn(&str, &str) -> Vec<u8>) -> String {
    PINNED
        .iter()
        .map(|(kind, options)| {
            let digest = Digest::of(&make(kind, options));
            format!("{} {kind} {options}\n", &digest.to_string()[..16])
        })
        .collect()
}

fn library_digests() -> String {
    digests(|kind, options| make(&pinned_source(kind), options).bytes)
}

/// The bytes may only change together with the engine version: when this fails, raise
/// `ENGINE_VERSION` and run with `PICRESIZE_PIN=1` to write the file anew.
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

/// With `PICRESIZE_TEST_PROGRAM`, a release build is held to the bytes that a debug build pinned:
/// the very file that ships, without the test programs having to be built a second time.
#[test]
fn the_program_writes_the_pinned_bytes() {
    let program = std::env::var_os(PROGRAM)
        .map_or_else(|| env!("CARGO_BIN_EXE_picresize").into(), PathBuf::from)
        .canonicalize()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let found = digests(|kind, options| {
        let source = folder.path().join("source");
        std::fs::write(&source, pinned_source(kind)).unwrap();
        let format = request(options).format.unwrap_or(match kind {
            "tagged" => Format::Jpeg,
            kind => Format::from_name(kind).unwrap(),
        });
        let result = folder
            .path()
            .join("result")
            .with_extension(format.extension());
        let mut command = Command::new(&program);
        command.args(["resize", "--overwrite"]);
        command.args([&source, &result]);
        for (key, value) in request(options).pairs() {
            command.arg(format!("--{}={value}", key.replace('_', "-")));
        }
        let output = command.current_dir(folder.path()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{kind} {options}: {errors}");
        std::fs::read(&result).unwrap()
    });
    assert_eq!(format!("engine {ENGINE_VERSION}\n{found}"), pinned());
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
