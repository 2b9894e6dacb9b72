//! TAP: one test point a case, for harnesses that read the Test Anything Protocol.
//!
//! The version is 13, which every harness reads, with the escapes of version 14. A point is `not ok` if its verdict is
//! a fault under this run's policy, or is inconclusive. It is not `SKIP` or `TODO`, because both would let a run pass
//! that has seen nothing. A known fault is `ok`, and its evidence says why. The run's own cases are points as well.
//!
//! No crate is used, because a point is one line, and its evidence is a list of names with one value or one list each.

use std::fmt::Write as _;

use krcu_model::VerdictKind;
use krcu_report::FlatVerdict;
use krcu_report::words;

use super::{
    cases::{self, Case, Went},
    ktap, text,
};
use crate::outcome::Outcome;

/// The report as a TAP stream.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let cases = cases::of(outcome);
    let mut stream = "TAP version 13\n".to_owned();
    for line in text::headline(outcome).lines() {
        let _ = writeln!(stream, "# {line}");
    }
    let _ = writeln!(stream, "1..{}", cases.len());
    for (place, case) in cases.iter().enumerate() {
        stream += &point(case, place + 1);
        stream += &diagnostics(outcome, case);
    }
    for line in outcome.known_remarks().iter().map(String::as_str).chain(text::conclusion(outcome).lines()) {
        let _ = writeln!(stream, "# {}", escaped(line));
    }
    stream
}

fn point(case: &Case<'_>, number: usize) -> String {
    let word = if matches!(case.went, Went::Undecided | Went::Failed) { "not ok" } else { "ok" };
    let directive = match case.went {
        Went::Skipped => format!(" # SKIP {}", escaped(&case.message)),
        _ => String::new(),
    };
    format!("{word} {number} - {}{directive}\n", escaped(&ktap::described(&case.full_name())))
}

/// A description. It has no `#`, which would begin a directive, and no line break.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '#' | '\\' => text.extend(['\\', character]),
            _ if character.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            _ => text.push(character),
        }
    }
    text
}

/// What is to be told of a case, as YAML.
fn diagnostics(outcome: &Outcome, case: &Case<'_>) -> String {
    let is_plain = case.evidence.is_empty() && matches!(case.went, Went::Passed | Went::Skipped);
    if is_plain {
        return String::new();
    }
    let mut block = "  ---\n".to_owned();
    if !case.message.is_empty() {
        scalar(&mut block, "message", &quoted(&case.message));
    }
    scalar(&mut block, "verdict", &quoted(case.word));
    match case.verdict {
        Some(verdict) => {
            let accused = case.accused.iter();
            let accused =
                accused.map(|verdict| format!("{}: {}", verdict.verdict.word(), text::clause(verdict)));
            list(&mut block, "accusations", accused);
            of_verdict(&mut block, outcome, verdict);
        }
        None => list(&mut block, "notes", case.evidence.lines().map(str::to_owned)),
    }
    block + "  ...\n"
}

/// The evidence. The names are those of the JSON lines; unknown values are left out.
fn of_verdict(block: &mut String, outcome: &Outcome, verdict: &FlatVerdict) {
    if let Some(known) = outcome.known(verdict) {
        scalar(block, "known", &quoted(&known.reason));
    }
    scalar(block, "cache", &quoted(&verdict.cache));
    if let Some(module) = &verdict.module {
        scalar(block, "module", &quoted(module));
    }
    let [queued, called] = words::numbers(verdict);
    let numbers = [
        queued,
        called,
        ("queued_by_others", Some(verdict.queued_by_others).filter(|objects| *objects > 0)),
        ("leaked", verdict.leaked),
        ("queued_twice", Some(verdict.queued_twice).filter(|twice| *twice > 0)),
        ("undecided", Some(verdict.undecided)),
        ("kernel_objects_left", verdict.kernel_objects_left),
        ("oldest_age_ns", verdict.oldest_age_ns),
        ("wait_ns", verdict.wait_ns),
        (
            "waited_grace_periods",
            verdict.waited_grace_periods.filter(|_| verdict.verdict == VerdictKind::Waited),
        ),
        ("margin_ns", verdict.margin_ns),
        ("late_frees", Some(verdict.late_frees)),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            scalar(block, key, &number.to_string());
        }
    }
    list(block, "sites", words::sites(&verdict.sites).into_iter());
    list(block, "callbacks", verdict.callbacks.iter().map(words::callback));
    list(block, "leak_sites", words::sites(&verdict.leak_sites).into_iter());
    list(block, "reasons", verdict.reasons.iter().map(|reason| reason.word().to_owned()));
    list(block, "missed_programs", verdict.missed_programs.iter().cloned());
    list(block, "notes", verdict.notes.iter().cloned());
    scalar(block, "advice", &quoted(&verdict.advice));
}

fn scalar(block: &mut String, key: &str, value: &str) {
    let _ = writeln!(block, "  {key}: {value}");
}

fn list(block: &mut String, key: &str, values: impl Iterator<Item = String>) {
    let mut values = values.peekable();
    if values.peek().is_some() {
        let _ = writeln!(block, "  {key}:");
    }
    for value in values {
        let _ = writeln!(block, "    - {}", quoted(&value));
    }
}

/// A double-quoted scalar. No character in it can end it or the line.
fn quoted(value: &str) -> String {
    let mut text = "\"".to_owned();
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => text.push(char::REPLACEMENT_CHARACTER),
            _ if character.is_control() => {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_add_a_line_or_a_directive() {
        assert_eq!(escaped("a#b\\c\nok 2 - d"), "a\\#b\\\\c\u{fffd}ok 2 - d");
        assert_eq!(quoted("a\"b\\c\n\u{7f}\u{85}\u{2028}é"), "\"a\\\"b\\\\c\\x0a\\x7f\\x85\u{fffd}é\"");
    }
}
