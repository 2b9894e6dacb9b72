//! How wide lines are, how long files and functions, and what a file begins with.

use super::source::Source;
use super::{Complaint, Tree};

/// Columns of code, as in `rustfmt.toml`. The inside of a literal is not counted: it cannot always be broken.
const CODE_COLUMNS: usize = 110;
/// Columns of a comment, its indentation included.
const COMMENT_COLUMNS: usize = 130;
/// Lines of a file under `src`.
const FILE_LINES: usize = 500;
/// Lines of a function, from `fn` to its last brace.
const FUNCTION_LINES: usize = 70;
/// How a comment begins that gives the reason for a longer one; it stands above the function or in it.
const LONG: &str = "// tidy: long, since ";

pub(super) fn width(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let code = source.lines().map(|(line, columns, _)| (line, "width", columns, CODE_COLUMNS));
        let comments = source.comments();
        let comments =
            comments.map(|(line, text)| (line, "width of comments", text.chars().count(), COMMENT_COLUMNS));
        for (line, rule, columns, most) in code.chain(comments).filter(|(_, _, columns, most)| columns > most)
        {
            let what = format!("{columns} columns, {most} are the most");
            found.push(Complaint { path: source.path.clone(), line, rule, what });
        }
    }
    found
}

pub(super) fn duty(tree: &Tree) -> Vec<Complaint> {
    let lacks = |source: &&Source| {
        let head: Vec<&str> = source.text.lines().map_while(|line| line.strip_prefix("//!")).collect();
        let sentence = head.join(" ");
        !sentence.trim_start().starts_with(char::is_alphanumeric) && !sentence.trim_start().starts_with('`')
            || !sentence.contains(['.', ':'])
    };
    let what = || "it does not begin with a `//!` sentence that says what it is for".to_owned();
    let lacking = tree.sources.iter().filter(lacks);
    lacking.map(|source| Complaint::of(source, 0, "duty", what())).collect()
}

pub(super) fn long_files(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| source.path.contains("/src/")) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            let what = format!("{lines} lines, {FILE_LINES} are the most: find the second idea in it");
            found.push(Complaint::of(source, 0, "long file", what));
        }
    }
    found
}

pub(super) fn long_functions(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let lines: Vec<&str> = source.text.lines().collect();
        for function in source.functions().into_iter().filter(|function| function.lines > FUNCTION_LINES) {
            let begin = function.line - 1;
            let above = lines[..begin].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("//") || line.starts_with('#')
            });
            let inside = lines[begin..begin + function.lines].iter();
            if above.chain(inside).any(|line| line.trim_start().starts_with(LONG)) {
                continue;
            }
            let what = format!(
                "`{}` has {} lines, {FUNCTION_LINES} are the most; or say `{LONG}…` why it is longer",
                function.name, function.lines
            );
            found.push(Complaint {
                path: source.path.clone(),
                line: function.line,
                rule: "long function",
                what,
            });
        }
    }
    found
}
