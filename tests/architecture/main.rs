//! Holds the dependency rule: modules use each other one way only, and each outside library stays
//! where it belongs. The tables say what is allowed; a new module needs a line in [`MAY_USE`].
//!
//! The sources are read as tokens, so that comments and strings don't count while code inside
//! macros does.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

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
        "engine",
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
            "engine",
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
    "engine",
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
        &["src/event_log/embedded.rs", "src/picture_store/embedded.rs"],
    ),
    (
        // Read where a part is put together, and handed on from there as plain values.
        "settings",
        &[
            "src/cli.rs",
            "src/cli/",
            "src/engine.rs",
            "src/api.rs",
            "src/worker.rs",
            "src/replay.rs",
        ],
    ),
];

/// Libraries that stay in one place.
const CRATE_ONLY_IN: &[(&str, &[&str])] = &[
    ("rdkafka", &["src/event_log/kafka.rs"]),
    ("mysql_async", &["src/picture_store/mysql.rs"]),
    (
        "rusqlite",
        &[
            "src/sqlite.rs",
            "src/event_log/embedded.rs",
            "src/picture_store/embedded.rs",
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
    collect(root, "src", &mut sources);
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
fn collect(root: &Path, folder: &str, sources: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &name, sources);
        } else if Path::new(&name).extension().is_some_and(|ext| ext == "rs") {
            let text = fs::read_to_string(entry.path()).unwrap();
            sources.push((name, text));
        }
    }
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
        .map(|(name, text)| read(name, text))
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

/// One source file and what it says that a rule is about.
struct Source {
    file: String,
    /// The module the file is; empty for the two roots.
    module: Vec<String>,
    mentions: Vec<Mention>,
    /// Modules that the file declares for tests, in files of their own.
    test_modules: Vec<Vec<String>>,
}

impl Source {
    /// The module directly under the root that the file belongs to.
    fn top(&self) -> &str {
        match self.module.first() {
            Some(top) => top,
            None if self.file == "src/main.rs" => "main",
            None => "lib",
        }
    }
}

struct Mention {
    what: What,
    line: usize,
    in_test: bool,
}

enum What {
    /// A module directly under the crate's root.
    Module(String),
    /// The crate's root, as a whole or with a glob.
    Root,
    /// A path that begins outside of the crate.
    Crate(Vec<String>),
    /// `unsafe`, `unsafe_code`, `async` or `await`.
    Word(String),
    PathAttribute,
}

/// Reads a source by its file name, relative to the package and with slashes.
fn read(file: &str, text: &str) -> Source {
    let module = match file {
        "src/lib.rs" | "src/main.rs" => Vec::new(),
        _ => file
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .split('/')
            .filter(|part| *part != "mod")
            .map(ToOwned::to_owned)
            .collect(),
    };
    let mut source = Source {
        file: file.to_owned(),
        module: module.clone(),
        mentions: Vec::new(),
        test_modules: Vec::new(),
    };
    let scope = Scope {
        module,
        in_test: false,
    };
    source.walk(&tokens_of(text), &scope);
    source
}

/// Where in a file a token stands.
struct Scope {
    module: Vec<String>,
    in_test: bool,
}

impl Source {
    fn walk(&mut self, tokens: &[Token], scope: &Scope) {
        // Whether the attributes just before hold `#[cfg(test)]`.
        let mut for_tests = false;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            match &token.kind {
                Kind::Mark('#') => {
                    let inner = usize::from(is_mark(tokens.get(at + 1), '!'));
                    if let Some(Kind::Group('[', attribute)) = kind(tokens, at + 1 + inner) {
                        for_tests |= inner == 0 && is_cfg_test(attribute);
                        if is_word(attribute.first(), "path") {
                            self.mention(What::PathAttribute, token.line, scope);
                        }
                        self.walk(attribute, scope);
                        at += 2 + inner;
                        continue;
                    }
                }
                Kind::Group(open, inside) => {
                    self.walk(inside, scope);
                    // `pub(crate)` may stand between an attribute and its item.
                    for_tests &= *open == '(';
                }
                Kind::Mark(mark) => for_tests &= *mark != ';',
                Kind::Colons => {}
                Kind::Word(word) => {
                    match word.as_str() {
                        "mod" => {
                            at = self.walk_module(tokens, at, scope, for_tests);
                            for_tests = false;
                            continue;
                        }
                        "use" => {
                            at = self.walk_path(tokens, at + 1, &[], true, scope);
                            continue;
                        }
                        "crate" if at > 0 && is_word(tokens.get(at - 1), "extern") => {
                            at = self.walk_path(tokens, at + 1, &[], true, scope);
                            continue;
                        }
                        "unsafe" | "unsafe_code" | "async" | "await" => {
                            self.mention(What::Word(word.clone()), token.line, scope);
                        }
                        // The tail of `Generic::<T>::name`, which says nothing about modules.
                        _ if at > 1
                            && is_mark(tokens.get(at - 2), '>')
                            && is_colons(tokens, at - 1) => {}
                        _ => {
                            at = self.walk_path(tokens, at, &[], false, scope);
                            continue;
                        }
                    }
                }
            }
            at += 1;
        }
    }

    /// Reads `mod name { … }` or `mod name;` and returns where to go on.
    fn walk_module(
        &mut self,
        tokens: &[Token],
        at: usize,
        scope: &Scope,
        for_tests: bool,
    ) -> usize {
        let Some(Kind::Word(name)) = kind(tokens, at + 1) else {
            return at + 1;
        };
        let mut module = scope.module.clone();
        module.push(name.clone());
        match kind(tokens, at + 2) {
            Some(Kind::Group(_, body)) => {
                let scope = Scope {
                    module,
                    in_test: scope.in_test || for_tests,
                };
                self.walk(body, &scope);
            }
            _ if for_tests => self.test_modules.push(module),
            _ => {}
        }
        at + 3
    }

    /// Reads a path, or a tree of paths in a `use`, and returns where to go on.
    fn walk_path(
        &mut self,
        tokens: &[Token],
        mut at: usize,
        prefix: &[String],
        in_use: bool,
        scope: &Scope,
    ) -> usize {
        let mut path = prefix.to_vec();
        if is_colons(tokens, at) {
            at += 1;
        }
        while let Some(token) = tokens.get(at) {
            match &token.kind {
                Kind::Word(segment) => path.push(segment.clone()),
                Kind::Mark('*') if in_use => path.push("*".to_owned()),
                Kind::Group('{', branches) if in_use => {
                    for branch in branches.split(|token| is_mark(Some(token), ',')) {
                        self.walk_path(branch, 0, &path, true, scope);
                    }
                    return at + 1;
                }
                _ => return at,
            }
            at += 1;
            if !is_colons(tokens, at) {
                // A word alone is a path only in a `use`.
                if in_use || path.len() > 1 {
                    self.mention_path(&path, token.line, scope);
                }
                return at;
            }
            at += 1;
            if !in_use && !matches!(kind(tokens, at), Some(Kind::Word(_))) {
                // `path::<T>`, and in a macro's pattern `path::$name`.
                self.mention_path(&path, token.line, scope);
                return at;
            }
        }
        at
    }

    fn mention_path(&mut self, path: &[String], line: usize, scope: &Scope) {
        let mut module = match path[0].as_str() {
            "crate" => Vec::new(),
            // The binary sees the library under the package's name.
            "picresize" if self.module.is_empty() => Vec::new(),
            "self" | "super" => scope.module.clone(),
            "Self" => return,
            _ => {
                self.mention(What::Crate(path.to_vec()), line, scope);
                return;
            }
        };
        let mut rest = path;
        if rest[0] != "super" {
            rest = &rest[1..];
        }
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "super" => drop(module.pop()),
                "self" => {}
                _ => break,
            }
            rest = after;
        }
        module.extend_from_slice(rest);
        let what = match module.into_iter().next() {
            Some(top) if top != "*" => What::Module(top),
            _ if self.module.is_empty() => return,
            _ => What::Root,
        };
        self.mention(what, line, scope);
    }

    fn mention(&mut self, what: What, line: usize, scope: &Scope) {
        self.mentions.push(Mention {
            what,
            line,
            in_test: scope.in_test,
        });
    }
}

