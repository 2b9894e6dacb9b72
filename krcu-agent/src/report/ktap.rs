//! KTAP: the cases of a run in the kernel's own dialect of TAP (`Documentation/dev-tools/ktap.rst`, version 1).
//!
//! Each module is a test with subtests. The evidence stands before the line of its result, as diagnostic lines. No
//! description has a `#`. `# ERROR` marks what could not be decided, `# SKIP` what did not happen, and `# XFAIL` a known
//! fault, which is `ok`: a reader that does not know this word would count it otherwise.

use std::fmt::Write as _;

use super::{
    cases::{self, Case, Went},
    text,
};
use crate::outcome::Outcome;

/// One level of a subtest.
const INDENT: &str = "  ";
const VERSION: &str = "KTAP version 1";

/// The report as a KTAP stream.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let cases = cases::of(outcome);
    let mut modules: Vec<&str> = Vec::new();
    for case in &cases {
        if !modules.contains(&case.module.as_str()) {
            modules.push(&case.module);
        }
    }
    let mut stream = format!("{VERSION}\n1..{}\n", modules.len());
    diagnostic(&mut stream, "", &text::headline(outcome));
    for (place, module) in modules.iter().enumerate() {
        let of_module: Vec<&Case<'_>> = cases.iter().filter(|case| case.module == *module).collect();
        let _ = writeln!(stream, "{INDENT}{VERSION}");
        let _ = writeln!(stream, "{INDENT}# Subtest: {}", described(module));
        let _ = writeln!(stream, "{INDENT}1..{}", of_module.len());
        for (place, case) in of_module.iter().enumerate() {
            diagnostic(&mut stream, INDENT, &evidence(case));
            stream += INDENT;
            result(&mut stream, case.went, place + 1, &case.name, &case.message);
        }
        let all_skipped = of_module.iter().all(|case| case.went == Went::Skipped);
        let worst = of_module.iter().map(|case| case.went).max().unwrap_or(Went::Passed);
        let went = match worst {
            Went::Failed | Went::Undecided => Went::Failed,
            Went::Skipped if all_skipped => Went::Skipped,
            Went::Skipped | Went::Known | Went::Passed => Went::Passed,
        };
        result(&mut stream, went, place + 1, module, "");
    }
    for remark in outcome.known_remarks() {
        diagnostic(&mut stream, "", &remark);
    }
    diagnostic(&mut stream, "", &text::conclusion(outcome));
    stream
}

/// What stands before the result of a case.
fn evidence(case: &Case<'_>) -> String {
    match case.went {
        // The line of the result has no place for it.
        Went::Failed if case.evidence.is_empty() => case.message.clone(),
        _ => case.evidence.clone(),
    }
}

fn result(stream: &mut String, went: Went, number: usize, name: &str, message: &str) {
    let (word, directive) = match went {
        Went::Passed => ("ok", ""),
        Went::Skipped => ("ok", "SKIP"),
        Went::Known => ("ok", "XFAIL"),
        Went::Undecided => ("not ok", "ERROR"),
        Went::Failed => ("not ok", ""),
    };
    let _ = write!(stream, "{word} {number} {}", described(name));
    if !directive.is_empty() {
        let said = format!(" # {directive} {}", one_line(message));
        stream.push_str(said.trim_end());
    }
    stream.push('\n');
}

fn diagnostic(stream: &mut String, indent: &str, text: &str) {
    for line in text.lines() {
        let _ = writeln!(stream, "{}", format!("{indent}# {}", one_line(line)).trim_end());
    }
}

/// A description, which has no `#` and no line break.
pub(super) fn described(name: &str) -> String {
    one_line(name).replace('#', ".")
}

/// A text of which nothing can end its line.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_add_a_line_or_a_directive() {
        let mut stream = String::new();
        result(&mut stream, Went::Passed, 3, "a # SKIP b\nok 4 c", "");
        result(&mut stream, Went::Undecided, 4, "my_cache#2", "lost\nok 5");
        assert_eq!(stream, "ok 3 a . SKIP b\u{fffd}ok 4 c\nnot ok 4 my_cache.2 # ERROR lost\u{fffd}ok 5\n");
    }
}
