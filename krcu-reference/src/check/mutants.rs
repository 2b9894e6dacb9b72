//! Mutants: each leaves out one wait, lock or check, and names the promise that must then break.
//!
//! A mutant of an approach lacks one [`Op`]. A mutant of the machine has one [`Fault`]. The rest use orders
//! of steps that the kernel's history, or a plausible mistake, has tried.

use super::row::{Outcome, refute};
use crate::{
    approach::{self, Approach, row_name},
    machine::{CacheIndex, ObjectIndex, facts::Generation, fault::Fault, op::Op},
};
use krcu_model::promise::Promise;

/// One mutant, and the promise that it must break.
pub struct Mutant {
    /// The row that it changes.
    pub row: String,
    /// The change.
    pub change: String,
    /// The promise that names this fault.
    pub breaks: Promise,
    approach: Box<dyn Approach>,
    fault: Option<Fault>,
}

impl Mutant {
    /// Explores until the promise is broken.
    #[must_use]
    pub fn refute(&self) -> Outcome {
        refute(self.approach.as_ref(), self.fault, self.breaks)
    }
}

/// How an approach's exit path is changed.
#[derive(Clone, Copy)]
enum Change {
    /// The op at this place is left out.
    Without(usize),
    /// The op at this place and the next one are exchanged.
    Swapped(usize),
}

/// An approach with a changed exit path.
struct Changed {
    base: Box<dyn Approach>,
    first: Option<Change>,
    second: Option<Change>,
}

fn changed(mut ops: Vec<Op>, change: Option<Change>) -> Vec<Op> {
    match change {
        Some(Change::Without(place)) => {
            ops.remove(place);
        }
        Some(Change::Swapped(place)) => ops.swap(place, place + 1),
        None => {}
    }
    ops
}

impl Approach for Changed {
    fn id(&self) -> &'static str {
        self.base.id()
    }

    fn option(&self) -> &'static str {
        self.base.option()
    }

    fn section(&self) -> &'static str {
        self.base.section()
    }

    fn generation(&self) -> Generation {
        self.base.generation()
    }

    fn free(&self, object: ObjectIndex) -> Op {
        self.base.free(object)
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        changed(self.base.exit(cache), self.first)
    }

    fn second(&self, cache: CacheIndex) -> Vec<Op> {
        changed(self.base.second(cache), self.second)
    }

    fn has_type_safe_cache(&self) -> bool {
        self.base.has_type_safe_cache()
    }

    fn has_shrinker(&self) -> bool {
        self.base.has_shrinker()
    }

    fn api_changes(&self) -> &'static str {
        self.base.api_changes()
    }
}

/// Every mutant, in the order of the table.
#[must_use]
pub fn all() -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for place in 0..approach::all().len() {
        mutants.extend(of_row(place));
    }
    mutants.extend(history());
    mutants.extend(Fault::ALL.into_iter().flat_map(of_machine));
    mutants
}

fn row(place: usize) -> Option<Box<dyn Approach>> {
    approach::all().into_iter().nth(place)
}

fn row_named(name: &str) -> Option<Box<dyn Approach>> {
    approach::all().into_iter().find(|row| row_name(row.as_ref()) == name)
}

/// The mutants of a row that keeps every promise: one for each guard of its path (of the second module's
/// path, if that differs). If an approach has several such rows, only the first has mutants, except for the
/// generations of upstream.
fn of_row(place: usize) -> Vec<Mutant> {
    let Some(base) = row(place).filter(|row| row.breaks().is_empty()) else { return Vec::new() };
    if !base.option().is_empty() && base.id() != "upstream" {
        return Vec::new();
    }
    let (first, second) = (base.exit(CacheIndex(0)), base.second(CacheIndex(0)));
    let is_same = first == second;
    let ops = if is_same { first } else { second };
    let mut mutants = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let Some((words, breaks)) = op.guard() else { continue };
        let Some(breaks) = names_fault(base.as_ref(), *op, &ops[..at], breaks) else { continue };
        let Some(base) = row(place) else { continue };
        let change = Some(Change::Without(at));
        let (first, second) = if is_same { (change, change) } else { (None, change) };
        mutants.push(Mutant {
            row: row_name(base.as_ref()),
            change: format!("without {words}"),
            breaks,
            approach: Box::new(Changed { base, first, second }),
            fault: None,
        });
    }
    mutants
}

