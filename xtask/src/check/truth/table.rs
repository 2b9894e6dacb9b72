//! The table as text: what is printed, and `docs/truth.md`.
//!
//! Both show what is expected: where a cell is right, that is what came. So they do not change from run to
//! run, and a test compares `docs/truth.md` with the scenarios without a kernel.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::iter;

use super::{TOPICS, Topic};
use crate::check::churn::argued::ARGUED;
use crate::check::kin::{self, KIN};
use crate::check::scenarios::{Act, Expectation, Line, SERIES, Scenario, Want};

/// The cells, by scenario and series, in which something disagreed.
pub(super) type Failures = BTreeSet<(&'static str, &'static str)>;

/// Fields whose numbers are shown after the verdict, and the words for each number.
const COUNTS: [(&str, &str); 7] = [
    ("queued_by_kfree_rcu", "by kfree_rcu"),
    ("queued_by_call_rcu", "by call_rcu"),
    ("leaked", "leaked"),
    ("undecided", "undecided"),
    ("waited_for_own", "waited for"),
    ("waited_for_own_callbacks", "callbacks waited for"),
    ("late_frees", "freed later"),
];
const START: &str = "\
# The truth table

Every way to free late and every way to be wrong, on four kernels of Debian's. `cargo xtask truth --write` writes this page, and
`cargo xtask truth` compares it with a new run. Each expectation follows from the reason that is given, not from what krcu said. `play`
and `unload` hand a script to [`krcu_play`](../modules/krcu_play/script.c), which does one statement after the other: for `play` at
once, for `unload` when the module goes. A cell has the verdict for each cache that is destroyed, and the exact counts. *FAIL* marks
a cell where krcu said something else.
";

/// The head of the verdicts that a churn is allowed.
const ARGUED_START: &str = "
## Flagged while the kernel says nothing

`cargo xtask churn` loads and unloads every module of a kernel package, and holds each flagged verdict under `--strict` against the
kernel's log. These are flagged rightly though the log says nothing. The same cache with another verdict is a fault.

";

/// The whole of `docs/truth.md`.
pub(super) fn document(failures: &Failures) -> String {
    let mut text = START.to_owned();
    push(&mut text, format_args!("{}", kin()));
    for topic in TOPICS.iter().filter(|topic| !topic.scenarios.is_empty()) {
        push(&mut text, format_args!("\n## {}\n\n{}", topic.title, table(topic, failures)));
        for scenario in topic.met() {
            push(&mut text, format_args!("\n{}", section(scenario)));
        }
    }
    push(&mut text, format_args!("{ARGUED_START}"));
    for entry in ARGUED {
        let series = entry.series.join(", ");
        push(
            &mut text,
            format_args!("- {} on {series}: `{}`. {}\n", entry.name(), entry.word, one_line(entry.why)),
        );
    }
    text
}

/// The kernels without a column, of which the same is expected.
fn kin() -> String {
    let named = KIN.iter().map(|kin| format!("{} as {}", kin.series, kin.like)).collect::<Vec<_>>();
    let mut text = format!(
        "\nThe same is expected of other architectures and flavours, with the exceptions that are named: {}. They have no column; \
         `cargo xtask truth --all` runs them as well.\n",
        named.join(", ")
    );
    for kin in KIN.iter().filter(|kin| !kin.except.is_empty()) {
        push(&mut text, format_args!("\nNot run on {}:\n\n", kin.series));
        for (name, why) in kin.except {
            push(&mut text, format_args!("- {name}: {why}\n"));
        }
    }
    text
}

