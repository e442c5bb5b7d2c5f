//! Holds the dependency rule: modules use each other one way only, and each outside library stays
//! where it belongs. The tables say what is allowed; a new module needs a line in [`MAY_USE`].
//!
//! The sources are read as tokens, so that comments and strings don't count while code inside
//! macros does.

mod source;
mod tokens;

use std::collections::HashSet;
use std::path::Path;
use std::{fmt, fs, io};

use source::{Source, What};

/// What each module of the crate may use of the others. `main` and `lib` are the two roots.
const MAY_USE: &[(&str, &[&str])] = &[
    ("operation", &[]),
    ("event", &["operation"]),
    ("imaging", &["operation"]),
    ("sqlite", &[]),
    ("event_log", &["event", "operation", "sqlite"]),
    ("picture_store", &["event", "operation", "sqlite"]),
    ("settings", &["imaging", "operation"]),
    ("lifecycle", &[]),
    ("telemetry", &[]),
    (
        "processing",
        &[
            "event_log",
            "picture_store",
            "imaging",
            "event",
            "operation",
        ],
    ),
    (
        "storage",
        &[
            "event_log",
            "picture_store",
            "imaging",
            "event",
            "operation",
            "settings",
            "telemetry",
        ],
    ),
    ("api", ROLE),
    ("worker", ROLE),
    ("replay", ROLE),
    (
        "cli",
        &[
            "api",
            "worker",
            "replay",
            "storage",
            "event_log",
            "picture_store",
            "imaging",
            "event",
            "operation",
            "settings",
            "lifecycle",
            "telemetry",
        ],
    ),
    ("main", &["cli", "lifecycle", "telemetry"]),
    ("lib", &[]),
];

/// Roles don't see each other. A stop signal is handed to them, so they don't see `lifecycle`.
const ROLE: &[&str] = &[
    "processing",
    "storage",
    "event_log",
    "picture_store",
    "imaging",
    "event",
    "operation",
    "settings",
    "telemetry",
];

/// Modules that not every file of an allowed module may use. A name that ends with a slash is a
/// folder.
const MODULE_ONLY_IN: &[(&str, &[&str])] = &[
    (
        "sqlite",
        &[
            "src/event_log/embedded.rs",
            "src/event_log/embedded/",
            "src/picture_store/embedded.rs",
            "src/picture_store/embedded/",
        ],
    ),
    (
        // Read where a part is put together, and handed on from there as plain values.
        "settings",
        &[
            "src/cli.rs",
            "src/cli/",
            "src/storage.rs",
            "src/api.rs",
            "src/worker.rs",
            "src/replay.rs",
            "src/replay/",
        ],
    ),
];

/// Libraries that stay in one place.
const CRATE_ONLY_IN: &[(&str, &[&str])] = &[
    (
        "rdkafka",
        &["src/event_log/kafka.rs", "src/event_log/kafka/"],
    ),
    (
        "mysql_async",
        &["src/picture_store/mysql.rs", "src/picture_store/mysql/"],
    ),
    (
        "rusqlite",
        &[
            "src/sqlite.rs",
            "src/event_log/embedded.rs",
            "src/event_log/embedded/",
            "src/picture_store/embedded.rs",
            "src/picture_store/embedded/",
        ],
    ),
    ("axum", &["src/api.rs", "src/api/"]),
    ("clap", &["src/main.rs", "src/cli.rs", "src/cli/"]),
    ("anyhow", &["src/main.rs", "src/cli.rs", "src/cli/"]),
];

/// What a pure function of bytes has no need of; its tests may read files.
const NOT_IN_IMAGING: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures",
    "async_trait",
    "serde",
    "serde_json",
    "std::fs",
    "std::net",
    "std::process",
];
const IMAGING: &[&str] = &["src/imaging.rs", "src/imaging/"];

#[test]
fn the_sources_keep_the_dependency_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    collect(root, "src", &mut sources).expect("the sources can be read");
    sources.sort();
    assert!(sources.iter().any(|(name, _)| name == "src/lib.rs"));

    let broken = check(&sources);
    let list: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert!(
        broken.is_empty(),
        "the dependency rule is broken {} times:\n{}\n",
        list.len(),
        list.join("\n")
    );
}