fn kind(tokens: &[Token], at: usize) -> Option<&Kind> {
    tokens.get(at).map(|token| &token.kind)
}

fn is_mark(token: Option<&Token>, mark: char) -> bool {
    matches!(token.map(|token| &token.kind), Some(Kind::Mark(found)) if *found == mark)
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token.map(|token| &token.kind), Some(Kind::Word(found)) if found == word)
}

fn is_colons(tokens: &[Token], at: usize) -> bool {
    matches!(kind(tokens, at), Some(Kind::Colons))
}

fn is_cfg_test(attribute: &[Token]) -> bool {
    is_word(attribute.first(), "cfg")
        && matches!(kind(attribute, 1), Some(Kind::Group('(', of)) if of.len() == 1 && is_word(of.first(), "test"))
}

/// A word or sign of Rust code, or what stands between brackets.
struct Token {
    kind: Kind,
    /// Counted from 1.
    line: usize,
}

enum Kind {
    /// A name or a keyword.
    Word(String),
    Colons,
    Mark(char),
    /// The opening bracket, and what follows up to the closing one.
    Group(char, Vec<Token>),
}

/// The tokens of Rust code, without comments, strings, numbers and lifetimes.
fn tokens_of(text: &str) -> Vec<Token> {
    Lexer {
        rest: text.chars().peekable(),
        line: 1,
    }
    .until_closed()
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Lexer<'_> {
    fn until_closed(&mut self) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some(c) = self.next() {
            let line = self.line;
            let kind = match c {
                ')' | ']' | '}' => return tokens,
                '(' | '[' | '{' => Kind::Group(c, self.until_closed()),
                '/' if self.takes('/') => {
                    while self.rest.peek().is_some_and(|c| *c != '\n') {
                        self.next();
                    }
                    continue;
                }
                '/' if self.takes('*') => {
                    self.skip_comment();
                    continue;
                }
                '"' => {
                    self.skip_string();
                    continue;
                }
                '\'' => {
                    self.skip_character_or_lifetime();
                    continue;
                }
                ':' if self.takes(':') => Kind::Colons,
                _ if c.is_alphabetic() || c == '_' => match self.word(c) {
                    Some(word) => Kind::Word(word),
                    None => continue,
                },
                _ if c.is_ascii_digit() => {
                    self.rest_of_word();
                    continue;
                }
                _ if c.is_whitespace() => continue,
                _ => Kind::Mark(c),
            };
            tokens.push(Token { kind, line });
        }
        tokens
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn takes(&mut self, wanted: char) -> bool {
        let there = self.rest.peek() == Some(&wanted);
        if there {
            self.next();
        }
        there
    }

    /// Comments of this kind nest.
    fn skip_comment(&mut self) {
        let mut depth = 1;
        while depth > 0
            && let Some(c) = self.next()
        {
            match c {
                '/' if self.takes('*') => depth += 1,
                '*' if self.takes('/') => depth -= 1,
                _ => {}
            }
        }
    }

    fn skip_string(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => drop(self.next()),
                '"' => return,
                _ => {}
            }
        }
    }

    /// `'a'`, `'\n'` or `'a`, which has no end.
    fn skip_character_or_lifetime(&mut self) {
        if self.takes('\\') {
            self.next();
            while self.next().is_some_and(|c| c != '\'') {}
            return;
        }
        let first = self.next();
        if !self.takes('\'') && first.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.rest_of_word();
        }
    }

    /// The word that begins with `first`; none if it was the prefix of a string.
    fn word(&mut self, first: char) -> Option<String> {
        let mut word = String::from(first);
        word.push_str(&self.rest_of_word());
        match (word.as_str(), self.rest.peek()) {
            ("b" | "c", Some('"')) => {
                self.next();
                self.skip_string();
                None
            }
            ("b", Some('\'')) => {
                self.next();
                self.skip_character_or_lifetime();
                None
            }
            ("r" | "br" | "cr", Some('"' | '#')) => self.raw_string_or_name(),
            _ => Some(word),
        }
    }

    fn rest_of_word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.rest.peek().copied()
            && (c.is_alphanumeric() || c == '_')
        {
            word.push(c);
            self.next();
        }
        word
    }

    /// What follows the `r` of `r"…"`, `r#"…"#` or `r#name`.
    fn raw_string_or_name(&mut self) -> Option<String> {
        let mut hashes = 0;
        while self.takes('#') {
            hashes += 1;
        }
        if !self.takes('"') {
            return Some(self.rest_of_word());
        }
        while let Some(c) = self.next() {
            if c == '"' && (0..hashes).all(|_| self.takes('#')) {
                break;
            }
        }
        None
    }
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
            "src/api/page.rs:3: `api` uses `worker`; it may use only engine, event_log, \
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
            "use crate::engine::Engine;",
            "1: `event_log` uses `engine`",
        );
        refused(
            "src/engine.rs",
            "use crate::api::Api;",
            "1: `engine` uses `api`",
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
            "use crate::{engine::Engine, api::{self, Api}};",
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
            "use crate::{\n    engine,\n    api,\n};",
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
            ("rusqlite", "src/sqlite.rs", "src/engine.rs"),
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
