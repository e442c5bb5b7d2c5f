//! Tests that the modules only use each other as allowed, and that ARCHITECTURE.md names all of
//! them.
//!
//! Sources are scanned for paths such as `crate::event::Event`, without comments, strings and unit
//! tests. The tables below define what is allowed.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The other modules that each module of the service may use; `imaging` is `picresize-imaging`.
/// Roles can't use each other.
const MAY_USE: &str = "
main: cli lifecycle telemetry
cli: access api worker replay processing storage event_log picture_store settings event operation imaging lifecycle telemetry
api: access processing storage event_log picture_store settings event operation imaging telemetry
worker: processing storage event_log picture_store settings event operation imaging telemetry
replay: processing storage event_log picture_store settings event operation imaging telemetry
processing: event_log picture_store settings event operation imaging
storage: private event_log picture_store settings event operation imaging
event_log: sqlite event operation imaging
picture_store: sqlite event operation imaging
access: private operation
sqlite: private
settings: operation imaging
event: operation imaging
operation: imaging
";

/// The path prefixes of the files that may use a library, a module, or a lint's name.
const ONLY_IN: &str = "
rdkafka: src/event_log/kafka
mysql_async: src/picture_store/mysql
rusqlite: src/sqlite src/event_log/embedded src/picture_store/embedded
picresize::sqlite: src/sqlite src/event_log/embedded src/picture_store/embedded
picresize::settings: src/settings src/cli src/storage src/processing.rs src/api.rs src/api/access.rs src/api/quota.rs src/api/state.rs src/worker.rs src/replay
axum: src/api
clap: src/main.rs src/cli crates/load/
anyhow: src/main.rs src/cli crates/load/
unsafe_code: crates/imaging/src/codec/ src/processing/
std::fs: src/ crates/load/
std::net: src/
std::process: src/ crates/load/
";

const CRATES: &[[&str; 2]] = &[
    ["src", "picresize"],
    ["crates/imaging/src", "picresize_imaging"],
    ["crates/load/src", "picresize_load"],
];

struct Source {
    file: String,
    lines: usize,
    /// Paths from the root of their crate, such as `picresize::event::Event`.
    uses: BTreeSet<String>,
}

/// The sources by the paths of their modules.
fn sources() -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    let mut open = Vec::from_iter(CRATES.iter().map(|names| names.map(str::to_owned)));
    while let Some([folder, parent]) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let file = format!("{folder}/{}", entry.file_name().display());
            let name = file[folder.len() + 1..].trim_end_matches(".rs");
            let module = format!("{parent}::{name}");
            let module = module.trim_end_matches("::lib").to_owned();
            if entry.path().is_dir() {
                open.push([file, module]);
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let mut paths = Vec::new();
            read_paths(&mut code(&text).chars(), "", &mut paths);
            let uses = paths.iter().map(|path| absolute(&file, &module, path));
            let uses = uses.collect();
            let lines = text.lines().count();
            sources.insert(module, Source { file, lines, uses });
        }
    }
    sources
}

/// The source without comments, strings, and the unit tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let quoted = ["://", r"\\", "\\\"", "'\"'"];
    let text = quoted
        .iter()
        .fold(text.to_owned(), |text, it| text.replace(it, ""));
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    Vec::from_iter(Vec::from_iter(lines).join("\n").split('"').step_by(2)).join("\"")
}

/// Finds paths: names joined by `::`. The groups of a `use` are expanded.
fn read_paths(code: &mut std::str::Chars, prefix: &str, found: &mut Vec<String>) {
    let mut path = prefix.to_owned();
    loop {
        match code.next() {
            Some(c) if c.is_alphanumeric() || c == '_' || c == ':' => path.push(c),
            Some('{') if path.ends_with("::") => {
                read_paths(code, &path, found);
                prefix.clone_into(&mut path);
            }
            other => {
                found.push(path.trim_matches(':').to_owned());
                prefix.clone_into(&mut path);
                if other.is_none() || other == Some('}') && !prefix.is_empty() {
                    return;
                }
            }
        }
    }
}

fn absolute(file: &str, module: &str, path: &str) -> String {
    let (first, rest) = path.split_once("::").unwrap_or(("", path));
    let root = module.split("::").next().unwrap();
    let parent = module.rsplit_once("::").map_or(root, |(parent, _)| parent);
    let folder = file.trim_end_matches(".rs").trim_end_matches("/lib");
    match first {
        "crate" => format!("{root}::{rest}"),
        "self" => format!("{module}::{rest}"),
        "super" if rest.starts_with("super") => absolute(file, parent, rest),
        "super" => format!("{parent}::{rest}"),
        _ if fs::exists(format!("{folder}/{first}.rs")).unwrap() => format!("{module}::{path}"),
        _ => path.to_owned(),
    }
}

