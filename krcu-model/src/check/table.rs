//! Table: every row and every mutant checked, and what is said of them.
//!
//! What is written comes out of the check and nothing else: the same text goes to the terminal, to
//! `docs/approaches.md` and, for each broken promise, to a script that can be replayed.

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    mutants::{self, Mutant},
    row::{Broken, Outcome, check},
    workload::{Depth, Variant},
    world::Witness,
};
use crate::{
    approach::{self, Approach, row_name},
    machine::{CacheIndex, op::Op},
    promise::{Promise, Sense},
};

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// How large the worlds are.
    pub depth: Depth,
    /// Only rows whose name has this in it; all, if empty.
    pub only: &'a str,
    /// How many rows are explored at once.
    pub threads: usize,
}

/// A row and what became of it.
pub struct Row {
    approach: Box<dyn Approach>,
    outcome: Outcome,
}

/// A mutant and what became of it.
pub struct Refuted {
    mutant: Mutant,
    outcome: Outcome,
}

/// The whole check.
pub struct Table {
    rows: Vec<Row>,
    mutants: Vec<Refuted>,
}

/// Checks everything within an extent; says of each part that is done how far it got.
#[must_use]
pub fn run(extent: Extent<'_>, done: impl Fn(&str) + Sync) -> Table {
    let is_wanted = |name: &str| name.contains(extent.only);
    let approaches: Vec<_> =
        approach::all().into_iter().filter(|row| is_wanted(&row_name(row.as_ref()))).collect();
    let of_rows: Vec<(usize, Variant)> =
        (0..approaches.len()).flat_map(|row| Variant::ALL.map(|variant| (row, variant))).collect();
    let outcomes = in_parallel(extent.threads, of_rows.len(), |job| {
        let (row, variant) = of_rows[job];
        let outcome = check(approaches[row].as_ref(), extent.depth, variant)?;
        let name = row_name(approaches[row].as_ref());
        done(&format!("{name}, {}: {} states", variant.name(), outcome.states));
        Some(outcome)
    });
    let mut rows: Vec<Row> =
        approaches.into_iter().map(|approach| Row { approach, outcome: Outcome::default() }).collect();
    for ((row, _), outcome) in of_rows.iter().zip(&outcomes) {
        if let Some(outcome) = outcome.as_ref().and_then(Option::as_ref) {
            rows[*row].outcome.add(outcome);
        }
    }
    let all: Vec<Mutant> = match extent.depth {
        Depth::Bounded => mutants::all().into_iter().filter(|mutant| is_wanted(&mutant.row)).collect(),
        Depth::Deep => Vec::new(),
    };
    let outcomes = in_parallel(extent.threads, all.len(), |job| {
        let outcome = all[job].refute();
        done(&format!("{}, {}: {} states", all[job].row, all[job].change, outcome.states));
        outcome
    });
    let mutants = all
        .into_iter()
        .zip(outcomes)
        .map(|(mutant, outcome)| Refuted { mutant, outcome: outcome.unwrap_or_default() })
        .collect();
    Table { rows, mutants }
}

/// Does numbered jobs on some threads; what they give comes in the order of their numbers.
fn in_parallel<T: Send>(threads: usize, jobs: usize, work: impl Fn(usize) -> T + Sync) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..jobs).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        break;
                    }
                    let result = work(job);
                    if let Ok(mut results) = results.lock() {
                        results[job] = Some(result);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}

/// Whether a promise holds in a row, and in what sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It holds.
    Holds,
    /// It is broken, as the document or history says.
    Fails,
    /// It is broken, and should not be; or holds, and should not.
    Wrong,
    /// There is nothing that it could be about.
    Nothing,
}

impl Cell {
    fn mark(self) -> &'static str {
        match self {
            Cell::Holds => "holds",
            Cell::Fails => "**fails**",
            Cell::Wrong => "**WRONG**",
            Cell::Nothing => "–",
        }
    }
}

