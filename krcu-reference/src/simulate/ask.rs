//! Ask: a recorded [`Question`] as a scenario, and what every approach makes of it.
//!
//! Whoever asks, a terminal or an analysis, gets the same answer to the same question. Some approaches do the
//! same on a workload: they make the same calls, and differ only in what a checker asks of them. They are
//! simulated once ([`distinct`]).

use krcu_model::event::{Cpu, Time};
use krcu_report::{AskedDestroy, KernelBarrier, Question, Took, Unseen};

use super::{
    Action, BackTest, CacheSpec, Caller, Input, Measured, Outcome, RecordedGrace, Wait, Workload, back_test,
};
use crate::{
    approach::{Approach, row_name},
    machine::{
        CacheIndex, ObjectIndex,
        facts::{CALLBACK_NS, Generation},
        op::Op,
    },
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
            let AskedDestroy { is_given, after_last_free_ns, .. } = *asked;
            Some(Wait { destroy, wait_ns, after_last_free_ns, is_given })
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
    for unseen in &question.unseen {
        match *unseen {
            Unseen::List(at_ns, cpu) if cpu < question.cpus => {
                workload.at(at_ns, Action::Queue { cache: None, cpu: Cpu(cpu) });
            }
            Unseen::List(..) => {}
            Unseen::Drained(at_ns) => {
                workload.at(at_ns, Action::Drain);
            }
            Unseen::Callback(at_ns, grace_ns) => {
                workload.at(at_ns, Action::UnseenCallback { cpu: Cpu(0), grace: Time(grace_ns) });
            }
        }
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
    let free = free
        .unwrap_or_else(|| Input::assumed(FREE_NS, "1 µs: no two frees of one call were seen in this run"));
    let assuming = Measured::assuming(grace, free);
    let softirq: Vec<u64> = took.callback_ns.iter().chain(&took.sheaf_ns).copied().collect();
    let softirq = middle(
        &softirq,
        "the median from the end of the grace period that a callback, a sheaf or an rcu_barrier() needed to its run",
        Input::assumed(
            CALLBACK_NS,
            "one tick of 250 Hz: no callback and no rcu_barrier() was seen in this run",
        ),
    );
    let softirq_ns = softirq.median();
    let worker: Vec<u64> = took.flushed_array_ns.iter().map(|ns| ns.saturating_sub(softirq_ns)).collect();
    let worker = middle(
        &worker,
        "the median from the end of the grace period that a flushed array needed to its first free, less softirq-delay",
        assuming.worker_delay.clone(),
    );
    let graces = took.graces.iter();
    let recorded: Vec<RecordedGrace> =
        graces.map(|grace| RecordedGrace { begin_ns: grace.0, end_ns: grace.1 }).collect();
    Measured {
        recorded,
        grace_start: middle(
            &took.grace_start_ns,
            "the median from a flush or an rcu_barrier(), while no grace period was in flight, to the next",
            Input::assumed(
                CALLBACK_NS / 2,
                "half a tick of 250 Hz: no request was seen while none was in flight",
            ),
        ),
        between_grace: Input::observed(
            took.between_grace_ns.clone(),
            "from one grace period to the next in this run, whoever needed them",
        ),
        worker_delay: worker,
        softirq_delay: softirq,
        flush_start: middle(
            &took.flush_start_ns,
            "the median from the entry of a destroy to the first barrier inside",
            assuming.flush_start.clone(),
        ),
        ..assuming
    }
}

/// The median of samples, as the only sample: a single wait is best guessed by it.
fn middle(samples: &[u64], source: &str, assumed: Input) -> Input {
    let Some(all) = Input::observed(samples.to_vec(), source) else { return assumed };
    Input::observed(vec![all.median()], &format!("{source}; of {} samples", samples.len())).unwrap_or(assumed)
}
