//! What a source file says that a rule could be about: the modules and libraries it names.

use crate::tokens::{Kind, Token, is_colons, is_mark, is_word, kind, tokens_of};

/// One source file and what it says that a rule is about.
pub(crate) struct Source {
    pub(crate) file: String,
    /// The module the file is; empty for the two roots.
    pub(crate) module: Vec<String>,
    pub(crate) mentions: Vec<Mention>,
    /// Modules that the file declares for tests, in files of their own.
    pub(crate) test_modules: Vec<Vec<String>>,
}

impl Source {
    /// The module directly under the root that the file belongs to.
    pub(crate) fn top(&self) -> &str {
        match self.module.first() {
            Some(top) => top,
            None if self.file == "src/main.rs" => "main",
            None => "lib",
        }
    }
}

pub(crate) struct Mention {
    pub(crate) what: What,
    pub(crate) line: usize,
    pub(crate) in_test: bool,
}

pub(crate) enum What {
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
pub(crate) fn read(file: &str, text: &str) -> Source {
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
    pub(crate) module: Vec<String>,
    pub(crate) in_test: bool,
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

fn is_cfg_test(attribute: &[Token]) -> bool {
    is_word(attribute.first(), "cfg")
        && matches!(kind(attribute, 1), Some(Kind::Group('(', of)) if of.len() == 1 && is_word(of.first(), "test"))
}
