//! Rust code as a tree of tokens: what a search for names needs, without the noise.

use std::iter::Peekable;
use std::str::Chars;

/// A word or sign of Rust code, or what stands between brackets.
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Counted from 1.
    pub(crate) line: usize,
}

pub(crate) enum Kind {
    /// A name or a keyword.
    Word(String),
    Colons,
    Mark(char),
    /// The opening bracket, and what follows up to the closing one.
    Group(char, Vec<Token>),
}

/// The tokens of Rust code, without comments, strings, numbers and lifetimes. Panics where brackets
/// don't pair up: then something was misread, and names might be missed.
pub(crate) fn tokens_of(text: &str) -> Vec<Token> {
    Lexer {
        rest: text.chars().peekable(),
        line: 1,
    }
    .until(None)
}

pub(crate) fn kind(tokens: &[Token], at: usize) -> Option<&Kind> {
    tokens.get(at).map(|token| &token.kind)
}

pub(crate) fn is_mark(token: Option<&Token>, mark: char) -> bool {
    matches!(token.map(|token| &token.kind), Some(Kind::Mark(found)) if *found == mark)
}

pub(crate) fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token.map(|token| &token.kind), Some(Kind::Word(found)) if found == word)
}

pub(crate) fn is_colons(tokens: &[Token], at: usize) -> bool {
    matches!(kind(tokens, at), Some(Kind::Colons))
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl Lexer<'_> {
    /// The tokens up to a closing bracket, or to the end of the text.
    fn until(&mut self, close: Option<char>) -> Vec<Token> {
        let mut tokens = Vec::new();
        loop {
            let next = self.next();
            let line = self.line;
            if next == close {
                return tokens;
            }
            let Some(c) = next else {
                panic!("line {line}: a bracket is still open");
            };
            let kind = match c {
                ')' | ']' | '}' => panic!("line {line}: `{c}` closes nothing"),
                '(' => Kind::Group(c, self.until(Some(')'))),
                '[' => Kind::Group(c, self.until(Some(']'))),
                '{' => Kind::Group(c, self.until(Some('}'))),
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
