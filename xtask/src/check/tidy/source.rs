//! A source file as the rules see it: its text, its code without comments and the insides of literals, the literals, its words.
//!
//! A scanner of our own, not `syn`: half of the rules are about comments and widths, which a syntax tree does not have, and
//! the other half need no more than words, braces and `use`.

use std::ops::Range;

/// A file of Rust.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path from the repository's root.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with a space for each byte of a comment and [`INSIDE`] for each in a literal; lines are where they were.
    code: String,
    /// Texts in quotes: where they begin, and what is written between the quotes.
    literals: Vec<Range<usize>>,
    /// Words and signs of the code; `::` is one.
    tokens: Vec<Range<usize>>,
    /// Where lines begin.
    lines: Vec<usize>,
    /// Code of tests inside the file.
    tests: Vec<Range<usize>>,
    /// Whether all of it is a test or an example.
    is_test: bool,
}

/// Files and folders that are no part of a product.
const TESTS: [&str; 4] = ["tests", "examples", "tests.rs", "build.rs"];
/// Stands in the code for a byte inside a literal.
const INSIDE: u8 = 1;

/// A function: its name, its first line, how many lines it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// A path in the code, such as `crate::guest::vm::Run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathUse<'a> {
    pub(super) segments: Vec<&'a str>,
    pub(super) at: usize,
    /// What `use` calls it here, if it is one: `*` for all that it has.
    pub(super) bound: Option<&'a str>,
    /// Whether it is handed on by `pub use`.
    pub(super) is_handed_on: bool,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, literals) = blank(text);
        let tokens = tokens(&code);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut source = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            literals,
            tokens,
            lines,
            tests: Vec::new(),
            is_test: path.split('/').any(|part| TESTS.contains(&part)),
        };
        source.tests = source.test_modules();
        source
    }

    /// The folder of its crate.
    pub(super) fn of_crate(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Whether all of it is a test or an example.
    pub(super) fn is_test(&self) -> bool {
        self.is_test
    }

    /// Whether this place is in a module of tests.
    pub(super) fn is_in_test(&self, at: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of a place, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at)
    }

    /// Texts in quotes, outside tests.
    pub(super) fn literals(&self) -> impl Iterator<Item = (usize, &str)> {
        let outside = self.literals.iter().filter(|range| !self.is_in_test(range.start));
        outside.map(|range| (range.start, &self.text[range.clone()]))
    }

    /// The columns of each line's code, insides of literals left out, and its text; numbered from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        let columns = self
            .code
            .lines()
            .map(|code| code.trim_end().chars().filter(|character| *character != char::from(INSIDE)).count());
        columns.zip(self.text.lines()).enumerate().map(|(index, (columns, text))| (index + 1, columns, text))
    }

    /// Comments that have a line of their own.
    pub(super) fn comments(&self) -> impl Iterator<Item = (usize, &str)> {
        let both = self.code.lines().zip(self.text.lines()).enumerate();
        both.filter(|(_, (code, text))| code.trim().is_empty() && text.trim_start().starts_with("//"))
            .map(|(index, (_, text))| (index + 1, text))
    }

    /// Words and signs of the code, outside tests.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let outside = self.tokens.iter().filter(|range| !self.is_in_test(range.start));
        outside.map(|range| (range.start, &self.code[range.clone()]))
    }

    fn word(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |range| &self.code[range.clone()])
    }

    /// The index of the sign that closes the one at `open`; the last one when nothing does.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for index in open..self.tokens.len() {
            match self.word(index) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    fn test_modules(&self) -> Vec<Range<usize>> {
        let begins = |index: usize| {
            ["#", "[", "cfg", "(", "test", ")", "]", "mod"]
                .iter()
                .enumerate()
                .all(|(step, word)| self.word(index + step) == *word)
        };
        let opened = (0..self.tokens.len()).filter(|index| begins(*index) && self.word(index + 9) == "{");
        opened.map(|index| self.tokens[index].start..self.tokens[self.closing(index + 9)].end).collect()
    }

    /// Functions with a body, outside tests.
    pub(super) fn functions(&self) -> Vec<Function<'_>> {
        let mut found = Vec::new();
        for index in 0..self.tokens.len() {
            let at = self.tokens[index].start;
            if self.word(index) != "fn" || !is_name(self.word(index + 1)) || self.is_in_test(at) {
                continue;
            }
            let mut end = index + 2;
            while !matches!(self.word(end), "{" | ";" | "") {
                end = if matches!(self.word(end), "(" | "[") { self.closing(end) + 1 } else { end + 1 };
            }
            if self.word(end) == "{" {
                let line = self.line(at);
                let last = self.line(self.tokens[self.closing(end)].start);
                found.push(Function { name: self.word(index + 1), line, lines: last + 1 - line });
            }
        }
        found
    }

    /// Names of types that are defined here, outside tests, with their places.
    pub(super) fn types(&self) -> impl Iterator<Item = (usize, &str)> {
        self.defined(&["struct", "enum", "trait", "union", "type"])
    }

    /// Names that stand behind one of these words, outside tests.
    pub(super) fn defined<'a>(&'a self, words: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> + 'a {
        (1..self.tokens.len())
            .filter(|index| words.contains(&self.word(index - 1)) && is_name(self.word(*index)))
            .map(|index| (self.tokens[index].start, self.word(index)))
            .filter(|(at, _)| !self.is_in_test(*at))
    }

    /// Every path of two names or more, and every `use`, outside tests.
    pub(super) fn paths(&self) -> Vec<PathUse<'_>> {
        let mut found = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            let at = self.tokens[index].start;
            let word = self.word(index);
            if self.is_in_test(at) {
                index += 1;
            } else if word == "use" {
                let before = if index == 0 { "" } else { self.word(index - 1) };
                let is_handed_on = matches!(before, "pub" | ")");
                index = self.use_tree(index + 1, &mut Vec::new(), is_handed_on, &mut found);
            } else if is_name(word) && self.word(index + 1) == "::" {
                let mut segments = vec![word];
                while self.word(index + 1) == "::" && is_name(self.word(index + 2)) {
                    index += 2;
                    segments.push(self.word(index));
                }
                index += 1;
                found.push(PathUse { segments, at, bound: None, is_handed_on: false });
            } else {
                index += 1;
            }
        }
        found
    }

    /// Reads what stands behind `use`, or one branch of it; returns the index behind it.
    fn use_tree<'a>(
        &'a self,
        mut index: usize,
        before: &mut Vec<&'a str>,
        is_handed_on: bool,
        found: &mut Vec<PathUse<'a>>,
    ) -> usize {
        let depth = before.len();
        let at = self.tokens.get(index).map_or(self.code.len(), |range| range.start);
        loop {
            match self.word(index) {
                "::" => index += 1,
                "{" => {
                    let end = self.closing(index);
                    index += 1;
                    while index < end {
                        index = self.use_tree(index, before, is_handed_on, found);
                    }
                    index = end + 1;
                    if self.word(index) == "," {
                        index += 1;
                    }
                    break;
                }
                word @ ("," | ";" | "}" | "" | "as" | "*") => {
                    let last = before.last().copied().filter(|last| *last != "self");
                    if before.last() == Some(&"self") && before.len() > 1 {
                        before.pop();
                    }
                    let mut bound = last.or(before.last().copied());
                    match word {
                        "as" => {
                            bound = Some(self.word(index + 1));
                            index += 2;
                        }
                        "*" => {
                            bound = Some("*");
                            index += 1;
                        }
                        _ => {}
                    }
                    if !before.is_empty() {
                        found.push(PathUse { segments: before.clone(), at, bound, is_handed_on });
                    }
                    if self.word(index) != "}" {
                        index += 1;
                    }
                    break;
                }
                word => {
                    before.push(word);
                    index += 1;
                }
            }
        }
        before.truncate(depth);
        index
    }
}