impl Row {
    fn name(&self) -> String {
        row_name(self.approach.as_ref())
    }

    fn ops(&self) -> Vec<Op> {
        let mut ops = self.approach.exit(CacheIndex(0));
        ops.extend(self.approach.second(CacheIndex(0)));
        ops
    }

    fn saw(&self, witness: Witness) -> bool {
        self.outcome.witnessed.contains(&witness)
    }

    /// Whether a promise holds.
    #[must_use]
    pub fn cell(&self, promise: Promise) -> Cell {
        let holds = |holds: bool| if holds { Cell::Holds } else { Cell::Wrong };
        let ops = self.ops();
        let type_safe = self.approach.has_type_safe_cache();
        let has_barrier = ops.iter().any(|op| matches!(op, Op::Leave(_)));
        let frees_by_callback = matches!(self.approach.free(crate::machine::ObjectIndex(0)), Op::CallRcu(_));
        match promise {
            // What a type-safe cache is in a row for comes after its barrier.
            Promise::BarrierIsNoStricter | Promise::ConcurrentCallers if !has_barrier || type_safe => {
                Cell::Nothing
            }
            Promise::BarrierIsNoStricter => holds(self.saw(Witness::BarrierLetPass)),
            Promise::SomethingHappens => {
                let always = [Witness::CallWaited, Witness::GraceWaited, Witness::Leaked];
                let of_queues = [Witness::DestroyMetDeferred, Witness::OfflineWithQueue];
                let wanted = always.into_iter().chain(of_queues.into_iter().filter(|_| !type_safe));
                holds(wanted.into_iter().all(|witness| self.saw(witness)))
            }
            Promise::ConcurrentCallers if self.approach.second(CacheIndex(0)).is_empty() => Cell::Nothing,
            Promise::ConcurrentCallers => {
                let takes = ops.iter().any(|op| matches!(op, Op::Take(_)));
                let rides = takes && !ops.iter().any(|op| matches!(op, Op::TakeAlways(_)));
                let met = self.saw(Witness::CallersMet)
                    && (!takes || self.saw(Witness::CallersQueued))
                    && (!rides || self.saw(Witness::CallerRode));
                match (met, self.approach.breaks().is_empty()) {
                    (false, _) => Cell::Wrong,
                    (true, true) => Cell::Holds,
                    (true, false) => Cell::Fails,
                }
            }
            Promise::CallbacksBeforeUnload if !frees_by_callback => Cell::Nothing,
            Promise::BarrierCovers
                if !has_barrier && !ops.iter().any(|op| matches!(op, Op::DestructionAwaited(_))) =>
            {
                Cell::Nothing
            }
            _ => {
                let is_expected = self.approach.breaks().iter().any(|(expected, _)| *expected == promise);
                match (self.outcome.breaks(promise).is_some(), is_expected) {
                    (false, false) => Cell::Holds,
                    (true, true) => Cell::Fails,
                    _ => Cell::Wrong,
                }
            }
        }
    }
}

/// A script of a broken promise.
pub struct Counterexample {
    /// Name of the file that it goes to.
    pub file: String,
    /// The promise that it breaks.
    pub promise: Promise,
    /// What it holds.
    pub script: String,
}