/// Reads every Rust source below `folder`, named with slashes and relative to `root`.
fn collect(root: &Path, folder: &str, sources: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = format!("{folder}/{}", entry.file_name().display());
        if entry.file_type()?.is_dir() {
            collect(root, &name, sources)?;
        } else if Path::new(&name).extension().is_some_and(|ext| ext == "rs") {
            sources.push((name, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

/// One place where a rule is broken.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Checks sources, given as file names and texts, against all the rules.
fn check(sources: &[(String, String)]) -> Vec<Violation> {
    let read: Vec<Source> = sources
        .iter()
        .map(|(name, text)| source::read(name, text))
        .collect();
    let test_modules: HashSet<&[String]> = read
        .iter()
        .flat_map(|source| source.test_modules.iter().map(Vec::as_slice))
        .collect();

    let mut broken = Vec::new();
    for source in &read {
        // `#[cfg(test)] mod x;` makes a test of the whole file, and of those below it.
        let test_file =
            (1..=source.module.len()).any(|n| test_modules.contains(&source.module[..n]));
        let mut report = |line, rule| {
            broken.push(Violation {
                file: source.file.clone(),
                line,
                rule,
            });
        };
        if source.file.ends_with("/mod.rs") {
            report(
                1,
                "a module's file is `foo.rs` beside `foo/`, never `mod.rs`".to_owned(),
            );
        }
        for mention in &source.mentions {
            let in_test = mention.in_test || test_file;
            if let Some(rule) = broken_rule(source, &mention.what, in_test) {
                report(mention.line, rule);
            }
        }
    }
    broken
}

/// The rule that something said in a source breaks, if any.
fn broken_rule(source: &Source, what: &What, in_test: bool) -> Option<String> {
    let in_imaging = is_in(&source.file, IMAGING);
    match what {
        What::Word(word) if word.starts_with("unsafe") => (!in_imaging)
            .then(|| format!("`{word}`: unsafe code is for codecs, only under src/imaging")),
        What::Word(word) => (in_imaging && !in_test)
            .then(|| format!("`{word}`: imaging is pure functions, nothing in it waits")),
        What::PathAttribute => {
            Some("`#[path]`: a module lives in the file of its own name".to_owned())
        }
        What::Crate(path) => {
            for (library, places) in CRATE_ONLY_IN {
                if path[0] == *library && !is_in(&source.file, places) {
                    return Some(format!("`{library}` is used only in {}", places.join(", ")));
                }
            }
            NOT_IN_IMAGING
                .iter()
                .find(|banned| in_imaging && !in_test && starts_with(path, banned))
                .map(|banned| format!("`{banned}`: imaging knows no runtime, no serde and no I/O"))
        }
        What::Root => Some(
            "the crate's root is named as a whole, which hides the modules that are used; name \
             them"
                .to_owned(),
        ),
        What::Module(used) => broken_layer(source, used),
    }
}

/// The layer rule that a use of a module of the crate breaks, if any.
fn broken_layer(source: &Source, used: &str) -> Option<String> {
    let user = source.top();
    if used == user {
        return None;
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == user) else {
        return Some(format!(
            "`{user}` has no line in MAY_USE of tests/architecture.rs: say there what it may use"
        ));
    };
    if !allowed.contains(&used) {
        let allowed = if allowed.is_empty() {
            "nothing of the crate".to_owned()
        } else {
            format!("only {}", allowed.join(", "))
        };
        return Some(format!("`{user}` uses `{used}`; it may use {allowed}"));
    }
    MODULE_ONLY_IN
        .iter()
        .find(|(module, places)| *module == used && !is_in(&source.file, places))
        .map(|(module, places)| format!("`{module}` is used only in {}", places.join(", ")))
}

fn is_in(file: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)))
}

fn starts_with(path: &[String], prefix: &str) -> bool {
    let mut path = path.iter();
    prefix
        .split("::")
        .all(|segment| path.next().is_some_and(|s| s == segment))
}

mod checker {
    //! Each rule can be broken: the checker is tried on sources that break it.

    use super::*;

    /// The violations of one file, as `line: rule`.
    fn violations(file: &str, text: &str) -> Vec<String> {
        check(&[(file.to_owned(), text.to_owned())])
            .into_iter()
            .map(|violation| {
                assert_eq!(violation.file, file);
                format!("{}: {}", violation.line, violation.rule)
            })
            .collect()
    }

    #[track_caller]
    fn refused(file: &str, text: &str, expected: &str) {
        let found = violations(file, text);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "expected one violation `{expected}…`, found {found:#?}"
        );
    }

    #[track_caller]
    fn accepted(file: &str, text: &str) {
        assert_eq!(violations(file, text), Vec::<String>::new());
    }

    #[test]
    fn a_violation_names_file_line_and_rule() {
        let sources = [(
            "src/api/page.rs".to_owned(),
            "//! The page.\n\nuse crate::worker::Worker;\n".to_owned(),
        )];
        assert_eq!(
            check(&sources)[0].to_string(),
            "src/api/page.rs:3: `api` uses `worker`; it may use only processing, storage, event_log, \
             picture_store, imaging, event, operation, settings, telemetry"
        );
    }

    #[test]
    fn a_lower_layer_never_uses_a_higher_one() {
        refused(
            "src/operation.rs",
            "use crate::event::Event;",
            "1: `operation` uses `event`",
        );
        refused(
            "src/event.rs",
            "use crate::event_log::Topic;",
            "1: `event` uses `event_log`",
        );
        refused(
            "src/imaging/png.rs",
            "use crate::event::Event;",
            "1: `imaging` uses `event`",
        );
        refused(
            "src/event_log.rs",
            "use crate::storage::Storage;",
            "1: `event_log` uses `storage`",
        );
        refused(
            "src/storage.rs",
            "use crate::api::Api;",
            "1: `storage` uses `api`",
        );
        refused(
            "src/lifecycle.rs",
            "use crate::cli::Cli;",
            "1: `lifecycle` uses `cli`",
        );
        refused(
            "src/main.rs",
            "use picresize::api::Api;",
            "1: `main` uses `api`",
        );
        accepted(
            "src/main.rs",
            "use picresize::cli; fn main() { picresize::cli::run(); }",
        );
        accepted(
            "src/worker/job.rs",
            "use crate::imaging::{self, resize}; use crate::event::*;",
        );
    }

    #[test]
    fn roles_never_see_each_other() {
        refused(
            "src/api.rs",
            "use crate::worker::Worker;",
            "1: `api` uses `worker`",
        );
        refused(
            "src/worker.rs",
            "use crate::api::Api;",
            "1: `worker` uses `api`",
        );
        refused(
            "src/replay.rs",
            "use crate::worker::Worker;",
            "1: `replay` uses `worker`",
        );
        accepted("src/cli.rs", "use crate::{api, worker, replay};");
    }

    #[test]
    fn paths_are_found_however_they_are_written() {
        let expected = "2: `worker` uses `api`";
        for code in [
            "use crate::api;",
            "use crate::api as other;",
            "use {crate::api, std::fmt};",
            "use crate::{storage::Storage, api::{self, Api}};",
            "use super::api::Api;",
            "pub(crate) use self::super::api::*;",
            "fn f() { crate::api::run(); }",
            "fn f() -> Vec<crate::api::Api> { Vec::new() }",
            "fn f() { let x = Vec::<u8>::new(); <crate::api::Api as Default>::default(); }",
            "fn f() { tokio::select! { _ = crate::api::run() => {} } }",
            "#[derive(crate::api::Macro)] struct S;",
            "macro_rules! m { () => { $crate::api::run() } }",
            "mod inner { use super::super::api::Api; }",
        ] {
            let found = violations("src/worker.rs", &format!("\n{code}"));
            assert!(
                !found.is_empty()
                    && found
                        .iter()
                        .all(|violation| violation.starts_with(expected)),
                "{code}: {found:?}"
            );
        }
    }

    #[test]
    fn a_path_over_several_lines_is_reported_where_the_module_is_named() {
        refused(
            "src/worker.rs",
            "use crate::{\n    storage,\n    api,\n};",
            "3: ",
        );
    }

    #[test]
    fn what_is_no_code_does_not_count() {
        accepted(
            "src/worker.rs",
            "//! [`crate::api`]\n// crate::api\n/* use crate::api; */\nconst S: &str = \
             \"crate::api unsafe\";",
        );
        accepted(
            "src/worker.rs",
            r###"
                const A: &str = r#" " crate::api "#;
                const B: &[u8] = b" \" crate::api";
                const C: &[char] = &['"', '\'', '\\', '\u{1F600}', b'"' as char];
                fn f<'a>(x: &'a str) -> &'static str { " crate::api" }
                /* /* nested */ crate::api */
            "###,
        );
        // And what follows them does.
        for before in [
            "'\"'",
            "b'\"'",
            "r#\"\"\"#",
            "\"\\\"\"",
            "/* /* */ */ 0",
            "'\\''",
            "1.5e-3",
        ] {
            let code = format!("fn f<'a>() {{ {before}; crate::api::run() }}");
            refused("src/worker.rs", &code, "1: `worker` uses `api`");
        }
    }

    #[test]
    fn a_module_uses_its_own_parts_freely() {
        accepted(
            "src/worker/job.rs",
            "use super::watermark::Watermark; use super::*;",
        );
        accepted(
            "src/worker.rs",
            "use self::job::Job; mod tests { use super::*; }",
        );
        accepted(
            "src/worker/job.rs",
            "use crate::worker::watermark::Watermark;",
        );
    }

    #[test]
    fn the_root_is_not_used_as_a_whole() {
        for code in [
            "use crate::*;",
            "use super::*;",
            "use crate::{self as root};",
        ] {
            refused("src/worker.rs", code, "1: the crate's root");
        }
    }

    #[test]
    fn a_module_without_a_line_in_the_table_is_asked_for_one() {
        refused(
            "src/cache.rs",
            "use crate::event::Event;",
            "1: `cache` has no line in MAY_USE",
        );
        refused(
            "src/worker.rs",
            "use crate::cache::Cache;",
            "1: `worker` uses `cache`",
        );
    }

    #[test]
    fn sqlite_serves_the_embedded_adapters_alone() {
        accepted("src/event_log/embedded.rs", "use crate::sqlite::Database;");
        refused(
            "src/event_log.rs",
            "use crate::sqlite::Database;",
            "1: `sqlite` is used only in src/event_log/embedded.rs, src/picture_store/embedded.rs",
        );
        refused(
            "src/api.rs",
            "use crate::sqlite::Database;",
            "1: `api` uses `sqlite`",
        );
    }

    #[test]
    fn settings_are_read_where_a_part_is_put_together() {
        accepted("src/worker.rs", "use crate::settings::Settings;");
        refused(
            "src/worker/job.rs",
            "use crate::settings::Settings;",
            "1: `settings` is used only in src/cli.rs",
        );
    }

    #[test]
    fn libraries_stay_in_their_place() {
        for (library, right, wrong) in [
            (
                "rdkafka",
                "src/event_log/kafka.rs",
                "src/event_log/embedded.rs",
            ),
            (
                "mysql_async",
                "src/picture_store/mysql.rs",
                "src/picture_store.rs",
            ),
            ("rusqlite", "src/sqlite.rs", "src/storage.rs"),
            ("axum", "src/api/page.rs", "src/worker.rs"),
            ("clap", "src/cli/serve.rs", "src/settings.rs"),
            ("anyhow", "src/main.rs", "src/worker.rs"),
        ] {
            for code in [
                format!("use {library}::Thing;"),
                format!("use ::{library}::Thing;"),
                format!("use {library} as other;"),
                format!("extern crate {library};"),
                format!("fn f(x: {library}::Thing) {{}}"),
                format!("#[{library}::attribute] fn f() {{}}"),
            ] {
                accepted(right, &code);
                refused(
                    wrong,
                    &code,
                    &format!("1: `{library}` is used only in {right}")[..20],
                );
            }
        }
    }

    #[test]
    fn imaging_is_pure() {
        for code in [
            "use tokio::sync::Mutex;",
            "use serde::Serialize;",
            "use std::{fs, io::Read};",
            "fn f() { std::net::TcpStream::connect(\"\"); }",
            "async fn f() {}",
        ] {
            let found = violations("src/imaging/decode.rs", code);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            accepted("src/telemetry.rs", code);
        }
        accepted("src/imaging.rs", "use std::io::Read; use std::fmt;");
    }

    #[test]
    fn the_tests_of_imaging_may_read_files() {
        accepted("src/imaging.rs", "#[cfg(test)]\nmod tests { use std::fs; }");
        refused(
            "src/imaging.rs",
            "#[cfg(unix)]\nmod tests { use std::fs; }",
            "2: `std::fs`",
        );
        refused(
            "src/imaging.rs",
            "#[cfg(test)]\nconst X: u8 = 1;\nmod other { use std::fs; }",
            "3: `std::fs`",
        );
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let test_file = file("src/imaging/golden.rs", "use std::fs;");
        let declared = |text| check(&[file("src/imaging.rs", text), test_file.clone()]);
        assert!(declared("#[cfg(test)] mod golden;").is_empty());
        assert_eq!(declared("mod golden;").len(), 1);
    }

    #[test]
    fn unsafe_code_is_for_codecs() {
        accepted(
            "src/imaging/webp.rs",
            "#![allow(unsafe_code)] fn f() { unsafe { g() } }",
        );
        refused("src/sqlite.rs", "fn f() { unsafe { g() } }", "1: `unsafe`");
        refused(
            "src/sqlite.rs",
            "#![allow(unsafe_code)]",
            "1: `unsafe_code`",
        );
    }

    #[test]
    fn a_module_lives_in_the_file_of_its_name() {
        refused("src/worker/mod.rs", "", "1: a module's file is");
        refused(
            "src/lib.rs",
            "#[path = \"x.rs\"]\nmod worker;",
            "1: `#[path]`",
        );
    }

    #[test]
    fn the_table_itself_has_no_cycle() {
        assert_eq!(cycle(MAY_USE), None);
        assert_eq!(
            cycle(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]),
            Some("b")
        );
    }

    /// A module that reaches itself.
    fn cycle(table: &[(&'static str, &[&'static str])]) -> Option<&'static str> {
        let uses = |module: &str| {
            table
                .iter()
                .find(|(name, _)| *name == module)
                .map_or(&[][..], |(_, used)| used)
        };
        table.iter().map(|(module, _)| *module).find(|module| {
            let mut reached = HashSet::new();
            let mut open: Vec<&str> = uses(module).to_vec();
            while let Some(next) = open.pop() {
                if reached.insert(next) {
                    open.extend(uses(next));
                }
            }
            reached.contains(module)
        })
    }
}