/// The promise that an op keeps at this place; `None` if the row is not about this op.
fn names_fault(row: &dyn Approach, op: Op, before: &[Op], usual: Promise) -> Option<Promise> {
    let comes_after = |is: fn(&Op) -> bool| before.iter().any(is);
    let has_looked = comes_after(|op| matches!(op, Op::Look(..)));
    if comes_after(|op| matches!(op, Op::ShutdownFlush(_))) {
        // The shutdown flushes and waits once more, for objects that are queued after the barrier. A module
        // that queues so late is wrong on every kernel, and no correct workload shows the difference.
        return None;
    }
    if row.has_type_safe_cache() {
        // Such a cache is never shared. Its row is about the time after the look: callbacks give slabs back,
        // and must still find their cache.
        let is_of_rcu_barrier = matches!(op, Op::Take(_) | Op::Entrain | Op::AwaitCallbacks);
        let breaks = if is_of_rcu_barrier { Promise::MemoryOutlivesObjects } else { usual };
        return has_looked.then_some(breaks);
    }
    // If a path has two rcu_barrier(), the first is left out.
    (!before.contains(&op)).then_some(usual)
}

/// Faults of the kernel's own history, as changes of later code.
fn history() -> Vec<Mutant> {
    let at = |base: &dyn Approach, op: Op| base.exit(CacheIndex(0)).iter().position(|other| *other == op);
    let mut mutants = Vec::new();
    if let Some(base) = row_named("upstream (6.12)")
        && let Some(place) = at(base.as_ref(), Op::Offload)
    {
        let change = Some(Change::Swapped(place));
        mutants.push(Mutant {
            row: row_name(base.as_ref()),
            change: "looks at the batches before the lists".to_owned(),
            breaks: Promise::BarrierCovers,
            approach: Box::new(Changed { base, first: change, second: change }),
            fault: None,
        });
    }
    for (name, change, breaks) in [
        ("upstream (before 6.12)", "the destroy does not wait (before 6c6c47b063b5)", Promise::NoFalseSplat),
        ("upstream (before 6.12)", "the same fault, for the memory", Promise::MemoryOutlivesObjects),
        (
            "upstream (6.18)",
            "sheaves are flushed but not waited for (before b55b423e8518)",
            Promise::BarrierCovers,
        ),
        (
            "upstream (6.19)",
            "sheaves are flushed without holding CPU hotplug off (before 67ea9d353d0b)",
            Promise::BarrierCovers,
        ),
    ] {
        if let Some(approach) = row_named(name) {
            let row = row_name(approach.as_ref());
            mutants.push(Mutant { row, change: change.to_owned(), breaks, approach, fault: None });
        }
    }
    mutants
}

/// A fault of the machine, on the rows that show it.
fn of_machine(fault: Fault) -> impl Iterator<Item = Mutant> {
    let names: &[&str] = match fault {
        Fault::GraceIgnoresReaders
        | Fault::CallbacksStay
        | Fault::MigrationForgetsBarrier
        | Fault::BarrierOnOneCpu
        | Fault::BarrierRidesHalf => &["status-quo"],
        Fault::MonitorNotRearmed => &["destroy-lingers"],
        Fault::LingerEndsEarly => &[
            "destroy-lingers",
            "destroy-rcu",
            "destroy-rcu-barrier",
            "destroy-rcu-cookie",
            "destroy-once-fully-freed",
        ],
        Fault::ReleaseWithoutBarrier | Fault::TypeSafeSlabsAtOnce => &["destroy-lingers-typesafe"],
        Fault::CountNotKept => &["counted"],
        Fault::SheavesStay | Fault::SheafWithoutGrace => &["upstream (7.x)"],
        Fault::HalfAGrace
        | Fault::FirstCookieKept
        | Fault::FirstListCookieKept
        | Fault::WorkWithoutGrace
        | Fault::FlushSkipsPending => &["upstream (6.12)"],
    };
    names.iter().filter_map(|name| row_named(name)).map(move |approach| Mutant {
        row: row_name(approach.as_ref()),
        change: fault.words().to_owned(),
        breaks: fault.breaks(),
        approach,
        fault: Some(fault),
    })
}
