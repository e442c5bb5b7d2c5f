//! Tests what `picresize check` says about good and unusable set-ups.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::process::{Process, free_address, program, run, text};

/// The exit code and the lines of a check that wants this much room on the disk.
fn check_with(data: &Path, min_free_mib: &str) -> (Option<i32>, String) {
    let mut command = program();
    command
        .args(["check", "--data"])
        .arg(data)
        .env("PICRESIZE__DATA__MIN_FREE_MIB", min_free_mib);
    let output = run(command);
    (output.status.code(), text(&output.stdout))
}

fn check(data: &Path) -> (Option<i32>, String) {
    check_with(data, "1")
}

#[test]
fn a_new_folder_is_fine_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for data in [folder.path().to_owned(), folder.path().join("not/yet")] {
        let (code, said) = check(&data);
        assert_eq!(code, Some(0), "{said}");
        let folder = data.display();
        for line in [
            "settings: fine".to_owned(),
            format!("data: {folder} can be written"),
            format!("log: there is none in {folder} yet; `picresize serve` makes it"),
            format!("table: there is none in {folder} yet; `picresize serve` makes it"),
        ] {
            assert!(said.lines().any(|it| it == line), "{line}\n{said}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_in_use_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let _process = Process::serve(&free_address(), folder.path());
    let (code, said) = check(folder.path());
    assert_eq!(code, Some(0), "{said}");
    for line in ["log: answers", "table: answers"] {
        assert!(said.lines().any(|it| it == line), "{line}\n{said}");
    }
}

#[test]
fn a_damaged_table_is_found_although_there_is_no_log() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pictures.sqlite"), [b'x'; 16384]).unwrap();
    let (code, said) = check(folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("\nlog: there is none in "), "{said}");
    let table = said.lines().find(|line| line.starts_with("table: "));
    for part in ["pictures.sqlite cannot be used", "replay rebuild"] {
        assert!(table.unwrap().contains(part), "{said}");
    }
}

#[test]
fn a_disk_without_room_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for data in [folder.path().to_owned(), folder.path().join("not/yet")] {
        let (code, said) = check_with(&data, "1000000000000");
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("data.min_free_mib is 1000000000000"),
            "{said}"
        );
    }
}

#[track_caller]
fn assert_unusable(data: &Path) {
    let (code, said) = check(data);
    assert_eq!(code, Some(1), "{said}");
    let start = format!("data: the data folder {} cannot be used: ", data.display());
    let line = said.lines().find(|line| line.starts_with(&start));
    // The cause, from the system.
    assert!(line.is_some_and(|line| line.contains("os error")), "{said}");
}

#[test]
fn a_folder_that_cannot_be_created_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_unusable(&file);
    assert_unusable(&file.join("data"));
}

#[test]
fn a_folder_that_cannot_be_written_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let read_only = fs::Permissions::from_mode(0o555);
    fs::set_permissions(folder.path(), read_only).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert_unusable(folder.path());
        assert_unusable(&folder.path().join("data"));
    }
    // Not even root can create a folder here.
    #[cfg(target_os = "linux")]
    assert_unusable(Path::new("/proc/data"));
}