/// The table of some scenarios and kernels, for a terminal.
pub(super) fn terminal(rows: &[&'static Scenario], series: &[&'static str], failures: &Failures) -> String {
    let mut lines = vec![iter::once("").chain(series.iter().copied()).map(str::to_owned).collect()];
    for scenario in rows {
        let cells = series.iter().map(|series| cell(scenario, series, failures));
        lines.push(iter::once(scenario.name.to_owned()).chain(cells).collect::<Vec<String>>());
    }
    let width = |column: usize| {
        lines.iter().filter_map(|line: &Vec<String>| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..=series.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        push(&mut text, format_args!("{}\n", cells.join("  ").trim_end()));
    }
    text
}

/// What is expected on one kernel, in short; with `FAIL` if something else came.
fn cell(scenario: &Scenario, series: &'static str, failures: &Failures) -> String {
    let like = kin::expected_as(series, scenario.name);
    let Some(expectation) = like.and_then(|like| scenario.on(like)) else { return "–".to_owned() };
    if failures.contains(&(scenario.name, series)) {
        return format!("FAIL (not {})", short(expectation));
    }
    short(expectation)
}

fn short(expectation: &Expectation) -> String {
    let verdicts: Vec<&Line> = expectation.lines.iter().filter(|line| line.kind == "verdict").collect();
    if verdicts.is_empty() {
        return format!("exit status {}", expectation.status);
    }
    let one = verdicts.len() == 1;
    let words = verdicts.iter().map(|line| {
        let name = about(line).filter(|_| !one).map_or_else(String::new, |about| format!("{about} "));
        format!("{name}{}", word_and_counts(line))
    });
    words.collect::<Vec<_>>().join("; ")
}

/// What a line is about: a cache, or a module that goes, whose line has an empty name of a cache.
fn about(line: &Line) -> Option<String> {
    let module = line.fields.iter().find_map(|(field, want)| match want {
        Want::Text(module) if *field == "module" => Some(format!("module {module}")),
        _ => None,
    });
    match line.cache {
        Some("") => module,
        cache => cache.map(str::to_owned),
    }
}

fn word_and_counts(line: &Line) -> String {
    let find = |wanted: &str| line.fields.iter().find(|(field, _)| *field == wanted).map(|(_, want)| *want);
    let word = match find("verdict") {
        Some(Want::Text(word)) => word,
        _ => "?",
    };
    let counts = COUNTS.iter().filter_map(|(field, said)| {
        let number = match find(field)? {
            Want::Number(0) => return None,
            Want::Number(number) => number.to_string(),
            Want::Truth(_) | Want::TruthBetween(..) => "all".to_owned(),
            _ => return None,
        };
        // "leaked: 5", not "leaked: 5 leaked".
        Some(if said.starts_with(word) { number } else { format!("{number} {said}") })
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    if counts.is_empty() { word.to_owned() } else { format!("{word}: {counts}") }
}

fn table(topic: &Topic, failures: &Failures) -> String {
    let mut text = format!("| | {} |\n| --- |{}\n", SERIES.join(" | "), " --- |".repeat(SERIES.len()));
    for scenario in topic.met() {
        let cells = SERIES.map(|series| cell(scenario, series, failures));
        push(&mut text, format_args!("| [{0}](#{0}) | {1} |\n", scenario.name, cells.join(" | ")));
    }
    text
}

fn section(scenario: &Scenario) -> String {
    let mut text =
        format!("### {}\n\n{}\n\n```sh\n{}```\n\n", scenario.name, one_line(scenario.why), done(scenario));
    for expectation in scenario.expectations {
        push(
            &mut text,
            format_args!("- {}: exit status {}", expectation.series.join(", "), expectation.status),
        );
        for line in expectation.lines {
            let fields: Vec<String> =
                line.fields.iter().map(|(field, want)| format!("{field} {}", said(*want))).collect();
            let cache = about(line).map_or_else(|| line.kind.to_owned(), |about| format!("`{about}`"));
            push(&mut text, format_args!("; {cache}: {}", fields.join(", ")));
        }
        for (texts, verb) in [(expectation.log_has, "has"), (expectation.log_lacks, "lacks")] {
            if !texts.is_empty() {
                push(&mut text, format_args!("; the kernel's log {verb} \"{}\"", texts.join("\", \"")));
            }
        }
        text.push('\n');
    }
    text
}

/// The shell text, as a person would type it.
fn done(scenario: &Scenario) -> String {
    let lines = |text: &str| -> String {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
    };
    let append = if scenario.append.is_empty() {
        String::new()
    } else {
        format!("# the kernel's command line has {}\n", scenario.append)
    };
    let steps = match scenario.act {
        Act::Shell(text) | Act::Replayed(text) => lines(text),
        Act::Watched { before, options, text } => {
            let options = if options.is_empty() { String::new() } else { format!(" {options}") };
            format!("{}# krcu check{options} --\n{}", lines(before), lines(text))
        }
    };
    format!("{append}{steps}")
}

/// A wanted value in words.
fn said(want: Want) -> String {
    match want {
        Want::Text(text) => text.to_owned(),
        Want::Has(text) => format!("with {text}"),
        Want::Number(number) => number.to_string(),
        Want::AtLeast(number) => format!("≥ {number}"),
        Want::Flag(flag) => flag.to_string(),
        Want::Nothing => "absent".to_owned(),
        Want::NumberOrNothing(number) => format!("{number} or absent"),
        Want::Truth(key) => format!("the module's {key}"),
        Want::TruthBetween(low, high) => format!("between the module's {low} and {high}"),
        Want::Balanced => "balanced".to_owned(),
        Want::LogLines(text) => format!("as many as the kernel's lines \"{text}\""),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn push(text: &mut String, what: fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _: fmt::Result = text.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Failures, document, short, terminal};
    use crate::check::scenarios::{Line, Want, quiet, verdict, word};
    use crate::check::truth;
    use crate::check::truth::run;

    #[test]
    fn a_cell_has_the_word_and_the_exact_counts() {
        const ONE: &[Line] = &[verdict(
            "a",
            &[word("pending"), ("queued_by_kfree_rcu", Want::Number(20)), ("leaked", Want::Number(0))],
        )];
        const TWO: &[Line] = &[
            verdict("a", &[word("clean")]),
            verdict("b", &[word("waited"), ("waited_for_own", Want::Number(7))]),
        ];
        assert_eq!(short(&quiet(&["6.1"], ONE)), "pending: 20 by kfree_rcu");
        assert_eq!(short(&quiet(&["6.1"], TWO)), "a clean; b waited: 7");
        assert_eq!(short(&quiet(&["6.1"], &[])), "exit status 0");
        const MODULE: &[Line] =
            &[verdict("a", &[word("clean")]), verdict("", &[word("unordered"), ("module", Want::Text("b"))])];
        assert_eq!(short(&quiet(&["6.1"], MODULE)), "a clean; module b unordered");
    }

    #[test]
    fn a_failure_is_in_its_own_cell() {
        let scenario = truth::scenarios().next().unwrap();
        let series = scenario.expectations[0].series[0];
        let wrong = Failures::from([(scenario.name, series)]);
        assert_eq!(terminal(&[scenario], &[series], &wrong).matches("FAIL").count(), 1);
        assert!(!terminal(&[scenario], &[series], &Failures::new()).contains("FAIL"));
    }

    #[test]
    fn what_is_kept_is_of_these_scenarios() {
        let kept = fs::read_to_string(run::document_path()).unwrap();
        let failures = run::failures_in(&kept);
        assert!(kept == document(&failures), "run `cargo xtask truth --write`");
    }
}