/// Whether a word is a name, not a sign.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first == '_' || first.is_alphabetic())
}

fn tokens(code: &str) -> Vec<Range<usize>> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begin = at;
        let is_word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80;
        if is_word(bytes[at]) {
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
        } else {
            at += if bytes[at..].starts_with(b"::") { 2 } else { 1 };
        }
        if !bytes[begin].is_ascii_whitespace() && bytes[begin] != INSIDE {
            tokens.push(begin..at);
        }
    }
    tokens
}

/// The code of a text, and where its texts in quotes are.
fn blank(text: &str) -> (String, Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut code = text.to_owned().into_bytes();
    let mut literals = Vec::new();
    let mut clear = |range: Range<usize>, with: u8| {
        code[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = with);
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let is_first = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let raw = is_first && (rest.starts_with(b"r") || rest.starts_with(b"br"));
        if rest.starts_with(b"//") {
            let end = at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            clear(at..end, b' ');
            at = end;
        } else if rest.starts_with(b"/*") {
            let end = text[at..].find("*/").map_or(bytes.len(), |length| at + length + 2);
            clear(at..end, b' ');
            at = end;
        } else if raw && let Some(begin) = raw_begin(rest) {
            let begin = at + begin;
            let closing = format!("\"{}", "#".repeat(text[at..begin].matches('#').count()));
            let end = text[begin..].find(&closing).map_or(bytes.len(), |length| begin + length);
            clear(begin..end, INSIDE);
            literals.push(begin..end);
            at = (end + closing.len()).min(bytes.len());
        } else if bytes[at] == b'"' {
            let end = quoted_end(bytes, at + 1, b'"');
            clear(at + 1..end, INSIDE);
            literals.push(at + 1..end);
            at = end + 1;
        } else if bytes[at] == b'\'' && is_character(rest) {
            let end = quoted_end(bytes, at + 1, b'\'');
            clear(at + 1..end, INSIDE);
            at = end + 1;
        } else {
            at += 1;
        }
    }
    (String::from_utf8_lossy(&code).into_owned(), literals)
}

