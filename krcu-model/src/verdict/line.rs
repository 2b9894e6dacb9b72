//! Line: a verdict with the evidence that comes with it.

use serde::{Deserialize, Serialize};

use crate::{
    event::Cpu,
    state::freed_by::FreedBy,
    verdict::{
        kind::{KernelResult, Ordering, VerdictKind},
        reason::Reason,
    },
};

/// Deferred frees of one queueing site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteCount {
    /// How many.
    pub objects: u64,
    /// The frames, caller first.
    pub stack: Vec<String>,
}

/// Deferred frees that one CPU queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CpuCount {
    /// The CPU.
    pub cpu: Cpu,
    /// How many.
    pub objects: u64,
}

/// Objects whose head waits with one callback of `call_rcu()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallbackCount {
    /// How many; 0 for a callback of which none waits.
    pub objects: u64,
    /// The callback's symbol; its address where that has no name, `unknown` where neither was seen.
    pub function: String,
    /// The module in whose text it lies; absent for the kernel's own.
    pub module: Option<String>,
}

/// Who destroyed the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DestroyedBy {
    /// Name of the task.
    pub comm: String,
    /// Its thread id.
    pub task: u32,
    /// The frames, caller first.
    pub stack: Vec<String>,
}

/// The barrier that ordered everything by luck: somebody else called it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LuckyBarrier {
    /// The function.
    pub function: String,
    /// Name of the task that called it; empty where that is not known.
    pub comm: String,
    /// Its thread id.
    pub task: u32,
    /// The frames, caller first.
    pub stack: Vec<String>,
    /// From its return to the destroy's look, in nanoseconds.
    pub before_ns: u64,
}

