//! Tests that `picresize resize` only replaces files that its flags allow it to replace.

use std::fs;
use std::path::Path;

use picresize::imaging::{Limits, inspect, resize};
use picresize::operation::{Format, ResizeOptions};
use tempfile::{TempDir, tempdir};

use crate::process::{program, run, text};
use crate::support::png;

/// A folder of pictures of 60 x 40 pixels.
struct Folder(TempDir);

impl Folder {
    fn with(names: &[&str]) -> Self {
        let folder = Self(tempdir().unwrap());
        for name in names {
            folder.put(name);
        }
        folder
    }

    fn put(&self, name: &str) {
        let format = if name.ends_with(".png") {
            "png"
        } else {
            "jpeg"
        };
        let options = [("width", "60"), ("format", format)];
        let request = ResizeOptions::from_pairs(options).unwrap();
        let picture = resize(&png(60, 40, 1), &request, &Limits::default());
        self.write(name, &picture.unwrap().bytes);
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn width(&self, name: &str) -> u32 {
        let bytes = fs::read(self.path().join(name)).unwrap();
        inspect(&bytes, &Limits::default()).unwrap().width()
    }

    /// Every file with its bytes, and the links.
    fn content(&self) -> Vec<(String, Vec<u8>)> {
        let mut content = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = fs::read(&path).unwrap_or_default();
                    content.push((path.display().to_string(), bytes));
                }
            }
        }
        content.sort();
        content
    }

    /// Runs `picresize resize` in the folder; returns its exit code and its output.
    fn resize(&self, arguments: &str) -> (Option<i32>, String) {
        let mut command = program();
        command.arg("resize").current_dir(self.path());
        command.args(arguments.split_whitespace());
        let output = run(command);
        (output.status.code(), text(&output.stderr))
    }

    fn resizes(&self, arguments: &str) {
        let (code, errors) = self.resize(arguments);
        assert_eq!(code, Some(0), "{arguments}: {errors}");
        let left_behind = |(name, _): &(String, Vec<u8>)| name.ends_with(".tmp");
        assert!(!self.content().iter().any(left_behind), "{arguments}");
    }

    /// Checks that the command line is refused with these words, and that nothing has changed.
    fn refuses(&self, arguments: &str, words: &[&str]) {
        let before = self.content();
        let (code, errors) = self.resize(arguments);
        assert_eq!(code, Some(2), "{arguments}: {errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments}: {errors}");
        }
        assert!(self.content() == before, "{arguments} changed something");
    }
}

#[test]
fn two_pictures_are_no_source_and_result() {
    let folder = Folder::with(&["a.jpg", "b.jpg"]);
    folder.refuses(
        "a.jpg b.jpg --width 20",
        &["b.jpg", "--overwrite", "--in-place"],
    );
    folder.resizes("a.jpg b.jpg --width 20 --overwrite");
    assert_eq!((folder.width("a.jpg"), folder.width("b.jpg")), (60, 20));
}

#[test]
fn a_file_in_the_folder_of_results_is_replaced_only_with_overwrite() {
    let folder = Folder::with(&["a.jpg", "b.jpg", "c", "small/b.jpg"]);
    let arguments = "a.jpg b.jpg c --out-dir small --width 20";
    folder.refuses(arguments, &["small/b.jpg", "--overwrite"]);
    folder.resizes(&format!("{arguments} --overwrite"));
    for name in ["small/a.jpg", "small/b.jpg", "small/c.jpg"] {
        assert_eq!(folder.width(name), 20, "{name}");
    }
    // The results' extensions follow from the format.
    folder.resizes("a.jpg b.jpg c --out-dir small --width 20 --format webp");
}

#[test]
fn a_source_is_replaced_only_with_in_place() {
    let folder = Folder::with(&["a.jpg", "b.jpg", "c.jpg"]);
    for arguments in [
        "a.jpg a.jpg",
        "a.jpg ./a.jpg --overwrite",
        "a.jpg b.jpg --out-dir .",
        "a.jpg b.jpg --out-dir . --overwrite",
    ] {
        folder.refuses(&format!("{arguments} --width 20"), &["a.jpg", "--in-place"]);
    }
    folder.resizes("a.jpg a.jpg --width 50 --in-place");
    assert_eq!(folder.width("a.jpg"), 50);
    folder.resizes("a.jpg b.jpg c.jpg --width 40 --in-place");
    for name in ["a.jpg", "b.jpg", "c.jpg"] {
        assert_eq!(folder.width(name), 40, "{name}");
    }
    folder.resizes("a.jpg b.jpg --out-dir . --width 30 --in-place");
    assert_eq!((folder.width("b.jpg"), folder.width("c.jpg")), (30, 40));
}

