//! Print: the table in words, for a terminal and for `docs/approaches.md`.
//!
//! Everything that is written comes from the check.

use std::fmt::Write as _;

use super::{
    mutants::Mutant,
    row::{Broken, Outcome},
    table::{Refuted, Table},
};
use krcu_model::promise::{Promise, Sense};

impl Table {
    /// The table for a terminal: each row with its paths, the mutants, and an overview.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let Outcome { states, transitions, depth, .. } = &row.outcome;
            let _ = writeln!(
                text,
                "{}\n  {} states, {} transitions, {depth} steps deep",
                row.name(),
                grouped(*states as u64),
                grouped(*transitions)
            );
            for promise in Promise::ALL {
                let _ =
                    writeln!(text, "  {:<24} {}", promise.name(), row.cell(promise).mark().trim_matches('*'));
                let Some(broken) = row.outcome.breaks(promise) else { continue };
                let _ = writeln!(text, "    {}; {}:", row.why(promise), broken.variant.name());
                for (number, step) in (1..).zip(&broken.path) {
                    let _ = writeln!(text, "    {number:>3}. {step}");
                }
            }
            text.push('\n');
        }
        for Refuted { mutant, outcome } in &self.mutants {
            let Mutant { row, change, breaks, .. } = mutant;
            let steps = outcome.breaks(*breaks).map(|broken| broken.path.len());
            let verdict = steps.map_or("NOT REFUTED".to_owned(), |steps| format!("refuted in {steps} steps"));
            let _ = writeln!(text, "mutant of {row}: {change}\n  {}: {verdict}", breaks.name());
        }
        self.at_a_glance(&mut text);
        text
    }

    /// One line for each row, one column for each promise.
    fn at_a_glance(&self, text: &mut String) {
        let width = self.rows.iter().map(|row| row.name().len()).max().unwrap_or(0);
        let _ = write!(text, "\n{:width$}", "");
        (1..=Promise::ALL.len()).for_each(|number| {
            let _ = write!(text, " {number:>2}");
        });
        text.push('\n');
        for row in &self.rows {
            let _ = write!(text, "{:width$}", row.name());
            for promise in Promise::ALL {
                let _ = write!(text, "  {}", row.cell(promise).letter());
            }
            text.push('\n');
        }
        text.push_str("+ holds, F fails as expected, ! is not as expected, - the promise does not apply\n");
        for (number, promise) in (1..).zip(Promise::ALL) {
            let _ = writeln!(text, "{number:>2} {}", promise.name());
        }
    }

    /// The table as the project's documentation has it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        text.push_str(
            "\n## The promises\n\n| promise | holds in | where it comes from |\n| --- | --- | --- |\n",
        );
        for promise in Promise::ALL {
            let sense = match promise.sense() {
                Sense::Always => "every state",
                Sense::Sometimes => "some state",
                Sense::Eventually => "every state in which nothing more can happen",
            };
            let _ = writeln!(text, "| `{}` | {sense} | {} |", promise.name(), promise.source());
        }
        self.markdown_rows(&mut text);
        self.markdown_windows(&mut text);
        self.markdown_paths(&mut text);
        self.markdown_mutants(&mut text);
        text
    }

    fn markdown_rows(&self, text: &mut String) {
        text.push_str("\n## The approaches\n\n| approach |");
        for promise in Promise::ALL {
            let _ = write!(text, " {} |", promise.name().replace('_', " "));
        }
        text.push_str(" states | transitions | steps |\n| --- |");
        text.push_str(&" --- |".repeat(Promise::ALL.len()));
        text.push_str(" ---: | ---: | ---: |\n");
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.name());
            for promise in Promise::ALL {
                let _ = write!(text, " {} |", row.cell(promise).mark());
            }
            let Outcome { states, transitions, depth, .. } = &row.outcome;
            let _ = writeln!(text, " {} | {} | {depth} |", grouped(*states as u64), grouped(*transitions));
        }
        let _ = writeln!(text, "\n{}.\n\nWhat happened in each row's worlds:\n", self.totals());
        for row in &self.rows {
            let seen: Vec<&str> = row.outcome.witnessed.iter().map(|witness| witness.words()).collect();
            let _ = writeln!(text, "- {}: {}.", row.name(), seen.join("; "));
        }
    }

    /// The windows that the source suggests, and what the check finds about them.
    fn markdown_windows(&self, text: &mut String) {
        text.push_str("\n## Two windows in `kvfree_rcu_barrier()`\n\n");
        for (name, promise, suspicion, mended, change) in WINDOWS {
            let row = self.rows.iter().find(|row| row.name() == name);
            let broken = row.and_then(|row| row.outcome.breaks(promise));
            let verdict = broken.map_or("not real: no path leads there".to_owned(), |broken| {
                format!("real: {} steps, below as `{name}`", broken.path.len())
            });
            let holds = self.rows.iter().any(|row| row.name() == mended && row.outcome.broken.is_empty());
            let then = if holds { "every promise holds" } else { "a promise breaks" };
            let _ = writeln!(text, "- {suspicion} **{verdict}**. {change} **{then}**, as `{mended}` says.");
        }
    }

    fn markdown_paths(&self, text: &mut String) {
        text.push_str(
            "\n## What fails, and how\n\nEach failure has its shortest path, in the world that is named. The \
             events of each path are a script in\n`krcu-reference/tests/counterexamples`, for `cargo xtask \
             model --replay FILE`.\n",
        );
        for row in &self.rows {
            for broken in &row.outcome.broken {
                let why = row.why(broken.promise);
                let _ = write!(
                    text,
                    "\n### {}: `{}`\n\n{}: {why}. World: {}.\n\n",
                    row.name(),
                    broken.promise.name(),
                    row.approach.section(),
                    broken.variant.name()
                );
                numbered(text, broken);
            }
        }
    }

    fn markdown_mutants(&self, text: &mut String) {
        text.push_str(
            "\n## Mutants\n\nEach mutant leaves out one wait, lock or check, or has one fault, and \
            must break the named promise.\n\n",
        );
        text.push_str("| row | mutant | breaks | in steps | world |\n| --- | --- | --- | ---: | --- |\n");
        for Refuted { mutant, outcome } in &self.mutants {
            let (steps, world) = match outcome.breaks(mutant.breaks) {
                Some(broken) => (broken.path.len().to_string(), broken.variant.name()),
                None => ("NOT REFUTED".to_owned(), ""),
            };
            let _ = writeln!(
                text,
                "| {} | {} | `{}` | {steps} | {world} |",
                mutant.row,
                mutant.change,
                mutant.breaks.name()
            );
        }
        text.push_str("\nTheir paths:\n");
        for Refuted { mutant, outcome } in &self.mutants {
            if let Some(broken) = outcome.breaks(mutant.breaks) {
                let _ = write!(text, "\n<details><summary>{}: {}</summary>\n\n", mutant.row, mutant.change);
                numbered(text, broken);
                text.push_str("\n</details>\n");
            }
        }
    }
}

