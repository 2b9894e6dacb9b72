//! Ask: a recorded [`Question`] as a scenario, and what every approach makes of it.
//!
//! Whoever asks, a terminal or an analysis, gets the same answer to the same question. Some approaches do the
//! same on a workload: they make the same calls, and differ only in what a checker asks of them. They are
//! simulated once ([`distinct`]).

use krcu_model::event::Cpu;
use krcu_report::{KernelBarrier, Question, Took};

use super::{
    Action, BackTest, CacheSpec, Caller, Input, Measured, Outcome, RecordedGrace, Wait, Workload, back_test,
};
use crate::{
    approach::{Approach, row_name},
    machine::{CacheIndex, ObjectIndex, facts::Generation, op::Op},
};

/// The most leaked objects of a destroy that are simulated: more of them cost time, and say the same.
pub const MOST_LEAKED: u64 = 1 << 20;
/// Bytes of a slab, which the events do not say: one page.
const SLAB_BYTES: u32 = 4096;
/// The assumed size of an object whose size is unknown.
const UNKNOWN_BYTES: u32 = 64;
/// The assumed time of a grace period, if none was seen, and of the free of an object: about what the kernels
/// of the golden traces took.
const GRACE_NS: u64 = 10_000_000;
const FREE_NS: u64 = 1_000;

/// A question, as the machine takes it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who does what, and when.
    pub workload: Workload,
    /// How long things take.
    pub measured: Measured,
    /// The waits of destroys that have a barrier inside.
    pub waits: Vec<Wait>,
    /// The name of the row that is the kernel of the question.
    pub upstream: &'static str,
}

impl Asked {
    /// The scenario of a question.
    #[must_use]
    pub fn of(question: &Question) -> Asked {
        let waits = question.destroys.iter().enumerate().filter_map(|(destroy, asked)| {
            let wait_ns = asked.measured_ns.filter(|_| asked.has_barrier)?;
            Some(Wait { destroy, wait_ns, after_last_free_ns: asked.after_last_free_ns })
        });
        Asked {
            workload: workload(question),
            measured: measured(&question.took),
            waits: waits.collect(),
            upstream: upstream(question.kernel),
        }
    }

    /// The back-test, if this is the kernel's own row.
    #[must_use]
    pub fn tested(&self, approach: &dyn Approach, outcome: &Outcome) -> Option<BackTest> {
        let is_kernel = !self.waits.is_empty() && row_name(approach) == self.upstream;
        is_kernel.then(|| back_test(outcome, &self.waits))
    }
}

/// The name of the row that a kernel is.
#[must_use]
pub fn upstream(kernel: KernelBarrier) -> &'static str {
    match kernel {
        KernelBarrier::None => "upstream (before 6.12)",
        KernelBarrier::Lists => "upstream (6.12)",
        KernelBarrier::Sheaves => "upstream (6.18)",
        KernelBarrier::SheavesAwaited => "upstream (7.x)",
    }
}

/// What an approach does to a workload: approaches with the same make the same of it.
#[derive(PartialEq, Eq)]
struct Deed {
    generation: Generation,
    exit: Vec<Op>,
    release_type_safe: Vec<Op>,
    free: Op,
    bystander: Vec<Op>,
}

impl Deed {
    fn of(approach: &dyn Approach) -> Deed {
        // What an approach does does not depend on the number of a cache or an object.
        let cache = CacheIndex(0);
        Deed {
            generation: approach.generation(),
            exit: approach.exit(cache),
            release_type_safe: approach.release_type_safe(cache),
            free: approach.free(ObjectIndex(0)),
            bystander: approach.bystander(),
        }
    }
}

/// The approaches, those together that make the same of every workload. A workload that has no type-safe cache
/// does not tell apart what approaches do with one.
#[must_use]
pub fn distinct(approaches: &[Box<dyn Approach>], has_type_safe: bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Deed, Vec<usize>)> = Vec::new();
    for (place, approach) in approaches.iter().enumerate() {
        let mut deed = Deed::of(approach.as_ref());
        if !has_type_safe {
            deed.release_type_safe.clear();
        }
        match groups.iter_mut().find(|(known, _)| *known == deed) {
            Some((_, places)) => places.push(place),
            None => groups.push((deed, vec![place])),
        }
    }
    groups.into_iter().map(|(_, places)| places).collect()
}