#[test]
fn a_link_to_a_source_is_that_source() {
    use std::os::unix::fs::symlink;

    let folder = Folder::with(&["a.jpg"]);
    let at = |name: &str| folder.path().join(name);
    symlink("a.jpg", at("soft.jpg")).unwrap();
    fs::hard_link(at("a.jpg"), at("hard.jpg")).unwrap();
    symlink(".", at("here")).unwrap();
    symlink("nothing", at("dangling.jpg")).unwrap();
    for target in ["soft.jpg", "hard.jpg", "here/a.jpg"] {
        for flag in ["", "--overwrite"] {
            let arguments = format!("a.jpg {target} --width 20 {flag}");
            folder.refuses(&arguments, &[target, "--in-place"]);
        }
    }
    folder.refuses("soft.jpg a.jpg --width 20", &["a.jpg", "--in-place"]);
    folder.refuses("a.jpg --out-dir here --width 20", &["here/a.jpg"]);
    folder.refuses(
        "a.jpg dangling.jpg --width 20",
        &["dangling.jpg", "--overwrite"],
    );

    // A link is kept. Both paths lead to the same picture, which is resized once.
    folder.resizes("soft.jpg a.jpg --width 30 --in-place");
    assert!(at("soft.jpg").is_symlink());
    assert_eq!((folder.width("a.jpg"), folder.width("hard.jpg")), (30, 60));
}

#[test]
fn no_result_replaces_the_source_of_another() {
    let folder = Folder::with(&["a.png", "b/a", "b/a.jpg", "other/a.jpg"]);
    // Its content is PNG, so its own result gets another name.
    fs::copy(folder.path().join("a.png"), folder.path().join("a.jpg")).unwrap();
    folder.refuses(
        "b/a a.jpg --out-dir . --width 20 --in-place --overwrite",
        &["a.jpg would be replaced by the result of b/a"],
    );
    folder.refuses(
        "b/a.jpg other/a.jpg --out-dir small --width 20",
        &["b/a.jpg", "other/a.jpg"],
    );
}

#[test]
fn a_picture_in_place_keeps_the_format_of_its_name() {
    let folder = Folder::with(&["a.jpg", "b.png", "plain"]);
    fs::copy(folder.path().join("b.png"), folder.path().join("lies.jpg")).unwrap();
    for (arguments, name) in [
        ("a.jpg b.png --format png", "a.jpg"),
        ("a.jpg b.png --format jpeg", "b.png"),
        ("a.jpg lies.jpg", "lies.jpg"),
        ("plain --format png", "plain"),
    ] {
        let arguments = format!("{arguments} --width 20 --in-place");
        folder.refuses(&arguments, &[name, "--in-place", "--out-dir"]);
    }
    folder.resizes("a.jpg b.png plain --width 20 --in-place");
    let plain = fs::read(folder.path().join("plain")).unwrap();
    assert_eq!(
        inspect(&plain, &Limits::default()).unwrap().format(),
        Format::Jpeg
    );
}

#[test]
fn what_fails_leaves_the_file_as_it_was() {
    let folder = Folder::with(&["good.jpg", "out.jpg"]);
    let cut_short = fs::read(folder.path().join("good.jpg")).unwrap();
    folder.write("bad.jpg", &cut_short[..100]);
    folder.write("text.jpg", b"no picture");
    let before = folder.content();
    for arguments in [
        "bad.jpg out.jpg --overwrite",
        "text.jpg out.jpg --overwrite",
        "bad.jpg text.jpg --in-place",
    ] {
        let (code, errors) = folder.resize(&format!("{arguments} --width 20"));
        assert_eq!(code, Some(1), "{arguments}: {errors}");
        assert!(folder.content() == before, "{arguments}");
    }
}

#[test]
fn a_result_has_the_rights_of_any_new_file_or_of_the_one_it_replaces() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::with(&["a.jpg", "b.jpg"]);
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    let usual = mode("b.jpg");
    let rights = fs::Permissions::from_mode(0o640);
    fs::set_permissions(folder.path().join("a.jpg"), rights).unwrap();
    folder.resizes("a.jpg new.jpg --width 20");
    folder.resizes("a.jpg --width 20 --in-place");
    assert_eq!((mode("new.jpg"), mode("a.jpg")), (usual, 0o640));
}
