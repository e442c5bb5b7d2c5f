//! The option tables in the documentation match the declared options.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use picresize_imaging::{OPTIONS, OptionSpec, Values};

use super::pictures::{drawing, make};

/// The table of options is between these two lines.
const BEGIN: &str = "<!-- options: written by the test `documentation`, not by hand -->\n";
const END: &str = "<!-- end of options -->\n";

/// If it is set, the test writes the tables instead of comparing them.
const WRITE: &str = "PICRESIZE_WRITE_DOCS";

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Whether the default is a valid value, and not a description.
fn is_value(option: &OptionSpec, default: &str) -> bool {
    match option.values {
        Values::Words(words) => words.iter().any(|(word, _)| *word == default),
        Values::Whole { .. } | Values::Quality => default.bytes().all(|byte| byte.is_ascii_digit()),
        Values::Format => default == "same",
        Values::Color => !default.contains(' '),
    }
}

/// The table of options in Markdown.
fn table() -> String {
    let mut table =
        String::from("| option | what it sets | values | default |\n|---|---|---|---|\n");
    for option in OPTIONS {
        let default = match option.default {
            Some(default) if is_value(option, default) => code(default),
            other => other.unwrap_or_default().to_owned(),
        };
        let values = option.values.describe(code);
        let (key, help) = (code(option.key), option.help);
        writeln!(table, "| {key} | {help} | {values} | {default} |").unwrap();
    }
    table.replace("|  |", "| |")
}

/// Compares the table in a file with the declaration, or writes it. Returns `false` if the file has
/// none.
fn check(file: &Path) -> bool {
    let text = fs::read_to_string(file)
        .unwrap_or_default()
        .replace("\r\n", "\n");
    let Some((before, rest)) = text.split_once(BEGIN) else {
        return false;
    };
    let (found, after) = rest
        .split_once(END)
        .unwrap_or_else(|| panic!("{}: {END:?} is missing", file.display()));
    let table = table();
    if found == table {
        return true;
    }
    if std::env::var_os(WRITE).is_some() {
        fs::write(file, [before, BEGIN, &table, END, after].concat()).unwrap();
        return true;
    }
    panic!(
        "{}: the table of options differs from the declaration in \
         crates/imaging/src/options/table.rs. Write it anew with\n\n    \
         {WRITE}=1 cargo test -p picresize-imaging --test imaging documentation\n\n\
         It should be:\n{table}",
        file.display()
    );
}

#[test]
fn the_readmes_have_the_table_of_options() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for readme in ["../../README.md", "README.md"] {
        let readme = package.join(readme);
        assert!(check(&readme), "{} has no line {BEGIN:?}", readme.display());
    }
}

/// A documented default is the one that the pipeline uses.
#[test]
fn a_default_that_is_given_changes_nothing() {
    let source = drawing(120, 80);
    for format in ["jpeg", "webp", "png"] {
        let request = format!("width=60 height=50 format={format}");
        let usual = make(&source, &request).bytes;
        for option in OPTIONS {
            let Some(default) = option.default.filter(|default| is_value(option, default)) else {
                continue;
            };
            if option.key == "format" {
                continue;
            }
            let given = make(&source, &format!("{request} {}={default}", option.key));
            assert!(given.bytes == usual, "{}={default} to {format}", option.key);
        }
    }
}