fn workload(question: &Question) -> Workload {
    let mut workload = Workload::new(question.cpus);
    for cache in &question.caches {
        let object_bytes = if cache.object_bytes == 0 { UNKNOWN_BYTES } else { cache.object_bytes.max(8) };
        let slab_objects = (SLAB_BYTES / object_bytes).max(1);
        let other_users = cache.later_destroys;
        let name = cache.name.clone();
        workload.cache(CacheSpec { name, object_bytes, type_safe: false, slab_objects, other_users });
    }
    for free in &question.deferred {
        workload.at(free.0, Action::deferred(free.3, Some(CacheIndex(free.2)), Cpu(free.1)));
    }
    for destroy in &question.destroys {
        let cache = CacheIndex(destroy.cache);
        (0..destroy.leaked.min(MOST_LEAKED)).for_each(|_| {
            workload.at(0, Action::Leak { cache });
        });
        let caller = Caller(destroy.caller);
        workload.at(destroy.at_ns, Action::Destroy { cache, caller, cpu: Cpu(destroy.cpu) });
    }
    for bystander in &question.bystanders {
        workload.at(bystander.0, Action::RcuBarrier { cpu: Cpu(bystander.1) });
    }
    workload
}

fn measured(took: &Took) -> Measured {
    let or = |samples: &[u64], source: &str, assumed: Input| {
        Input::observed(samples.to_vec(), source).unwrap_or(assumed)
    };
    let grace = or(
        &took.grace_ns,
        "grace periods of this run, each in its place while they last",
        Input::assumed(GRACE_NS, "10 ms: no grace period was seen in this run"),
    );
    // The machine draws once for all objects of a call: one that was interrupted would be a delay for each.
    let free = took.freed_in_ns.checked_div(took.freed).and_then(|mean_ns| {
        let source = format!(
            "the mean of {} frees in calls that freed several, the probe's own time included",
            took.freed
        );
        Input::observed(vec![mean_ns], &source)
    });
    let free =
        free.unwrap_or_else(|| Input::assumed(FREE_NS, "1 µs: no two frees of one call were seen in this run"));
    let assuming = Measured::assuming(grace, free);
    let softirq: Vec<u64> = took.callback_ns.iter().chain(&took.sheaf_ns).copied().collect();
    let softirq_ns = median(&softirq);
    let worker_only = |samples: &[u64]| -> Vec<u64> {
        samples.iter().map(|ns| ns.saturating_sub(softirq_ns)).collect()
    };
    let worker = Input::observed(
        worker_only(&took.flushed_array_ns),
        "from the end of the grace period that a flushed array needed to its first free, less the median of softirq-delay",
    )
    .or_else(|| {
        Input::observed(
            worker_only(&took.array_at_least_ns),
            "at least: from the last end of a grace period to the first free of an array, less the median of softirq-delay",
        )
    });
    Measured {
        recorded: took.graces.iter().map(|grace| RecordedGrace { begin_ns: grace.0, end_ns: grace.1 }).collect(),
        grace_start: or(
            &took.grace_start_ns,
            "from the beginning of a flush, while no grace period was in flight, to that of the next",
            assuming.grace_start.clone(),
        ),
        between_grace: Input::observed(
            took.between_grace_ns.clone(),
            "from one grace period to the next in this run, whoever needed them",
        ),
        worker_delay: worker.unwrap_or_else(|| assuming.worker_delay.clone()),
        softirq_delay: Input::observed(
            softirq,
            "from the end of the grace period that a callback or a sheaf needed to its run",
        )
        .unwrap_or_else(|| assuming.softirq_delay.clone()),
        ..assuming
    }
}

/// The middle one; 0 of none.
fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}
