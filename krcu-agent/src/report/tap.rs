//! TAP: one test point a verdict, for harnesses that read the Test Anything Protocol.
//!
//! The version is 13, which every harness reads, with the escapes of version 14. A point is `not ok` if its verdict is
//! a fault under this run's policy, or is inconclusive. It is not `SKIP` or `TODO`, because both would let a run pass
//! that has seen nothing. Destroys that were not seen have a point of their own.
//!
//! No crate is used, because a point is one line, and its evidence is a list of names with one value or one list each.

use std::fmt::Write as _;

use krcu_model::VerdictKind;
use krcu_report::FlatVerdict;
use krcu_report::words;

use super::text;
use crate::outcome::Outcome;

/// The report as a TAP stream.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let unseen = outcome.losses.destroys;
    let mut stream = "TAP version 13\n".to_owned();
    for line in text::headline(outcome).lines() {
        let _ = writeln!(stream, "# {line}");
    }
    match outcome.verdicts.len() + usize::from(unseen > 0) {
        0 => stream += "1..0 # SKIP no slab cache was destroyed\n",
        points => {
            let _ = writeln!(stream, "1..{points}");
        }
    }
    for (place, verdict) in outcome.verdicts.iter().enumerate() {
        let is_ok = !outcome.is_flagged(verdict) && !outcome.is_open(verdict);
        stream += &point(is_ok, place + 1, &name(outcome, verdict));
        if !text::is_quiet(outcome, verdict) {
            stream += &diagnostics(outcome, verdict);
        }
    }
    if unseen > 0 {
        let name = format!("{} unseen: inconclusive", text::objects(unseen, "destroy"));
        stream += &point(false, outcome.verdicts.len() + 1, &name);
        stream += "  ---\n";
        scalar(&mut stream, "verdict", &quoted("inconclusive"));
        list(&mut stream, "notes", text::losses(outcome).into_iter());
        stream += "  ...\n";
    }
    for line in text::conclusion(outcome).lines() {
        let _ = writeln!(stream, "# {line}");
    }
    stream
}

fn point(is_ok: bool, number: usize, name: &str) -> String {
    let word = if is_ok { "ok" } else { "not ok" };
    format!("{word} {number} - {}\n", escaped(name))
}

/// `my_cache: pending (my_module)`.
fn name(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let module = verdict.module.as_ref().map_or_else(String::new, |module| format!(" ({module})"));
    format!("{}: {}{module}", verdict.name(), text::word(outcome, verdict))
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

/// The evidence as YAML. The names are those of the JSON lines; unknown values are left out.
fn diagnostics(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let mut block = "  ---\n".to_owned();
    let clause = text::clause(verdict);
    if !clause.is_empty() {
        scalar(&mut block, "message", &quoted(&clause));
    }
    scalar(&mut block, "verdict", &quoted(text::word(outcome, verdict)));
    scalar(&mut block, "cache", &quoted(&verdict.cache));
    if let Some(module) = &verdict.module {
        scalar(&mut block, "module", &quoted(module));
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
            scalar(&mut block, key, &number.to_string());
        }
    }
    list(&mut block, "sites", words::sites(&verdict.sites).into_iter());
    list(&mut block, "callbacks", verdict.callbacks.iter().map(words::callback));
    list(&mut block, "leak_sites", words::sites(&verdict.leak_sites).into_iter());
    list(&mut block, "reasons", verdict.reasons.iter().map(|reason| reason.word().to_owned()));
    list(&mut block, "missed_programs", verdict.missed_programs.iter().cloned());
    list(&mut block, "notes", verdict.notes.iter().cloned());
    scalar(&mut block, "advice", &quoted(&verdict.advice));
    block + "  ...\n"
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