fn numbered(text: &mut String, broken: &Broken) {
    for (number, step) in (1..).zip(&broken.path) {
        let _ = writeln!(text, "{number}. {step}");
    }
}

/// A number with a comma between each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The windows that the source suggests: the row, the promise that would break, and how; the row with a change against it,
/// and the change.
const WINDOWS: [(&str, Promise, &str, &str, &str); 2] = [
    (
        "upstream (6.12, the shrinker runs)",
        Promise::BarrierCovers,
        "The shrinker calls `kfree_rcu_monitor()` directly. Objects that this call has taken off the lists \
         are on no list, and belong to no work item that `cancel_delayed_work_sync()` or `flush_rcu_work()` \
         could wait for. Can the barrier, and the destroy after it, miss them?",
        "upstream (6.12, the shrinker is awaited)",
        "If the barrier waits until the shrinker is not freeing, after it has made batches of the lists:",
    ),
    (
        "upstream (6.12, beside a cache that stays)",
        Promise::DeferredFreeComes,
        "The barrier looks at each CPU's lists, and then cancels that CPU's monitor. Can it cancel a monitor \
         that a `kfree_rcu()` in between has armed, so that this object is never freed?",
        "upstream (6.12, monitors armed again)",
        "If the barrier then arms the monitor of each CPU that has something queued:",
    ),
];

const INTRODUCTION: &str = "<!-- Written by `cargo xtask model --write`; a test holds it to what the check finds. -->

# The approaches of \"Waiting for kfree_rcu()\", checked

The design document, \"Waiting for kfree_rcu()\" (Paul E. McKenney and others, June to August 2024), lists ways to destroy a slab
cache whose frees are deferred. `krcu-reference` implements each of them. The check runs each in every order in which its steps can
happen: with two CPUs, two caches, three objects of them, two modules that exit at the same time, a reader, a caller of
`kfree_rcu_mightsleep()`, memory short and plentiful, a CPU that goes offline, a leak, and a cache that both modules share. A row is
an approach with one choice for what the document leaves open.

| mark | meaning |
| --- | --- |
| holds | the promise holds in every state that can be reached, or in some state if the promise says so |
| **fails** | the promise is broken, as the document or the kernel's history says; the shortest path to it is below |
| – | the promise does not apply to the row |

States are counted up to the symmetry of CPUs and objects. The counts are exact: if one changes, the model has changed.

What *given back* means: SLUB never frees a slab that still has an object in it. A destroy that finds such a slab reports it and
gives the cache up, and its slabs stay for ever. An allocator without that check would free the slab. Both break
`memory_outlives_objects`, because the destroy cannot do what it was asked to do.
";