/// How far the inside of a raw text is from its `r`, if it is one and no raw name.
fn raw_begin(rest: &[u8]) -> Option<usize> {
    let quote = rest.iter().position(|byte| *byte == b'"')?;
    rest[..quote].iter().all(|byte| b"br#".contains(byte)).then_some(quote + 1)
}

/// Whether a `'` begins a character, not a lifetime.
fn is_character(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(byte) if *byte >= 0x80 => true,
        Some(_) => rest.get(2) == Some(&b'\''),
        None => false,
    }
}

/// Where the quote is that ends what begins at `at`.
fn quoted_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{Function, Source};

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "fn f<'a>(x: &'a str) { // unsafe\n  let y = ('\"', \"un\\\"safe\", r#\"un\"safe\"#, '\\'');\n}\n/* unsafe */";
        let source = Source::new("a/src/lib.rs", text);
        assert!(source.words().all(|(_, word)| word != "unsafe" && word != "safe"), "{:?}", source.code);
        let literals: Vec<&str> = source.literals().map(|(_, text)| text).collect();
        assert_eq!(literals, ["un\\\"safe", "un\"safe"]);
        assert_eq!(source.functions(), [Function { name: "f", line: 1, lines: 3 }]);
    }

    #[test]
    fn a_use_is_as_many_paths_as_it_names() {
        let text = "pub use a::{b::{self, C as D}, e::*};\nuse f::g;\nfn h() { std::fs::read(Self::X) }\n\
                    #[cfg(test)]\nmod tests { use std::thread; }\n";
        let source = Source::new("a/src/lib.rs", text);
        let paths: Vec<(String, Option<&str>)> =
            source.paths().iter().map(|path| (path.segments.join("::"), path.bound)).collect();
        let expected = [
            ("a::b", Some("b")),
            ("a::b::C", Some("D")),
            ("a::e", Some("*")),
            ("f::g", Some("g")),
            ("std::fs::read", None),
            ("Self::X", None),
        ];
        assert_eq!(paths, expected.map(|(path, bound)| (path.to_owned(), bound)));
        assert_eq!(source.paths().iter().filter(|path| path.is_handed_on).count(), 3);
    }
}
