//! Table: checks every row and every mutant, and compares the results with what is expected.

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    mutants::{self, Mutant},
    print::grouped,
    row::{Outcome, check},
    workload::{Depth, Variant},
    world::Witness,
};
use crate::{
    approach::{self, Approach, row_name},
    machine::{CacheIndex, op::Op},
};
use krcu_model::promise::Promise;

/// What to check.
#[derive(Clone, Copy, Debug)]
pub struct Extent<'a> {
    /// How large the worlds are.
    pub depth: Depth,
    /// Only rows whose names contain this text; all if it is empty.
    pub only: &'a str,
    /// How many rows are explored at once.
    pub threads: usize,
}

/// A row and its result.
pub struct Row {
    pub(super) approach: Box<dyn Approach>,
    pub(super) outcome: Outcome,
}

/// A mutant and its result.
pub struct Refuted {
    pub(super) mutant: Mutant,
    pub(super) outcome: Outcome,
}

/// The whole check.
pub struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) mutants: Vec<Refuted>,
}

/// Checks everything within an extent, and reports each part that is done.
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

/// Does numbered jobs on some threads. The results come in the order of the numbers.
pub(crate) fn in_parallel<T: Send>(
    threads: usize,
    jobs: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<Option<T>> {
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

/// Whether a promise holds in a row, and whether that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It holds.
    Holds,
    /// It is broken, as the document or the kernel's history says.
    Fails,
    /// It is broken but should hold, or it holds but should be broken.
    Wrong,
    /// The promise does not apply.
    Nothing,
}

impl Cell {
    /// The mark in a table.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Cell::Holds => "holds",
            Cell::Fails => "**fails**",
            Cell::Wrong => "**WRONG**",
            Cell::Nothing => "–",
        }
    }

    /// The mark in a narrow table.
    pub(super) fn letter(self) -> char {
        match self {
            Cell::Holds => '+',
            Cell::Fails => 'F',
            Cell::Wrong => '!',
            Cell::Nothing => '-',
        }
    }
}

impl Row {
    pub(super) fn name(&self) -> String {
        row_name(self.approach.as_ref())
    }

    fn ops(&self) -> Vec<Op> {
        let mut ops = self.approach.exit(CacheIndex(0));
        ops.extend(self.approach.second(CacheIndex(0)));
        ops
    }

    /// Why a promise is broken, in the approach's own words.
    pub(super) fn why(&self, promise: Promise) -> &'static str {
        let expected = self.approach.breaks().iter().find(|(expected, _)| *expected == promise);
        expected.map_or("not expected", |(_, why)| why)
    }

    fn saw(&self, witness: Witness) -> bool {
        self.outcome.witnessed.contains(&witness)
    }

    /// Whether the check saw both callers in the middle of the operation at the same time. If they share a
    /// mutex: whether it saw them meet there. If a caller may ride on the other's operation: whether it saw
    /// that.
    fn callers_met(&self, ops: &[Op]) -> bool {
        let has = |is: fn(&Op) -> bool| ops.iter().any(is);
        let takes = has(|op| matches!(op, Op::Take(_)));
        let rides = takes && !has(|op| matches!(op, Op::TakeAlways(_)));
        // A destroy that does not wait has no middle. There, what counts is a cache that is destroyed but not
        // gone yet.
        let waits = has(|op| matches!(op, Op::Leave(_)));
        self.saw(if waits { Witness::CallersMet } else { Witness::BothEnding })
            && (!takes || self.saw(Witness::CallersQueued))
            && (!rides || self.saw(Witness::CallerRode))
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
            // A type-safe cache is in a row for what comes after its barrier.
            Promise::BarrierIsNoStricter if !has_barrier || type_safe => Cell::Nothing,
            Promise::BarrierIsNoStricter => holds(self.saw(Witness::BarrierLetPass)),
            Promise::SomethingHappens => {
                let always = [Witness::CallWaited, Witness::GraceWaited, Witness::Leaked];
                let of_queues = [Witness::DestroyMetDeferred, Witness::OfflineWithQueue];
                let wanted = always.into_iter().chain(of_queues.into_iter().filter(|_| !type_safe));
                holds(wanted.into_iter().all(|witness| self.saw(witness)))
            }
            Promise::ConcurrentCallers if self.approach.second(CacheIndex(0)).is_empty() => Cell::Nothing,
            Promise::ConcurrentCallers if has_barrier && type_safe => Cell::Nothing,
            Promise::ConcurrentCallers => match (self.callers_met(&ops), self.approach.breaks().is_empty()) {
                (false, _) => Cell::Wrong,
                (true, true) => Cell::Holds,
                (true, false) => Cell::Fails,
            },
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
    /// The name of its file.
    pub file: String,
    /// The promise that it breaks.
    pub promise: Promise,
    /// The text of the script.
    pub script: String,
}

impl Table {
    /// Everything that is not as it should be, one line each; empty if all is well.
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

    /// How much was checked.
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