/// One verdict, with its evidence. Counts are of objects, times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// What it is.
    pub verdict: VerdictKind,
    /// Whether it is a fault.
    pub flagged: bool,
    /// Whether `--strict` calls it one.
    pub flagged_strictly: bool,
    /// Name of the cache.
    pub cache: String,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// The module whose cache it is, where known.
    pub module: Option<String>,
    /// Bytes of an object.
    pub object_bytes: u32,
    /// Whether the cache was created while the probes were attached.
    pub created_while_watched: bool,
    /// Who destroyed it.
    pub destroyed_by: DestroyedBy,
    /// When, from the moment the probes were attached.
    pub destroyed_at_ns: u64,
    /// Objects handed to `kfree_rcu()` and not freed when the destroy looked.
    pub queued_by_kfree_rcu: u64,
    /// Objects whose callback of `call_rcu()` had not run when the destroy looked; absent when that is not
    /// known.
    pub queued_by_call_rcu: Option<u64>,
    /// Callbacks by their function, most objects first: those that waited when the destroy looked; else those
    /// that it waited for; else those that no `rcu_barrier()` orders before it.
    pub callbacks: Vec<CallbackCount>,
    /// Objects left that nobody queued; absent when that is not known.
    pub leaked: Option<u64>,
    /// Objects that were handed to `kfree_rcu()` or `call_rcu()`, or freed, while they were queued already.
    pub queued_twice: u64,
    /// Objects left of which it is not known whether they were queued.
    pub undecided: u64,
    /// What the kernel's slab shutdown returned.
    pub kernel_result: KernelResult,
    /// Objects left by the kernel's own counts; absent when they could not be read.
    pub kernel_objects_left: Option<u64>,
    /// Of these, objects on partial slabs: those that the kernel's report lists.
    pub kernel_objects_listed: Option<u64>,
    /// Age of the oldest deferred free when the destroy looked.
    pub oldest_age_ns: Option<u64>,
    /// Deferred frees by queueing site, most first.
    pub sites: Vec<SiteCount>,
    /// Deferred frees by the CPU that queued them.
    pub cpus: Vec<CpuCount>,
    /// Objects ever handed to `kfree_rcu()` while watched.
    pub queued_ever: u64,
    /// Callbacks in objects ever handed to `call_rcu()` while watched.
    pub callbacks_ever: u64,
    /// Deferred objects of this cache that were freed until the destroy looked.
    pub freed_by: FreedBy,
    /// Leaked objects by where they were allocated, most first; only where allocations are seen.
    pub leak_sites: Vec<SiteCount>,
    /// Whether a barrier for `kfree_rcu()` ran inside the destroy.
    pub barrier_inside: bool,
    /// How long the destroy took until it looked at its slabs.
    pub wait_ns: Option<u64>,
    /// Deferred frees of this cache for which it waited.
    pub waited_for_own: u64,
    /// Deferred frees of other watched caches that it had to wait for as well.
    pub waited_for_other: u64,
    /// Whether only the `rcu_barrier()` inside the destroy ordered callbacks of `call_rcu()` before it.
    pub waited_for_callbacks: bool,
    /// Normal grace periods that ended between the destroy's entry and its look; absent when not all were seen.
    pub waited_grace_periods: Option<u64>,
    /// Of what a destroy waited for, objects that lay in sheaves.
    pub in_sheaves: u64,
    /// Callbacks of this cache that had not run when the destroy that waited for them was entered.
    pub waited_for_own_callbacks: u64,
    /// How the deferred frees are ordered before the destroy.
    pub ordering: Ordering,
    /// From the end of the last deferred free to the destroy's look.
    pub margin_ns: Option<u64>,
    /// From the return of the task's last `rcu_barrier()` to the destroy.
    pub rcu_barrier_before_ns: Option<u64>,
    /// The barrier of somebody else that happened to cover all that was deferred, where the teardown's own do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lucky_barrier: Option<LuckyBarrier>,
    /// Deferred frees and callbacks seen after the look.
    pub late_frees: u64,
    /// From the look to the last of them.
    pub last_late_free_ns: Option<u64>,
    /// Why it cannot be decided, a word each; of a `clean` whose ordering is not known, why not.
    pub reasons: Vec<Reason>,
    /// Where runs of probes were skipped and that is why: of which programs.
    pub missed_programs: Vec<String>,
    /// Why it cannot be decided, or what else to know, a sentence each.
    pub notes: Vec<String>,
    /// What to do, one sentence.
    pub advice: String,
}

impl Verdict {
    /// What a verdict says where it says nothing.
    #[must_use]
    pub fn of_nothing() -> Verdict {
        Verdict {
            verdict: VerdictKind::Inconclusive,
            flagged: false,
            flagged_strictly: false,
            cache: String::new(),
            aliases: Vec::new(),
            module: None,
            object_bytes: 0,
            created_while_watched: false,
            destroyed_by: DestroyedBy { comm: String::new(), task: 0, stack: Vec::new() },
            destroyed_at_ns: 0,
            queued_by_kfree_rcu: 0,
            queued_by_call_rcu: None,
            callbacks: Vec::new(),
            leaked: None,
            queued_twice: 0,
            undecided: 0,
            kernel_result: KernelResult::Unseen,
            kernel_objects_left: None,
            kernel_objects_listed: None,
            oldest_age_ns: None,
            sites: Vec::new(),
            cpus: Vec::new(),
            queued_ever: 0,
            callbacks_ever: 0,
            freed_by: FreedBy::default(),
            leak_sites: Vec::new(),
            barrier_inside: false,
            wait_ns: None,
            waited_for_own: 0,
            waited_for_other: 0,
            waited_for_callbacks: false,
            waited_grace_periods: None,
            in_sheaves: 0,
            waited_for_own_callbacks: 0,
            ordering: Ordering::Unknown,
            margin_ns: None,
            rcu_barrier_before_ns: None,
            lucky_barrier: None,
            late_frees: 0,
            last_late_free_ns: None,
            reasons: Vec::new(),
            missed_programs: Vec::new(),
            notes: Vec::new(),
            advice: String::new(),
        }
    }
}