/// The innermost module of a path.
fn owner<'a>(sources: &BTreeMap<String, Source>, path: &'a str) -> Option<&'a str> {
    let mut outward = std::iter::successors(Some(path), |it| Some(it.rsplit_once("::")?.0));
    outward.find(|it| sources.contains_key(*it))
}

fn table(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let rows = text.trim().lines().map(|line| line.split(' '));
    rows.map(|mut words| (words.next().unwrap().trim_end_matches(':'), words.collect()))
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = "//! crate::no\nuse crate::{a, b::{self, C}};\nconst D: &str = \"crate::no\";\n\
                fn f(x: &super::E) { m!(crate::f(), '\"', self::g) } // crate::no\n\
                #[cfg(test)]\nmod tests { use crate::no; }";
    let mut found = Vec::new();
    read_paths(&mut code(text).chars(), "", &mut found);
    let found = found.iter().filter(|path| path.contains("::"));
    let found = Vec::from_iter(found.map(|path| absolute("x/y/z.rs", "x::y::z", path)));
    let found = found.join(" ");
    assert_eq!(
        found,
        "x::a x::b::self x::b x::b::C x::y::E x::f x::y::z::g"
    );
}

#[test]
fn modules_of_the_service_use_each_other_one_way() {
    let table: BTreeMap<_, _> = table(MAY_USE).collect();
    let mut broken = BTreeSet::new();
    for Source { file, uses, .. } in sources().values() {
        let user = file.trim_start_matches("src/").trim_end_matches(".rs");
        let user = user.split('/').next().unwrap();
        let allowed = table.get(user).map_or(&[][..], Vec::as_slice);
        let used = uses.iter().filter(|it| it.starts_with("picresize::"));
        for used in used.map(|path| path.split("::").nth(1).unwrap()) {
            if used != user && !allowed.contains(&used) {
                broken.insert(format!("{file}: {user} uses {used}"));
            }
        }
    }
    assert!(broken.is_empty(), "MAY_USE does not have it: {broken:#?}");
}

#[test]
fn no_file_uses_what_uses_it() {
    let sources = sources();
    let mut edges = BTreeMap::new();
    for (module, source) in &sources {
        let paths = source.uses.iter().filter(|path| path.contains("::"));
        let mut used: BTreeSet<_> = paths.filter_map(|it| owner(&sources, it)).collect();
        used.remove(module.as_str());
        edges.insert(module.as_str(), used);
    }
    let mut broken = Vec::new();
    for (from, used) in &edges {
        for to in used {
            let (mut reached, mut open) = (BTreeSet::new(), vec![to]);
            while let Some(next) = open.pop() {
                open.extend(edges[next].iter().filter(|it| reached.insert(**it)));
            }
            if reached.contains(from) {
                broken.push(format!("{from} → {to}"));
            }
        }
    }
    assert!(broken.is_empty(), "these go in a circle: {broken:#?}");
}

#[test]
fn each_library_stays_in_its_place() {
    let mut broken = BTreeSet::new();
    for Source { file, uses, .. } in sources().values() {
        for path in uses.iter().map(|path| format!("{path}::")) {
            let row = table(ONLY_IN).find(|(name, _)| path.starts_with(&format!("{name}::")));
            if row.is_some_and(|(_, places)| !places.iter().any(|it| file.starts_with(it))) {
                broken.insert(format!("{file}: {path}"));
            }
        }
    }
    assert!(broken.is_empty(), "ONLY_IN does not have it: {broken:#?}");
}

#[test]
fn files_stay_short() {
    let long = sources()
        .into_values()
        .filter(|it| it.lines > 500 || it.file.ends_with("/mod.rs"));
    let long = Vec::from_iter(long.map(|it| it.file));
    assert!(long.is_empty(), "{long:#?}");
}

/// Each heading of the map names a folder, and the first column of its table lists the content.
#[test]
fn the_map_names_what_is_there() {
    let text = fs::read_to_string("ARCHITECTURE.md").unwrap();
    for [folder, _] in CRATES {
        let after = text.split_once(&format!("\n### `{folder}`\n"));
        let lines = after.expect("a heading for each folder").1.lines();
        let lines = lines.take_while(|line| !line.starts_with('#'));
        let cells = lines.filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let names = cells.flat_map(|cell| cell.split(", "));
        let on_map: BTreeSet<_> = names
            .map(|it| it.trim_matches([' ', '`']).to_owned())
            .collect();
        let mut there = on_map.clone();
        there.retain(|name| fs::exists(format!("{folder}/{name}")).unwrap());
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let slash = if entry.path().is_dir() { "/" } else { "" };
            there.insert(format!("{}{slash}", entry.file_name().display()));
        }
        assert_eq!(on_map, there, "the map of {folder}, and what is there");
    }
}