impl Table {
    /// What is not as it should be, a line each; none when all is well.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let cells = self.rows.iter().flat_map(|row| {
            let wrong = Promise::ALL.into_iter().filter(|promise| row.cell(*promise) == Cell::Wrong);
            wrong.map(|promise| {
                let path = row.outcome.breaks(promise).map(|broken| broken.path.join("\n      "));
                format!(
                    "{}: {} is not as expected\n      {}",
                    row.name(),
                    promise.name(),
                    path.unwrap_or_default()
                )
            })
        });
        let survivors =
            self.mutants.iter().filter(|refuted| refuted.outcome.breaks(refuted.mutant.breaks).is_none());
        let survivors = survivors.map(|refuted| {
            let Mutant { row, change, breaks, .. } = &refuted.mutant;
            format!("{row}, {change}: {} is not broken", breaks.name())
        });
        cells.chain(survivors).collect()
    }

    /// How much was looked at.
    #[must_use]
    pub fn totals(&self) -> String {
        let states: usize = self.rows.iter().map(|row| row.outcome.states).sum();
        let transitions: u64 = self.rows.iter().map(|row| row.outcome.transitions).sum();
        let mut ids: Vec<&str> = self.rows.iter().map(|row| row.approach.id()).collect();
        ids.dedup();
        format!(
            "{} approaches in {} rows, {} states, {} transitions; {} mutants",
            ids.len(),
            self.rows.len(),
            grouped(states as u64),
            grouped(transitions),
            self.mutants.len()
        )
    }

    /// The table for a terminal.
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
                let cell = row.cell(promise);
                if cell == Cell::Nothing {
                    continue;
                }
                let _ = writeln!(text, "  {:<24} {}", promise.name(), cell.mark().trim_matches('*'));
                let Some(broken) = row.outcome.breaks(promise) else { continue };
                if let Some((_, why)) =
                    row.approach.breaks().iter().find(|(expected, _)| *expected == promise)
                {
                    let _ = writeln!(text, "    {why}; {}:", broken.variant.name());
                }
                for (number, step) in (1..).zip(&broken.path) {
                    let _ = writeln!(text, "    {number:>3}. {step}");
                }
            }
            text.push('\n');
        }
        for refuted in &self.mutants {
            let Mutant { row, change, breaks, .. } = &refuted.mutant;
            let steps = refuted.outcome.breaks(*breaks).map(|broken| broken.path.len());
            let verdict = steps.map_or("NOT REFUTED".to_owned(), |steps| format!("refuted in {steps} steps"));
            let _ = writeln!(text, "{row}: {change}\n  {}: {verdict}", breaks.name());
        }
        text
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
            "\n## What fails, and how\n\nThe shortest path to each, in a world as named; the events of each are a script in\n`krcu-model/tests/counterexamples`, which `cargo xtask model --replay FILE` takes.\n",
        );
        for row in &self.rows {
            for broken in &row.outcome.broken {
                let why = row.approach.breaks().iter().find(|(promise, _)| *promise == broken.promise);
                let why = why.map_or("not expected", |(_, why)| *why);
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

    /// A script for each promise that an approach breaks.
    #[must_use]
    pub fn counterexamples(&self) -> Vec<Counterexample> {
        let of_row = |row: &Row| {
            let name: String = row
                .name()
                .chars()
                .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
                .collect();
            let mut name = name.trim_matches('-').to_owned();
            while name.contains("--") {
                name = name.replace("--", "-");
            }
            let examples = row.outcome.broken.iter().map(move |broken| {
                let mut lines = broken.script.lines();
                let heading = lines.next().unwrap_or_default();
                let mut script = format!("{heading}\n");
                for (number, step) in (1..).zip(&broken.path) {
                    let _ = writeln!(script, "# {number:>2}. {step}");
                }
                lines.for_each(|line| {
                    script.push_str(line);
                    script.push('\n');
                });
                let file = format!("{name}.{}.script", broken.promise.name());
                Counterexample { file, promise: broken.promise, script }
            });
            examples.collect::<Vec<_>>()
        };
        self.rows.iter().flat_map(of_row).collect()
    }
}

fn numbered(text: &mut String, broken: &Broken) {
    for (number, step) in (1..).zip(&broken.path) {
        let _ = writeln!(text, "{number}. {step}");
    }
}

/// A number with a comma between each three digits.
fn grouped(number: u64) -> String {
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

Every way to destroy a slab cache whose frees are deferred that the document lists, as `krcu-model` implements it, in
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
