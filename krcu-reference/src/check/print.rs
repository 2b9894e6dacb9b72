//! Print: the table in words, for a terminal and for `docs/approaches.md`.
//!
//! What is written comes out of the check and nothing else.

use std::fmt::Write as _;

use super::{
    mutants::Mutant,
    row::{Broken, Outcome},
    table::{Refuted, Table},
};
use krcu_model::promise::{Promise, Sense};

impl Table {
    /// The table for a terminal: each row with its paths, the mutants, and all of it at a glance.
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

    /// A line for each row, a column for each promise.
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
        text.push_str("+ holds, F fails as expected, ! is not as expected, - has nothing to do with it\n");
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

    /// What reading the source suggests, and what the check says of it.
    fn markdown_windows(&self, text: &mut String) {
        text.push_str("\n## Two windows in `kvfree_rcu_barrier()`\n\n");
        for (name, promise, suspicion) in WINDOWS {
            let row = self.rows.iter().find(|row| row.name() == name);
            let broken = row.and_then(|row| row.outcome.breaks(promise));
            let verdict = broken.map_or("not real: no path leads there".to_owned(), |broken| {
                format!("real: {} steps, below as `{name}`", broken.path.len())
            });
            let _ = writeln!(text, "- {suspicion} **{verdict}**.");
        }
    }

    fn markdown_paths(&self, text: &mut String) {
        text.push_str(
            "\n## What fails, and how\n\nThe shortest path to each, in a world as named; the events of each are a script in\n`krcu-reference/tests/counterexamples`, which `cargo xtask model --replay FILE` takes.\n",
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
        text.push_str("\n## Mutants\n\nEach wait, lock and check left out, one at a time, and the promise that is broken then.\n\n");
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
pub(super) fn grouped(number: u64) -> String {
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

/// Rows for what reading the source suggests, the promise that would be broken, and how.
const WINDOWS: [(&str, Promise, &str); 2] = [
    (
        "upstream (6.12, the shrinker runs)",
        Promise::BarrierCovers,
        "The shrinker calls `kfree_rcu_monitor()` directly. What that call has taken off the lists is on none of them, and is no work item that `cancel_delayed_work_sync()` or `flush_rcu_work()` could wait for: can the barrier, and the destroy after it, miss it?",
    ),
    (
        "upstream (6.12, beside a cache that stays)",
        Promise::DeferredFreeComes,
        "The barrier cancels each CPU's monitor after it has looked at that CPU's lists. Can it cancel one that a `kfree_rcu()` in between has armed, so that nobody comes for that object?",
    ),
];

const INTRODUCTION: &str = "<!-- Written by `cargo xtask model --write`; a test holds it to what the check finds. -->

# The approaches of \"Waiting for kfree_rcu()\", checked

Every way to destroy a slab cache whose frees are deferred that the document lists, as `krcu-reference` implements it, in
every order in which its steps can happen: two CPUs, two caches, three objects of them, two modules that go at the same
time, a reader, a caller of `kfree_rcu_mightsleep()`, memory short and plentiful, a CPU that goes offline, a leak, and a
cache that both modules share. A row is an approach with one choice of what the document leaves open.

`holds`: in every state that can be reached (or, where the promise says so, in some). **fails**: not, as the document or the kernel's history says, with
the shortest path to it below. – : the row has nothing that the promise is about. States are counted up to the symmetry
of CPUs and objects; the counts are exact, and a change of one is a change of the model.

What *given back* means. SLUB never frees a slab with an object in it under its feet: a destroy that finds one reports
it and gives the cache up, and its slabs stay for ever. An allocator without that check would free them.
`memory_outlives_objects` is broken by both, for what the destroy was asked to do cannot be done.
";
